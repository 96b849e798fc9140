"""Variables, and symbolic links that contain them (sys/kern/kern_varsym.c)."""

from struct import pack, unpack

import pytest
from conftest import call, finish
from hypothesis import given
from hypothesis import strategies as st

from emu.abi.errno import Errno, KernelError
from emu.abi.unistd import Rfork
from emu.abi.x86 import PAGE_SIZE
from emu.kern.fork import fork1
from emu.kern.proc import Lwp, Ucred
from emu.kern.varsym import VarsymSet, varsymreplace

NAME = 0x60_0000
DATA = NAME + PAGE_SIZE
BUFFER = NAME + 2 * PAGE_SIZE
MARKER = NAME + 3 * PAGE_SIZE
BAD = 0x7000_0000
PROC, USER, SYS, PRISON = 1, 2, 3, 4
EVERYWHERE = 1 << PROC | 1 << USER | 1 << SYS


@pytest.fixture
def lwp(lwp: Lwp) -> Lwp:
    lwp.vmspace.map_anonymous(NAME, NAME + 4 * PAGE_SIZE)
    return lwp


def put(lwp: Lwp, level: int, name: bytes, data: bytes) -> int | Errno:
    lwp.vmspace.copyout(NAME, name + b"\0")
    lwp.vmspace.copyout(DATA, data + b"\0")
    return call(lwp, "varsym_set", level, NAME, DATA)


def remove(lwp: Lwp, level: int, name: bytes) -> int | Errno:
    lwp.vmspace.copyout(NAME, name + b"\0")
    return call(lwp, "varsym_set", level, NAME, 0)


def get(lwp: Lwp, name: bytes, mask: int = EVERYWHERE) -> bytes | Errno:
    lwp.vmspace.copyout(NAME, name + b"\0")
    size = call(lwp, "varsym_get", mask, NAME, BUFFER, 256)
    if isinstance(size, Errno):
        return size
    text = lwp.vmspace.copyin(BUFFER, size)
    assert text.endswith(b"\0")
    return text[:-1]


def listed(lwp: Lwp, level: int, first: int = 0, room: int = 4096) -> tuple[bytes | Errno, int]:
    """Call varsym_list; return what it stored and the marker."""
    lwp.vmspace.copyout(MARKER, pack("<i", first))
    size = call(lwp, "varsym_list", level, BUFFER, room, MARKER)
    (marker,) = unpack("<i", lwp.vmspace.copyin(MARKER, 4))
    return size if isinstance(size, Errno) else lwp.vmspace.copyin(BUFFER, size), marker


# Variables


def test_the_process_comes_before_its_user_and_the_user_before_the_system(lwp: Lwp) -> None:
    assert put(lwp, SYS, b"x", b"system") == 0
    assert get(lwp, b"x") == b"system"
    assert put(lwp, USER, b"x", b"user") == 0
    assert get(lwp, b"x") == b"user"
    assert put(lwp, PROC, b"x", b"process") == 0
    assert get(lwp, b"x") == b"process"
    assert get(lwp, b"x", 1 << SYS) == b"system"
    assert get(lwp, b"x", 1 << USER | 1 << SYS) == b"user"
    assert get(lwp, b"x", 0) is Errno.ENOENT


def test_a_variable_can_be_replaced_and_removed(lwp: Lwp) -> None:
    assert put(lwp, PROC, b"x", b"old") == put(lwp, PROC, b"x", b"") == 0
    assert get(lwp, b"x") == b""
    assert remove(lwp, PROC, b"x") == 0
    assert get(lwp, b"x") is Errno.ENOENT
    assert remove(lwp, PROC, b"x") is Errno.ENOENT


def test_a_child_starts_with_its_parents_variables(lwp: Lwp) -> None:
    put(lwp, PROC, b"x", b"1")
    child = finish(fork1(lwp, Rfork.PROC | Rfork.FDG))
    put(lwp, PROC, b"x", b"2")
    assert child.find_varsym(b"x") == b"1"
    assert get(lwp, b"x") == b"2"


def test_users_have_their_own(lwp: Lwp) -> None:
    put(lwp, USER, b"x", b"root's")
    child = finish(fork1(lwp, Rfork.PROC | Rfork.FDG))
    child.ucred = Ucred(uid=5)
    assert child.find_varsym(b"x") is None
    assert get(lwp, b"x") == b"root's"


def test_variables_of_users_who_are_gone_take_no_room(lwp: Lwp) -> None:
    for uid in range(1, 100):
        lwp.proc.ucred = Ucred(uid=uid)
        assert put(lwp, USER, b"x", b"1") == 0
    assert len(lwp.proc.kernel._user_varsyms) == 1


