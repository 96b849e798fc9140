"""Programs: from a file to an address space with a stack, ready to run.

A file that begins as ELF does is an ELF program; any other is a flat one (.bin), plain bytes.
Everything is checked before the address space is touched.
Follows sys/kern/imgact_elf.c, kern_exec.c and sys/platform/pc64/x86_64/machdep.c, but for this: the
"brand" that says which system a program was made for is not looked at, and the program headers
may be anywhere in the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from os import fsencode, fspath, strerror
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO, NamedTuple

from emu.abi.exec import (
    ARG_MAX,
    AT_COUNT,
    EHDR_SIZE,
    EI_CLASS,
    EI_DATA,
    EI_VERSION,
    ELF_MAGIC,
    ELFCLASS32,
    ELFCLASS64,
    ELFDATA2LSB,
    ELFDATA2MSB,
    EM_X86_64,
    ET_DYN_LOAD_ADDR,
    EV_CURRENT,
    PHDR_SIZE,
    PS_STRINGS_SIZE,
    SPARE_USRSPACE,
    At,
    Elf64Ehdr,
    Elf64Phdr,
    ElfType,
    Pf,
    PsStrings,
    Pt,
)
from emu.abi.mman import PROT_ALL, Prot
from emu.abi.sigframe import sigcode
from emu.abi.x86 import (
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    PTES_PER_PAGE,
    RFLAGS_USER,
    USER_CS,
    USER_SS,
    round_page,
    trunc_page,
)
from emu.kern.proc import Kernel, Lwp, Proc
from emu.vm.vmspace import STACK_SIZE, Vmspace

_WORD = 8


class LoaderError(Exception):
    """The program cannot be run.  The message is one line that says which program and why."""


class LoadOptions(NamedTuple):
    """Where a flat program goes: it cannot say so itself.  ELF programs have no use for them."""

    load_addr: int = 0x400000
    entry: int | None = None
    """The first instruction; the first byte of the program unless given."""
    bss: int = 0x10000
    """Zeroed bytes that follow the program."""


class Image(NamedTuple):
    """What a new program's registers start from."""

    entry: int
    args: int
    """The address of argc, argv..., NULL, envp..., NULL, auxv: the lowest word of the stack."""


def load(
    proc: Proc,
    program: Path | bytes,
    argv: Sequence[bytes],
    envp: Sequence[bytes] = (),
    options: LoadOptions | None = None,
) -> Image:
    """Put `program` and its stack into `proc`'s empty address space.

    Raise LoaderError, with nothing changed, if the program or its arguments cannot be used.
    """
    name = "program" if isinstance(program, bytes) else fspath(program)
    argv = list(argv) or [fsencode(Path(name).name)]
    try:
        with _open(program) as stream:
            ready = prepare(proc.kernel, stream, argv[0], argv, envp, options or LoadOptions())
    except OSError as error:
        raise LoaderError(f"{name}: {strerror(error.errno or 0)}") from None
    except Unusable as problem:
        raise LoaderError(f"{name}: {problem}") from None
    return ready.place(proc.vmspace)


def prepare(
    kernel: Kernel,
    stream: BinaryIO,
    path: bytes,
    argv: Sequence[bytes],
    envp: Sequence[bytes],
    options: LoadOptions | None = None,
) -> "Ready":
    """Read a program and check everything about it.  Raise Unusable if it cannot be run.

    Without `options` it must be an ELF program.  `path` is what it is told of its own name.
    """
    plan = _plan(kernel, stream, options)
    stack = _Stack(kernel, plan, path, argv, envp)
    _check_memory(kernel, plan, stack)
    contents = [_read(stream, part.offset, part.file_size) for part in plan.parts]
    return Ready(plan, stack, contents)


class Ready:
    """A program that can be put into an address space."""

    def __init__(self, plan: "_Plan", stack: "_Stack", contents: list[bytes]) -> None:
        self._plan = plan
        self._stack = stack
        self._contents = contents
        self.data_size = plan.data_size
        self.total_size = sum(part.end - part.start for part in plan.parts)

    def place(self, space: Vmspace) -> Image:
        """Fill an empty address space.  Raise KernelError(ENOMEM) if memory runs out after all."""
        plan, stack = self._plan, self._stack
        space.map_stack(space.user_max - STACK_SIZE, space.user_max, PROT_ALL)
        for part, data in zip(plan.parts, self._contents, strict=True):
            space.map_anonymous(part.start, part.end)
            space.copyout(part.start, data)
            space.mprotect(part.start, part.end - part.start, part.prot)
        space.copyout(stack.args, stack.contents)
        space.text_start = plan.text_start
        space.data_start = plan.data_start
        space.data_size = plan.data_size
        return Image(plan.entry, stack.args)


