"""The guest's file tree: names, links, and that nothing outside the root can be reached."""

import errno
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Access, Mode, Open
from emu.kern.host import change_mode, guest_errno
from emu.kern.namecache import Nchandle
from emu.kern.nlookup import MAX_DEPTH
from emu.kern.tree import Tree
from emu.kern.vnode import Directory

SECRET = b"not for guests"
ROOT = Nchandle()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the root, with a secret in it."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret").write_bytes(SECRET)
    return path


@pytest.fixture
def root(tmp_path: Path, outside: Path) -> Path:
    path = tmp_path / "root"
    (path / "etc").mkdir(parents=True)
    (path / "etc" / "motd").write_bytes(b"hello")
    (path / "secret").write_bytes(b"inside")
    return path


@pytest.fixture
def tree(root: Path) -> Iterator[Tree]:
    tree = Tree(root)
    yield tree
    tree.close()


def contents(tree: Tree, path: bytes, cwd: Nchandle = ROOT) -> bytes:
    file = tree.open(path, cwd, Open.RDONLY)
    data = file.read(100)
    file.drop()
    return data


def refusal(tree: Tree, path: bytes, flags: int = Open.RDONLY, mode: int = 0o644) -> Errno:
    with pytest.raises(KernelError) as caught:
        tree.open(path, ROOT, flags, mode)
    return caught.value.errno


@pytest.mark.parametrize(
    "path",
    [
        b"/etc/motd",
        b"etc/motd",
        b"//etc///motd",
        b"/etc/./motd",
        b"/etc/../etc/motd",
        b"/../../etc/motd",
        b"../etc/motd",
    ],
)
def test_a_path_names_a_file_inside_the_root(tree: Tree, path: bytes) -> None:
    assert contents(tree, path) == b"hello"


def test_a_relative_path_starts_at_the_working_directory(tree: Tree) -> None:
    cwd = tree.enter(b"etc", ROOT)
    assert cwd.names == (b"etc",)
    assert contents(tree, b"motd", cwd) == b"hello"
    assert contents(tree, b"../secret", cwd) == b"inside"
    assert tree.enter(b"../..", cwd).names == ()


@pytest.mark.parametrize(
    "target",
    [
        "/secret",
        "../../../../../../../../secret",
        "../secret",
        "/etc/../../secret",
        "up/up/up/secret",
    ],
)
def test_a_link_to_the_outside_ends_inside(tree: Tree, root: Path, target: str) -> None:
    (root / "etc" / "up").symlink_to("..")
    (root / "up").symlink_to("..")
    (root / "etc" / "link").symlink_to(target)
    assert contents(tree, b"/etc/link") == b"inside"


@pytest.mark.parametrize(
    "path", ["link", "link/secret", "etc/../link/secret", "chain/secret", "etc/chain/secret"]
)
def test_the_hosts_own_paths_mean_nothing_to_a_guest(
    tree: Tree, root: Path, outside: Path, path: str
) -> None:
    (root / "link").symlink_to(outside)
    (root / "chain").symlink_to("link")
    (root / "etc" / "chain").symlink_to("../../root/link")
    assert refusal(tree, path.encode()) is Errno.ENOENT
    assert refusal(tree, path.encode(), Open.CREAT | Open.WRONLY | Open.TRUNC) is Errno.ENOENT
    assert (outside / "secret").read_bytes() == SECRET


def test_dots_in_a_link_count_from_where_the_link_is(tree: Tree, root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "file").write_bytes(b"a/file")
    (root / "a" / "b" / "link").symlink_to("../file")
    (root / "short").symlink_to("a/b")
    assert contents(tree, b"/a/b/link") == b"a/file"
    assert contents(tree, b"/short/../file") == b"a/file"
    assert tree.enter(b"/short", ROOT).names == (b"a", b"b")


def test_a_chain_of_32_links_is_followed_and_33_are_too_many(tree: Tree, root: Path) -> None:
    (root / "0").symlink_to("secret")
    for number in range(1, 33):
        (root / str(number)).symlink_to(str(number - 1))
    assert contents(tree, b"31") == b"inside"
    assert refusal(tree, b"32") is Errno.ELOOP


