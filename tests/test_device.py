"""The devices in /dev."""

from collections.abc import Iterator
from contextlib import closing
from ctypes import sizeof
from pathlib import Path

import pytest

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Access, Dt, Mode, Open
from emu.abi.structs import Dirent
from emu.kern.file import File
from emu.kern.namecache import Nchandle
from emu.kern.tree import Tree
from emu.kern.vnode import Directory

ROOT = Nchandle()


@pytest.fixture
def tree() -> Iterator[Tree]:
    with closing(Tree.scratch(random_bytes=lambda size: b"random"[:size])) as tree:
        yield tree


def opened(tree: Tree, path: bytes, flags: int = Open.RDWR) -> File:
    return tree.open(path, ROOT, flags)


def listing(tree: Tree, path: bytes) -> list[tuple[bytes, int]]:
    directory = opened(tree, path, Open.RDONLY)
    assert isinstance(directory.node, Directory)
    found = []
    for raw in directory.node.entries(0, 1 << 16):
        entry = Dirent.from_buffer_copy(raw.ljust(sizeof(Dirent), b"\0"))
        found.append((entry.d_name, entry.d_type))
    directory.drop()
    return found


def test_null_takes_everything_and_gives_nothing(tree: Tree) -> None:
    null = opened(tree, b"/dev/null", Open.RDWR | Open.TRUNC | Open.CREAT)
    assert (null.read(10), null.write(b"gone"), null.is_zero_device) == (b"", 4, False)
    null.node.resize(0)
    tree.truncate(b"/dev/null", ROOT, 100)
    null.node.sync()


def test_zero_gives_zeros_and_becomes_memory_when_it_is_mapped(tree: Tree) -> None:
    zero = opened(tree, b"/dev/../dev/zero")
    assert (zero.read(4), zero.write(b"gone"), zero.is_zero_device) == (bytes(4), 4, True)


@pytest.mark.parametrize("path", [b"/dev/random", b"/dev/urandom"])
def test_random_bytes_come_from_where_the_tree_was_told(tree: Tree, path: bytes) -> None:
    assert opened(tree, path).read(4) == b"rand"


def test_random_may_be_stirred_and_urandom_not(tree: Tree) -> None:
    assert opened(tree, b"/dev/random").write(b"stir") == 4
    with pytest.raises(KernelError) as caught:
        opened(tree, b"/dev/urandom").write(b"stir")
    assert caught.value.errno is Errno.EPERM


@pytest.mark.parametrize(
    "path, permissions, uid, gid, rdev",
    [
        (b"/dev/null", 0o666, 0, 0, 0x202),
        (b"/dev/zero", 0o666, 0, 0, 0x20C),
        (b"/dev/random", 0o644, 0, 0, 0x203),
        (b"/dev/urandom", 0o644, 0, 0, 0x204),
        (b"/dev/tty", 0o666, 0, 0, 0x100),
        (b"/dev/stderr", 0o666, 0, 0, 0x1602),
        (b"/dev/fd/7", 0o666, 3, 7, 0x1607),
    ],
)
def test_stat_shows_a_character_device(
    tree: Tree, path: bytes, permissions: int, uid: int, gid: int, rdev: int
) -> None:
    status = tree.stat(path, ROOT)
    assert status.st_mode == Mode.CHR | permissions
    assert (status.st_uid, status.st_gid, status.st_rdev) == (uid, gid, rdev)
    assert (status.st_nlink, status.st_size, status.st_blksize) == (1, 0, 4096)


def test_every_device_has_an_inode_of_its_own(tree: Tree) -> None:
    names = [b"/dev/" + name for name, _ in listing(tree, b"/dev")[2:] if name != b"fd"]
    names += [b"/dev/fd/" + name for name, _ in listing(tree, b"/dev/fd")[2:]]
    assert len(names) == 72
    assert len({tree.stat(name, ROOT).st_ino for name in names}) == 72