def exec_setregs(lwp: Lwp, image: Image) -> None:
    """Give `lwp` the registers with which a program begins (abi 11)."""
    lwp.frame_bytes[:] = bytes(len(lwp.frame_bytes))
    lwp.bases_bytes[:] = bytes(len(lwp.bases_bytes))
    frame = lwp.frame
    frame.rip = image.entry
    frame.rsp = (image.args - _WORD & ~15) + _WORD  # as if the program had been called
    frame.rdi = image.args
    frame.rflags = RFLAGS_USER
    frame.cs = USER_CS
    frame.ss = USER_SS
    lwp.cpu.load()
    lwp.cpu.load_bases()
    lwp.cpu.fp_reset()


class Unusable(Exception):
    """Why a program cannot be run, without its name."""


class NoRoom(Unusable):
    """There is not enough memory for it."""


# What is to be loaded where


@dataclass(slots=True, eq=False)
class _Part:
    """Pages [start, end) that begin with `file_size` bytes of the file and go on with zeros."""

    start: int
    end: int
    prot: int
    offset: int
    file_size: int


@dataclass(slots=True, eq=False)
class _Plan:
    parts: list[_Part] = field(default_factory=list)
    entry: int = 0
    text_start: int = 0
    data_start: int = 0
    data_size: int = 0
    base: int = 0
    """What is added to the addresses in the file."""
    program_headers: tuple[tuple[At, int], ...] = ()


def _open(program: Path | bytes) -> BinaryIO:
    if isinstance(program, bytes):
        return BytesIO(program)
    try:
        mode = program.stat().st_mode  # first: to open a FIFO would be to wait
    except ValueError as error:
        raise Unusable(str(error)) from None
    if S_ISDIR(mode):
        raise Unusable("is a directory")
    if not S_ISREG(mode):
        raise Unusable("not a regular file")
    return program.open("rb")


def _plan(kernel: Kernel, stream: BinaryIO, options: LoadOptions | None) -> _Plan:
    size = stream.seek(0, 2)
    if size == 0:
        raise Unusable("the file is empty")
    if _read(stream, 0, min(len(ELF_MAGIC), size)) == ELF_MAGIC:
        return _plan_elf(kernel, stream, size)
    if options is None:
        raise Unusable("not an ELF program")
    return _plan_flat(kernel, size, options)


def _read(stream: BinaryIO, offset: int, size: int) -> bytes:
    stream.seek(offset)
    data = b""
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            raise Unusable("the file became shorter while it was read")
        data += more
    return data


def _plan_flat(kernel: Kernel, size: int, options: LoadOptions) -> _Plan:
    start = options.load_addr
    if start & PAGE_MASK:
        raise Unusable(f"the load address {start:#x} is not a multiple of {PAGE_SIZE}")
    if options.bss < 0:
        raise Unusable(f"a bss of {options.bss} bytes")
    end = round_page(start + size + options.bss)
    _check_place(kernel, start, end, "the program")
    entry = start if options.entry is None else options.entry
    if not start <= entry < start + size + options.bss:
        raise Unusable(f"the entry point {entry:#x} is outside the program")
    return _Plan(
        parts=[_Part(start, end, PROT_ALL, 0, size)],
        entry=entry,
        text_start=start,
        data_start=start,
        data_size=end - start,
    )


