"""Identifiers that no other machine gives out: version 1 UUIDs (sys/kern/kern_uuid.c).

They are made of the time, in units of 100 ns since 1582, and the machine's address.  There is no
network card to have one: like the original without a card, the machine takes one by chance, but
keeps it for the whole run.
"""

from collections.abc import Callable

from emu.abi.uuid import UUID_NODE_LEN, Uuid
from emu.kern.clock import Clock

_GREGORIAN_REFORM = 0x01B2_1DD2_1381_4000
"""1582-10-15 to 1970-01-01, in units of 100 ns."""
_UNIT_NS = 100
_TIME_MASK = (1 << 60) - 1
_SEQUENCE_MASK = (1 << 14) - 1
_VERSION = 0x1000
_VARIANT = 0x80
_MULTICAST = 0x01
"""No network card has an address with this bit."""


class UuidGenerator:
    def __init__(self, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._node: bytes | None = None
        self._sequence = 0
        """Another one whenever the time is not later than that of the last UUID."""
        self._last = 0

    def generate(self, count: int) -> list[Uuid]:
        """Return `count` new ones, for successive times from now on."""
        now = _GREGORIAN_REFORM + self._clock.now_ns() // _UNIT_NS & _TIME_MASK
        if self._node is None:
            first, *rest = self._random_bytes(UUID_NODE_LEN)
            self._node = bytes((first | _MULTICAST, *rest))
            self._sequence = int.from_bytes(self._random_bytes(2), "little") & _SEQUENCE_MASK
        elif now <= self._last:
            self._sequence = self._sequence + 1 & _SEQUENCE_MASK
        self._last = now + count - 1 & _TIME_MASK
        return [self._uuid(now + each & _TIME_MASK, self._node) for each in range(count)]

    def _uuid(self, time: int, node: bytes) -> Uuid:
        return Uuid(
            time_low=time & 0xFFFF_FFFF,
            time_mid=time >> 32 & 0xFFFF,
            time_hi_and_version=time >> 48 | _VERSION,
            clock_seq_hi_and_reserved=self._sequence >> 8 | _VARIANT,
            clock_seq_low=self._sequence & 0xFF,
            node=tuple(node),
        )
