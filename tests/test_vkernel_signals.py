"""Signals and threads while a virtual kernel's guest runs (abi 6.5, 6.15, 7.4, 7.7, 7.8)."""

from collections.abc import Callable
from struct import pack, unpack_from

import pytest
from conftest import LOAD_ADDRESS, NUMBERS, Booted, call, step
from test_vkernel import (
    GUEST_CODE,
    GUEST_STACK,
    ID,
    OTHER,
    RUN,
    RW,
    TFRAME,
    UNKNOWN,
    VFRAME,
    VirtualKernel,
)

from emu import trap
from emu.abi.errno import Errno
from emu.abi.frames import TRAPFRAME_FIELDS, Trapframe, Vextframe
from emu.abi.signal import SIG_IGN, SaFlag, Signal
from emu.abi.versions import ABI_2011, VERSIONS, AbiVersion
from emu.abi.vkernel import Trap
from emu.cpu.engine import Exit
from emu.kern.exit import kill_lwps, lwp_exit
from emu.kern.proc import Lwp
from emu.kern.sched import LwpState
from emu.kern.sendsig import userret
from emu.kern.sigacts import SigAction, bit, set_of
from emu.kern.signal import ksignal, lwpsignal
from syscalls.table import dispatch

Boot = Callable[..., Booted]

HANDLER = LOAD_ADDRESS + 0x100
BOX = LOAD_ADDRESS + 0x6000
USR1, USR2 = 30, 31
LOOP = bytes.fromhex("48ffc0 ebfb")  # inc rax; jmp back
SYSCALL = b"\x0f\x05"
FP_FIRST = bytes.fromhex("66480f6ec8 0f05")  # movq xmm1, rax; syscall
SAVED_RIP = LOAD_ADDRESS + 0x50

each_abi = pytest.mark.parametrize("abi", VERSIONS.values(), ids=VERSIONS)


def virtual_kernel(boot: Boot, code: bytes, abi: AbiVersion = ABI_2011) -> VirtualKernel:
    vk = VirtualKernel(boot(b"\x90", abi=abi), code)
    catch(vk.lwp, USR1)
    return vk


def catch(lwp: Lwp, signal: int, flags: int = 0, handler: int = HANDLER) -> None:
    lwp.proc.sigacts.set(signal, SigAction(handler, flags))
    lwp.cpu.arm()


def enter(vk: VirtualKernel, **registers: int) -> None:
    """Call vmspace_ctl from a known place."""
    frame = vk.lwp.frame
    frame.rip, frame.rbx = SAVED_RIP, 0xB0B
    frame.rsp = LOAD_ADDRESS + 0x9000
    vk.enter(**registers)


def interrupt(vk: VirtualKernel) -> None:
    """Let the guest run until something outside wants its attention."""
    vk.lwp.cpu.kick()
    assert vk.lwp.cpu.run(vk.lwp.vmspace.pmap.cr3) is Exit.INTERRUPTED


def mcontext(lwp: Lwp) -> dict[str, int]:
    """Return the registers in the frame that the handler was just given."""
    abi = lwp.proc.kernel.abi
    at = lwp.frame.rdx + abi.sigframe.UCONTEXT.uc_mcontext.offset + 8
    words = unpack_from("<25Q", lwp.proc.vmspace.copyin(at, 200))
    return dict(zip(TRAPFRAME_FIELDS, words, strict=True))


def sigreturn(lwp: Lwp) -> None:
    lwp.frame.rdi, lwp.frame.rax = lwp.frame.rdx, NUMBERS["sigreturn"]
    dispatch(lwp)


# A signal ends the stay


@each_abi
def test_a_signal_ends_vmspace_ctl_with_trap_number_0(boot: Boot, abi: AbiVersion) -> None:
    """After a host interrupt the frame says nothing else (abi 7.7)."""
    vk = virtual_kernel(boot, LOOP, abi)
    enter(vk, rax=5, r10=10, r11=11)
    interrupt(vk)
    ksignal(vk.lwp.proc, USR1)
    userret(vk.lwp)
    assert (vk.inside, vk.refs) == (False, 0)
    frame = vk.reflected()
    causes = frame.trapno, frame.err, frame.addr, frame.flags, frame.xflags
    assert causes == (0, 0, 0, 0, 0)
    assert (frame.r10, frame.r11, frame.cs, frame.ss) == (10, 11, 0x2B, 0x23)
    # The handler is the virtual kernel's, and will return to where vmspace_ctl does.
    assert vk.lwp.frame.rdi == USR1
    saved = mcontext(vk.lwp)
    assert (saved["rip"], saved["rax"], saved["rflags"] & 1) == (SAVED_RIP, 0, 0)
    assert saved["rbx"] == 0xB0B
    sigreturn(vk.lwp)
    userret(vk.lwp)
    assert (vk.lwp.frame.rip, vk.lwp.frame.rax, vk.lwp.frame.rflags & 1) == (SAVED_RIP, 0, 0)
    # And on with the guest.
    vk.lwp.proc.vmspace.copyout(TFRAME, bytes(frame))
    vk.lwp.frame.rax, vk.lwp.frame.rdi, vk.lwp.frame.rsi = NUMBERS["vmspace_ctl"], ID, RUN
    vk.lwp.frame.rdx, vk.lwp.frame.rcx = TFRAME, VFRAME
    dispatch(vk.lwp)
    assert vk.lwp.frame.rip == frame.rip


