"""The three versions of the facility that vkemu can be, as data (2011 is the reference)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from emu.abi.sigframe import Sigframe, Sigframe2011, Sigframe2014
from emu.abi.signal import BusCode, SegvCode, Signal, TrapCode
from emu.abi.vkernel import VPTE_2011, VPTE_2014, VPTE_2020, VpteFormat


class SyscallReturn(Enum):
    """What a plain system call leaves in the registers it does not return results in."""

    IRETQ = "every register is loaded from the frame, RCX from the slot that holds R10"
    SYSRET = "RCX is the return address and R11 the flags"
    SYSRET_R10_CLEAR = "as SYSRET, and R10 is 0"


@dataclass(frozen=True, slots=True, eq=False)
class AbiVersion:
    name: str
    osreldate: int  # __DragonFly_version
    osrelease: str
    vpte: VpteFormat
    execute_checked: bool  # a fetch fault asks for EXECUTE, and page tables may deny it
    read_keeps_write: bool  # a read fault on a writable, modified page maps it writable
    user_max: int  # VM_MAX_USER_ADDRESS
    mmap_superpages: bool  # large hinted mappings are placed on 2 MB boundaries
    protection_fault: tuple[Signal, int]  # native signal and code of KERN_PROTECTION_FAILURE
    breakpoint_code: TrapCode
    stack_fault_code: BusCode
    syscall_return: SyscallReturn
    sigframe: Sigframe
    mailbox: bool  # SA_MAILBOX exists
    altstack_flags_checked: bool  # sigaltstack refuses flags it does not know
    thread_stack_checked: bool  # lwp_create fails if there is no stack where it is said to be
    continue_ends_sleeps: bool  # SIGCONT ends interruptible sleeps, as a wakeup would
    zombies_can_be_killed: bool  # to send a signal to one that nobody has waited for is no error
    ignored_children_vanish: bool  # SIG_IGN for SIGCHLD means SA_NOCLDWAIT


ABI_2011 = AbiVersion(
    name="2011",
    osreldate=201302,
    osrelease="2.13-DEVELOPMENT",
    vpte=VPTE_2011,
    execute_checked=False,
    read_keeps_write=False,
    user_max=0x0000_8000_0000_0000,
    mmap_superpages=False,
    protection_fault=(Signal.BUS, BusCode.ADRERR),
    breakpoint_code=TrapCode.TRACE,
    stack_fault_code=BusCode.OBJERR,
    syscall_return=SyscallReturn.IRETQ,
    sigframe=Sigframe2011,
    mailbox=True,
    altstack_flags_checked=False,
    thread_stack_checked=False,
    continue_ends_sleeps=False,
    zombies_can_be_killed=False,
    ignored_children_vanish=False,
)

ABI_2014 = AbiVersion(
    name="2014",
    osreldate=300701,
    osrelease="3.7-DEVELOPMENT",
    vpte=VPTE_2014,
    execute_checked=False,
    read_keeps_write=False,
    user_max=0x0000_8000_0000_0000,
    mmap_superpages=True,
    protection_fault=(Signal.SEGV, SegvCode.ACCERR),
    breakpoint_code=TrapCode.BRKPT,
    stack_fault_code=BusCode.ADRERR,
    syscall_return=SyscallReturn.SYSRET,
    sigframe=Sigframe2014,
    mailbox=False,
    altstack_flags_checked=True,
    thread_stack_checked=True,
    continue_ends_sleeps=True,
    zombies_can_be_killed=True,
    ignored_children_vanish=True,
)

ABI_2020 = AbiVersion(
    name="2020",
    osreldate=500900,
    osrelease="5.9-DEVELOPMENT",
    vpte=VPTE_2020,
    execute_checked=True,
    read_keeps_write=True,
    user_max=0x0000_7FFF_FFE0_0000,
    mmap_superpages=True,
    protection_fault=(Signal.SEGV, SegvCode.ACCERR),
    breakpoint_code=TrapCode.BRKPT,
    stack_fault_code=BusCode.ADRERR,
    syscall_return=SyscallReturn.SYSRET_R10_CLEAR,
    sigframe=Sigframe2014,
    mailbox=False,
    altstack_flags_checked=True,
    thread_stack_checked=True,
    continue_ends_sleeps=True,
    zombies_can_be_killed=True,
    ignored_children_vanish=True,
)

VERSIONS: Mapping[str, AbiVersion] = {abi.name: abi for abi in (ABI_2011, ABI_2014, ABI_2020)}