def _plan_elf(kernel: Kernel, stream: BinaryIO, size: int) -> _Plan:
    header = _elf_header(stream, size)
    segments = _program_headers(stream, size, header)
    plan = _Plan()
    loads = [segment for segment in segments if segment.p_type == Pt.LOAD]
    if header.e_type == ElfType.DYN and loads and loads[0].p_vaddr == 0:
        plan.base = ET_DYN_LOAD_ADDR
    entered = False
    headers_end = header.e_phoff + header.e_phnum * PHDR_SIZE
    headers_at = 0
    for number, segment in enumerate(segments):
        vaddr = segment.p_vaddr + plan.base
        if segment.p_type == Pt.PHDR:
            headers_at = vaddr
        if segment.p_type != Pt.LOAD or (segment.p_memsz == 0 and segment.p_filesz == 0):
            continue
        part = _segment(kernel, segment, vaddr, size, f"segment {number}")
        plan.parts.append(part)
        if segment.p_offset == 0 and headers_end <= segment.p_filesz:
            headers_at = vaddr + header.e_phoff
        if segment.p_vaddr <= header.e_entry < segment.p_vaddr + segment.p_memsz:
            entered = True
            plan.text_start = part.start
        else:
            plan.data_start, plan.data_size = part.start, part.end - part.start
    if not plan.parts:
        raise Unusable("there is no segment to load")
    _check_overlap(plan.parts)
    if not entered:
        raise Unusable(f"the entry point {header.e_entry:#x} is outside the program")
    plan.entry = header.e_entry + plan.base
    plan.program_headers = (
        (At.PHDR, headers_at),
        (At.PHENT, PHDR_SIZE),
        (At.PHNUM, header.e_phnum),
    )
    return plan


def _elf_header(stream: BinaryIO, size: int) -> Elf64Ehdr:
    if size < EHDR_SIZE:
        raise Unusable("truncated: the ELF header is not complete")
    header = Elf64Ehdr.from_buffer_copy(_read(stream, 0, EHDR_SIZE))
    ident = header.e_ident
    if ident[EI_CLASS] == ELFCLASS32:
        raise Unusable("a 32-bit program; only 64-bit ones run here")
    if ident[EI_DATA] == ELFDATA2MSB:
        raise Unusable("a big-endian program, not one for x86-64")
    if ident[EI_CLASS] != ELFCLASS64 or ident[EI_DATA] != ELFDATA2LSB:
        raise Unusable("the ELF header makes no sense")
    if header.e_machine != EM_X86_64:
        raise Unusable(f"a program for another machine (ELF machine {header.e_machine})")
    match header.e_type:
        case ElfType.EXEC | ElfType.DYN:
            pass
        case ElfType.REL:
            raise Unusable("an object file, not a program; link it first")
        case _:
            raise Unusable(f"not a program (ELF type {header.e_type})")
    if (
        ident[EI_VERSION] != EV_CURRENT
        or header.e_version != EV_CURRENT
        or header.e_ehsize != EHDR_SIZE
        or (header.e_phnum and header.e_phentsize != PHDR_SIZE)
    ):
        raise Unusable("the ELF header makes no sense")
    return header


def _program_headers(stream: BinaryIO, size: int, header: Elf64Ehdr) -> list[Elf64Phdr]:
    table_size = header.e_phnum * PHDR_SIZE
    if header.e_phoff + table_size > size:
        raise Unusable("truncated: the program headers lie past the end of the file")
    table = _read(stream, header.e_phoff, table_size)
    segments = [Elf64Phdr.from_buffer_copy(table, at) for at in range(0, table_size, PHDR_SIZE)]
    if any(segment.p_type == Pt.INTERP for segment in segments):
        raise Unusable("dynamically linked; link it with -static")
    return segments


def _segment(kernel: Kernel, segment: Elf64Phdr, vaddr: int, size: int, name: str) -> _Part:
    """Return the pages of a segment: load_section() in the original.

    Whole pages are taken from the file, so before the segment, and behind it unless it goes on with
    zeros, the pages show its neighbours in the file.
    """
    if segment.p_filesz > segment.p_memsz:
        raise Unusable(f"{name} is larger in the file than in memory")
    file_end = segment.p_offset + segment.p_filesz
    if segment.p_filesz and file_end > size:
        raise Unusable(f"truncated: {name} lies past the end of the file")
    start, end = trunc_page(vaddr), round_page(vaddr + segment.p_memsz)
    _check_place(kernel, start, end, name)
    part = _Part(start, end, _prot(segment.p_flags), 0, 0)
    if segment.p_filesz:
        if (segment.p_offset - vaddr) & PAGE_MASK:
            raise Unusable(f"{name} lies differently in its pages in memory and in the file")
        if segment.p_filesz == segment.p_memsz:
            file_end = min(round_page(file_end), size)
        part.offset = trunc_page(segment.p_offset)
        part.file_size = file_end - part.offset
    return part


def _prot(flags: int) -> int:
    prot = Prot.NONE
    if flags & Pf.R:
        prot |= Prot.READ
    if flags & Pf.W:
        prot |= Prot.WRITE
    if flags & Pf.X:
        prot |= Prot.EXEC
    return prot


