"""UUIDs, as the kernel makes them and as programs get them."""

from uuid import UUID

import pytest
from conftest import call
from hypothesis import given
from hypothesis import strategies as st

from emu.abi.errno import Errno
from emu.abi.x86 import PAGE_SIZE
from emu.kern.clock import VirtualClock
from emu.kern.proc import Lwp
from emu.kern.uuid import UuidGenerator

STORE = 0x60_0000
BAD = 0x7000_0000
SECOND = 1_000_000_000


def chance(size: int) -> bytes:
    return b"\x02\xff\x04\x05\x06\x07"[:size]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(0)


@pytest.fixture
def uuids(clock: VirtualClock) -> UuidGenerator:
    return UuidGenerator(clock, chance)


def made(uuids: UuidGenerator, count: int) -> list[str]:
    return [str(UUID(bytes_le=bytes(uuid))) for uuid in uuids.generate(count)]


def test_it_is_the_time_the_version_a_sequence_and_an_address(uuids: UuidGenerator) -> None:
    assert made(uuids, 2) == [
        "13814000-1dd2-11b2-bf02-03ff04050607",
        "13814001-1dd2-11b2-bf02-03ff04050607",
    ]


def test_later_ones_keep_the_sequence(uuids: UuidGenerator, clock: VirtualClock) -> None:
    made(uuids, 10)
    clock.charge_call()  # a microsecond is ten of them
    assert made(uuids, 1) == ["1381400a-1dd2-11b2-bf02-03ff04050607"]


def test_a_time_that_was_used_gets_another_sequence(
    uuids: UuidGenerator, clock: VirtualClock
) -> None:
    made(uuids, 11)
    clock.charge_call()
    assert made(uuids, 1) == ["1381400a-1dd2-11b2-bf03-03ff04050607"]
    clock.set_now(-SECOND)
    assert made(uuids, 1) == ["12e8a980-1dd2-11b2-bf04-03ff04050607"]


def test_the_sequence_starts_again_after_its_end(clock: VirtualClock) -> None:
    uuids = UuidGenerator(clock, lambda size: b"\xff" * size)
    assert made(uuids, 1) == ["13814000-1dd2-11b2-bfff-ffffffffffff"]
    assert made(uuids, 1) == ["13814000-1dd2-11b2-8000-ffffffffffff"]


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 5)), max_size=50))
def test_none_is_given_out_twice(requests: list[tuple[int, int]]) -> None:
    clock = VirtualClock(0)
    uuids = UuidGenerator(clock, chance)
    found = []
    for size, calls in requests:
        found += made(uuids, size)
        for _ in range(calls):
            clock.charge_call()
    assert len(set(found)) == len(found)


def test_a_program_gets_as_many_as_it_asks_for(lwp: Lwp) -> None:
    lwp.vmspace.map_anonymous(STORE, STORE + 9 * PAGE_SIZE)
    assert call(lwp, "uuidgen", STORE, 2048) == 0
    data = lwp.vmspace.copyin(STORE, 2049 * 16)
    found = [UUID(bytes_le=data[at : at + 16]) for at in range(0, len(data), 16)]
    start = found[0].time
    assert [uuid.time for uuid in found[:2048]] == list(range(start, start + 2048))
    assert {(uuid.version, uuid.variant) for uuid in found[:2048]} == {(1, "specified in RFC 4122")}
    assert found[2048] == UUID(int=0)


@pytest.mark.parametrize(
    ("store", "count", "errno"),
    [
        (STORE, 0, Errno.EINVAL),
        (STORE, -1, Errno.EINVAL),
        (STORE, 2049, Errno.EINVAL),
        (BAD, 1, Errno.EFAULT),
    ],
)
def test_a_request_is_checked(lwp: Lwp, store: int, count: int, errno: Errno) -> None:
    lwp.vmspace.map_anonymous(STORE, STORE + PAGE_SIZE)
    assert call(lwp, "uuidgen", store, count) is errno
    assert lwp.vmspace.copyin(STORE, 16) == bytes(16)
