"""What memory looks like to a virtual kernel and in its vmspaces, as the specification has it.

Written from abi 4.3, 6 and 7.5 alone, and plainly: mappings are a list, pages and translations are
dictionaries.  It imports nothing of the emulator, which is to do the same.  Where the specification
leaves a choice it takes the emulator's (README, Quirks): a translation stays until something drops
it, entries with different roots stay apart, and a private page behind a virtual page table is
copied at its first use.
"""

from copy import copy
from dataclasses import dataclass, field, replace

PAGE = 4096
FRAME = 0x000F_FFFF_FFFF_F000
U64 = (1 << 64) - 1
READ, WRITE, EXEC = 1, 2, 4  # PROT_*
SHARED, PRIVATE, FIXED, ANON, VPAGETABLE, TRYFIXED = 0x1, 0x2, 0x10, 0x1000, 0x2000, 0x10000
INVAL, SETMAP = 10, 11
PRESENT, WRITES, USER, FETCHES = 0x1, 0x2, 0x4, 0x10  # tf_err of a page fault
T_PAGEFLT, T_FAST_SYSCALL, SYSCALL_ERR = 12, 0x81, 2
ENDLESS = 0x7FFF_FFFF  # pages of an anonymous object behind a virtual page table
SIGBUS, SIGSEGV = 10, 11

FAILURE = "the page table refuses"
PROTECTION = "the mapping refuses, or the page is past the end"


@dataclass(frozen=True)
class Version:
    """What differs between the versions: vpte bits, 0 where there is none, and so on."""

    name: str
    V: int
    PS: int
    R: int
    W: int
    A: int
    M: int
    NX: int
    keeps_write: bool
    user_max: int
    protection: tuple[int, int]

    @property
    def rw(self) -> int:
        return self.V | self.R | self.W


MODELS = {
    version.name: version
    for version in (
        Version("2011", 1, 2, 4, 8, 0x20, 0x40, 0, False, 0x8000_0000_0000, (SIGBUS, 2)),
        Version("2014", 1, 0x80, 0, 2, 0x20, 0x40, 0, False, 0x8000_0000_0000, (SIGSEGV, 2)),
        Version("2020", 1, 0x80, 0, 2, 0x20, 0x40, 0x800, True, 0x7FFF_FFE0_0000, (SIGSEGV, 2)),
    )
}


class Refused(Exception):
    """A system call fails with the error named."""


class Unresolved(Exception):
    """A page cannot be had: FAILURE or PROTECTION."""


class Unpredictable(Exception):
    """The processor would execute something that this model does not know."""


@dataclass(eq=False)
class Fault(Exception):
    """A page fault that the host does not resolve."""

    va: int
    err: int
    why: str


class Memory:
    """An object: a file, zeroed memory, or a private copy of the file `below` it."""

    def __init__(self, size: int, below: "Memory | None" = None) -> None:
        self.size = size
        self.below = below
        self.pages: dict[int, bytearray] = {}

    def take(self, index: int, *, copy: bool) -> "Memory":
        """Return which object has the page: this one or, if it need not be a copy, the file."""
        if index not in self.pages:
            if self.below is not None:
                self.below.take(index, copy=True)
                if not copy:
                    return self.below
                self.pages[index] = bytearray(self.below.pages[index])
            elif index >= self.size:
                raise Unresolved(PROTECTION)
            else:
                self.pages[index] = bytearray(PAGE)
        return self


