"""Where things are in the virtual kernels that the model and the emulator have both.

As in guest_programs/conformance/conform.inc: an image of 16 pages, which the virtual kernel sees at
RAM.
"""

from model.specification import INSTRUCTIONS, Instruction

IMAGE_PAGES = 16
RAM = 0x1000_0000
CODE = 0x2_0000
"""Where a vmspace has page 0 of the image."""
ISLAND = 0x800
"""Where the instructions are in each page of the image, and in the program's first."""
RW_FILE, RO_FILE, NO_FILE = 0, 1, 9
"""Descriptors of the image, and one that is none."""


def island() -> bytes:
    return b"".join(what.word.to_bytes(8, "little") for what in INSTRUCTIONS)


def address(what: Instruction, page: int) -> int:
    """Return where the instruction is in a page."""
    return page + ISLAND + 8 * INSTRUCTIONS.index(what)
