"""A limited tree: what counts, and what is refused before anything is changed."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from ctypes import sizeof
from pathlib import Path
from typing import Any

import pytest
from conftest import Booted, call
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Open
from emu.abi.mman import Map, Prot
from emu.abi.structs import Statfs
from emu.abi.x86 import PAGE_SIZE
from emu.kern.disk import ENTRY, STAT_BLOCK, Disk
from emu.kern.file import File
from emu.kern.namecache import Nchandle
from emu.kern.tree import Tree
from emu.vm.phys import PhysicalMemory
from emu.vm.vm_object import FileObject

Boot = Callable[..., Booted]

ROOT = Nchandle()
LIMIT = 64 * PAGE_SIZE
NEW = Open.RDWR | Open.CREAT
PAGE = b"\x55" * PAGE_SIZE


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    (tmp_path / "before").write_bytes(PAGE * 8)
    with closing(Tree(tmp_path, limit=LIMIT)) as tree:
        yield tree


def free(tree: Tree) -> int:
    space = tree.space()
    return space.free_blocks * space.block_size


def new(tree: Tree, name: bytes = b"file") -> File:
    return tree.open(name, ROOT, NEW, 0o644)


def mapped(file: File, phys: PhysicalMemory) -> FileObject:
    result = file.node.vm_object(phys)
    assert isinstance(result, FileObject)
    result.refs += 1
    return result


def refusal(function: Callable[..., object], *args: object) -> Errno:
    with pytest.raises(KernelError) as caught:
        function(*args)
    return caught.value.errno


def fill(tree: Tree, file: File) -> None:
    """Write until the disk is full."""
    with pytest.raises(KernelError) as caught:
        while True:
            file.write(PAGE)
    assert caught.value.errno is Errno.ENOSPC


def test_without_a_limit_there_is_always_room() -> None:
    assert Disk(None).has(1 << 63)


def test_a_new_disk_is_free_and_what_was_there_before_does_not_count(tree: Tree) -> None:
    assert free(tree) == LIMIT
    assert tree.space().blocks == tree.space().files == 64


def test_names_and_blocks_count_and_come_back(tree: Tree) -> None:
    file = new(tree)
    assert free(tree) == LIMIT - ENTRY
    assert file.write(PAGE * 10) == 10 * PAGE_SIZE
    assert free(tree) == LIMIT - ENTRY - 10 * PAGE_SIZE
    file.node.resize(3 * PAGE_SIZE)
    assert free(tree) == LIMIT - ENTRY - 3 * PAGE_SIZE
    file.drop()
    tree.unlink(b"file", ROOT)
    assert free(tree) == LIMIT


def test_a_full_disk_takes_no_more_and_changes_nothing(tree: Tree, tmp_path: Path) -> None:
    file = new(tree)
    fill(tree, file)
    assert file.node.length() == 63 * PAGE_SIZE
    assert free(tree) == 0
    names = sorted(os.listdir(tmp_path))
    assert refusal(new, tree, b"other") is Errno.ENOSPC
    assert refusal(tree.mkdir, b"other", ROOT, 0o755) is Errno.ENOSPC
    assert refusal(tree.symlink, b"target", b"other", ROOT) is Errno.ENOSPC
    assert refusal(tree.link, b"file", b"other", ROOT) is Errno.ENOSPC
    assert refusal(file.write, b"x") is Errno.ENOSPC
    assert sorted(os.listdir(tmp_path)) == names
    assert file.node.length() == 63 * PAGE_SIZE


def test_what_has_its_block_can_be_rewritten_on_a_full_disk(tree: Tree) -> None:
    file = new(tree)
    file.write(b"the last page is not full")
    other = new(tree, b"other")
    fill(tree, other)
    assert other.write(b"again", 5 * PAGE_SIZE) == 5
    assert file.write(b", and takes more") == 16
    assert refusal(file.write, PAGE) is Errno.ENOSPC


def test_a_large_write_must_fit_as_a_whole(tree: Tree) -> None:
    file = new(tree)
    assert refusal(file.write, PAGE * 64) is Errno.ENOSPC
    assert (file.node.length(), free(tree)) == (0, LIMIT - ENTRY)
    assert file.write(PAGE * 63) == 63 * PAGE_SIZE


def test_a_hole_costs_nothing_until_it_is_written(tree: Tree) -> None:
    file = new(tree)
    file.node.resize(1 << 40)
    assert free(tree) == LIMIT - ENTRY
    assert file.write(b"x", 1 << 39) == 1
    assert free(tree) == LIMIT - ENTRY - PAGE_SIZE
    other = new(tree, b"other")
    fill(tree, other)
    assert refusal(file.write, b"x", 1 << 38) is Errno.ENOSPC
    assert file.write(b"y", 1 << 39) == 1


def test_removing_what_was_there_before_gives_room(tree: Tree) -> None:
    file = new(tree)
    fill(tree, file)
    file.drop()
    tree.unlink(b"before", ROOT)
    assert free(tree) == ENTRY + 8 * PAGE_SIZE
    tree.unlink(b"file", ROOT)
    assert free(tree) == LIMIT + ENTRY + 8 * PAGE_SIZE == tree.space().blocks * PAGE_SIZE


def test_an_open_file_keeps_its_blocks_until_it_is_closed(tree: Tree) -> None:
    file = new(tree)
    file.write(PAGE * 10)
    tree.unlink(b"file", ROOT)
    assert free(tree) == LIMIT - 10 * PAGE_SIZE
    file.drop()
    assert free(tree) == LIMIT


def test_a_file_with_another_name_keeps_its_blocks(tree: Tree) -> None:
    file = new(tree)
    file.write(PAGE * 10)
    file.drop()
    tree.link(b"file", b"other", ROOT)
    tree.unlink(b"file", ROOT)
    assert free(tree) == LIMIT - ENTRY - 10 * PAGE_SIZE
    tree.unlink(b"other", ROOT)
    assert free(tree) == LIMIT


def test_what_a_rename_replaces_comes_back(tree: Tree) -> None:
    for name in (b"old", b"new"):
        file = new(tree, name)
        file.write(PAGE * 10)
        file.drop()
    tree.rename(b"old", ROOT, b"new", ROOT)
    assert free(tree) == LIMIT - ENTRY - 10 * PAGE_SIZE
    tree.mkdir(b"one", ROOT, 0o755)
    tree.mkdir(b"two", ROOT, 0o755)
    tree.rename(b"one", ROOT, b"two", ROOT)
    tree.rmdir(b"two", ROOT)
    assert free(tree) == LIMIT - ENTRY - 10 * PAGE_SIZE


PATHS = b"a b a/b b/a a/b/c a/ b/. a/.. l l/a / before".split()
paths = st.sampled_from(PATHS)


@settings(max_examples=150, deadline=None)
@given(
    calls=st.lists(
        st.one_of(
            st.tuples(st.just("rename"), paths, st.just(ROOT), paths, st.just(ROOT)),
            st.tuples(st.just("link"), paths, paths, st.just(ROOT)),
            st.tuples(st.just("symlink"), paths, paths, st.just(ROOT)),
            st.tuples(st.just("mkdir"), paths, st.just(ROOT), st.just(0o755)),
            st.tuples(st.sampled_from(["unlink", "rmdir"]), paths, st.just(ROOT)),
            st.tuples(st.just("truncate"), paths, st.just(ROOT), st.sampled_from([0, 5000])),
            st.tuples(st.just("write"), paths, st.booleans()),
        ),
        max_size=30,
    )
)
def test_the_account_is_exact_whatever_happens_to_names(calls: list[tuple[Any, ...]]) -> None:
    def usage() -> int:
        """Return what the account should say, from the host's side."""
        names = list(root.rglob("*"))
        files = {each.stat().st_ino: each for each in names if is_file(each)}
        blocks = sum(each.stat().st_blocks * STAT_BLOCK for each in files.values())
        return len(names) * ENTRY + blocks

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        (Path(folder) / "outside").write_bytes(b"outside")
        (root / "before").write_bytes(PAGE)
        began = usage()
        kept = []
        with closing(Tree(root, limit=1 << 30)) as tree:
            for name, *args in calls:
                with suppress(KernelError):
                    if name != "write":
                        getattr(tree, name)(*args)
                        continue
                    path, keep = args
                    file = tree.open(path, ROOT, NEW, 0o644)
                    kept.append(file)
                    file.write(PAGE)
                    if not keep:
                        kept.pop().drop()
            for file in kept:
                file.drop()
            assert (1 << 30) - free(tree) == usage() - began
        assert sorted(os.listdir(folder)) == ["outside", "root"]