class File(Memory):
    """A regular file: all its pages are there."""

    def __init__(self, pages: int) -> None:
        super().__init__(pages)
        self.length = pages * PAGE
        self.pages = {index: bytearray(PAGE) for index in range(pages)}

    def truncate(self, length: int) -> None:
        """What is cut off is zero if it comes back, and so is what lay behind the end.

        A file that is as long already is left alone, with what lies behind its end (ffs_truncate).
        """
        if length == self.length:
            return
        end = min(length, self.length)
        self.pages = {index: page for index, page in self.pages.items() if index * PAGE < end}
        if end % PAGE:
            self.pages[end // PAGE][end % PAGE :] = bytes(PAGE - end % PAGE)
        self.length = length
        self.size = -(-length // PAGE)
        for index in range(self.size):
            self.pages.setdefault(index, bytearray(PAGE))

    @property
    def contents(self) -> bytes:
        return b"".join(self.pages[index] for index in range(self.size))[: self.length]


@dataclass(frozen=True)
class Translation:
    """What the host's page table says of a page."""

    where: Memory
    index: int
    writable: bool
    executable: bool

    def permits(self, kind: int) -> bool:
        return {READ: True, WRITE: self.writable, EXEC: self.executable}[kind]

    @property
    def page(self) -> bytearray:
        return self.where.pages[self.index]


@dataclass(frozen=True)
class Mapping:
    """Pages [first, last): `memory`, from `bias` + address on, or through the table at `root`."""

    first: int
    last: int
    memory: Memory
    bias: int
    prot: int
    tabled: bool
    root: int = 0


@dataclass
class Mark:
    """An entry of a virtual page table that a walk has changed."""

    where: Memory
    page: int
    slot: int


class Space:
    def __init__(self, version: Version) -> None:
        self.version = version
        self.mappings: list[Mapping] = []
        self.cached: dict[int, Translation] = {}
        self.marks: list[Mark] = []

    # Mappings

    def find(self, page: int) -> Mapping | None:
        return next((m for m in self.mappings if m.first <= page < m.last), None)

    def forget(self, first: int, last: int) -> None:
        self.cached = {at: kept for at, kept in self.cached.items() if not first <= at < last}

    def within(self, first: int, last: int) -> list[Mapping]:
        """Cut mappings at `first` and `last`; return those between."""
        for edge in (first, last):
            mapping = self.find(edge)
            if mapping is not None and mapping.first != edge:
                self.mappings.remove(mapping)
                self.mappings.append(replace(mapping, last=edge))
                self.mappings.append(replace(mapping, first=edge))
        return [m for m in self.mappings if first <= m.first and m.last <= last]

    def remove(self, first: int, last: int) -> None:
        for mapping in self.within(first, last):
            self.mappings.remove(mapping)
        self.forget(first, last)

    def munmap(self, addr: int, size: int) -> int:
        first, last = addr // PAGE, -(-(addr + size) // PAGE)
        if addr % PAGE + size == 0:
            return 0
        if last * PAGE > self.version.user_max:
            raise Refused("EINVAL")
        if sum(m.last - m.first for m in self.within(first, last)) != last - first:
            raise Refused("EINVAL")
        self.remove(first, last)
        return 0

    def mcontrol(self, addr: int, size: int, behav: int, value: int) -> int:
        """abi 6.8b and 6.11."""
        if not 0 <= behav <= SETMAP or addr + size > self.version.user_max:
            raise Refused("EINVAL")
        first, last = addr // PAGE, -(-(addr + size) // PAGE)
        if behav == INVAL:
            self.forget(first, last)
        if behav == SETMAP:
            touched = self.within(first, last)
            for mapping in touched:
                if mapping.tabled:
                    self.mappings.remove(mapping)
                    self.mappings.append(replace(mapping, root=value))
                    self.forget(mapping.first, mapping.last)
            if not all(mapping.tabled for mapping in touched):
                raise Refused("EINVAL")
        return 0

    # Accesses

    def walk(self, mapping: Mapping, va: int, kind: int) -> tuple[int, bool, bool]:
        """abi 6.13: return the page of the object, and whether the table lets it be written to
        without another walk, and executed."""
        v = self.version
        index = (va + mapping.bias) >> 12
        e = mapping.root
        executable = True
        shift = 36
        while True:
            if not e & v.V:
                raise Unresolved(FAILURE)
            if kind == READ and v.R and not e & v.R:
                raise Unresolved(FAILURE)
            if kind == WRITE and not e & v.W:
                raise Unresolved(FAILURE)
            if kind == EXEC and e & v.NX:
                raise Unresolved(FAILURE)
            if e & v.NX:
                executable = False
            if e & v.PS or shift == 0:
                break
            shift -= 9
            number = (e & FRAME) >> 12
            where = mapping.memory.take(number, copy=True)
            slot = index >> shift & 511
            e = word(where.pages[number], 8 * slot)
            marked = e
            if kind == WRITE and e & v.V and e & v.W:
                marked |= v.A | v.M
            if kind == READ and e & v.V and (not v.R or e & v.R):
                marked |= v.A
            if kind == EXEC and e & v.V:  # 2020, vm_fault.c: NX is looked at after the mark
                marked |= v.A
            if marked != e:
                where.pages[number][8 * slot : 8 * slot + 8] = marked.to_bytes(8, "little")
                self.marks.append(Mark(where, number, slot))
        modified = v.W | v.M
        writable = kind == WRITE or (v.keeps_write and e & modified == modified)
        return ((e & FRAME) >> 12) + (index & (1 << shift) - 1), writable, executable

    def resolve(self, va: int, kind: int) -> Translation:
        v = self.version
        mapping = self.find(va // PAGE)
        if mapping is None:
            raise Unresolved(FAILURE)
        if kind == EXEC and not v.NX:
            kind = READ  # a fetch is a read
        if not mapping.prot & kind:
            raise Unresolved(PROTECTION)
        if mapping.tabled:
            index, writable, executable = self.walk(mapping, va, kind)
            where = mapping.memory.take(index, copy=True)
        else:
            index = ((va + mapping.bias) & U64) >> 12
            where = mapping.memory.take(index, copy=kind == WRITE)
            writable, executable = where is mapping.memory, True
        return Translation(
            where,
            index,
            writable and bool(mapping.prot & WRITE),
            executable and (not v.NX or bool(mapping.prot & EXEC)),
        )

    def access(self, va: int, kind: int) -> Translation:
        """abi 6.14 and 7.5.  Return the translation that is used from now on."""
        known = self.cached.get(va // PAGE)
        if known is not None and known.permits(kind):
            return known
        err = USER | {READ: 0, WRITE: WRITES, EXEC: FETCHES}[kind]
        if known is not None:
            err |= PRESENT
        try:
            found = self.resolve(va, kind)
        except Unresolved as refusal:
            raise Fault(va, err, str(refusal)) from None
        self.cached[va // PAGE] = found
        return found

    def pieces(self, va: int, size: int, kind: int) -> list[tuple[Translation, int, int]]:
        """Access `size` bytes; return where they are: the page, the first byte and the last."""
        done = []
        end = va + size
        while va < end:
            step = min(end - va, PAGE - va % PAGE)
            done.append((self.access(va, kind), va % PAGE, va % PAGE + step))
            va += step
        return done


def word(page: bytearray, at: int) -> int:
    return int.from_bytes(page[at : at + 8], "little")


def load(pieces: list[tuple[Translation, int, int]]) -> int:
    return int.from_bytes(b"".join(at.page[low:high] for at, low, high in pieces), "little")


def store(pieces: list[tuple[Translation, int, int]], value: int) -> None:
    data = value.to_bytes(8, "little")
    for at, low, high in pieces:
        at.page[low:high], data = data[: high - low], data[high - low :]


# Instructions: each one, with the SYSCALL behind it, is one aligned word of memory

SYSCALL = bytes.fromhex("0f05")
RBX = 0x1111_0000_1111  # what CMPXCHG stores


@dataclass(frozen=True)
class Instruction:
    text: str
    code: bytes
    kind: int = 0
    """What it does with the word at RSI."""

    @property
    def word(self) -> int:
        return int.from_bytes((self.code + SYSCALL).ljust(8, b"\xcc"), "little")


NOTHING = Instruction("", b"")
LOAD = Instruction("mov rax, [rsi]", bytes.fromhex("488b06"), READ)
STORE = Instruction("mov [rsi], rax", bytes.fromhex("488906"), WRITE)
ADD = Instruction("add [rsi], rax", bytes.fromhex("480106"), WRITE)
XCHG = Instruction("xchg [rsi], rax", bytes.fromhex("488706"), WRITE)
CMPXCHG = Instruction("lock cmpxchg [rsi], rbx", bytes.fromhex("f0480fb11e"), WRITE)
PUSH = Instruction("push rax", bytes.fromhex("50"), WRITE)  # RSP is RSI + 8
JUMP = Instruction("jmp rsi", bytes.fromhex("ffe6"))
INSTRUCTIONS = [NOTHING, LOAD, STORE, ADD, XCHG, CMPXCHG, PUSH, JUMP]
KNOWN = {instruction.word: instruction for instruction in INSTRUCTIONS}


@dataclass
class Outcome:
    """How a stay in a vmspace ends; `why` if the host could not resolve a fault."""

    trapno: int
    err: int
    addr: int
    rip: int
    rax: int
    why: str = field(default="", compare=False)


@dataclass
class Model:
    """A virtual kernel that keeps page tables in a file, and has it mapped at `ram`."""

    version: Version
    file: File
    ram: int
    files: dict[int, int] = field(default_factory=dict)
    """Descriptors of the file, and what they are open for."""
    spaces: dict[int, Space] = field(default_factory=dict)
    is_virtual_kernel: bool = False

    def __post_init__(self) -> None:
        self.own = Space(self.version)
        pages = self.file.size
        base = self.ram // PAGE
        whole = Mapping(base, base + pages, self.file, -self.ram, READ | WRITE, False)
        self.own.mappings.append(whole)

    def copy(self) -> "Model":
        """Return a model that may be changed, or thrown away, without this one."""
        known: dict[Memory, Memory] = {}

        def memory(old: Memory) -> Memory:
            if old not in known:
                new = known[old] = copy(old)
                new.pages = {index: bytearray(page) for index, page in old.pages.items()}
                new.below = None if old.below is None else memory(old.below)
            return known[old]

        def space(old: Space) -> Space:
            new = Space(self.version)
            new.mappings = [replace(m, memory=memory(m.memory)) for m in old.mappings]
            new.cached = {at: replace(t, where=memory(t.where)) for at, t in old.cached.items()}
            return new

        new = copy(self)
        file = memory(self.file)
        assert isinstance(file, File)
        new.file, new.own = file, space(self.own)
        new.spaces = {id: space(old) for id, old in self.spaces.items()}
        return new

    @property
    def every_space(self) -> list[Space]:
        return [self.own, *self.spaces.values()]

    def space(self, id: int | None) -> Space:
        """Return a vmspace, or the virtual kernel's own address space."""
        if id is None:
            return self.own
        if not self.is_virtual_kernel:
            raise Refused("EINVAL")
        if id not in self.spaces:
            raise Refused("ENOENT")
        return self.spaces[id]

    def create(self, id: int) -> int:
        self.is_virtual_kernel = True
        if id in self.spaces:
            raise Refused("EEXIST")
        self.spaces[id] = Space(self.version)
        return 0

    def destroy(self, id: int, inside: int | None = None) -> int:
        self.space(id)
        if id == inside:
            raise Refused("EBUSY")
        del self.spaces[id]
        return 0

    def mmap(
        self, id: int | None, addr: int, size: int, prot: int, flags: int, fd: int, pos: int
    ) -> int:
        """abi 6.9, for mappings at a fixed address."""
        space = self.space(id)
        if flags & ANON and (fd != -1 or pos != 0):
            raise Refused("EINVAL")
        if size == 0:
            raise Refused("EINVAL")
        if flags & VPAGETABLE and prot & (READ | WRITE) != READ | WRITE:
            raise Refused("EINVAL")
        within = pos % PAGE
        pos -= within
        pages = -(-(size + within) // PAGE)
        start = addr - within
        if start % PAGE or start < 0 or start + pages * PAGE > self.version.user_max:
            raise Refused("EINVAL")
        below = None
        if not flags & ANON:
            if fd not in self.files:
                raise Refused("EBADF")
            if prot & READ & ~self.files[fd]:
                raise Refused("EACCES")
            if flags & SHARED and prot & WRITE & ~self.files[fd]:
                raise Refused("EACCES")
            below = self.file
        first, last = start // PAGE, start // PAGE + pages
        taken = any(m.first < last and first < m.last for m in space.mappings)
        if flags & TRYFIXED and taken:
            raise Refused("ENOMEM")
        space.remove(first, last)
        if below is not None and flags & SHARED:
            memory = below
        else:
            memory = Memory(ENDLESS if flags & VPAGETABLE else pages, below)
        tabled = bool(flags & VPAGETABLE)
        space.mappings.append(Mapping(first, last, memory, pos - start, prot, tabled))
        return addr

    def truncate(self, length: int) -> int:
        self.file.truncate(length)
        for space in self.every_space:
            space.cached = {
                at: kept
                for at, kept in space.cached.items()
                if kept.where is not self.file or kept.index < self.file.size
            }
        return 0

    def run(self, id: int | None, rip: int, rsi: int, rax: int) -> Outcome:
        """Execute the word at `rip`, in the vmspace or natively, up to its SYSCALL or a fault."""
        space = self.space(id)
        try:
            for _ in range(3):  # jumps may lead to each other for ever
                here = space.access(rip, EXEC)
                at = rip % PAGE
                instruction = KNOWN.get(word(here.page, at)) if at % 8 == 0 else None
                if instruction is None or (instruction is PUSH and id is None):
                    raise Unpredictable  # natively the stack is where signals go
                if instruction is not JUMP:
                    break
                rip = rsi
            else:
                raise Unpredictable
            if instruction.kind:
                rax = self._operate(space, instruction, here, rip, rsi, rax)
        except Fault as fault:
            return Outcome(T_PAGEFLT, fault.err, fault.va, rip, rax, fault.why)
        rip += len(instruction.code) + len(SYSCALL)
        return Outcome(T_FAST_SYSCALL, SYSCALL_ERR, 0, rip, rax)

    def _operate(
        self, space: Space, what: Instruction, code: Translation, rip: int, rsi: int, rax: int
    ) -> int:
        """Do what the instruction does with memory; return RAX."""
        at = rip % PAGE
        pieces = space.pieces(rsi, 8, what.kind)
        if space.cached[rip // PAGE] is not code:
            # It has had its own page looked up again, and is fetched from there to be repeated.
            if len(pieces) > 1:
                raise Unpredictable  # which of the pages was it?
            code = space.access(rip, EXEC)
            if word(code.page, at) != what.word or space.cached.get(rsi // PAGE) is not code:
                raise Unpredictable  # it is another instruction, or faults once more
        if what is LOAD:
            return load(pieces)
        for place, low, high in pieces:
            if place.page is code.page and low < at + 8 and at < high:
                raise Unpredictable  # it writes over itself
        old = load(pieces)
        if what in (STORE, PUSH):
            store(pieces, rax)
        elif what is ADD:
            store(pieces, old + rax & U64)
        elif what is XCHG:
            store(pieces, rax)
            return old
        elif what is CMPXCHG and old == rax:
            store(pieces, RBX)
        elif what is CMPXCHG:
            return old
        return rax

    def copyout(self, va: int, value: int) -> None:
        """The host stores an aligned word for the virtual kernel."""
        try:
            store(self.own.pieces(va, 8, WRITE), value)
        except Fault:
            raise Refused("EFAULT") from None

    def copyin(self, va: int) -> int:
        try:
            return load(self.own.pieces(va, 8, READ))
        except Fault:
            raise Refused("EFAULT") from None