def test_after_a_resolved_fault_the_frame_still_tells_of_that(boot: Boot) -> None:
    vk = virtual_kernel(boot, bytes.fromhex("8a042500300100 0f05"))  # mov al, [0x13000]; syscall
    enter(vk)
    step(vk.lwp)  # the code
    step(vk.lwp)  # the data
    assert vk.inside
    ksignal(vk.lwp.proc, USR1)
    userret(vk.lwp)
    frame = vk.reflected()
    assert (frame.trapno, frame.err, frame.addr, frame.xflags) == (0, 4, 0x13000, 0)
    assert frame.rip == GUEST_CODE


def test_a_signal_that_waits_already_lets_the_guest_execute_nothing(boot: Boot) -> None:
    """The frame comes back as it was, but for what is sanitised (abi 7.3) and the trap number."""
    vk = virtual_kernel(boot, LOOP)
    words = {name: 0x1000 + at for at, name in enumerate(TRAPFRAME_FIELDS)}
    words["rflags"] = (1 << 64) - 1
    words["xflags"] = 0
    enter(vk, **words)
    ksignal(vk.lwp.proc, USR1)
    userret(vk.lwp)
    frame = vk.reflected()
    expected = words | {"cs": 0x2B, "ss": 0x23, "rflags": 0x274DD7 | 0x202, "trapno": 0}
    assert {name: getattr(frame, name) for name in TRAPFRAME_FIELDS} == expected
    assert vk.lwp.frame.rdi == USR1


@pytest.mark.parametrize("how", ["masked", "ignored", "ignored by default"])
def test_a_signal_of_no_consequence_leaves_the_guest_alone(boot: Boot, how: str) -> None:
    """The mask that counts is the virtual kernel's, which stays in force."""
    vk = virtual_kernel(boot, LOOP)
    signal = USR1
    match how:
        case "masked":
            vk.lwp.sigmask = bit(USR1)
        case "ignored":
            vk.lwp.proc.sigacts.set(USR1, SigAction(SIG_IGN))
        case _:
            signal = Signal.IO
    enter(vk)
    interrupt(vk)
    ksignal(vk.lwp.proc, signal)
    userret(vk.lwp)
    assert vk.inside


def test_stop_and_cont_leave_the_guest_alone_too(boot: Boot) -> None:
    vk = virtual_kernel(boot, LOOP)
    enter(vk)
    interrupt(vk)
    ksignal(vk.lwp.proc, Signal.STOP)
    userret(vk.lwp)
    assert (vk.lwp.state, vk.inside) == (LwpState.STOPPED, True)
    ksignal(vk.lwp.proc, Signal.CONT)
    sched = vk.lwp.proc.kernel.sched
    assert sched.choose() is vk.lwp
    userret(vk.lwp)
    assert (vk.lwp.state, vk.inside) == (LwpState.RUNNING, True)


def test_kill_reflects_and_ends_the_process(boot: Boot) -> None:
    vk = virtual_kernel(boot, LOOP)
    vk.lwp.proc.vmspace.copyout(TFRAME, b"\xff" * 8)
    enter(vk, rdi=99, trapno=5)
    interrupt(vk)
    ksignal(vk.lwp.proc, Signal.KILL)
    userret(vk.lwp)
    assert vk.lwp.proc.killed_by == Signal.KILL
    frame = vk.reflected()
    assert (frame.rdi, frame.trapno, vk.refs) == (99, 0, 0)