def is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


# Stores through a mapping


def test_a_page_gets_its_block_when_it_is_first_written(tree: Tree, phys: PhysicalMemory) -> None:
    file = new(tree)
    file.node.resize(1 << 30)
    memory = mapped(file, phys)
    pa, writable = memory.page(100, False)
    assert (writable, free(tree)) == (False, LIMIT - ENTRY)
    assert memory.page(100, True) == (pa, True)
    assert free(tree) == LIMIT - ENTRY - PAGE_SIZE
    assert memory.page(100, True) == (pa, True)
    assert free(tree) == LIMIT - ENTRY - PAGE_SIZE
    phys.page(pa)[:5] = b"store"
    assert file.read(5, 100 * PAGE_SIZE) == b"store"
    memory.deref()


def test_a_full_disk_has_no_new_pages_and_keeps_the_old(tree: Tree, phys: PhysicalMemory) -> None:
    file = new(tree)
    file.node.resize(1 << 30)
    memory = mapped(file, phys)
    memory.page(7, True)
    fill(tree, new(tree, b"other"))
    assert refusal(memory.page, 8, True) is Errno.ENOSPC
    assert memory.page(8, False)[1] is False
    assert memory.page(7, True)[1] is True
    assert file.write(b"x", 7 * PAGE_SIZE) == 1
    memory.deref()