def _check_place(kernel: Kernel, start: int, end: int, name: str) -> None:
    limit = kernel.abi.user_max - STACK_SIZE
    if start < 0 or end > limit:
        raise Unusable(f"{name} does not fit below the stack: {start:#x}-{end:#x}")


def _check_overlap(parts: Sequence[_Part]) -> None:
    """The original refuses to map a page twice, even if the bytes in it do not collide."""
    end = 0
    for part in sorted(parts, key=lambda part: part.start):
        if part.start < end:
            raise Unusable(f"two segments share the page at {part.start:#x}")
        end = part.end


# The stack


class _Stack:
    """The strings and vectors of a new program, up to the end of its address space.

    From the top: ps_strings, signal trampoline, path of the program, spare bytes, strings,
    vectors.  See exec_copyout_strings(); its random gap above the strings is left out.
    """

    def __init__(
        self,
        kernel: Kernel,
        plan: _Plan,
        path: bytes,
        argv: Sequence[bytes],
        envp: Sequence[bytes],
    ) -> None:
        strings = b"".join(string + b"\0" for string in (*argv, *envp))
        if strings.count(0) != len(argv) + len(envp):
            raise Unusable("an argument or environment string contains a NUL")
        if len(strings) > ARG_MAX:
            raise Unusable(f"more than {ARG_MAX} bytes of arguments and environment")
        path += b"\0"
        end = kernel.abi.user_max
        ps_strings = end - PS_STRINGS_SIZE
        trampoline = sigcode(kernel.abi.sigframe)
        trampoline_at = ps_strings - len(trampoline)
        path_at = trampoline_at - len(path)
        strings_at = (
            trampoline_at - SPARE_USRSPACE - _round_word(len(path)) - _round_word(len(strings))
        )
        # The original leaves room for every tag it knows, and a word for each byte of the path.
        room = len(argv) + 1 + len(envp) + 1 + 2 * AT_COUNT + len(path)
        vectors = strings_at - _WORD * room
        envp_at = vectors + _WORD * (len(argv) + 1)
        auxv = (
            *plan.program_headers,
            (At.PAGESZ, PAGE_SIZE),
            (At.FLAGS, 0),
            (At.ENTRY, plan.entry),
            (At.BASE, plan.base),
            (At.EXECPATH, path_at),
            (At.OSRELDATE, kernel.abi.osreldate),
            (At.NULL, 0),
        )
        pointers = _pointers(strings_at, (*argv, *envp))
        words = [
            len(argv),
            *pointers[: len(argv)],
            0,
            *pointers[len(argv) :],
            0,
            *(word for pair in auxv for word in pair),
        ]
        self.args = vectors - _WORD
        """Where argc is."""
        self.contents = bytearray(end - self.args)
        """Everything from there on."""
        self._put(self.args, b"".join(word.to_bytes(_WORD, "little") for word in words))
        self._put(strings_at, strings)
        self._put(path_at, path)
        self._put(trampoline_at, trampoline)
        self._put(ps_strings, bytes(PsStrings(vectors, len(argv), envp_at, len(envp))))

    def _put(self, va: int, data: bytes) -> None:
        at = va - self.args
        self.contents[at : at + len(data)] = data


def _pointers(va: int, strings: Sequence[bytes]) -> list[int]:
    """Return where each string is, one behind the other from `va` on."""
    pointers = []
    for string in strings:
        pointers.append(va)
        va += len(string) + 1
    return pointers


def _round_word(size: int) -> int:
    return -(-size // _WORD) * _WORD


def _check_memory(kernel: Kernel, plan: _Plan, stack: _Stack) -> None:
    """A program that does not fit is refused now; zeros cost nothing until they are touched."""
    phys = kernel.phys
    sizes = [part.file_size for part in plan.parts] + [len(stack.contents)]
    need = sum(_footprint(size) for size in sizes)
    free = phys.size - PAGE_SIZE - phys.used
    if need > free:
        raise NoRoom(f"needs {need >> 10} KiB of memory; {free >> 10} KiB are free")


def _footprint(size: int) -> int:
    """Return the most bytes of memory that `size` bytes in one piece can take, tables included."""
    pages = (size + PAGE_MASK >> PAGE_SHIFT) + 1
    tables = (pages // PTES_PER_PAGE + 2) + 2 + 2
    return (pages + tables) * PAGE_SIZE
