"""Which physical pages hold code, for the engine to look at every store to them.

The engine finds code that is written by where the store goes, at the first store to a page since
the last change of address space.  It then takes the page for data, if its translation is not
executable, and sees no further store: code that is written through an alias would go stale.  Only
where a memory hook applies to the page it goes on looking; so these pages have one, of a kind that
is never called and costs nothing elsewhere.
"""

from collections.abc import Iterable
from itertools import pairwise

from emu.abi.x86 import PAGE_SHIFT
from emu.cpu.hooks import Hooks

_MOST_RANGES = 32  # the first store to any page goes through the list

Range = tuple[int, int]
"""First and last page number."""


class CodePages:
    """The hooks over pages that hold code."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._ranges: dict[Range, int] = {}

    def follow(self, pages: Iterable[int]) -> None:
        """Have hooks over `pages` and, to save hooks, perhaps over some between them."""
        ranges = set(covering(pages, _MOST_RANGES))
        for gone in self._ranges.keys() - ranges:
            self._hooks.delete(self._ranges.pop(gone))
        for new in ranges - self._ranges.keys():
            first, last = new
            where = first << PAGE_SHIFT, (last + 1 << PAGE_SHIFT) - 1
            self._ranges[new] = self._hooks.on_nothing(where)


def covering(pages: Iterable[int], most: int) -> list[Range]:
    """Return at most `most` ranges that cover `pages`, with the shortest gaps filled."""
    numbers = sorted(pages)
    if not numbers:
        return []
    gaps = sorted(
        (at for at in range(1, len(numbers)) if numbers[at] - numbers[at - 1] > 1),
        key=lambda at: numbers[at] - numbers[at - 1],
        reverse=True,
    )
    cuts = [0, *sorted(gaps[: most - 1]), len(numbers)]
    return [(numbers[start], numbers[end - 1]) for start, end in pairwise(cuts)]