@pytest.mark.parametrize(
    "path, errno",
    [
        (b"", Errno.ENOENT),
        (b"nothing", Errno.ENOENT),
        (b"nothing/more", Errno.ENOENT),
        (b"secret/more", Errno.ENOTDIR),
        (b"secret/..", Errno.ENOTDIR),
        (b"secret/", Errno.ENOTDIR),
        (b"loop", Errno.ELOOP),
        (b"n" * 256, Errno.ENAMETOOLONG),
        (b"n" * 255, Errno.ENOENT),
        (b"/" * 1024, Errno.ENAMETOOLONG),
        (b"./" * 512, Errno.ENAMETOOLONG),
        (b"fifo", Errno.ENXIO),
        (b"socket-or-so/", Errno.ENOENT),
    ],
)
def test_a_bad_path_is_refused(tree: Tree, root: Path, path: bytes, errno: Errno) -> None:
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "fifo")
    assert refusal(tree, path) is errno


@pytest.mark.parametrize(
    "path, flags, errno",
    [
        (b"etc", Open.RDWR, Errno.EISDIR),
        (b"etc", Open.WRONLY, Errno.EISDIR),
        (b"secret", Open.RDONLY | Open.TRUNC, Errno.EACCES),
        (b"secret", Open.CREAT | Open.EXCL | Open.RDWR, Errno.EEXIST),
        (b"link", Open.NOFOLLOW, Errno.EMLINK),
        (b"dangling", Open.CREAT | Open.EXCL | Open.RDWR, Errno.EEXIST),
        (b"new/", Open.CREAT | Open.RDWR, Errno.ENOTDIR),
        (b"new/deeper", Open.CREAT | Open.RDWR, Errno.ENOENT),
        (b"/", Open.CREAT | Open.RDWR, Errno.EEXIST),
        (b"etc/.", Open.CREAT | Open.RDONLY, Errno.EEXIST),
    ],
)
def test_open_refuses(tree: Tree, root: Path, path: bytes, flags: int, errno: Errno) -> None:
    (root / "link").symlink_to("secret")
    (root / "dangling").symlink_to("nowhere")
    assert refusal(tree, path, flags) is errno
    assert (root / "secret").read_bytes() == b"inside"
    assert not (root / "new").exists() and not (root / "nowhere").exists()


def test_a_file_is_created_through_a_dangling_link(tree: Tree, root: Path) -> None:
    (root / "dangling").symlink_to("/etc/made")
    tree.open(b"dangling", ROOT, Open.CREAT | Open.RDWR, 0o600).drop()
    assert (root / "etc" / "made").stat().st_mode & 0o777 == 0o600


def test_a_new_file_never_sets_an_identity(tree: Tree, root: Path) -> None:
    tree.open(b"made", ROOT, Open.CREAT | Open.RDWR, 0o6755).drop()
    assert (root / "made").stat().st_mode & 0o7000 == 0


def test_truncation_on_open_empties_the_file(tree: Tree, root: Path) -> None:
    tree.open(b"secret", ROOT, Open.RDWR | Open.TRUNC).drop()
    assert (root / "secret").read_bytes() == b""


def test_two_opens_of_one_file_share_its_vnode(tree: Tree, root: Path) -> None:
    os.link(root / "secret", root / "other")
    first = tree.open(b"secret", ROOT, Open.RDONLY)
    second = tree.open(b"other", ROOT, Open.RDWR)
    assert first.node is second.node
    first.drop()
    second.drop()
    third = tree.open(b"secret", ROOT, Open.RDONLY)
    assert third.node is not first.node
    third.drop()


def test_directories_are_made_and_removed(tree: Tree, root: Path) -> None:
    tree.mkdir(b"new/", ROOT, 0o755)
    assert (root / "new").is_dir()
    tree.rmdir(b"new", ROOT)
    assert not (root / "new").exists()