def test_the_systems_are_for_root(lwp: Lwp) -> None:
    lwp.proc.ucred = Ucred(uid=5)
    assert put(lwp, SYS, b"x", b"1") is Errno.EPERM
    assert put(lwp, PRISON, b"x", b"1") is Errno.EPERM
    assert put(lwp, USER, b"x", b"1") == 0
    assert listed(lwp, SYS) == (b"", -1)


def test_levels_that_do_not_exist(lwp: Lwp) -> None:
    """Setting looks at the prison, which is nobody's, and overlooks any other number."""
    assert put(lwp, PRISON, b"x", b"1") is Errno.EINVAL
    assert put(lwp, 0, b"x", b"1") == put(lwp, 5, b"x", b"1") == 0
    assert get(lwp, b"x") is Errno.ENOENT
    for level in (0, PRISON, 5):
        assert listed(lwp, level)[0] is Errno.EINVAL


@pytest.mark.parametrize(("length", "expected"), [(63, 0), (64, Errno.ENAMETOOLONG)])
def test_names_have_63_bytes(lwp: Lwp, length: int, expected: int | Errno) -> None:
    assert put(lwp, PROC, b"n" * length, b"") == expected
    assert get(lwp, b"n" * length) == (expected or b"")


@pytest.mark.parametrize(("length", "expected"), [(255, 0), (256, Errno.ENAMETOOLONG)])
def test_values_have_255_bytes(lwp: Lwp, length: int, expected: int | Errno) -> None:
    assert put(lwp, PROC, b"x", b"v" * length) == expected


def test_a_set_is_full_with_16384_bytes(lwp: Lwp) -> None:
    """Each variable counts 56 bytes more than its name and value; the last may exceed the rest."""
    for number in range(52):
        assert put(lwp, PROC, b"%02d" % number, b"v" * 252) == 0
    assert put(lwp, PROC, b"52", b"v" * (16383 - 52 * 310 - 58)) == 0
    assert put(lwp, PROC, b"53", b"") == 0
    assert put(lwp, PROC, b"54", b"") is Errno.E2BIG
    assert put(lwp, PROC, b"53", b"v" * 255) == 0  # without its old value there is room
    assert put(lwp, PROC, b"52", b"") is Errno.E2BIG
    assert get(lwp, b"52") == b"v" * 205
    assert remove(lwp, PROC, b"00") == remove(lwp, PROC, b"01") == 0
    assert put(lwp, PROC, b"54", b"") == 0


def test_a_value_that_does_not_fit_is_cut_to_nothing(lwp: Lwp) -> None:
    put(lwp, PROC, b"x", b"1234")
    lwp.vmspace.copyout(BUFFER, b"???????")
    assert call(lwp, "varsym_get", EVERYWHERE, NAME, BUFFER, 0) == 5
    assert lwp.vmspace.copyin(BUFFER, 2) == b"??"
    assert call(lwp, "varsym_get", EVERYWHERE, NAME, BUFFER, 4) == 5
    assert lwp.vmspace.copyin(BUFFER, 2) == b"\0?"
    assert call(lwp, "varsym_get", EVERYWHERE, NAME, BUFFER, 5) == 5
    assert lwp.vmspace.copyin(BUFFER, 6) == b"1234\0?"
    assert call(lwp, "varsym_get", EVERYWHERE, NAME, BAD, 5) == 5  # nobody looks


def test_variables_are_listed_with_the_last_one_set_at_the_end(lwp: Lwp) -> None:
    assert listed(lwp, PROC) == (b"", -1)
    for name, value in ((b"a", b"1"), (b"b", b""), (b"c", b"3"), (b"a", b"4")):
        put(lwp, PROC, name, value)
    assert listed(lwp, PROC) == (b"b\0\0c\x003\0a\x004\0", -1)
    assert listed(lwp, PROC, first=1) == (b"c\x003\0a\x004\0", -1)
    assert listed(lwp, PROC, first=3) == (b"", -1)


def test_a_list_goes_on_where_it_ended(lwp: Lwp) -> None:
    for name in (b"a", b"b", b"c"):
        put(lwp, PROC, name, b"1")
    assert listed(lwp, PROC, room=9) == (b"a\x001\0b\x001\0", 2)
    assert listed(lwp, PROC, first=2, room=9) == (b"c\x001\0", -1)
    assert listed(lwp, PROC, first=1, room=3) == (Errno.EOVERFLOW, 1)


