"""A file against a model of it: reading, writing, mapping, cutting and closing in any order."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from emu.abi.fcntl import Open
from emu.abi.x86 import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from emu.kern.disk import ENTRY
from emu.kern.file import File
from emu.kern.namecache import Nchandle
from emu.kern.tree import Tree
from emu.vm.phys import PhysicalMemory
from emu.vm.vm_object import FileObject, VmFaultError

ROOT = Nchandle()
LONGEST = 6 * PAGE_SIZE

# Around the ends of pages is where things go wrong.
lengths = st.one_of(
    st.integers(0, LONGEST),
    st.builds(
        lambda page, off: max(page * PAGE_SIZE + off, 0), st.integers(0, 5), st.integers(-2, 2)
    ),
)
pieces = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.builds(lambda data, count: data * (count + 1), st.sampled_from([b"x", b"yz"]), lengths),
)


class FileMachine(RuleBasedStateMachine):
    """One file, two open files on it, one mapping; the model is what a file should hold."""

    limit: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.tree = Tree(Path(self.folder.name), limit=self.limit)
        self.phys = PhysicalMemory(1 << 20)
        self.model = bytearray()
        self.files: list[File | None] = [None, None]
        self.memory: FileObject | None = None

    @initialize()
    def make(self) -> None:
        self.files[0] = self.tree.open(b"file", ROOT, Open.RDWR | Open.CREAT, 0o644)

    def any_file(self) -> File:
        for file in self.files:
            if file is not None:
                return file
        self.open(0, False)
        return self.any_file()

    @rule(which=st.integers(0, 1), append=st.booleans())
    def open(self, which: int, append: bool) -> None:
        if self.files[which] is None:
            flags = Open.RDWR | (Open.APPEND if append else 0)
            self.files[which] = self.tree.open(b"file", ROOT, flags)

    @rule(which=st.integers(0, 1))
    def close(self, which: int) -> None:
        if file := self.files[which]:
            file.drop()
            self.files[which] = None

    @rule()
    def open_and_truncate(self) -> None:
        self.tree.open(b"file", ROOT, Open.RDWR | Open.TRUNC).drop()
        self.model.clear()

    @rule(offset=lengths, data=pieces)
    def write(self, offset: int, data: bytes) -> None:
        file = self.any_file()
        if file.flags & Open.APPEND:
            offset = len(self.model)
        assert file.write(data, offset) == len(data)
        self.model.extend(bytes(max(offset - len(self.model), 0)))
        self.model[offset : offset + len(data)] = data

    @rule(length=lengths)
    def resize(self, length: int) -> None:
        self.any_file().node.resize(length)
        self.resized(length)

    @rule(length=lengths)
    def truncate(self, length: int) -> None:
        self.tree.truncate(b"file", ROOT, length)
        self.resized(length)

    def resized(self, length: int) -> None:
        self.model.extend(bytes(max(length - len(self.model), 0)))
        del self.model[length:]

    @precondition(lambda self: self.memory is None)
    @rule()
    def map(self) -> None:
        memory = self.any_file().node.vm_object(self.phys)
        assert isinstance(memory, FileObject)
        memory.refs += 1
        self.memory = memory

    @precondition(lambda self: self.memory is not None)
    @rule()
    def unmap(self) -> None:
        assert self.memory is not None
        self.memory.deref()
        self.memory = None

    @precondition(lambda self: self.memory is not None)
    @rule(at=lengths, data=st.binary(min_size=1, max_size=8))
    def store(self, at: int, data: bytes) -> None:
        """Store into one page; what lies behind the end of the file is lost."""
        assert self.memory is not None
        offset = at & PAGE_MASK
        data = data[: PAGE_SIZE - offset]
        if at - offset >= len(self.model):
            with pytest.raises(VmFaultError):
                self.memory.page(at >> PAGE_SHIFT, True)
            return
        pa, writable = self.memory.page(at >> PAGE_SHIFT, True)
        assert writable
        self.phys.page(pa)[offset : offset + len(data)] = data
        inside = data[: max(len(self.model) - at, 0)]
        self.model[at : at + len(inside)] = inside

    @invariant()
    def the_file_is_the_model(self) -> None:
        assert self.tree.stat(b"file", ROOT).st_size == len(self.model)
        for file in self.files:
            if file is not None:
                assert file.node.length() == len(self.model)
                assert file.read(len(self.model) + 1, 0) == bytes(self.model)
        if self.memory is not None:
            seen = b""
            while len(seen) < len(self.model):
                pa, _ = self.memory.page(len(seen) >> PAGE_SHIFT, False)
                seen += bytes(self.phys.page(pa))
            assert seen[: len(self.model)] == bytes(self.model)

    def let_go(self) -> None:
        if self.memory is not None:
            self.memory.deref()
        for file in self.files:
            if file is not None:
                file.drop()

    def teardown(self) -> None:
        self.let_go()
        self.tree.close()
        assert (Path(self.folder.name) / "file").read_bytes() == bytes(self.model)
        self.folder.cleanup()


class LimitedFileMachine(FileMachine):
    """The same on a limited disk: nothing is different, and the account is exact in the end."""

    limit = 1 << 20

    def let_go(self) -> None:
        super().let_go()
        space = self.tree.space()
        used = (space.blocks - space.free_blocks) * space.block_size
        allocated = os.stat(Path(self.folder.name) / "file").st_blocks * 512
        assert used == ENTRY + allocated


steps = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestFile = FileMachine.TestCase
TestFile.settings = steps
TestLimitedFile = LimitedFileMachine.TestCase
TestLimitedFile.settings = steps