def test_several_signals_are_handled_one_inside_the_other(boot: Boot) -> None:
    """Only the first finds a guest to leave."""
    vk = virtual_kernel(boot, LOOP)
    catch(vk.lwp, USR2)
    enter(vk)
    interrupt(vk)
    ksignal(vk.lwp.proc, USR2)
    ksignal(vk.lwp.proc, USR1)
    userret(vk.lwp)
    assert vk.lwp.frame.rdi == USR2
    trampoline = mcontext(vk.lwp)["rip"]
    sigreturn(vk.lwp)
    assert (vk.lwp.frame.rdi, vk.lwp.frame.rip) == (USR1, trampoline)
    assert (mcontext(vk.lwp)["rip"], mcontext(vk.lwp)["rax"]) == (SAVED_RIP, 0)
    sigreturn(vk.lwp)
    assert (vk.lwp.frame.rip, vk.refs) == (SAVED_RIP, 0)


def test_a_handler_may_run_a_guest_itself(boot: Boot) -> None:
    """vmspace_ctl inside a handler that has interrupted vmspace_ctl."""
    vk = virtual_kernel(boot, SYSCALL)
    enter(vk, rdi=1)
    ksignal(vk.lwp.proc, USR1)
    userret(vk.lwp)
    context = vk.lwp.frame.rdx
    vk.lwp.frame.rsp -= 0x1000
    frame = vk.run(rdi=2)
    assert (frame.trapno, frame.rdi) == (Trap.FAST_SYSCALL, 2)
    vk.lwp.frame.rdi, vk.lwp.frame.rax = context, NUMBERS["sigreturn"]
    dispatch(vk.lwp)
    assert (vk.lwp.frame.rip, vk.lwp.frame.rax) == (SAVED_RIP, 0)


def test_a_frame_that_cannot_be_stored_shows_in_the_handlers_context(boot: Boot) -> None:
    """vmspace_ctl then returns EFAULT after the handler."""
    vk = virtual_kernel(boot, LOOP)
    vk.lwp.proc.vmspace.map_anonymous(0x800000, 0x801000)
    frame = vk.lwp.frame
    frame.rip, frame.rsp = SAVED_RIP, LOAD_ADDRESS + 0x9000
    vk.enter(at=0x800000)
    interrupt(vk)
    vk.lwp.proc.vmspace.mprotect(0x800000, 0x1000, 1)
    ksignal(vk.lwp.proc, USR1)
    userret(vk.lwp)
    saved = mcontext(vk.lwp)
    assert (saved["rip"], saved["rax"], saved["rflags"] & 1) == (SAVED_RIP, Errno.EFAULT, 1)


def test_a_guests_fp_registers_survive_the_handler(boot: Boot) -> None:
    vk = virtual_kernel(boot, LOOP)
    state = bytearray(vk.lwp.cpu.fp_save())
    state[160:176] = b"the guest's xmm0"
    vk.lwp.cpu.fp_restore(bytes(state))
    enter(vk)
    interrupt(vk)
    ksignal(vk.lwp.proc, USR1)
    userret(vk.lwp)
    assert vk.lwp.cpu.fp_save()[160:176] == bytes(16)
    sigreturn(vk.lwp)
    assert vk.lwp.cpu.fp_save()[160:176] == b"the guest's xmm0"


def test_a_wish_for_fp_traps_ends_with_the_stay(boot: Boot) -> None:
    """It counts from one RUN to the next event (abi 7.6); the handler may use the FP unit."""
    vk = virtual_kernel(boot, FP_FIRST)
    enter(vk, xflags=0x80)
    assert vk.lwp.cpu.fp_trap
    ksignal(vk.lwp.proc, USR1)
    userret(vk.lwp)
    assert not vk.lwp.cpu.fp_trap
    sigreturn(vk.lwp)
    frame = vk.run(xflags=0x80)
    assert (frame.trapno, frame.rip) == (Trap.DNA, GUEST_CODE)
    assert vk.run(xflags=0).trapno == Trap.FAST_SYSCALL


def test_tls_bases_are_the_virtual_kernels_again_in_the_handler(boot: Boot) -> None:
    vk = virtual_kernel(boot, LOOP)
    vk.lwp.bases.fs_base, vk.lwp.bases.gs_base = 0x1000, 0x2000
    frame = vk.lwp.frame
    frame.rsp = LOAD_ADDRESS + 0x9000
    vk.enter(vext=Vextframe(fs_base=0x3000, gs_base=0x4000))
    assert vk.lwp.bases.fs_base == 0x3000
    ksignal(vk.lwp.proc, USR1)
    userret(vk.lwp)
    assert (vk.lwp.bases.fs_base, vk.lwp.bases.gs_base) == (0x1000, 0x2000)


# Mailboxes


def with_mail(vk: VirtualKernel) -> None:
    catch(vk.lwp, USR1, SaFlag.MAILBOX, BOX)
    ksignal(vk.lwp.proc, USR1)
    userret(vk.lwp)
    assert vk.lwp.proc.mailbox


