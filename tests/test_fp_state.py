"""The two forms in which the x87 tag word exists (Intel SDM 1, 8.1.7 and table 10-2)."""

import pytest

from emu.cpu.fp_state import TAGS, abridged


@pytest.mark.parametrize(
    ("tags", "byte"),
    [
        (0xFFFF, 0),  # all empty
        (0x0000, 0xFF),
        (0xFFFC, 0x01),  # only the first is used
        (0x3FFF, 0x80),
        (0x5555, 0xFF),  # zeros are used
        (0xAAAA, 0xFF),  # so are infinities
        (0xC3F9, 0b01100011),
    ],
)
def test_a_register_is_used_unless_its_tag_is_3(tags: int, byte: int) -> None:
    assert abridged(tags) == byte


def test_every_byte_has_its_tag_word() -> None:
    assert [abridged(tags) for tags in TAGS] == list(range(256))
    assert (TAGS[0], TAGS[1], TAGS[0xFF]) == (0xFFFF, 0xFFFC, 0)