@pytest.mark.parametrize(
    "call, path, errno",
    [
        ("mkdir", b"etc", Errno.EEXIST),
        ("mkdir", b"secret", Errno.EEXIST),
        ("mkdir", b"/", Errno.EEXIST),
        ("mkdir", b"etc/..", Errno.EEXIST),
        ("mkdir", b"no/where", Errno.ENOENT),
        ("rmdir", b"etc", Errno.ENOTEMPTY),
        ("rmdir", b"secret", Errno.ENOTDIR),
        ("rmdir", b"/", Errno.EACCES),
        ("rmdir", b"etc/.", Errno.EINVAL),
        ("rmdir", b"etc/..", Errno.ENOTEMPTY),
        ("unlink", b"etc", Errno.EPERM),
        ("unlink", b"gone", Errno.ENOENT),
    ],
)
def test_names_are_not_made_or_removed(tree: Tree, call: str, path: bytes, errno: Errno) -> None:
    with pytest.raises(KernelError) as caught:
        tree.mkdir(path, ROOT, 0o755) if call == "mkdir" else getattr(tree, call)(path, ROOT)
    assert caught.value.errno is errno


def test_unlink_removes_the_link_and_not_its_target(tree: Tree, root: Path, outside: Path) -> None:
    (root / "link").symlink_to(outside / "secret")
    tree.unlink(b"link", ROOT)
    assert not (root / "link").is_symlink()
    assert (outside / "secret").exists()


def test_an_unlinked_file_lives_while_it_is_open(tree: Tree) -> None:
    file = tree.open(b"secret", ROOT, Open.RDONLY)
    tree.unlink(b"secret", ROOT)
    assert file.read(100) == b"inside"
    file.drop()


def test_stat_follows_links_and_lstat_does_not(tree: Tree, root: Path) -> None:
    (root / "link").symlink_to("/secret")
    followed = tree.stat(b"link", ROOT)
    assert followed.st_mode & Mode.FMT == Mode.REG
    assert (followed.st_size, followed.st_nlink) == (6, 1)
    assert tree.stat(b"link", ROOT, follow=False).st_mode & Mode.FMT == Mode.LNK


def test_access_asks_the_host(tree: Tree) -> None:
    tree.access(b"secret", ROOT, Access.R | Access.W)
    with pytest.raises(KernelError) as caught:
        tree.access(b"secret", ROOT, Access.X)
    assert caught.value.errno is Errno.EACCES


def refused(call: Callable[..., object], *args: object, **options: object) -> Errno:
    with pytest.raises(KernelError) as caught:
        call(*args, **options)
    return caught.value.errno