def run_call(vk: VirtualKernel, id: int = ID, cmd: int = RUN) -> int | Errno:
    return call(vk.lwp, "vmspace_ctl", id, cmd, TFRAME, VFRAME)


def test_mail_makes_the_next_run_fail_and_nothing_else(boot: Boot) -> None:
    """After the vmspace is found and before the command is looked at (abi 6.5)."""
    vk = virtual_kernel(boot, SYSCALL)
    vk.lwp.proc.vmspace.copyout(TFRAME, b"\xaa" * 200)
    with_mail(vk)
    assert run_call(vk, UNKNOWN) is Errno.ENOENT
    assert vk.lwp.proc.mailbox
    assert run_call(vk, cmd=99) is Errno.EINTR
    assert (vk.inside, vk.refs, vk.lwp.proc.mailbox) == (False, 0, False)
    assert vk.lwp.proc.vmspace.copyin(TFRAME, 200) == b"\xaa" * 200
    assert run_call(vk, cmd=99) is Errno.EOPNOTSUPP
    assert vk.run().trapno == Trap.FAST_SYSCALL


def test_mail_that_comes_while_the_guest_runs_ends_this_run_and_refuses_the_next(
    boot: Boot,
) -> None:
    vk = virtual_kernel(boot, LOOP)
    catch(vk.lwp, USR1, SaFlag.MAILBOX, BOX)
    enter(vk)
    interrupt(vk)
    ksignal(vk.lwp.proc, USR1)
    userret(vk.lwp)
    frame = vk.lwp.frame
    assert (vk.inside, vk.reflected().trapno) == (False, 0)
    assert (frame.rip, frame.rax, frame.rflags & 1) == (SAVED_RIP, 0, 0)
    assert vk.lwp.proc.vmspace.copyin(BOX, 4) == pack("<i", USR1)
    assert run_call(vk) is Errno.EINTR
    enter(vk)


# Stepping


def test_a_stepped_system_call_of_a_guest_also_steps_the_virtual_kernel(boot: Boot) -> None:
    """The guest keeps T; SIGTRAP comes from the system call, and takes T from its caller."""
    vk = virtual_kernel(boot, SYSCALL)
    catch(vk.lwp, Signal.TRAP)
    enter(vk, rflags=0x302)
    while vk.inside:
        step(vk.lwp)
    assert vk.reflected().rflags & 0x100
    assert (vk.reflected().trapno, vk.lwp.frame.rdi) == (Trap.FAST_SYSCALL, Signal.TRAP)
    assert vk.lwp.frame.rsi == 2  # TRAP_TRACE
    saved = mcontext(vk.lwp)
    assert (saved["trapno"], saved["rip"], saved["rflags"] & 0x100) == (0, SAVED_RIP, 0)


def test_a_virtual_kernel_that_is_stepped_into_a_guest_comes_back_at_once(boot: Boot) -> None:
    """SIGTRAP finds the guest's registers: trap number 0, and T is taken from them."""
    vk = virtual_kernel(boot, LOOP)
    catch(vk.lwp, Signal.TRAP)
    lwp, frame = vk.lwp, vk.lwp.frame
    lwp.proc.vmspace.copyout(
        TFRAME, bytes(Trapframe(rip=GUEST_CODE, rsp=GUEST_STACK, rflags=0x302, rax=5))
    )
    frame.rip, frame.rsp, frame.rflags = SAVED_RIP, LOAD_ADDRESS + 0x9000, 0x302
    frame.rax, frame.rdi, frame.rsi = NUMBERS["vmspace_ctl"], ID, RUN
    frame.rdx, frame.rcx = TFRAME, VFRAME
    trap.handle(lwp, Exit.SYSCALL)
    assert not vk.inside
    reflected = vk.reflected()
    assert (reflected.trapno, reflected.rax, reflected.rip) == (0, 5, GUEST_CODE)
    assert reflected.rflags == 0x202
    saved = mcontext(lwp)
    assert (saved["rip"], saved["rax"], saved["rflags"]) == (SAVED_RIP, 0, 0x302)


# Threads


def second_lwp(vk: VirtualKernel) -> Lwp:
    new = vk.lwp.fork(vk.lwp.proc)
    vk.lwp.proc.kernel.sched.add(new)
    return new


def switch_to(lwp: Lwp) -> None:
    sched = lwp.proc.kernel.sched
    while sched.choose() is not lwp:
        sched.give_way()


