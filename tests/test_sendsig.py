"""Signal delivery and the way back from a handler (abi 4.4-4.7, 7.7, 7.9)."""

from collections.abc import Callable
from struct import pack, unpack_from

import pytest
from conftest import LOAD_ADDRESS, NUMBERS, Booted, call, step

from emu import trap
from emu.abi.errno import Errno
from emu.abi.event import Note
from emu.abi.frames import TRAPFRAME_FIELDS
from emu.abi.signal import SIG_DFL, SIG_IGN, SaFlag, Signal, SsFlag
from emu.abi.versions import ABI_2011, ABI_2014, ABI_2020, VERSIONS, AbiVersion
from emu.abi.vkernel import Trap
from emu.kern.proc import Lwp
from emu.kern.sched import Blocking, LwpState, Sleep
from emu.kern.sendsig import cursig, trapsignal, userret
from emu.kern.sigacts import ALL, SigAction, bit, set_of
from emu.kern.signal import ksignal, lwpsignal, proc_stop
from syscalls import table

Boot = Callable[..., Booted]

HANDLER = LOAD_ADDRESS + 0x100
SCRATCH = LOAD_ADDRESS + 0x2000  # in the program's zeroed memory
ALTSTACK = LOAD_ADDRESS + 0x4000
ALTSTACK_SIZE = 0x3000
UNMAPPED = 0xDEAD0000
USR1, USR2, SEGV = 30, 31, 11
EINVAL, EFAULT, EINTR = 22, 14, 4

each_abi = pytest.mark.parametrize("abi", VERSIONS.values(), ids=VERSIONS)

SIZES = {
    # frame, ucontext, mcontext, siginfo, fpregs: where they begin; the sizes of frame, mcontext
    "2011": (8, 0x10, 0x380, 0xE8, 976, 808),
    "2014": (64, 0x40, 1472, 0x100, 1600, 1280),
    "2020": (64, 0x40, 1472, 0x100, 1600, 1280),
}


class Frame:
    """A signal frame in memory, read with literal offsets."""

    def __init__(self, lwp: Lwp) -> None:
        abi = lwp.proc.kernel.abi.name
        self.uc_at, mc_at, si_at, fp_at, size, self.mc_size = SIZES[abi]
        self.at = lwp.frame.rsp
        self.raw = lwp.proc.vmspace.copyin(self.at, size)
        self.uc = self.raw[self.uc_at :]
        self.mc = self.uc[mc_at:]
        self.si = self.raw[si_at : si_at + 80]
        self.fp = self.mc[fp_at : fp_at + 512]
        self.fp_at = fp_at
        self.after_mc = self.mc[self.mc_size :]

    def register(self, name: str) -> int:
        return unpack_from("<Q", self.mc, 8 + 8 * TRAPFRAME_FIELDS.index(name))[0]

    @property
    def mask(self) -> int:
        return int.from_bytes(self.uc[:16], "little")


def catch(lwp: Lwp, signal: int, flags: int = 0, mask: int = 0, handler: int = HANDLER) -> None:
    lwp.proc.vmspace.copyout(
        SCRATCH, pack("<Qi", handler, flags) + mask.to_bytes(16, "little") + bytes(4)
    )
    assert call(lwp, "sigaction", signal, SCRATCH, 0) == 0


def deliver(lwp: Lwp, signal: int) -> Frame:
    """Send a signal to the process, whose LWP is on its way back to its program."""
    ksignal(lwp.proc, signal)
    userret(lwp)
    return Frame(lwp)


def fill(lwp: Lwp) -> dict[str, int]:
    """Give every register a value of its own; return them."""
    frame = lwp.frame
    for at, name in enumerate(TRAPFRAME_FIELDS):
        if name not in ("cs", "ss", "rflags", "rsp"):
            setattr(frame, name, 0x0101010101010101 * (at + 1))
    frame.cs, frame.ss, frame.rflags = 0x2B, 0x23, 0x200ED7
    frame.rsp -= 0x1008  # whatever that is a multiple of
    frame.trapno, frame.err, frame.xflags = 12, 6, 0
    return {name: getattr(frame, name) for name in TRAPFRAME_FIELDS}


def run_to_handler(lwp: Lwp) -> None:
    """Let the program run until a signal handler is called."""
    before = lwp.proc.usage.signals
    while lwp.proc.usage.signals == before:
        step(lwp)


def sigreturn(lwp: Lwp, frame: Frame) -> None:
    """Make the call as the trampoline does."""
    lwp.frame.rax, lwp.frame.rdi = NUMBERS["sigreturn"], frame.at + frame.uc_at
    table.dispatch(lwp)


def refused_sigreturn(lwp: Lwp, frame: Frame) -> int | Errno:
    return call(lwp, "sigreturn", frame.at + frame.uc_at)


# The frame


@each_abi
def test_the_frame_holds_everything_at_its_place(boot: Boot, abi: AbiVersion) -> None:
    lwp = boot(abi=abi).lwp
    catch(lwp, USR1, SaFlag.SIGINFO)
    lwp.sigmask = set_of(1, 64, 100)
    registers = fill(lwp)
    frame = deliver(lwp, USR1)
    uc_at, _, si_at, fp_at, size, mc_size = SIZES[abi.name]
    assert unpack_from("<Q", frame.raw, 0) == (HANDLER,)
    assert frame.mask == set_of(1, 64, 100)
    assert unpack_from("<Q", frame.mc, 0) == (0,)  # mc_onstack
    assert {name: frame.register(name) for name in TRAPFRAME_FIELDS} == registers
    # mc_len, mc_fpformat XMM, mc_ownedfp FPU, reserved and unused
    assert unpack_from("<IIII", frame.mc, 208) == (mc_size, 0x10002, 0x20001, 0)
    assert frame.mc[224:fp_at] == bytes(fp_at - 224)
    assert frame.mc[fp_at + 512 : mc_size] == bytes(mc_size - fp_at - 512)
    # uc_link, uc_stack: no alternate stack; spare
    assert frame.after_mc[:64] == pack("<QQQi", 0, 0, 0, SsFlag.DISABLE) + bytes(36)
    # signo, errno, code, pid, uid, status, addr, value, band, spare
    assert frame.si == pack("<6iQ", USR1, 0, 0, 0, 0, 0, registers["addr"]) + bytes(48)
    # Nothing else is in it.
    gaps = bytearray(frame.raw)
    gaps[:8] = bytes(8)
    gaps[uc_at : uc_at + 16] = bytes(16)
    mc_at = len(frame.raw) - len(frame.mc)
    gaps[mc_at : mc_at + mc_size] = bytes(mc_size)
    gaps[mc_at + mc_size : mc_at + mc_size + 64] = bytes(64)
    gaps[si_at : si_at + 80] = bytes(80)
    assert gaps == bytes(size)


