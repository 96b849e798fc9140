"""The temporary tree goes away, whatever a guest has made of it."""

import os
import tempfile
from pathlib import Path

import pytest

from emu.kern.namecache import Nchandle
from emu.kern.scratch import Scratch
from emu.kern.tree import Tree

ROOT = Nchandle()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories are made now."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def test_it_goes_away_when_nobody_has_it_any_more(temporary: Path) -> None:
    scratch = Scratch()
    assert scratch.root.is_dir()
    del scratch
    assert not list(temporary.iterdir())


def test_a_link_in_a_closed_directory_does_not_reach_the_hosts_files(
    temporary: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o755)
    (victim / "kept").touch(mode=0o644)
    scratch = Scratch()
    closed = scratch.root / "closed"
    closed.mkdir()
    (closed / "file").symlink_to(victim / "kept")
    (closed / "directory").symlink_to(victim)
    closed.chmod(0)
    scratch.root.chmod(0)
    scratch.remove()
    assert not list(temporary.iterdir())
    assert victim.stat().st_mode & 0o777 == 0o755
    assert (victim / "kept").stat().st_mode & 0o777 == 0o644


def test_no_depth_is_too_much(temporary: Path) -> None:
    tree = Tree.scratch()
    chain = b"/".join([b"d"] * 150)
    for _ in range(10):
        cwd = ROOT
        for _ in range(150):
            tree.mkdir(b"d", cwd, 0o755)
            cwd = tree.enter(b"d", cwd)
        if "old" in os.listdir(next(temporary.iterdir()) / "root"):
            tree.rename(b"/old", ROOT, chain + b"/d", ROOT)
        tree.rename(b"/d", ROOT, b"/old", ROOT)
    tree.close()
    assert not list(temporary.iterdir())