def test_another_lwp_may_not_destroy_what_one_is_in(boot: Boot) -> None:
    vk = virtual_kernel(boot, LOOP)
    other = second_lwp(vk)
    assert call(vk.lwp, "vmspace_create", OTHER, 0, 0) == 0
    enter(vk)
    switch_to(other)
    assert call(other, "vmspace_destroy", ID) is Errno.EBUSY
    assert call(other, "vmspace_destroy", OTHER) == 0
    ksignal(vk.lwp.proc, USR1)
    assert other.pending
    lwpsignal(vk.lwp.proc, vk.lwp, USR1)
    switch_to(vk.lwp)
    userret(vk.lwp)
    switch_to(other)
    assert call(other, "vmspace_destroy", ID) == 0


def test_another_lwp_may_map_and_unmap_what_one_is_in(boot: Boot) -> None:
    vk = virtual_kernel(boot, bytes.fromhex("8a042500500100 0f05"))  # mov al, [0x15000]
    other = second_lwp(vk)
    enter(vk)
    switch_to(other)
    arguments = (ID, 0x15000, 0x1000, RW, 0x1012, (1 << 64) - 1, 0)
    assert call(other, "vmspace_mmap", *arguments) == 0x15000
    switch_to(vk.lwp)
    vk.go()
    assert vk.reflected().trapno == Trap.FAST_SYSCALL
    switch_to(vk.lwp)
    enter(vk)
    switch_to(other)
    assert call(other, "vmspace_munmap", ID, 0x15000, 0x1000) == 0
    switch_to(vk.lwp)
    vk.go()
    assert (vk.reflected().trapno, vk.reflected().addr) == (Trap.PAGEFLT, 0x15000)


def test_several_lwps_may_be_in_one_vmspace_each_with_its_own_frame(boot: Boot) -> None:
    vk = virtual_kernel(boot, SYSCALL)
    other = second_lwp(vk)
    enter(vk, rdi=1)
    assert vk.refs == 1
    switch_to(other)
    second = VirtualKernel.__new__(VirtualKernel)
    second.machine, second.lwp = vk.machine, other
    second.enter(at=TFRAME + 0x100, rdi=2)
    assert vk.refs == 2
    second.go()
    assert (second.reflected(TFRAME + 0x100).rdi, vk.refs) == (2, 1)
    switch_to(vk.lwp)
    assert vk.inside
    vk.go()
    assert (vk.reflected().rdi, vk.refs) == (1, 0)


@pytest.mark.parametrize("how", ["one", "all"])
def test_an_lwp_that_ends_inside_leaves(boot: Boot, how: str) -> None:
    """Nothing is reflected: there is nobody to tell (abi 6.15)."""
    vk = virtual_kernel(boot, LOOP)
    other = second_lwp(vk)
    enter(vk)
    vk.lwp.proc.vmspace.copyout(TFRAME, b"\xaa" * 200)
    vkernel = vk.lwp.proc.vkernel
    assert vkernel is not None
    entry = vkernel.find(ID)
    switch_to(other)
    if how == "one":
        lwp_exit(vk.lwp)
        assert call(other, "vmspace_destroy", ID) == 0
    else:
        kill_lwps(vk.lwp.proc)
        assert vk.lwp.proc.kernel.lwps == 0
    assert entry.refs == 0


def test_each_lwp_has_its_own_fp_trap(boot: Boot) -> None:
    vk = virtual_kernel(boot, FP_FIRST)
    other = second_lwp(vk)
    enter(vk, xflags=0x80)
    switch_to(other)
    assert not other.cpu.fp_trap
    second = VirtualKernel.__new__(VirtualKernel)
    second.machine, second.lwp = vk.machine, other
    second.enter(at=TFRAME + 0x100, xflags=0, rax=7)
    second.go()
    assert second.reflected(TFRAME + 0x100).trapno == Trap.FAST_SYSCALL
    assert other.cpu.fp_save()[176:184] == pack("<Q", 7)
    switch_to(vk.lwp)
    assert vk.lwp.cpu.fp_trap
    vk.go()
    assert vk.reflected().trapno == Trap.DNA
    assert vk.lwp.cpu.fp_save()[176:184] == bytes(8)


def test_a_signal_may_find_an_lwp_in_a_guest_and_another_not(boot: Boot) -> None:
    vk = virtual_kernel(boot, LOOP)
    other = second_lwp(vk)
    enter(vk)
    switch_to(other)
    vk.lwp.sigmask, other.sigmask = 0, set_of(USR1)
    ksignal(vk.lwp.proc, USR1)
    assert (vk.lwp.pending, other.pending) == (bit(USR1), 0)
    userret(other)
    switch_to(vk.lwp)
    assert vk.inside
    userret(vk.lwp)
    assert (vk.inside, vk.lwp.frame.rdi) == (False, USR1)