@each_abi
@pytest.mark.parametrize("siginfo", [False, True], ids=["plain", "siginfo"])
def test_what_the_handler_starts_with(boot: Boot, abi: AbiVersion, siginfo: bool) -> None:
    """It is called by the trampoline: RDI the signal, RSI its code or siginfo, RDX the ucontext,
    RCX the address."""
    lwp = boot(abi=abi).lwp
    catch(lwp, USR1, SaFlag.SIGINFO if siginfo else 0)
    registers = fill(lwp)
    deliver(lwp, USR1)
    uc_at, _, si_at, _, size, _ = SIZES[abi.name]
    now = lwp.frame
    at = (registers["rsp"] - 128 - size) & ~15
    assert now.rsp == at
    assert now.rip == abi.user_max - 32 - 32
    assert (now.rdi, now.rdx) == (USR1, at + uc_at)
    assert now.rsi == (at + si_at if siginfo else 0)
    assert now.rcx == registers["addr"]
    assert (now.cs, now.ss) == (0x2B, 0x23)
    assert now.rflags == 0x200ED7 & ~0x500  # without T and D
    for name in ("rax", "rbx", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"):
        assert getattr(now, name) == registers[name]
    assert lwp.proc.vmspace.copyin(now.rip, 22) == bytes.fromhex(
        f"ff1424 488d7c24{uc_at:02x} 6a00 48c7c058010000 0f05 f4 ebfd"
    )


@each_abi
def test_the_frame_is_aligned_and_below_the_red_zone(boot: Boot, abi: AbiVersion) -> None:
    lwp = boot(abi=abi).lwp
    catch(lwp, USR1, SaFlag.NODEFER)
    aligned = (lwp.frame.rsp & ~15) - 0x1000
    for rsp in range(aligned, aligned + 16):
        lwp.proc.vmspace.copyout(rsp - 128, b"\xaa" * 128)
        lwp.frame.rsp = rsp
        frame = deliver(lwp, USR1)
        assert frame.at % 16 == 0
        assert 0 <= rsp - 128 - SIZES[abi.name][4] - frame.at < 16
        assert lwp.proc.vmspace.copyin(rsp - 128, 128) == b"\xaa" * 128


@each_abi
def test_a_fault_is_told_with_its_code_and_address(boot: Boot, abi: AbiVersion) -> None:
    source = f"mov ebx, {UNMAPPED}\nmov eax, 7\nmov ecx, [rbx]\n"
    lwp = boot(source, abi=abi).lwp
    catch(lwp, SEGV, SaFlag.SIGINFO)
    run_to_handler(lwp)
    frame = Frame(lwp)
    assert unpack_from("<6iQ", frame.si) == (SEGV, 0, 1, 0, 0, 0, UNMAPPED)
    assert (frame.register("trapno"), frame.register("err")) == (Trap.PAGEFLT, 4)
    assert (frame.register("addr"), frame.register("rax")) == (UNMAPPED, 7)
    assert frame.register("rip") == LOAD_ADDRESS + 10
    assert lwp.frame.rcx == UNMAPPED


@each_abi
def test_a_handler_without_siginfo_gets_the_code_itself(boot: Boot, abi: AbiVersion) -> None:
    lwp = boot("ud2", abi=abi).lwp
    catch(lwp, Signal.ILL)
    run_to_handler(lwp)
    assert lwp.frame.rsi == 5  # ILL_PRVOPC
    frame = Frame(lwp)
    assert frame.si == bytes(80)


@each_abi
def test_signals_of_all_numbers_are_delivered(boot: Boot, abi: AbiVersion) -> None:
    lwp = boot(abi=abi).lwp
    for signal in set(range(1, 129)) - {9, 17}:
        catch(lwp, signal, SaFlag.SIGINFO)
        frame = deliver(lwp, signal)
        assert (lwp.frame.rdi, frame.si[0]) == (signal, signal)
        assert lwp.sigmask == bit(signal)
        sigreturn(lwp, frame)
        assert lwp.sigmask == 0


def test_a_frame_has_the_registers_as_the_system_call_left_them(boot: Boot) -> None:
    """Later versions take a fast way back, which spoils registers, but not when a signal comes."""
    for abi in (ABI_2014, ABI_2020):
        source = f"SYSCALL SYS_getpid\nSYSCALL SYS_kill, rax, {USR1}, 0, 5\nnop"
        lwp = boot(source, abi=abi).lwp
        catch(lwp, USR1)
        run_to_handler(lwp)
        frame = Frame(lwp)
        assert (frame.register("rax"), frame.register("rcx")) == (0, 5)  # slot rcx: r10
        assert not lwp.returns_fast


# Masks


def test_the_handlers_mask(lwp: Lwp) -> None:
    """What was masked, what sa_mask says, and the signal itself, until sigreturn."""
    lwp.sigmask = bit(1)
    catch(lwp, USR1, mask=set_of(2, 9, 17, 128))
    frame = deliver(lwp, USR1)
    assert lwp.sigmask == set_of(1, 2, 128, USR1)
    assert frame.mask == bit(1)
    sigreturn(lwp, frame)
    assert lwp.sigmask == bit(1)


def test_nodefer_leaves_the_signal_itself_alone(lwp: Lwp) -> None:
    catch(lwp, USR1, SaFlag.NODEFER, mask=bit(2))
    deliver(lwp, USR1)
    assert lwp.sigmask == bit(2)
    first = lwp.frame.rsp
    deliver(lwp, USR1)
    assert lwp.frame.rsp < first


def test_resethand_forgets_the_handler(lwp: Lwp) -> None:
    catch(lwp, Signal.IO, SaFlag.RESETHAND | SaFlag.SIGINFO)
    deliver(lwp, Signal.IO)
    action = lwp.proc.sigacts.get(Signal.IO)
    assert (action.handler, action.flags) == (SIG_DFL, SaFlag.RESETHAND | SaFlag.SIGINFO)
    assert lwp.proc.sigacts.ignored & bit(Signal.IO)


def test_a_fault_forgets_the_handler_likewise(boot: Boot) -> None:
    lwp = boot("ud2").lwp
    catch(lwp, Signal.ILL, SaFlag.RESETHAND)
    run_to_handler(lwp)
    assert lwp.proc.sigacts.get(Signal.ILL).handler == SIG_DFL


def test_several_signals_are_delivered_one_inside_the_other_the_lowest_first(lwp: Lwp) -> None:
    for signal in (USR2, USR1, 1):
        catch(lwp, signal, SaFlag.SIGINFO)
        ksignal(lwp.proc, signal)
    userret(lwp)
    outer = []
    for _ in range(3):
        frame = Frame(lwp)
        outer.append(frame.si[0])
        sigreturn(lwp, frame)
    assert outer == [USR2, USR1, 1]


def test_a_masked_signal_waits_for_its_turn(lwp: Lwp) -> None:
    catch(lwp, USR1)
    lwp.sigmask = bit(USR1)
    rsp = lwp.frame.rsp
    ksignal(lwp.proc, USR1)
    userret(lwp)
    assert (lwp.frame.rsp, lwp.proc.pending) == (rsp, bit(USR1))
    lwp.sigmask = 0
    userret(lwp)
    assert (lwp.frame.rdi, lwp.proc.pending) == (USR1, 0)


def test_a_signal_in_both_sets_is_delivered_once(lwp: Lwp) -> None:
    catch(lwp, USR1)
    lwp.pending = lwp.proc.pending = bit(USR1)
    userret(lwp)
    assert (lwp.pending, lwp.proc.pending, lwp.proc.usage.signals) == (0, 0, 1)


def test_what_is_noted_when_a_signal_is_acted_upon(lwp: Lwp) -> None:
    noted: list[tuple[int, int]] = []
    lwp.proc.watchers.append(lambda note, data: noted.append((note, data)))
    catch(lwp, USR1)
    deliver(lwp, USR1)
    assert noted == [(Note.SIGNAL, USR1)]


# The code of a fault that has to wait


def fault(lwp: Lwp, signal: int, code: int) -> None:
    trapsignal(lwp, signal, code, "for a test")


def test_a_masked_fault_keeps_its_code(lwp: Lwp) -> None:
    catch(lwp, SEGV)
    lwp.sigmask = bit(SEGV)
    fault(lwp, SEGV, 2)
    assert lwp.pending == bit(SEGV)
    lwp.sigmask = 0
    userret(lwp)
    assert (lwp.frame.rdi, lwp.frame.rsi) == (SEGV, 2)


def test_another_handler_or_fault_meanwhile_does_not_change_that(lwp: Lwp) -> None:
    catch(lwp, SEGV)
    catch(lwp, USR1)
    catch(lwp, Signal.ILL)
    lwp.sigmask = bit(SEGV)
    fault(lwp, SEGV, 2)
    deliver(lwp, USR1)
    assert lwp.frame.rsi == 0
    fault(lwp, Signal.ILL, 5)
    assert (lwp.frame.rdi, lwp.frame.rsi) == (Signal.ILL, 5)
    lwp.sigmask = 0
    userret(lwp)
    assert (lwp.frame.rdi, lwp.frame.rsi) == (SEGV, 2)


def test_the_code_is_good_for_one_delivery(lwp: Lwp) -> None:
    catch(lwp, SEGV, SaFlag.NODEFER)
    lwp.sigmask = bit(SEGV)
    fault(lwp, SEGV, 2)
    lwp.sigmask = 0
    userret(lwp)
    deliver(lwp, SEGV)
    assert (lwp.frame.rdi, lwp.frame.rsi) == (SEGV, 0)


# The alternate stack


def set_altstack(lwp: Lwp, sp: int = ALTSTACK, size: int = ALTSTACK_SIZE, flags: int = 0) -> None:
    lwp.proc.vmspace.copyout(SCRATCH, pack("<QQii", sp, size, flags, 0))
    assert call(lwp, "sigaltstack", SCRATCH, 0) == 0


@each_abi
def test_onstack_puts_the_frame_on_the_alternate_stack(boot: Boot, abi: AbiVersion) -> None:
    """Its whole size is used: there is no red zone on it."""
    lwp = boot(abi=abi).lwp
    set_altstack(lwp)
    catch(lwp, USR1, SaFlag.ONSTACK)
    frame = deliver(lwp, USR1)
    assert frame.at == (ALTSTACK + ALTSTACK_SIZE - SIZES[abi.name][4]) & ~15
    assert lwp.altstack.in_use
    # As it was before: not in use.
    assert frame.after_mc[8:32] == pack("<QQii", ALTSTACK, ALTSTACK_SIZE, 0, 0)
    assert frame.mc[:8] == bytes(8)


def test_a_handler_inside_a_handler_stays_on_the_alternate_stack(lwp: Lwp) -> None:
    set_altstack(lwp)
    rsp = lwp.frame.rsp
    catch(lwp, USR1, SaFlag.ONSTACK)
    catch(lwp, USR2, SaFlag.ONSTACK)
    outer = deliver(lwp, USR1)
    inner = deliver(lwp, USR2)
    assert inner.at == (outer.at - 128 - 976) & ~15
    assert inner.mc[:8] == pack("<Q", 1)
    assert inner.after_mc[8:32] == pack("<QQii", ALTSTACK, ALTSTACK_SIZE, SsFlag.ONSTACK, 0)
    sigreturn(lwp, inner)
    assert (lwp.altstack.in_use, lwp.frame.rsp) == (True, outer.at)
    sigreturn(lwp, outer)
    assert (lwp.altstack.in_use, lwp.frame.rsp) == (False, rsp)


def test_a_handler_that_does_not_ask_for_it_stays_where_it_is(lwp: Lwp) -> None:
    set_altstack(lwp)
    catch(lwp, USR1)
    rsp = lwp.frame.rsp
    frame = deliver(lwp, USR1)
    assert rsp - 2000 < frame.at < rsp
    assert not lwp.altstack.in_use


def test_an_alternate_stack_that_is_switched_off_is_not_used(lwp: Lwp) -> None:
    set_altstack(lwp)
    set_altstack(lwp, flags=SsFlag.DISABLE)
    catch(lwp, USR1, SaFlag.ONSTACK)
    rsp = lwp.frame.rsp
    assert rsp - 2000 < deliver(lwp, USR1).at < rsp


# FP state


def fp_of(lwp: Lwp) -> tuple[int, int, bytes]:
    state = lwp.cpu.fp_save()
    return *unpack_from("<H22xI", state), state[160:176]  # type: ignore[return-value]


@each_abi
def test_a_handler_starts_with_a_fresh_fp_unit_and_sigreturn_restores_it(
    boot: Boot, abi: AbiVersion
) -> None:
    lwp = boot(abi=abi).lwp
    catch(lwp, USR1)
    state = bytearray(lwp.cpu.fp_save())
    state[0:2] = b"\x7f\x03"  # CW: extended precision
    state[24:28] = pack("<I", 0x9F80)  # MXCSR: flush to zero
    state[160:176] = b"sixteen bytes..."
    lwp.cpu.fp_restore(bytes(state))
    before = lwp.cpu.fp_save()
    frame = deliver(lwp, USR1)
    assert frame.fp == before
    assert fp_of(lwp) == (0x127F, 0x1F80, bytes(16))
    sigreturn(lwp, frame)
    assert fp_of(lwp) == (0x037F, 0x9F80, b"sixteen bytes...")
    assert lwp.cpu.fp_save() == before


@each_abi
def test_a_handler_may_change_the_fp_state_that_is_restored(boot: Boot, abi: AbiVersion) -> None:
    lwp = boot(abi=abi).lwp
    catch(lwp, USR1)
    frame = deliver(lwp, USR1)
    at = frame.at + len(frame.raw) - len(frame.mc) + frame.fp_at
    lwp.proc.vmspace.copyout(at + 160, b"from the handler")
    sigreturn(lwp, frame)
    assert fp_of(lwp)[2] == b"from the handler"


@pytest.mark.parametrize(
    ("owned", "xmm0"),
    [
        (0x20000, bytes(16)),  # nobody: a fresh state
        (0x20001, b"of the program.."),
        (0x20002, b"of the program.."),
        (0, b"of the handler.."),  # nothing that means anything: what there is
    ],
)
def test_whose_the_fp_state_is_says_the_frame(lwp: Lwp, owned: int, xmm0: bytes) -> None:
    def set_xmm0(value: bytes) -> None:
        state = bytearray(lwp.cpu.fp_save())
        state[160:176] = value
        lwp.cpu.fp_restore(bytes(state))

    catch(lwp, USR1)
    set_xmm0(b"of the program..")
    frame = deliver(lwp, USR1)
    set_xmm0(b"of the handler..")
    lwp.proc.vmspace.copyout(frame.at + 8 + 16 + 216, pack("<I", owned))
    sigreturn(lwp, frame)
    assert fp_of(lwp)[2] == xmm0


WRONG_MXCSR = "movq xmm1, rax\nnop"


def test_mxcsr_bits_that_do_not_exist_are_left_out_and_punished_at_the_first_use(
    boot: Boot,
) -> None:
    """The original looks at them when the FP unit is needed again (npxdna)."""
    lwp = boot("nop\nnop\n" + WRONG_MXCSR).lwp
    catch(lwp, USR1)
    catch(lwp, Signal.FPE)
    rip = lwp.frame.rip
    frame = deliver(lwp, USR1)
    at = frame.at + len(frame.raw) - len(frame.mc) + frame.fp_at
    lwp.proc.vmspace.copyout(at + 24, pack("<I", 0xFFFF_1FC0))
    sigreturn(lwp, frame)
    userret(lwp)
    assert (lwp.frame.rip, fp_of(lwp)[1]) == (rip, 0x1F80)
    run_to_handler(lwp)
    frame = Frame(lwp)
    assert frame.register("rip") == rip + 2
    assert (lwp.frame.rsi, lwp.cpu.fp_trap) == (0, False)


def test_a_right_mxcsr_after_a_wrong_one_is_not_punished(lwp: Lwp) -> None:
    catch(lwp, USR1)
    frame = deliver(lwp, USR1)
    at = frame.at + len(frame.raw) - len(frame.mc) + frame.fp_at
    lwp.proc.vmspace.copyout(at + 24, pack("<I", 0xFFFF_0000))
    sigreturn(lwp, frame)
    assert lwp.cpu.fp_trap
    frame = deliver(lwp, USR1)
    assert not lwp.cpu.fp_trap  # the handler's own state is right
    sigreturn(lwp, frame)
    assert not lwp.cpu.fp_trap


# sigreturn


@each_abi
def test_sigreturn_restores_every_word(boot: Boot, abi: AbiVersion) -> None:
    lwp = boot(abi=abi).lwp
    catch(lwp, USR1)
    registers = fill(lwp)
    frame = deliver(lwp, USR1)
    for name in TRAPFRAME_FIELDS[:15]:
        setattr(lwp.frame, name, 1)
    sigreturn(lwp, frame)
    assert {name: getattr(lwp.frame, name) for name in TRAPFRAME_FIELDS} == registers
    assert not lwp.returns_fast


def test_sigreturn_takes_what_the_handler_wrote(lwp: Lwp) -> None:
    catch(lwp, USR1)
    frame = deliver(lwp, USR1)
    uc = frame.at + 8
    lwp.proc.vmspace.copyout(uc, b"\xff" * 16)  # the mask
    lwp.proc.vmspace.copyout(uc + 0x18 + 6 * 8, pack("<Q", 77))  # rax
    lwp.proc.vmspace.copyout(uc + 0x18 + 22 * 8, pack("<Q", 0x272FD7))  # flags, RF and VM too
    lwp.proc.vmspace.copyout(uc + 0x10, pack("<Q", 3))  # on the alternate stack
    before = lwp.frame.rflags
    assert before == 0x202
    assert call(lwp, "sigreturn", uc) is Errno.EINVAL  # IOPL is among those flags
    lwp.proc.vmspace.copyout(uc + 0x18 + 22 * 8, pack("<Q", 0x274FD7))
    lwp.frame.rflags = 0x202
    call(lwp, "sigreturn", uc)
    assert (lwp.frame.rax, lwp.frame.rflags) == (77, 0x274FD7)
    assert lwp.sigmask == ALL & ~set_of(9, 17)
    assert lwp.altstack.in_use


def state_of(lwp: Lwp) -> tuple[object, ...]:
    """Everything but what the call itself sets: rax, the arguments, the carry."""
    frame = {name: getattr(lwp.frame, name) for name in TRAPFRAME_FIELDS[1:] if name != "rax"}
    frame["rflags"] &= ~1
    altstack = lwp.altstack
    return (
        frame,
        lwp.sigmask,
        (altstack.sp, altstack.size, altstack.flags, altstack.enabled),
        lwp.cpu.fp_save(),
        lwp.proc.mailbox,
        lwp.cpu.fp_trap,
    )


@pytest.mark.parametrize(
    ("flags", "bit_name"),
    [(0x200, "I"), (0x2, "always 1"), (0x1000, "IOPL"), (0x80000, "VIF"), (1 << 40, "reserved")],
)
def test_sigreturn_refuses_flags_that_are_not_a_programs(
    lwp: Lwp, flags: int, bit_name: str
) -> None:
    catch(lwp, USR1)
    frame = deliver(lwp, USR1)
    wrong = 0x202 ^ flags
    lwp.proc.vmspace.copyout(frame.at + 8 + 0x18 + 22 * 8, pack("<Q", wrong))
    before = state_of(lwp)
    assert refused_sigreturn(lwp, frame) is Errno.EINVAL
    assert state_of(lwp) == before


def test_sigreturn_refuses_a_context_it_cannot_read(lwp: Lwp) -> None:
    catch(lwp, USR1)
    deliver(lwp, USR1)
    before = state_of(lwp)
    for at in (0, UNMAPPED, 1 << 47, (1 << 64) - 8):
        assert call(lwp, "sigreturn", at) is Errno.EFAULT
    assert state_of(lwp) == before


@each_abi
def test_sigreturn_with_another_selector_is_a_bus_error(boot: Boot, abi: AbiVersion) -> None:
    """EINVAL is for whoever survives that: the handler starts with it (abi 7.9)."""
    lwp = boot(abi=abi).lwp
    catch(lwp, USR1)
    catch(lwp, Signal.BUS)
    frame = deliver(lwp, USR1)
    at = frame.at + len(frame.raw) - len(frame.mc) + 8 + 21 * 8
    lwp.proc.vmspace.copyout(at, pack("<Q", 0x28))
    assert refused_sigreturn(lwp, frame) is Errno.EINVAL
    assert (lwp.frame.rdi, lwp.frame.rsi) == (Signal.BUS, Trap.PROTFLT)
    assert Frame(lwp).register("rip") == abi.user_max - 64  # still in the trampoline


def test_signals_that_sigreturn_unmasks_come_at_once(lwp: Lwp) -> None:
    catch(lwp, USR1, mask=bit(USR2))
    catch(lwp, USR2)
    rip = lwp.frame.rip
    frame = deliver(lwp, USR1)
    ksignal(lwp.proc, USR2)
    sched = lwp.proc.kernel.sched
    sched.attention = False
    sigreturn(lwp, frame)
    assert sched.attention
    userret(lwp)
    assert lwp.frame.rdi == USR2
    assert Frame(lwp).register("rip") == rip


# What ends the process


def ended(machine: Booted) -> tuple[int | None, list[str]]:
    return machine.lwp.proc.killed_by, machine.told


def test_a_stack_without_room_ends_the_process(boot: Boot) -> None:
    machine = boot()
    catch(machine.lwp, USR1)
    machine.lwp.frame.rsp = UNMAPPED
    ksignal(machine.lwp.proc, USR1)
    userret(machine.lwp)
    killed_by, told = ended(machine)
    assert killed_by == Signal.ILL
    assert len(told) == 1
    assert "no room on the stack for signal 30" in told[0]


@pytest.mark.parametrize(("signal", "said"), [(Signal.TERM, 0), (Signal.ABRT, 1), (64, 0)])
def test_a_signal_that_nobody_catches_ends_the_process(boot: Boot, signal: int, said: int) -> None:
    """It is told of where the original would write a core image."""
    machine = boot()
    ksignal(machine.lwp.proc, signal)
    userret(machine.lwp)
    killed_by, told = ended(machine)
    assert (killed_by, len(told)) == (signal, said)


@pytest.mark.parametrize("signal", [Signal.CONT, Signal.CKPT, Signal.CKPTEXIT])
def test_these_do_nothing_by_default_even_if_they_wait(lwp: Lwp, signal: int) -> None:
    lwp.pending = bit(signal)
    userret(lwp)
    assert (lwp.proc.alive, lwp.pending) == (True, 0)


def test_what_came_to_be_ignored_is_forgotten(lwp: Lwp) -> None:
    lwp.pending = set_of(Signal.TERM, USR1)
    lwp.proc.sigacts.set(Signal.TERM, SigAction(SIG_IGN))
    lwp.proc.sigacts.set(USR1, SigAction(SIG_IGN))
    assert (cursig(lwp), lwp.pending, lwp.proc.alive) == (0, 0, True)


def test_a_pending_stop_signal_stops_the_process_unless_nobody_could_continue_it(
    boot: Boot,
) -> None:
    lwp = boot().lwp
    lwp.pending = bit(Signal.TSTP)
    assert (cursig(lwp), lwp.proc.stopped, lwp.pending) == (0, False, 0)
    lwp.pending = bit(Signal.STOP)
    assert (cursig(lwp), lwp.proc.stopped, lwp.pending) == (0, True, 0)
    assert lwp.state is LwpState.STOPPED


def test_a_child_that_its_parent_waits_for_does_not_stop(lwp: Lwp) -> None:
    lwp.proc.parent_waits = True
    lwp.pending = set_of(Signal.STOP, USR1)
    assert cursig(lwp) == USR1
    lwp.pending = bit(Signal.STOP)
    assert (cursig(lwp), lwp.pending) == (0, bit(Signal.STOP))


# Sleeps


def pausing(lwp: Lwp, *, interruptible: bool = True, deadline: int | None = None) -> None:
    """Have the LWP make a system call that sleeps; 1 is what it returns when woken."""

    def pause() -> Blocking[int]:
        return 1 + (yield Sleep(("channel",), deadline, interruptible=interruptible))

    lwp.frame.rip, lwp.frame.rcx, lwp.frame.r10 = LOAD_ADDRESS + 2, 55, 66
    lwp.frame.rax, lwp.frame.rflags = 999, 0x202
    lwp.call, lwp.sleep = pause(), None
    table.resume(lwp)


def run_again(lwp: Lwp) -> None:
    """Go on with the call of an LWP whose sleep is over, and do what its signals want."""
    assert lwp.proc.kernel.sched.choose() is lwp
    trap.resume(lwp)
    userret(lwp)


def test_a_signal_breaks_a_sleep(lwp: Lwp) -> None:
    catch(lwp, USR1)
    pausing(lwp)
    assert lwp.state is LwpState.SLEEPING
    ksignal(lwp.proc, USR1)
    run_again(lwp)
    frame = Frame(lwp)
    assert (frame.register("rax"), frame.register("rflags") & 1) == (EINTR, 1)
    assert (frame.register("rip"), lwp.call) == (LOAD_ADDRESS + 2, None)


def test_a_call_that_has_slept_may_take_the_fast_way_back_too(boot: Boot) -> None:
    lwp = boot(abi=ABI_2014).lwp
    pausing(lwp)
    lwp.proc.kernel.sched.wakeup("channel")
    run_again(lwp)
    assert (lwp.frame.rax, lwp.frame.rcx, lwp.frame.r11) == (2, LOAD_ADDRESS + 2, 0x202)
    assert not lwp.returns_fast
    # But not if a signal has broken it.
    catch(lwp, USR1)
    lwp.proc.kernel.sched.attention = False
    pausing(lwp)
    ksignal(lwp.proc, USR1)
    lwp.proc.kernel.sched.attention = False
    run_again(lwp)
    frame = Frame(lwp)
    assert (frame.register("rax"), frame.register("rcx")) == (EINTR, 55)
    assert not lwp.returns_fast


@each_abi
def test_with_sa_restart_the_call_is_made_again(boot: Boot, abi: AbiVersion) -> None:
    """From the SYSCALL instruction, with the fourth argument where it was (abi 1.3)."""
    lwp = boot(abi=abi).lwp
    catch(lwp, USR1, SaFlag.RESTART)
    pausing(lwp)
    ksignal(lwp.proc, USR1)
    run_again(lwp)
    frame = Frame(lwp)
    assert (frame.register("rax"), frame.register("rflags") & 1) == (999, 0)
    assert (frame.register("rip"), frame.register("r10")) == (LOAD_ADDRESS, 55)
    assert not lwp.returns_fast


def test_the_lowest_signal_decides_whether_the_call_is_made_again(lwp: Lwp) -> None:
    catch(lwp, USR1, SaFlag.RESTART)
    catch(lwp, USR2)
    pausing(lwp)
    ksignal(lwp.proc, USR2)
    ksignal(lwp.proc, USR1)
    assert lwp.proc.kernel.sched.choose() is lwp
    trap.resume(lwp)
    assert (lwp.frame.rax, lwp.frame.rip) == (999, LOAD_ADDRESS)


def test_a_signal_that_waits_already_breaks_the_sleep_before_it_begins(lwp: Lwp) -> None:
    catch(lwp, USR1)
    lwp.pending = bit(USR1)
    pausing(lwp)
    assert (lwp.state, lwp.frame.rax) == (LwpState.RUNNING, EINTR)


def test_a_signal_that_is_ignored_after_all_does_not(lwp: Lwp) -> None:
    lwp.pending = bit(Signal.CONT)
    pausing(lwp)
    assert (lwp.state, lwp.pending) == (LwpState.SLEEPING, 0)


def test_a_sleep_that_is_over_anyway_is_broken_even_so(lwp: Lwp) -> None:
    catch(lwp, USR1)
    pausing(lwp)
    lwp.proc.kernel.sched.wakeup("channel")
    ksignal(lwp.proc, USR1)
    run_again(lwp)
    assert Frame(lwp).register("rax") == EINTR


def test_a_deadline_that_has_passed_comes_before_a_signal(lwp: Lwp) -> None:
    catch(lwp, USR1)
    sched, clock = lwp.proc.kernel.sched, lwp.proc.kernel.clock
    pausing(lwp, deadline=clock.monotonic_ns() + 10)
    clock.skip_to(clock.monotonic_ns() + 10)
    sched.run_callouts()
    ksignal(lwp.proc, USR1)
    run_again(lwp)
    assert Frame(lwp).register("rax") == 1


def test_an_uninterruptible_sleep_ends_by_itself_and_then_the_handler_runs(lwp: Lwp) -> None:
    catch(lwp, USR1)
    pausing(lwp, interruptible=False)
    ksignal(lwp.proc, USR1)
    assert lwp.state is LwpState.SLEEPING
    lwp.proc.kernel.sched.wakeup("channel")
    run_again(lwp)
    assert Frame(lwp).register("rax") == 2
    assert lwp.frame.rdi == USR1


def test_a_masked_signal_to_the_lwp_ends_its_sleep_for_no_reason(lwp: Lwp) -> None:
    lwp.sigmask = bit(USR1)
    pausing(lwp)
    lwpsignal(lwp.proc, lwp, USR1)
    run_again(lwp)
    assert (lwp.frame.rax, lwp.pending) == (2, bit(USR1))


def test_a_stop_before_a_sleep_begins_ends_it_once_the_process_goes_on(lwp: Lwp) -> None:
    lwp.pending = bit(Signal.STOP)
    pausing(lwp)
    assert (lwp.state, lwp.call is not None) == (LwpState.STOPPED, True)
    ksignal(lwp.proc, Signal.CONT)
    run_again(lwp)
    assert (lwp.frame.rax, lwp.call) == (2, None)


@pytest.mark.parametrize("interruptible", [False, True])
def test_a_call_may_fall_asleep_after_it_has_stopped_its_process(
    lwp: Lwp, interruptible: bool
) -> None:
    proc_stop(lwp.proc, Signal.STOP)
    pausing(lwp, interruptible=interruptible)
    assert lwp.state is LwpState.SLEEPING
    ksignal(lwp.proc, Signal.CONT)
    assert lwp.state is LwpState.SLEEPING
    lwp.proc.kernel.sched.wakeup("channel")
    run_again(lwp)
    assert lwp.frame.rax == 2


def test_a_fatal_signal_breaks_a_sleep_and_ends_the_process(lwp: Lwp) -> None:
    pausing(lwp)
    ksignal(lwp.proc, Signal.KILL)
    assert lwp.proc.kernel.sched.choose() is lwp
    trap.resume(lwp)
    userret(lwp)
    assert lwp.proc.killed_by == Signal.KILL


# Stepped system calls (abi 7.8)


def test_a_stepped_call_that_sleeps_is_followed_by_sigtrap_when_it_is_over(lwp: Lwp) -> None:
    catch(lwp, Signal.TRAP)
    pausing(lwp)
    lwp.frame.rflags |= 0x100
    lwp.proc.kernel.sched.wakeup("channel")
    assert lwp.proc.kernel.sched.choose() is lwp
    trap.resume(lwp)
    assert (lwp.frame.rdi, lwp.frame.rsi) == (Signal.TRAP, 2)
    frame = Frame(lwp)
    assert (frame.register("rax"), frame.register("rflags") & 0x100) == (2, 0)


STEPPED = """
    pushfq
    or qword ptr [rsp], 0x100
    mov edi, {how}
    mov eax, {number}
    popfq
    syscall
    nop
"""


def test_while_it_sleeps_a_stepped_call_is_left_alone(boot: Boot) -> None:
    lwp = boot(STEPPED.format(how=SCRATCH, number=NUMBERS["nanosleep"])).lwp
    lwp.proc.sigacts.set(Signal.TRAP, SigAction(HANDLER))
    lwp.proc.vmspace.copyout(SCRATCH, pack("<QQ", 5, 0))
    lwp.frame.rsi = 0
    while lwp.call is None:
        step(lwp)
    assert (lwp.state, lwp.proc.usage.signals) == (LwpState.SLEEPING, 0)
    sched = lwp.proc.kernel.sched
    sched.idle()
    sched.run_callouts()
    run_again(lwp)
    assert (lwp.frame.rdi, Frame(lwp).register("rax")) == (Signal.TRAP, 0)


@pytest.mark.parametrize("how", [0, 0x10000])
def test_a_stepped_exit_is_an_exit(boot: Boot, how: int) -> None:
    machine = boot("mov esi, 5\n" + STEPPED.format(how=how, number=494))
    assert machine.run() == 5
    assert machine.told == []


# Mailboxes


BOX = SCRATCH + 0x800


def test_a_mailbox_gets_the_number_and_no_handler_runs(boot: Boot) -> None:
    lwp = boot().lwp
    catch(lwp, USR1, SaFlag.MAILBOX, handler=BOX)
    rsp, signals = lwp.frame.rsp, lwp.proc.usage.signals
    lwp.proc.vmspace.copyout(BOX, b"\xff" * 8)
    ksignal(lwp.proc, USR1)
    userret(lwp)
    assert lwp.proc.vmspace.copyin(BOX, 8) == pack("<iI", USR1, 0xFFFFFFFF)
    assert (lwp.frame.rsp, lwp.sigmask, lwp.proc.mailbox) == (rsp, 0, True)
    assert lwp.proc.usage.signals == signals


def test_later_versions_have_no_mailboxes(boot: Boot) -> None:
    for abi in (ABI_2014, ABI_2020):
        lwp = boot(abi=abi).lwp
        catch(lwp, USR1, SaFlag.MAILBOX, handler=BOX)
        assert lwp.proc.sigacts.get(USR1).flags == 0
        deliver(lwp, USR1)
        assert (lwp.frame.rdi, lwp.proc.mailbox) == (USR1, False)


def test_nobody_is_told_of_a_mailbox_that_is_not_there(lwp: Lwp) -> None:
    catch(lwp, USR1, SaFlag.MAILBOX, handler=UNMAPPED)
    ksignal(lwp.proc, USR1)
    userret(lwp)
    assert (lwp.proc.alive, lwp.proc.mailbox) == (True, True)


def test_default_and_ignored_are_no_mailboxes(lwp: Lwp) -> None:
    catch(lwp, USR1, SaFlag.MAILBOX, handler=SIG_IGN)
    ksignal(lwp.proc, USR1)
    userret(lwp)
    assert (lwp.proc.alive, lwp.proc.mailbox) == (True, False)
    catch(lwp, USR1, SaFlag.MAILBOX, handler=SIG_DFL)
    ksignal(lwp.proc, USR1)
    userret(lwp)
    assert lwp.proc.killed_by == USR1


def test_a_fault_takes_a_mailbox_for_a_handler(lwp: Lwp) -> None:
    """As the original, which looks at the flag only where it posts signals."""
    catch(lwp, SEGV, SaFlag.MAILBOX, handler=BOX)
    fault(lwp, SEGV, 1)
    assert (lwp.frame.rdi, lwp.proc.mailbox) == (SEGV, False)
    assert unpack_from("<Q", Frame(lwp).raw) == (BOX,)


def test_resethand_goes_for_mailboxes_too(lwp: Lwp) -> None:
    catch(lwp, USR1, SaFlag.MAILBOX | SaFlag.RESETHAND, handler=BOX)
    ksignal(lwp.proc, USR1)
    userret(lwp)
    assert lwp.proc.sigacts.get(USR1).handler == SIG_DFL


def with_mail(lwp: Lwp) -> None:
    catch(lwp, USR1, SaFlag.MAILBOX | SaFlag.RESTART, handler=BOX)
    ksignal(lwp.proc, USR1)
    userret(lwp)
    assert lwp.proc.mailbox


def test_mail_breaks_the_next_sleep_before_it_begins(lwp: Lwp) -> None:
    """EINTR, in spite of SA_RESTART; then it is forgotten."""
    with_mail(lwp)
    pausing(lwp)
    assert (lwp.state, lwp.frame.rax, lwp.proc.mailbox) == (LwpState.RUNNING, EINTR, False)
    pausing(lwp)
    assert lwp.state is LwpState.SLEEPING


def test_a_pending_signal_comes_before_mail_where_a_sleep_begins(lwp: Lwp) -> None:
    with_mail(lwp)
    catch(lwp, USR2, SaFlag.RESTART)
    lwp.pending = bit(USR2)
    pausing(lwp)
    assert (lwp.frame.rax, lwp.frame.rip, lwp.proc.mailbox) == (999, LOAD_ADDRESS, False)


def test_mail_comes_before_a_pending_signal_where_a_sleep_ends(lwp: Lwp) -> None:
    pausing(lwp)
    lwp.proc.mailbox = True  # another LWP took the signal
    catch_later(lwp, USR2, SaFlag.RESTART)
    ksignal(lwp.proc, USR2)
    assert lwp.proc.kernel.sched.choose() is lwp
    trap.resume(lwp)
    assert (lwp.frame.rax, lwp.frame.rip, lwp.proc.mailbox) == (EINTR, LOAD_ADDRESS + 2, False)


def catch_later(lwp: Lwp, signal: int, flags: int) -> None:
    """As catch(), without a system call: the LWP is in one."""
    lwp.proc.sigacts.set(signal, SigAction(HANDLER, flags))


@pytest.mark.parametrize("interruptible", [False, True])
def test_the_end_of_any_sleep_forgets_mail(lwp: Lwp, interruptible: bool) -> None:
    sched, clock = lwp.proc.kernel.sched, lwp.proc.kernel.clock
    pausing(lwp, interruptible=interruptible, deadline=clock.monotonic_ns() + 10)
    lwp.proc.mailbox = True
    clock.skip_to(clock.monotonic_ns() + 10)
    sched.run_callouts()
    run_again(lwp)
    assert (lwp.frame.rax, lwp.proc.mailbox) == (1, False)


def test_mail_does_not_keep_an_uninterruptible_sleep_from_beginning(lwp: Lwp) -> None:
    with_mail(lwp)
    pausing(lwp, interruptible=False)
    assert (lwp.state, lwp.proc.mailbox) == (LwpState.SLEEPING, True)


def test_mail_survives_a_handler(lwp: Lwp) -> None:
    """A frame says that there was some (xflags 0x40), and sigreturn says so again."""
    with_mail(lwp)
    catch(lwp, USR2)
    frame = deliver(lwp, USR2)
    assert frame.register("xflags") == 0x40
    assert lwp.proc.mailbox
    lwp.proc.mailbox = False  # the handler slept
    sigreturn(lwp, frame)
    assert lwp.proc.mailbox


def test_without_mail_a_frame_does_not_mention_it(lwp: Lwp) -> None:
    catch(lwp, USR2)
    frame = deliver(lwp, USR2)
    assert frame.register("xflags") == 0
    sigreturn(lwp, frame)
    assert not lwp.proc.mailbox


def test_later_versions_do_not_look_for_mail(boot: Boot) -> None:
    lwp = boot(abi=ABI_2014).lwp
    catch(lwp, USR1)
    frame = deliver(lwp, USR1)
    at = frame.at + 64 + 64 + 8 + 15 * 8
    lwp.proc.vmspace.copyout(at, pack("<Q", 0x40))
    sigreturn(lwp, frame)
    assert (lwp.frame.xflags, lwp.proc.mailbox) == (0x40, False)


def test_2011_is_where_mailboxes_are() -> None:
    assert [abi.mailbox for abi in (ABI_2011, ABI_2014, ABI_2020)] == [True, False, False]
