"""Pages with code and the hooks over them."""

import pytest

from emu.cpu.code_pages import Range, covering


@pytest.mark.parametrize(
    ("pages", "most", "ranges"),
    [
        ([], 4, []),
        ([7], 4, [(7, 7)]),
        ([9, 7, 8], 4, [(7, 9)]),
        ([1, 2, 5, 9], 4, [(1, 2), (5, 5), (9, 9)]),
        ([1, 2, 5, 9], 3, [(1, 2), (5, 5), (9, 9)]),
        ([1, 2, 5, 9], 2, [(1, 5), (9, 9)]),
        ([1, 2, 5, 9], 1, [(1, 9)]),
    ],
)
def test_the_ranges_cover_the_pages_and_the_shortest_gaps(
    pages: list[int], most: int, ranges: list[Range]
) -> None:
    assert covering(pages, most) == ranges
