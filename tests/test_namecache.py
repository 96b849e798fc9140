"""Directories that are held follow renames."""

import pytest

from emu.abi.errno import Errno, KernelError
from emu.kern.namecache import Namecache, Nchandle


def test_a_rename_moves_the_directory_and_all_below() -> None:
    cache = Namecache()
    itself = cache.hold((b"a",))
    below = cache.hold((b"a", b"b"))
    beside = cache.hold((b"ab",))
    cache.renamed((b"a",), (b"x", b"y"))
    assert itself.names == (b"x", b"y")
    assert below.names == (b"x", b"y", b"b")
    assert beside.names == (b"ab",)


def test_what_was_removed_or_replaced_has_no_names_even_if_they_come_back() -> None:
    cache = Namecache()
    removed = cache.hold((b"a",))
    replaced = cache.hold((b"b",))
    cache.removed((b"a",))
    cache.renamed((b"c",), (b"b",))
    cache.renamed((b"b",), (b"a",))
    for handle in (removed, replaced):
        with pytest.raises(KernelError) as caught:
            _ = handle.names
        assert caught.value.errno is Errno.ENOENT


def test_the_root_is_always_there() -> None:
    assert Nchandle().names == ()