def everything(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return what a tree consists of: names, modes, link counts, contents."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path.relative_to(root))] = (status.st_mode, status.st_nlink, data)
    return found


# Links


def test_a_file_may_have_two_names(tree: Tree, root: Path) -> None:
    tree.link(b"secret", b"etc/other", ROOT)
    assert tree.stat(b"secret", ROOT).st_nlink == 2
    tree.unlink(b"secret", ROOT)
    assert contents(tree, b"etc/other") == b"inside"


def test_a_link_to_a_link_is_a_name_of_its_target(tree: Tree, root: Path) -> None:
    (root / "link").symlink_to("secret")
    tree.link(b"link", b"other", ROOT)
    assert tree.stat(b"other", ROOT, follow=False).st_mode & Mode.FMT == Mode.REG


@pytest.mark.parametrize(
    "path, new, errno",
    [
        (b"etc", b"other", Errno.EPERM),
        (b"secret", b"etc", Errno.EEXIST),
        (b"secret", b"secret", Errno.EEXIST),
        (b"secret", b"dangling", Errno.EEXIST),
        (b"secret", b"new/", Errno.ENOTDIR),
        (b"secret", b"no/where", Errno.ENOENT),
        (b"secret", b"etc/.", Errno.EEXIST),
        (b"none", b"etc", Errno.ENOENT),
        (b"dangling", b"new", Errno.ENOENT),
        (b"etc/motd/", b"new", Errno.ENOTDIR),
        (b"secret", b"n" * 256, Errno.ENAMETOOLONG),
    ],
)
def test_a_name_is_not_given(tree: Tree, root: Path, path: bytes, new: bytes, errno: Errno) -> None:
    (root / "dangling").symlink_to("nowhere")
    before = everything(root)
    assert refused(tree.link, path, new, ROOT) is errno
    assert everything(root) == before


def test_a_symbolic_link_says_what_it_was_made_with(tree: Tree, root: Path) -> None:
    tree.symlink(b"../secret", b"etc/link", ROOT)
    assert tree.readlink(b"etc/link", ROOT) == b"../secret"
    assert contents(tree, b"etc/link") == b"inside"
    assert tree.stat(b"etc/link", ROOT, follow=False).st_size == 9


def test_a_symbolic_link_that_a_guest_made_leads_nowhere_outside(tree: Tree, outside: Path) -> None:
    tree.symlink(os.fsencode(outside), b"escape", ROOT)
    tree.symlink(b"../outside/secret", b"up", ROOT)
    assert refusal(tree, b"escape/secret") is Errno.ENOENT
    assert refusal(tree, b"up") is Errno.ENOENT
    assert refused(tree.chmod, b"escape", ROOT, 0o777) is Errno.ENOENT
    assert refused(tree.rename, b"escape/secret", ROOT, b"mine", ROOT) is Errno.ENOENT
    assert (outside / "secret").read_bytes() == SECRET


@pytest.mark.parametrize("path", [b"secret", b"etc", b"/", b"link/"])
def test_only_symbolic_links_are_read(tree: Tree, root: Path, path: bytes) -> None:
    (root / "link").symlink_to("etc")
    assert refused(tree.readlink, path, ROOT) is Errno.EINVAL


@pytest.mark.parametrize("path", [b"secret", b"etc", b"link", b"/"])
def test_a_symbolic_link_replaces_nothing(tree: Tree, root: Path, path: bytes) -> None:
    (root / "link").symlink_to("nowhere")
    assert refused(tree.symlink, b"target", path, ROOT) is Errno.EEXIST


def test_nothing_else_can_be_made(tree: Tree, root: Path) -> None:
    assert refused(tree.mknod, b"secret", ROOT) is Errno.EEXIST
    assert refused(tree.mknod, b"no/where", ROOT) is Errno.ENOENT
    assert refused(tree.mknod, b"fifo", ROOT) is Errno.EOPNOTSUPP
    assert not (root / "fifo").exists()


# Renaming


def test_a_file_moves_and_replaces_what_was_there(tree: Tree, root: Path) -> None:
    tree.rename(b"secret", ROOT, b"etc/motd", ROOT)
    assert contents(tree, b"etc/motd") == b"inside"
    assert refusal(tree, b"secret") is Errno.ENOENT


def test_a_symbolic_link_moves_itself_and_is_replaced_itself(tree: Tree, root: Path) -> None:
    (root / "link").symlink_to("secret")
    (root / "other").symlink_to("etc/motd")
    tree.rename(b"link", ROOT, b"other", ROOT)
    assert os.readlink(root / "other") == "secret"
    assert contents(tree, b"etc/motd") == b"hello"


def test_an_open_file_keeps_its_contents_when_its_name_goes_to_another(tree: Tree) -> None:
    replaced = tree.open(b"etc/motd", ROOT, Open.RDWR)
    moved = tree.open(b"secret", ROOT, Open.RDWR)
    tree.rename(b"secret", ROOT, b"etc/motd", ROOT)
    assert (replaced.read(100), moved.read(100)) == (b"hello", b"inside")
    assert tree.open(b"etc/motd", ROOT, Open.RDONLY).node is moved.node
    assert replaced.node.stat().st_nlink == 0


def test_an_empty_directory_is_replaced_by_another(tree: Tree, root: Path) -> None:
    (root / "empty").mkdir()
    tree.rename(b"etc/", ROOT, b"empty/", ROOT)
    assert contents(tree, b"empty/motd") == b"hello"


def test_nothing_happens_to_what_moves_onto_itself(tree: Tree, root: Path) -> None:
    (root / "up").symlink_to("..")
    before = everything(root)
    tree.rename(b"secret", ROOT, b"etc/../secret", ROOT)
    tree.rename(b"etc", ROOT, b"up/etc", ROOT)
    assert everything(root) == before


def test_one_name_goes_when_a_file_moves_onto_another_of_its_names(tree: Tree) -> None:
    tree.link(b"secret", b"other", ROOT)
    tree.rename(b"secret", ROOT, b"other", ROOT)
    assert refusal(tree, b"secret") is Errno.ENOENT
    assert tree.stat(b"other", ROOT).st_nlink == 1


@pytest.mark.parametrize(
    "old, new, errno",
    [
        (b"none", b"new", Errno.ENOENT),
        (b"secret", b"no/where", Errno.ENOENT),
        (b"secret", b"new/", Errno.ENOTDIR),
        (b"etc", b"new/", Errno.ENOTDIR),
        (b"secret/", b"new", Errno.ENOTDIR),
        (b"secret", b"etc", Errno.EISDIR),
        (b"etc", b"secret", Errno.ENOTDIR),
        (b"etc", b"etc/inside", Errno.EINVAL),
        (b"etc", b"etc/inside/deeper", Errno.ENOENT),
        (b"etc", b"full", Errno.ENOTEMPTY),
        (b"etc/.", b"new", Errno.EINVAL),
        (b"etc/..", b"new", Errno.EINVAL),
        (b"etc", b"full/.", Errno.EINVAL),
        (b"etc", b"full/..", Errno.EINVAL),
        (b"/", b"new", Errno.EACCES),
        (b"etc", b"/", Errno.EACCES),
        (b"loop/x", b"new", Errno.ELOOP),
        (b"secret", b"n" * 256, Errno.ENAMETOOLONG),
    ],
)
def test_a_name_does_not_change(
    tree: Tree, root: Path, old: bytes, new: bytes, errno: Errno
) -> None:
    (root / "full").mkdir()
    (root / "full" / "file").touch()
    (root / "loop").symlink_to("loop")
    before = everything(root)
    assert refused(tree.rename, old, ROOT, new, ROOT) is errno
    assert everything(root) == before


def test_working_and_open_directories_move_with_their_names(tree: Tree, root: Path) -> None:
    (root / "etc" / "deep").mkdir()
    cwd = tree.enter(b"etc/deep", ROOT)
    directory = tree.open(b"etc/deep", ROOT, Open.RDONLY).node
    assert isinstance(directory, Directory)
    tree.rename(b"etc", ROOT, b"var", ROOT)
    assert cwd.names == directory.handle.names == (b"var", b"deep")
    assert contents(tree, b"../motd", cwd) == b"hello"
    tree.rmdir(b"var/deep", ROOT)
    assert refused(tree.stat, b"..", cwd) is Errno.ENOENT
    tree.mkdir(b"var/deep", ROOT, 0o755)
    assert refused(tree.stat, b"file", directory.handle) is Errno.ENOENT


# Modes, owners, times


def test_chmod_sets_permissions_and_never_an_identity(tree: Tree, root: Path) -> None:
    (root / "link").symlink_to("secret")
    tree.chmod(b"link", ROOT, 0o100_6640)
    assert (root / "secret").stat().st_mode & 0o7777 == 0o640
    tree.chmod(b"etc", ROOT, 0o1777)
    assert (root / "etc").stat().st_mode & 0o7777 == 0o1777
    tree.chmod(b"link", ROOT, 0, follow=False)
    assert (root / "secret").stat().st_mode & 0o7777 == 0o640


def test_chmod_reaches_what_has_no_permissions(tree: Tree, root: Path) -> None:
    tree.chmod(b"secret", ROOT, 0)
    tree.chmod(b"secret", ROOT, 0o600)
    assert contents(tree, b"secret") == b"inside"


def test_change_mode_does_not_follow_a_link(root: Path, outside: Path) -> None:
    (root / "link").symlink_to(outside / "secret")
    mode = (outside / "secret").stat().st_mode
    at = os.open(root, os.O_RDONLY)
    with pytest.raises(OSError, match="not supported"):
        change_mode("link", 0, at)
    os.close(at)
    assert (outside / "secret").stat().st_mode == mode


def test_chown_succeeds_whether_the_host_permits_it_or_not(tree: Tree, root: Path) -> None:
    before = (root / "secret").stat()
    (root / "link").symlink_to("secret")
    tree.chown(b"secret", ROOT, -1, -1)
    tree.chown(b"link", ROOT, 12, 34, follow=False)
    after = (root / "secret").stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    tree.chown(b"link", ROOT, 12, 34)
    after = (root / "secret").stat()
    own = (before.st_uid, before.st_gid)
    assert (after.st_uid, after.st_gid) == ((12, 34) if os.geteuid() == 0 else own)
    assert refused(tree.chown, b"none", ROOT, 12, 34) is Errno.ENOENT


def test_utimes_sets_the_times_of_a_file_or_a_link(tree: Tree, root: Path) -> None:
    (root / "link").symlink_to("secret")
    tree.utimes(b"link", ROOT, 1_500_000_000, -2_000_000_000)
    status = tree.stat(b"secret", ROOT)
    assert (status.st_atim.tv_sec, status.st_atim.tv_nsec) == (1, 500_000_000)
    assert (status.st_mtim.tv_sec, status.st_mtim.tv_nsec) == (-2, 0)
    tree.utimes(b"link", ROOT, 0, 3_000_000_000, follow=False)
    assert tree.stat(b"link", ROOT, follow=False).st_mtim.tv_sec == 3
    assert tree.stat(b"secret", ROOT).st_mtim.tv_sec == -2


def test_directories_have_a_greatest_depth(tree: Tree) -> None:
    cwd: Nchandle = ROOT
    for _ in range(MAX_DEPTH):
        tree.mkdir(b"d", cwd, 0o755)
        cwd = tree.enter(b"d", cwd)
    tree.mkdir(b"d", cwd, 0o755)
    with pytest.raises(KernelError) as caught:
        tree.mkdir(b"d/d", cwd, 0o755)
    assert caught.value.errno is Errno.ENAMETOOLONG


def test_looking_up_leaves_no_host_descriptor_open(tree: Tree, root: Path) -> None:
    (root / "loop").symlink_to("etc/../loop")
    before = os.dup(0)  # the lowest free one
    os.close(before)
    for path in (b"etc/motd", b"etc/../etc/none", b"loop", b"etc/motd/x", b"etc/" + b"n" * 300):
        with suppress(KernelError):
            tree.open(path, ROOT, Open.RDWR).drop()
    after = os.dup(0)
    os.close(after)
    assert after == before


def test_a_scratch_tree_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tree = Tree.scratch()
    (scratch,) = tmp_path.iterdir()
    tree.open(b"/tmp/file", ROOT, Open.CREAT | Open.RDWR, 0o644).drop()
    assert (scratch / "root" / "tmp" / "file").exists()
    tree.close()
    assert not scratch.exists()


@pytest.mark.parametrize(
    "name", ["EPERM", "EAGAIN", "ELOOP", "ENAMETOOLONG", "ENOTEMPTY", "EDQUOT", "EOPNOTSUPP"]
)
def test_host_errors_keep_their_name_and_change_their_number(name: str) -> None:
    assert guest_errno(OSError(getattr(errno, name), "")) is Errno[name]


def test_a_host_error_without_a_counterpart_is_an_io_error() -> None:
    assert guest_errno(OSError(9999, "")) is Errno.EIO


def test_a_socket_that_was_found_is_the_one_that_is_used(root: Path, outside: Path) -> None:
    """Whatever another emulator puts in its place meanwhile."""
    with (
        closing(Tree(root)) as tree,
        closing(socket.socket(socket.AF_UNIX)) as inner,
        closing(socket.socket(socket.AF_UNIX)) as outer,
        closing(socket.socket(socket.AF_UNIX)) as client,
    ):
        inner.bind(bytes(root / "name"))
        inner.listen()
        outer.bind(bytes(outside / "name"))
        outer.listen()
        with tree.socket(b"/name", ROOT) as fd:
            (root / "name").unlink()
            (root / "name").symlink_to(outside / "name")
            client.connect(f"/proc/self/fd/{fd}")
        outer.setblocking(False)
        with pytest.raises(BlockingIOError):
            outer.accept()
        inner.setblocking(False)
        inner.accept()[0].close()
