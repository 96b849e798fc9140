"""What a signal handler finds on its stack, and what else signals exchange with programs.

<machine/ucontext.h>, <sys/ucontext.h>, <machine/sigframe.h>, <sys/signal.h>.
"""

from ctypes import (
    LittleEndianStructure,
    c_int32,
    c_int64,
    c_uint8,
    c_uint32,
    c_uint64,
)
from enum import IntEnum

from emu.abi.frames import Trapframe
from emu.abi.x86 import PAGE_SIZE

RED_ZONE = 128
"""Bytes below the stack pointer that belong to the interrupted code."""
SIGCODE_SIZE = 32
"""Bytes of the signal trampoline."""
MINSIGSTKSZ = 2 * PAGE_SIZE


class McFpFormat(IntEnum):
    NODEV = 0x10000
    X87 = 0x10001
    XMM = 0x10002


class McOwnedFp(IntEnum):
    NONE = 0x20000
    FPU = 0x20001
    PCB = 0x20002


class SigactionStruct(LittleEndianStructure):
    """struct sigaction."""

    _fields_ = [("sa_handler", c_uint64), ("sa_flags", c_int32), ("sa_mask", c_uint8 * 16)]

    sa_handler: int
    sa_flags: int


class StackT(LittleEndianStructure):
    """stack_t."""

    _fields_ = [("ss_sp", c_uint64), ("ss_size", c_uint64), ("ss_flags", c_int32)]

    ss_sp: int
    ss_size: int
    ss_flags: int


class Siginfo(LittleEndianStructure):
    _fields_ = [
        ("si_signo", c_int32),
        ("si_errno", c_int32),
        ("si_code", c_int32),
        ("si_pid", c_int32),
        ("si_uid", c_uint32),
        ("si_status", c_int32),
        ("si_addr", c_uint64),
        ("si_value", c_uint64),
        ("si_band", c_int64),
        ("spare", c_int32 * 7),
    ]

    si_signo: int
    si_errno: int
    si_code: int
    si_pid: int
    si_uid: int
    si_status: int
    si_addr: int


class Mcontext2011(LittleEndianStructure):
    _fields_ = [
        ("mc_onstack", c_uint64),
        ("mc_frame", Trapframe),
        ("mc_len", c_uint32),
        ("mc_fpformat", c_uint32),
        ("mc_ownedfp", c_uint32),
        ("mc_reserved", c_uint32),
        ("mc_unused", c_uint32 * 2),
        ("mc_fpregs", c_uint8 * 512),
        ("spare", c_uint32 * 16),
    ]


class Ucontext2011(LittleEndianStructure):
    _fields_ = [
        ("uc_sigmask", c_uint8 * 16),
        ("uc_mcontext", Mcontext2011),
        ("uc_link", c_uint64),
        ("uc_stack", StackT),
        ("spare", c_int32 * 8),
    ]


class Sigframe2011(LittleEndianStructure):
    """struct sigframe: 976 bytes."""

    UCONTEXT = Ucontext2011
    _fields_ = [("sf_handler", c_uint64), ("sf_uc", Ucontext2011), ("sf_si", Siginfo)]


class Mcontext2014(LittleEndianStructure):
    _fields_ = [
        ("mc_onstack", c_uint64),
        ("mc_frame", Trapframe),
        ("mc_len", c_uint32),
        ("mc_fpformat", c_uint32),
        ("mc_ownedfp", c_uint32),
        ("mc_reserved", c_uint32),
        ("mc_unused", c_uint32 * 8),
        ("mc_fpregs", c_uint8 * 1024),
    ]


class Ucontext2014(LittleEndianStructure):
    """Aligned to 64 bytes, which the fields called pad stand for."""

    _fields_ = [
        ("uc_sigmask", c_uint8 * 16),
        ("pad0", c_uint8 * 48),
        ("uc_mcontext", Mcontext2014),
        ("uc_link", c_uint64),
        ("uc_stack", StackT),
        ("spare", c_int32 * 8),
    ]


class Sigframe2014(LittleEndianStructure):
    """struct sigframe with room for AVX: 1600 bytes."""

    UCONTEXT = Ucontext2014
    _fields_ = [
        ("sf_handler", c_uint64),
        ("pad0", c_uint8 * 56),
        ("sf_uc", Ucontext2014),
        ("sf_si", Siginfo),
        ("pad1", c_uint8 * 48),
    ]


Sigframe = type[Sigframe2011] | type[Sigframe2014]


def sigcode(frame: Sigframe) -> bytes:
    """Return the signal trampoline, which lies right below ps_strings."""
    return bytes.fromhex(
        "ff1424"  # call *SIGF_HANDLER(%rsp)
        f"488d7c24{frame.sf_uc.offset:02x}"  # lea SIGF_UC(%rsp), %rdi
        "6a00"  # push $0, the return address of a C stub
        "48c7c058010000"  # mov $344, %rax: sigreturn
        "0f05"  # syscall
        "f4"  # hlt: sigreturn does not return
        "ebfd"  # jmp to the hlt
    ).ljust(SIGCODE_SIZE, b"\x90")