def test_pointers_must_be_good(lwp: Lwp) -> None:
    put(lwp, PROC, b"x", b"1")
    assert call(lwp, "varsym_set", PROC, BAD, DATA) is Errno.EFAULT
    assert call(lwp, "varsym_set", PROC, NAME, BAD) is Errno.EFAULT
    assert call(lwp, "varsym_get", EVERYWHERE, BAD, BUFFER, 9) is Errno.EFAULT
    assert call(lwp, "varsym_list", PROC, BUFFER, 9, BAD) is Errno.EFAULT
    assert call(lwp, "varsym_list", PROC, BAD, 9, MARKER) is Errno.EFAULT
    assert get(lwp, b"x") == b"1"


# Symbolic links

VALUES = {b"A": b"alpha", b"": b"empty", b"B": b"", b"R": b"${A}"}


@pytest.mark.parametrize(
    ("link", "replaced"),
    [
        (b"/${A}/x", b"/alpha/x"),
        (b"${A}${B}${A}", b"alphaalpha"),
        (b"${}", b"empty"),
        (b"${R}", b"${A}"),
        (b"${C}/${A}", b"${C}/alpha"),
        (b"${C${A}", b"${C${A}"),
        (b"$${A}}", b"$alpha}"),
        (b"$A/${A", b"$A/${A"),
        (b"$", b"$"),
        (b"", b""),
    ],
)
def test_references_are_replaced_once(link: bytes, replaced: bytes) -> None:
    assert varsymreplace(link, VALUES.get) == replaced


@pytest.mark.parametrize(("length", "fits"), [(1017, True), (1018, False)])
def test_a_link_with_its_values_must_be_shorter_than_a_path(length: int, *, fits: bool) -> None:
    link = b"x" * length + b"${A}"
    if fits:
        assert len(varsymreplace(link, VALUES.get)) == 1022
    else:
        with pytest.raises(KernelError) as caught:
            varsymreplace(link, VALUES.get)
        assert caught.value.errno is Errno.ENAMETOOLONG


@given(st.dictionaries(st.binary(max_size=9), st.binary(max_size=9)))
def test_a_set_that_is_emptied_has_its_room_back(values: dict[bytes, bytes]) -> None:
    varsyms = VarsymSet()
    for name, value in [*values.items(), *values.items()]:
        varsyms.set(name, value)
    assert dict(varsyms) == values
    for name in values:
        varsyms.unset(name)
    assert varsyms._size == 0


def enable(lwp: Lwp, *, on: bool) -> None:
    lwp.proc.kernel.varsym_enable = on


def open_link(lwp: Lwp) -> int | Errno:
    lwp.vmspace.copyout(NAME, b"/tmp/link\0")
    return call(lwp, "open", NAME, 0, 0)


def test_links_have_variables_once_they_are_enabled(lwp: Lwp) -> None:
    lwp.vmspace.copyout(NAME, b"/tmp/${X}\0")
    lwp.vmspace.copyout(DATA, b"/tmp/link\0")
    assert call(lwp, "symlink", NAME, DATA) == 0
    lwp.vmspace.copyout(NAME, b"/tmp/here\0")
    assert call(lwp, "open", NAME, 0x202, 0o644) == 0
    put(lwp, PROC, b"X", b"here")
    assert open_link(lwp) is Errno.ENOENT
    enable(lwp, on=True)
    assert open_link(lwp) == 1
    put(lwp, PROC, b"X", b"gone")
    assert open_link(lwp) is Errno.ENOENT
    remove(lwp, PROC, b"X")
    put(lwp, SYS, b"X", b"here")
    assert open_link(lwp) == 2
    enable(lwp, on=False)
    assert open_link(lwp) is Errno.ENOENT


def test_readlink_shows_the_link_as_it_is(lwp: Lwp) -> None:
    enable(lwp, on=True)
    put(lwp, PROC, b"X", b"value")
    lwp.vmspace.copyout(NAME, b"${X}\0")
    lwp.vmspace.copyout(DATA, b"/tmp/link\0")
    assert call(lwp, "symlink", NAME, DATA) == 0
    assert call(lwp, "readlink", DATA, BUFFER, 64) == 4
    assert lwp.vmspace.copyin(BUFFER, 4) == b"${X}"


def test_a_value_cannot_lead_out_of_the_tree(lwp: Lwp) -> None:
    enable(lwp, on=True)
    put(lwp, PROC, b"X", b"../../../../etc/passwd")
    lwp.vmspace.copyout(NAME, b"${X}\0")
    lwp.vmspace.copyout(DATA, b"/tmp/link\0")
    assert call(lwp, "symlink", NAME, DATA) == 0
    assert open_link(lwp) is Errno.ENOENT
