"""The emulator's side: a virtual kernel that does what it is told."""

from conftest import LOAD_ADDRESS, NUMBERS, Booted, call, step
from test_fuzz import give_cpu

from emu import trap
from emu.abi.errno import Errno
from emu.abi.fcntl import Open
from emu.abi.frames import Trapframe, Vextframe
from emu.abi.sigframe import SigactionStruct
from emu.abi.signal import SaFlag
from emu.abi.structs import LwpParams
from emu.abi.versions import VERSIONS
from emu.cpu.engine import Exit
from emu.kern.proc import Lwp
from model.layout import IMAGE_PAGES, ISLAND, RAM, RO_FILE, RW_FILE, island
from model.specification import (
    FIXED,
    PAGE,
    RBX,
    READ,
    SHARED,
    SIGBUS,
    SIGSEGV,
    T_PAGEFLT,
    WRITE,
    Outcome,
)
from syscalls.table import dispatch

PATH = LOAD_ADDRESS + 0x1000
TFRAME, VFRAME = LOAD_ADDRESS + 0x2000, LOAD_ADDRESS + 0x3000
SCRATCH = LOAD_ADDRESS + 0x4000
OTHERS_STACK = LOAD_ADDRESS + 0x10000
MOST_FAULTS = 20
"""Of one instruction, which lies in one page or two, as its operand does."""
FOR_EVER = "faults for ever"


class Host:
    def __init__(self, abi: str) -> None:
        self.booted = Booted(bytes(ISLAND) + island(), abi=VERSIONS[abi], memory=16 << 20)
        lwp = self.lwp = self.booted.lwp
        self.space = lwp.vmspace
        self.stack = lwp.frame.rsp
        self.trampoline = lwp.proc.kernel.abi.user_max - PAGE
        self.other: Lwp | None = None
        self.space.copyout(PATH, b"image\0")
        self.space.copyout(VFRAME, bytes(Vextframe()))
        assert self.call("open", PATH, Open.RDWR | Open.CREAT, 0o600) == RW_FILE
        assert self.call("open", PATH, Open.RDONLY, 0) == RO_FILE
        assert self.call("ftruncate", RW_FILE, 0, IMAGE_PAGES * PAGE) == 0
        for page in range(IMAGE_PAGES):
            self.plant(page)
        assert (
            self.call("mmap", RAM, IMAGE_PAGES * PAGE, READ | WRITE, SHARED | FIXED, RW_FILE, 0, 0)
            == RAM
        )
        action = SigactionStruct(sa_handler=1 << 20, sa_flags=SaFlag.SIGINFO | SaFlag.NODEFER)
        self.space.copyout(SCRATCH, bytes(action))
        for signal in (SIGBUS, SIGSEGV):
            assert self.call("sigaction", signal, SCRATCH, 0) == 0
        self.image = lwp.proc.files.get(RW_FILE).node

    def call(self, name: str, *args: int) -> int | str:
        result = call(self.lwp, name, *args)
        return result.name if isinstance(result, Errno) else result

    def plant(self, page: int) -> None:
        """Write the instructions into a page of the image."""
        at = page * PAGE + ISLAND
        code = LOAD_ADDRESS + ISLAND
        assert self.call("extpwrite", RW_FILE, code, len(island()), 0, at) == len(island())

    def enter(self, id: int, rip: int, rsi: int, rax: int) -> str | None:
        """Call vmspace_ctl; return the error, if it is refused."""
        registers = Trapframe(rip=rip, rsi=rsi, rax=rax, rbx=RBX, rsp=rsi + 8, rflags=0x202)
        self.space.copyout(TFRAME, bytes(registers))
        frame = self.lwp.frame
        frame.rip, frame.rsp, frame.rflags = LOAD_ADDRESS, self.stack, 0x202
        frame.rax = NUMBERS["vmspace_ctl"]
        frame.rdi, frame.rsi, frame.rdx, frame.rcx = id, 1, TFRAME, VFRAME
        dispatch(self.lwp)
        return None if self.lwp.inside else Errno(frame.rax).name

    def leave(self) -> Outcome | str:
        """Let the guest run until it is back."""
        for _ in range(MOST_FAULTS):
            if not self.lwp.inside:
                break
            step(self.lwp)
        else:
            return FOR_EVER
        assert (self.lwp.frame.rax, self.lwp.frame.rflags & 1) == (0, 0)
        return outcome(Trapframe.from_buffer_copy(self.space.copyin(TFRAME, 200)))

    def run(self, id: int, rip: int, rsi: int, rax: int) -> Outcome | str:
        return self.enter(id, rip, rsi, rax) or self.leave()

    def run_natively(self, rip: int, rsi: int, rax: int) -> tuple[Outcome, tuple[int, int]] | str:
        """Run up to a SYSCALL, which is not made, or to a signal: its number and code."""
        lwp, frame = self.lwp, self.lwp.frame
        frame.rip, frame.rsp, frame.rflags = rip, self.stack, 0x202
        frame.rsi, frame.rax, frame.rbx = rsi, rax, RBX
        lwp.cpu.load()
        for _ in range(MOST_FAULTS):
            if (reason := lwp.cpu.run(self.space.pmap.cr3)) is Exit.SYSCALL:
                return outcome(frame), (0, 0)
            trap.handle(lwp, reason)
            if frame.rip >= self.trampoline:
                kind = lwp.proc.kernel.abi.sigframe.UCONTEXT
                ucontext = self.space.copyin_struct(frame.rdx, kind)
                code = int.from_bytes(self.space.copyin(frame.rsi + 8, 4), "little")
                return outcome(ucontext.uc_mcontext.mc_frame), (frame.rdi, code)
        return FOR_EVER

    def while_inside(self, id: int, rip: int, name: str, *args: int) -> int | str:
        """Have another LWP make a call while the first is in the vmspace, and has not run yet."""
        lwp = self.lwp
        if self.other is None:
            self.space.copyout(SCRATCH, bytes(LwpParams(LOAD_ADDRESS, 0, OTHERS_STACK)))
            assert self.call("lwp_create", SCRATCH) == 0
            self.other = lwp.proc.lwps[1]
        assert self.enter(id, rip, 0, 0) is None
        give_cpu(self.other)
        result = call(self.other, name, *args)
        give_cpu(lwp)
        return result.name if isinstance(result, Errno) else result

    def contents(self) -> bytes:
        """Return the image, without leaving a mark anywhere."""
        return self.image.read(0, IMAGE_PAGES * PAGE)

    def private(self, id: int | None, page: int) -> dict[int, bytes]:
        """Return the pages of the memory behind an address, which is no file."""
        space = self.space
        if id is not None:
            assert self.lwp.proc.vkernel is not None
            space = self.lwp.proc.vkernel.find(id).vmspace
        entry = space.map.lookup(page * PAGE)
        assert entry is not None
        phys = self.lwp.proc.kernel.phys
        return {at: bytes(phys.page(pa)) for at, pa in entry.object.pages.items()}


def outcome(frame: Trapframe) -> Outcome:
    addr = frame.addr if frame.trapno == T_PAGEFLT else 0
    return Outcome(frame.trapno, frame.err, addr, frame.rip, frame.rax)