def test_the_directory_shows_its_devices(tree: Tree) -> None:
    tree.open(b"/dev/made", ROOT, Open.CREAT | Open.RDWR, 0o644).drop()
    assert listing(tree, b"/dev") == [
        (b".", Dt.DIR),
        (b"..", Dt.DIR),
        (b"fd", Dt.DIR),
        (b"made", Dt.REG),
        (b"null", Dt.CHR),
        (b"random", Dt.CHR),
        (b"stderr", Dt.CHR),
        (b"stdin", Dt.CHR),
        (b"stdout", Dt.CHR),
        (b"tty", Dt.CHR),
        (b"urandom", Dt.CHR),
        (b"zero", Dt.CHR),
    ]
    assert (b"63", Dt.CHR) in listing(tree, b"/dev/fd")
    assert listing(tree, b"/tmp") == [(b".", Dt.DIR), (b"..", Dt.DIR)]


def test_a_device_covers_a_file_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "null").write_bytes(b"host")
    with closing(Tree(tmp_path)) as tree:
        assert opened(tree, b"/dev/null").read(10) == b""
        assert listing(tree, b"/dev").count((b"null", Dt.CHR)) == 1


@pytest.mark.parametrize(
    "path, errno",
    [
        (b"/dev/null/", Errno.ENOTDIR),
        (b"/dev/null/x", Errno.ENOTDIR),
        (b"/dev/nil", Errno.ENOENT),
        (b"/dev/fd/64", Errno.ENOENT),
        (b"/null", Errno.ENOENT),
    ],
)
def test_a_path_through_or_beside_a_device_is_refused(
    tree: Tree, path: bytes, errno: Errno
) -> None:
    with pytest.raises(KernelError) as caught:
        opened(tree, path)
    assert caught.value.errno is errno


@pytest.mark.parametrize(
    "call, args, errno",
    [
        ("open", (b"/dev/null", ROOT, Open.CREAT | Open.EXCL), Errno.EEXIST),
        ("unlink", (b"/dev/null", ROOT), Errno.EPERM),
        ("rmdir", (b"/dev/null", ROOT), Errno.ENOTDIR),
        ("rmdir", (b"/dev/fd", ROOT), Errno.EINVAL),
        ("mkdir", (b"/dev/null", ROOT, 0o755), Errno.EEXIST),
        ("enter", (b"/dev/null", ROOT), Errno.ENOTDIR),
        ("readlink", (b"/dev/null", ROOT), Errno.EINVAL),
        ("symlink", (b"target", b"/dev/null", ROOT), Errno.EEXIST),
        ("link", (b"/dev/null", b"/null", ROOT), Errno.EXDEV),
        ("link", (b"/file", b"/dev/null", ROOT), Errno.EEXIST),
        ("rename", (b"/dev/null", ROOT, b"/null", ROOT), Errno.EPERM),
        ("rename", (b"/file", ROOT, b"/dev/null", ROOT), Errno.EPERM),
        ("rename", (b"/dev", ROOT, b"/device", ROOT), Errno.EINVAL),
        ("rename", (b"/tmp", ROOT, b"/dev/fd", ROOT), Errno.EINVAL),
        ("chmod", (b"/dev/null", ROOT, 0), Errno.EPERM),
        ("chown", (b"/dev/null", ROOT, 1, 1), Errno.EPERM),
        ("utimes", (b"/dev/null", ROOT, 0, 0), Errno.EPERM),
    ],
)
def test_devices_and_their_directories_stay(
    tree: Tree, call: str, args: tuple[object, ...], errno: Errno
) -> None:
    tree.open(b"/file", ROOT, Open.CREAT | Open.RDWR, 0o644).drop()
    with pytest.raises(KernelError) as caught:
        getattr(tree, call)(*args)
    assert caught.value.errno is errno
    assert opened(tree, b"/dev/null").write(b"x") == 1
    tree.stat(b"/file", ROOT)


def test_a_device_is_not_executed(tree: Tree) -> None:
    tree.access(b"/dev/null", ROOT, Access.R | Access.W)
    with pytest.raises(KernelError) as caught:
        tree.access(b"/dev/null", ROOT, Access.X)
    assert caught.value.errno is Errno.EACCES