def test_cutting_a_mapped_file_gives_its_blocks_back(tree: Tree, phys: PhysicalMemory) -> None:
    file = new(tree)
    file.write(PAGE * 10)
    memory = mapped(file, phys)
    file.node.resize(3 * PAGE_SIZE)
    assert free(tree) == LIMIT - ENTRY - 3 * PAGE_SIZE
    memory.deref()
    assert free(tree) == LIMIT - ENTRY - 3 * PAGE_SIZE


def test_a_mapped_file_with_a_hole_at_its_end_does_not_grow_into_a_full_disk(
    tree: Tree, phys: PhysicalMemory
) -> None:
    file = new(tree)
    file.node.resize(100)
    memory = mapped(file, phys)
    fill(tree, new(tree, b"other"))
    assert refusal(file.node.resize, 200) is Errno.ENOSPC
    assert (file.node.length(), free(tree)) == (100, 0)
    memory.deref()


def test_a_process_that_stores_into_a_hole_of_a_full_disk_is_killed(boot: Boot) -> None:
    machine = boot(
        """
            SYSCALL SYS_open, offset name, O_RDWR|O_CREAT, 0600
            SYSCALL SYS_ftruncate, rax, 0, 0x100000000
            SYSCALL7 SYS_mmap, 0, 0x1000000, PROT_READ|PROT_WRITE, MAP_SHARED, 0, 0, 0
        again:
            mov byte ptr [rax], 1
            add rax, 4096
            jmp again
        name:
            .asciz "image"
        """,
        limit=LIMIT,
    )
    assert machine.run() == 137
    (line,) = machine.told
    assert "out of disk for the page at" in line


def test_a_call_that_stores_into_a_hole_of_a_full_disk_says_so(boot: Boot) -> None:
    lwp = boot(limit=2 * ENTRY).lwp
    space = lwp.proc.vmspace
    path = lwp.frame.rsp - 64
    space.copyout(path, b"/image\0")
    assert call(lwp, "open", path, NEW, 0o600) == 0
    assert call(lwp, "ftruncate", 0, 0, 1 << 32) == 0
    at = call(lwp, "mmap", 0, 1 << 32, Prot.READ | Prot.WRITE, Map.SHARED, 0, 0, 0)
    assert not isinstance(at, Errno)
    assert call(lwp, "fstatfs", 0, at) == 0
    assert Statfs.from_buffer_copy(space.copyin(at, sizeof(Statfs))).f_bfree == 1
    assert call(lwp, "fstatfs", 0, at + PAGE_SIZE) is Errno.ENOSPC
    assert call(lwp, "fstatfs", 0, at) == 0
    assert Statfs.from_buffer_copy(space.copyin(at, sizeof(Statfs))).f_bfree == 0
