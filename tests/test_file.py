"""Open files, descriptors, and files as physical memory."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Mode, Open, Seek
from emu.abi.structs import (
    Dirent,
    Flock,
    Iovec,
    Stat,
    Termios,
    Timespec,
    Timeval,
    Winsize,
    pack_dirent,
)
from emu.abi.x86 import PAGE_SIZE
from emu.kern.device import NullDevice
from emu.kern.file import MAX_FILES, File, FileTable, Stream, standard_files
from emu.kern.namecache import Nchandle
from emu.kern.tree import Tree
from emu.kern.vnode import Vnode
from emu.vm.phys import PhysicalMemory
from emu.vm.vm_object import FileObject, VmFaultError

MIB = 1 << 20
ROOT = Nchandle()


@pytest.fixture
def phys() -> PhysicalMemory:
    return PhysicalMemory(MIB)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    tree = Tree(tmp_path)
    yield tree
    tree.close()


@pytest.fixture
def table() -> FileTable:
    return FileTable()


def null() -> File:
    return File(NullDevice(), Open.RDWR)


def make(tree: Tree, data: bytes = b"", flags: int = Open.RDWR) -> File:
    file = tree.open(b"file", ROOT, flags | Open.CREAT, 0o644)
    if data:
        file.node.write(0, data)
    return file


def mapped(file: File, phys: PhysicalMemory) -> FileObject:
    """Map `file`, as a map entry does."""
    result = file.vm_object(phys)
    assert isinstance(result, FileObject)
    result.refs += 1
    return result


def refusal(call: object, *args: object) -> Errno:
    assert callable(call)
    with pytest.raises(KernelError) as caught:
        call(*args)
    return caught.value.errno


@pytest.mark.parametrize(
    "kind, size",
    [
        (Timespec, 16),
        (Timeval, 16),
        (Iovec, 16),
        (Stat, 128),
        (Flock, 24),
        (Winsize, 8),
        (Termios, 44),
        (Dirent, 272),
    ],
)
def test_size(kind: type[ctypes.Structure], size: int) -> None:
    assert ctypes.sizeof(kind) == size


@pytest.mark.parametrize(
    "field, offset",
    [
        ("st_ino", 0),
        ("st_nlink", 8),
        ("st_dev", 12),
        ("st_mode", 16),
        ("st_uid", 20),
        ("st_gid", 24),
        ("st_rdev", 28),
        ("st_atim", 32),
        ("st_mtim", 48),
        ("st_ctim", 64),
        ("st_size", 80),
        ("st_blocks", 88),
        ("st_blksize", 96),
        ("st_flags", 100),
        ("st_gen", 104),
        ("st_lspare", 108),
        ("st_qspare1", 112),
        ("st_qspare2", 120),
    ],
)
def test_where_a_field_of_stat_is(field: str, offset: int) -> None:
    assert getattr(Stat, field).offset == offset


@pytest.mark.parametrize("name, length", [(b"a", 24), (b"1234567", 24), (b"12345678", 32)])
def test_a_dirent_ends_in_nul_and_is_padded_to_eight_bytes(name: bytes, length: int) -> None:
    entry = pack_dirent(7, 8, name)
    assert len(entry) == length
    assert entry[:8] == (7).to_bytes(8, "little")
    assert (entry[8], entry[10]) == (len(name), 8)
    assert entry[16:].rstrip(b"\0") == name and entry[-1] == 0


def test_the_lowest_free_descriptor_comes_first(table: FileTable) -> None:
    assert [table.add(null()) for _ in range(3)] == [0, 1, 2]
    table.close(1)
    assert table.add(null()) == 1
    assert table.dup(0, 10) == 10
    assert table.dup(0) == 3


def test_the_table_is_full_at_its_limit(table: FileTable) -> None:
    for _ in range(MAX_FILES):
        table.add(null())
    assert refusal(table.add, null()) is Errno.EMFILE
    assert refusal(table.dup, 0) is Errno.EMFILE
    assert table.dup2(0, 5) == 5


@pytest.mark.parametrize(
    "old, new, errno",
    [
        (9, 1, Errno.EBADF),
        (0, -1, Errno.EINVAL),
        (9, MAX_FILES + 1, Errno.EINVAL),
        (0, MAX_FILES, Errno.EMFILE),
    ],
)
def test_dup2_refuses(table: FileTable, old: int, new: int, errno: Errno) -> None:
    table.add(null())
    assert refusal(table.dup2, old, new) is errno


def test_dup2_closes_what_was_there_and_forgets_close_on_exec(table: FileTable, tree: Tree) -> None:
    before = make(tree)
    table.add(null())
    table.add(before)
    table.set_close_on_exec(1, True)
    assert table.dup2(0, 1) == 1
    assert before.refs == 0
    assert not table.close_on_exec(1)
    assert table.get(0) is table.get(1)


def test_dup2_on_itself_changes_nothing(table: FileTable) -> None:
    table.add(null())
    table.set_close_on_exec(0, True)
    assert table.dup2(0, 0) == 0
    assert table.close_on_exec(0)
    assert table.get(0).refs == 1


def test_duplicates_share_the_position_and_other_opens_do_not(table: FileTable, tree: Tree) -> None:
    table.add(make(tree, b"abcdef"))
    table.dup(0)
    other = tree.open(b"file", ROOT, Open.RDONLY)
    assert table.get(0).read(3) == b"abc"
    assert table.get(1).read(3) == b"def"
    assert other.read(3) == b"abc"
    table.close_all()
    other.drop()


def test_a_position_may_lie_past_the_end_but_not_before_the_start(tree: Tree) -> None:
    file = make(tree, b"abc")
    assert file.seek(10, Seek.SET) == 10
    assert file.read(1) == b""
    assert file.seek(-1, Seek.END) == 2
    assert file.seek(-1, Seek.CUR) == 1
    assert refusal(file.seek, -5, Seek.CUR) is Errno.EINVAL
    assert refusal(file.seek, (1 << 63) - 1, Seek.END) is Errno.EINVAL
    assert refusal(file.seek, 0, 3) is Errno.EINVAL
    assert file.offset == 1
    file.drop()


def test_appending_writes_at_the_end_wherever_the_position_is(tree: Tree) -> None:
    file = make(tree, b"abc", Open.RDWR | Open.APPEND)
    file.write(b"d")
    assert file.offset == 4
    file.write(b"e", 0)
    assert file.offset == 4
    assert file.read(10, 0) == b"abcde"
    file.drop()


def test_appending_meets_the_end_that_another_open_file_has_moved(tree: Tree) -> None:
    first = make(tree, b"abc", Open.RDWR | Open.APPEND)
    second = tree.open(b"file", ROOT, Open.RDWR | Open.APPEND)
    third = tree.open(b"file", ROOT, Open.RDWR)
    assert (first.write(b"1"), second.write(b"2"), first.write(b"3")) == (1, 1, 1)
    third.write(b"A")
    third.node.resize(5)
    second.write(b"4")
    assert third.read(100, 0) == b"Abc124"
    assert (first.offset, second.offset) == (6, 6)


def test_a_write_past_the_end_leaves_zeros_between(tree: Tree) -> None:
    file = make(tree, b"a")
    file.write(b"b", 5000)
    assert file.read(6000, 0) == b"a" + bytes(4999) + b"b"
    file.drop()


def test_a_write_at_the_end_of_all_offsets_is_too_big(tree: Tree) -> None:
    assert refusal(make(tree).write, b"ab", (1 << 63) - 2) is Errno.EFBIG


# Files as physical memory


def test_a_mapped_file_is_one_memory_with_read_and_write(
    tree: Tree, phys: PhysicalMemory, tmp_path: Path
) -> None:
    file = make(tree, b"abc")
    memory = mapped(file, phys)
    pa, writable = memory.page(0, True)
    assert writable and bytes(phys.page(pa)[:4]) == b"abc\0"
    phys.page(pa)[1] = ord("X")
    assert file.read(10, 0) == b"aXc"
    file.write(b"YZ", 1)
    assert bytes(phys.page(pa)[:4]) == b"aYZ\0"
    assert (tmp_path / "file").read_bytes() == b"aYZ"
    memory.deref()
    file.drop()


def test_all_mappings_of_a_file_share_one_object(tree: Tree, phys: PhysicalMemory) -> None:
    file, again = make(tree), tree.open(b"file", ROOT, Open.RDONLY)
    assert file.vm_object(phys) is again.vm_object(phys)
    file.drop()
    again.drop()


def test_a_mapped_file_grows_by_writing_and_by_ftruncate(tree: Tree, phys: PhysicalMemory) -> None:
    file = make(tree, b"abc")
    memory = mapped(file, phys)
    with pytest.raises(VmFaultError):
        memory.page(1, False)
    file.write(b"x", PAGE_SIZE)
    pa, _ = memory.page(1, False)
    assert phys.page(pa)[0] == ord("x")
    file.node.resize(5 * PAGE_SIZE)
    pa, _ = memory.page(4, True)
    phys.page(pa)[:] = b"y" * PAGE_SIZE
    assert file.read(PAGE_SIZE, 4 * PAGE_SIZE) == b"y" * PAGE_SIZE
    memory.deref()
    file.drop()


def test_cutting_a_mapped_file_frees_its_bytes_and_never_its_host_pages(
    tree: Tree, phys: PhysicalMemory, tmp_path: Path
) -> None:
    file = make(tree, b"x" * 3 * PAGE_SIZE)
    memory = mapped(file, phys)
    third, _ = memory.page(2, True)
    file.node.resize(10)
    assert file.node.stat().st_size == 10
    assert tree.stat(b"file", ROOT).st_size == 10
    assert file.read(100, 0) == b"x" * 10
    assert bytes(phys.page(third)) == bytes(PAGE_SIZE)  # a stale access must not kill us
    with pytest.raises(VmFaultError):
        memory.page(1, False)
    file.drop()
    assert (tmp_path / "file").stat().st_size == 3 * PAGE_SIZE
    memory.deref()
    assert (tmp_path / "file").read_bytes() == b"x" * 10


def test_what_lies_behind_the_end_is_zero_when_the_file_grows(
    tree: Tree, phys: PhysicalMemory
) -> None:
    file = make(tree, b"abc")
    memory = mapped(file, phys)
    pa, _ = memory.page(0, True)
    phys.page(pa)[3:8] = b"dirty"
    file.node.resize(100)
    assert file.read(100, 0) == b"abc" + bytes(97)
    phys.page(pa)[100:105] = b"dirty"
    file.write(b"z", 200)
    assert file.read(300, 0) == b"abc" + bytes(197) + b"z"
    memory.deref()
    file.drop()


def test_a_mapped_file_cannot_outgrow_its_region(tree: Tree, phys: PhysicalMemory) -> None:
    file = make(tree)
    memory = mapped(file, phys)
    room = memory.region.size
    assert room >= 64 * MIB
    assert refusal(file.node.resize, room + 1) is Errno.EFBIG
    assert refusal(file.write, b"ab", room - 1) is Errno.EFBIG
    assert file.node.length() == 0
    memory.deref()
    file.node.resize(room + 1)
    file.drop()


def test_writing_over_code_makes_the_cpu_forget_it(tree: Tree, phys: PhysicalMemory) -> None:
    file = make(tree, bytes(2 * PAGE_SIZE))
    memory = mapped(file, phys)
    phys.code.add((memory.region.base + PAGE_SIZE) // PAGE_SIZE)
    file.write(b"data", 0)
    assert not phys.stale.all_code
    file.write(b"code", PAGE_SIZE + 8)
    assert phys.stale.all_code
    phys.stale.clear()
    file.node.resize(0)
    assert phys.stale.all_code
    memory.deref()
    file.drop()


def test_a_vnode_lives_until_nothing_has_it_open_or_mapped(
    tree: Tree, phys: PhysicalMemory
) -> None:
    file = make(tree, b"abc")
    vnode = file.node
    memory = mapped(file, phys)
    file.drop()
    again = tree.open(b"file", ROOT, Open.RDONLY)
    assert again.node is vnode
    again.drop()
    memory.deref()
    later = tree.open(b"file", ROOT, Open.RDONLY)
    assert later.node is not vnode
    later.drop()


def test_a_file_mapped_for_reading_can_still_be_opened_for_writing(
    tree: Tree, phys: PhysicalMemory
) -> None:
    make(tree, b"abc").drop()
    reader = tree.open(b"file", ROOT, Open.RDONLY)
    memory = mapped(reader, phys)
    writer = tree.open(b"file", ROOT, Open.RDWR)
    assert isinstance(writer.node, Vnode) and writer.node is reader.node
    pa, _ = mapped(writer, phys).page(0, True)
    phys.page(pa)[0] = ord("X")
    assert reader.read(3) == b"Xbc"
    for each in (memory.deref, memory.deref, reader.drop, writer.drop):
        each()


def test_the_tree_gives_a_file_its_length_even_if_it_is_still_mapped(
    tmp_path: Path, phys: PhysicalMemory
) -> None:
    tree = Tree(tmp_path)
    file = make(tree, b"x" * 3 * PAGE_SIZE)
    mapped(file, phys)
    file.node.resize(10)
    tree.close()
    assert (tmp_path / "file").stat().st_size == 10


# Streams


def test_a_stream_reads_what_there_is_and_then_nothing() -> None:
    reader, writer = os.pipe()
    stream = File(Stream(reader), Open.RDONLY)
    assert not stream.node.can_read()
    os.write(writer, b"abc")
    assert stream.node.can_read() and stream.node.pending(0) == 3
    assert stream.read(100) == b"abc"
    os.close(writer)
    assert stream.node.can_read() and stream.read(100) == b""
    stream.drop()
    os.close(reader)


def test_a_stream_has_no_positions_and_no_pages(phys: PhysicalMemory) -> None:
    reader, writer = os.pipe()
    stream = File(Stream(writer), Open.WRONLY)
    assert refusal(stream.seek, 0, Seek.SET) is Errno.ESPIPE
    assert refusal(stream.check_mappable) is Errno.EINVAL
    assert refusal(stream.vm_object, phys) is Errno.EINVAL
    assert stream.node.stat().st_mode & Mode.FMT == Mode.FIFO
    os.close(reader)
    os.close(writer)


def test_a_stream_nobody_reads_is_a_broken_pipe() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert refusal(File(Stream(writer), Open.WRONLY).write, b"x") is Errno.EPIPE
    os.close(writer)


def test_a_write_goes_through_although_the_host_made_the_pipe_non_blocking() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    stream = Stream(writer)
    assert stream.write(0, b"abc") == 3
    assert os.read(reader, 10) == b"abc"
    os.close(reader)
    os.close(writer)


def test_closing_a_standard_file_keeps_the_emulators_own_open() -> None:
    table = standard_files()
    for fd in range(3):
        assert isinstance(table.get(fd).node, Stream)
    table.close_all()
    for fd in range(3):
        os.fstat(fd)
    assert refusal(table.get, 0) is Errno.EBADF
