"""The numbers and layouts that programs were compiled with, spelled out."""

from ctypes import Structure, sizeof
from enum import IntEnum

import pytest

from emu.abi.errno import Errno, KernelError
from emu.abi.exec import Elf64Ehdr, Elf64Phdr, PsStrings
from emu.abi.fcntl import Fcntl, Io, Lock, Open
from emu.abi.frames import TRAPFRAME_SIZE, VEXTFRAME_SIZE, Trapframe, Vextframe
from emu.abi.ioctl import Ioctl
from emu.abi.mman import Inherit, Madv, Map, Ms, Prot
from emu.abi.signal import Action, Signal, default_action
from emu.abi.socket import Cmsgcred, Cmsghdr, Msghdr, SfHdtr, SockaddrIn
from emu.abi.structs import (
    Dirent,
    Flock,
    Iovec,
    Kevent,
    Pollfd,
    Stat,
    Statfs,
    Statvfs,
    Termios,
    Timespec,
    Timeval,
    Winsize,
    pack_dirent,
)
from emu.abi.symbols import abi_symbols
from emu.abi.time import ClockId
from emu.abi.versions import ABI_2011, ABI_2014, ABI_2020, VERSIONS, SyscallReturn
from emu.abi.vkernel import VPTE_FRAME, Trap, VmspaceCtl
from emu.abi.x86 import (
    RFLAGS_SANITISE,
    RFLAGS_USER,
    USER_CS,
    USER_SS,
    Pgex,
    Rflags,
    round_page,
    trunc_page,
)
from syscalls.table import SYMBOLS


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (Trapframe, 200),
        (Vextframe, 32),
        (Timespec, 16),
        (Timeval, 16),
        (Iovec, 16),
        (Kevent, 32),
        (Pollfd, 8),
        (Stat, 128),
        (Statfs, 320),
        (Statvfs, 160),
        (Termios, 44),
        (Winsize, 8),
        (Flock, 24),
        (SockaddrIn, 16),
        (Msghdr, 48),
        (Cmsghdr, 12),
        (Cmsgcred, 84),
        (SfHdtr, 32),
        (Dirent, 272),
        (PsStrings, 32),
        (Elf64Ehdr, 64),
        (Elf64Phdr, 56),
    ],
)
def test_structures_have_their_size(kind: type[Structure], size: int) -> None:
    assert sizeof(kind) == size


def test_the_frames_say_their_size() -> None:
    assert (TRAPFRAME_SIZE, VEXTFRAME_SIZE) == (200, 32)


@pytest.mark.parametrize(
    ("kind", "offsets"),
    [
        (
            Trapframe,
            {
                "rdi": 0x00,
                "rsi": 0x08,
                "rdx": 0x10,
                "rcx": 0x18,
                "r8": 0x20,
                "r9": 0x28,
                "rax": 0x30,
                "rbx": 0x38,
                "rbp": 0x40,
                "r10": 0x48,
                "r11": 0x50,
                "r12": 0x58,
                "r13": 0x60,
                "r14": 0x68,
                "r15": 0x70,
                "xflags": 0x78,
                "trapno": 0x80,
                "addr": 0x88,
                "flags": 0x90,
                "err": 0x98,
                "rip": 0xA0,
                "cs": 0xA8,
                "rflags": 0xB0,
                "rsp": 0xB8,
                "ss": 0xC0,
            },
        ),
        (Vextframe, {"fs_base": 0x00, "fs_size": 0x08, "gs_base": 0x10, "gs_size": 0x18}),
        (
            Stat,
            {
                "st_ino": 0,
                "st_nlink": 8,
                "st_dev": 12,
                "st_mode": 16,
                "st_uid": 20,
                "st_gid": 24,
                "st_rdev": 28,
                "st_atim": 32,
                "st_mtim": 48,
                "st_ctim": 64,
                "st_size": 80,
                "st_blocks": 88,
                "st_blksize": 96,
                "st_flags": 100,
                "st_gen": 104,
                "st_lspare": 108,
                "st_qspare1": 112,
                "st_qspare2": 120,
            },
        ),
        (
            Msghdr,
            {
                "msg_name": 0,
                "msg_namelen": 8,
                "msg_iov": 16,
                "msg_iovlen": 24,
                "msg_control": 32,
                "msg_controllen": 40,
                "msg_flags": 44,
            },
        ),
        (SfHdtr, {"headers": 0, "hdr_cnt": 8, "trailers": 16, "trl_cnt": 24}),
        (
            Statfs,
            {
                "f_bsize": 8,
                "f_blocks": 24,
                "f_ffree": 56,
                "f_fsid": 64,
                "f_type": 76,
                "f_flags": 80,
                "f_syncwrites": 88,
                "f_fstypename": 104,
                "f_mntonname": 120,
                "f_syncreads": 200,
                "f_mntfromname": 218,
                "f_spare": 304,
            },
        ),
        (
            Statvfs,
            {
                "f_bsize": 0,
                "f_blocks": 16,
                "f_favail": 56,
                "f_flag": 72,
                "f_namemax": 80,
                "f_owner": 88,
                "f_type": 92,
                "f_syncreads": 96,
                "f_fsid_uuid": 128,
            },
        ),
        (Timespec, {"tv_sec": 0, "tv_nsec": 8}),
        (Kevent, {"ident": 0, "filter": 8, "flags": 10, "fflags": 12, "data": 16, "udata": 24}),
        (Pollfd, {"fd": 0, "events": 4, "revents": 6}),
        (Timeval, {"tv_sec": 0, "tv_usec": 8}),
        (Iovec, {"iov_base": 0, "iov_len": 8}),
        (PsStrings, {"ps_argvstr": 0, "ps_nargvstr": 8, "ps_envstr": 16, "ps_nenvstr": 24}),
        (Dirent, {"d_fileno": 0, "d_namlen": 8, "d_type": 10, "d_name": 16}),
        (Elf64Phdr, {"p_type": 0, "p_flags": 4, "p_offset": 8, "p_vaddr": 16, "p_memsz": 40}),
    ],
)
def test_fields_lie_where_programs_look(kind: type[Structure], offsets: dict[str, int]) -> None:
    assert {name: getattr(kind, name).offset for name in offsets} == offsets


def test_a_trapframe_begins_with_the_arguments_and_ends_with_what_the_cpu_pushes() -> None:
    frame = bytes(Trapframe(rdi=1, rcx=4, r9=6, rip=0x400000, ss=0x23))
    assert frame[0:8] == b"\1\0\0\0\0\0\0\0"
    assert frame[24:32] == b"\4\0\0\0\0\0\0\0"
    assert frame[40:48] == b"\6\0\0\0\0\0\0\0"
    assert frame[160:168] == b"\0\0\x40\0\0\0\0\0"
    assert frame[192:] == b"\x23\0\0\0\0\0\0\0"


@pytest.mark.parametrize(
    ("name", "size"), [(b".", 24), (b"sevenby", 24), (b"eightbyt", 32), (b"x" * 255, 272)]
)
def test_directory_entries_are_padded_past_a_nul(name: bytes, size: int) -> None:
    entry = pack_dirent(7, 8, name)
    assert len(entry) == size
    assert entry[:16] == b"\7\0\0\0\0\0\0\0" + len(name).to_bytes(2, "little") + b"\x08\0\0\0\0\0"
    assert entry[16 : 16 + len(name) + 1] == name + b"\0"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        (Errno.EPERM, 1),
        (Errno.ENOENT, 2),
        (Errno.EINTR, 4),
        (Errno.ENOMEM, 12),
        (Errno.EFAULT, 14),
        (Errno.EBUSY, 16),
        (Errno.EEXIST, 17),
        (Errno.EINVAL, 22),
        (Errno.EWOULDBLOCK, 35),
        (Errno.EOPNOTSUPP, 45),
        (Errno.ENOSYS, 78),
        (Errno.ENOMEDIUM, 93),
        (Errno.EASYNC, 99),
        (Signal.ILL, 4),
        (Signal.TRAP, 5),
        (Signal.FPE, 8),
        (Signal.KILL, 9),
        (Signal.BUS, 10),
        (Signal.SEGV, 11),
        (Signal.SYS, 12),
        (Signal.IO, 23),
        (Signal.THR, 32),
        (Trap.PRIVINFLT, 1),
        (Trap.BPTFLT, 3),
        (Trap.ARITHTRAP, 6),
        (Trap.PROTFLT, 9),
        (Trap.TRCTRAP, 10),
        (Trap.PAGEFLT, 12),
        (Trap.DIVIDE, 18),
        (Trap.DNA, 22),
        (Trap.STKFLT, 27),
        (Trap.XMMFLT, 29),
        (Trap.FAST_SYSCALL, 0x81),
        (VmspaceCtl.RUN, 1),
        (Prot.READ, 1),
        (Prot.WRITE, 2),
        (Prot.EXEC, 4),
        (Map.SHARED, 0x1),
        (Map.PRIVATE, 0x2),
        (Map.FIXED, 0x10),
        (Map.STACK, 0x400),
        (Map.NOSYNC, 0x800),
        (Map.ANON, 0x1000),
        (Map.VPAGETABLE, 0x2000),
        (Map.TRYFIXED, 0x10000),
        (Map.NOCORE, 0x20000),
        (Map.SIZEALIGN, 0x40000),
        (Madv.NOSYNC, 6),
        (Madv.INVAL, 10),
        (Madv.SETMAP, 11),
        (Inherit.NONE, 2),
        (Ms.INVALIDATE, 2),
        (Pgex.P, 1),
        (Pgex.W, 2),
        (Pgex.U, 4),
        (Pgex.RSV, 8),
        (Pgex.I, 0x10),
        (Pgex.FPFAULT, 0x80),
        (Rflags.T, 0x100),
        (Rflags.RF, 0x10000),
        (Rflags.ID, 0x200000),
        (Open.CREAT, 0x200),
        (Open.EXCL, 0x800),
        (Open.DIRECT, 0x10000),
        (Io.FNONBLOCKING, 0x80000),
        (Io.FOFFSET, 0x200000),
        (Fcntl.SETOWN, 6),
        (Lock.UN, 8),
        (ClockId.MONOTONIC, 4),
        (Ioctl.TIOCGETA, 0x402C7413),
        (Ioctl.TIOCSETAF, 0x802C7416),
        (Ioctl.TIOCGWINSZ, 0x40087468),
        (Ioctl.FIONREAD, 0x4004667F),
        (Ioctl.FIOASYNC, 0x8004667D),
    ],
    ids=lambda value: repr(value) if isinstance(value, IntEnum) else "",
)
def test_constants_have_their_value(member: int, value: int) -> None:
    assert member == value


@pytest.mark.parametrize(
    ("signal", "action"),
    [
        (Signal.SEGV, Action.CORE),
        (Signal.SYS, Action.CORE),
        (Signal.KILL, Action.TERMINATE),
        (Signal.CKPTEXIT, Action.CHECKPOINT),
        (Signal.TSTP, Action.STOP),
        (Signal.CONT, Action.IGNORE),
        (Signal.IO, Action.IGNORE),
        (Signal.THR, Action.IGNORE),
        (63, Action.IGNORE),
    ],
)
def test_signals_have_a_default_action(signal: int, action: Action) -> None:
    assert default_action(signal) is action


def test_user_mode_is_what_the_selectors_and_flags_say() -> None:
    assert (USER_CS, USER_SS, RFLAGS_USER, RFLAGS_SANITISE) == (0x2B, 0x23, 0x202, 0x274DD5)


@pytest.mark.parametrize(
    ("va", "down", "up"), [(0, 0, 0), (1, 0, 4096), (4095, 0, 4096), (4096, 4096, 4096)]
)
def test_addresses_round_to_pages(va: int, down: int, up: int) -> None:
    assert (trunc_page(va), round_page(va)) == (down, up)


def test_a_refusal_names_its_errno_and_reason() -> None:
    assert str(KernelError(Errno.EBUSY, "vmspace 0x1 is in use")) == "EBUSY: vmspace 0x1 is in use"
    assert str(KernelError(Errno.EFAULT)) == "EFAULT"


def test_there_are_three_versions() -> None:
    assert dict(VERSIONS) == {"2011": ABI_2011, "2014": ABI_2014, "2020": ABI_2020}


@pytest.mark.parametrize(
    ("abi", "bits"),
    [
        (
            "2011",
            {
                "V": 0x1,
                "PS": 0x2,
                "R": 0x4,
                "W": 0x8,
                "X": 0x10,
                "A": 0x20,
                "M": 0x40,
                "U": 0x80,
                "MANAGED": 0x100,
                "G": 0x200,
                "WIRED": 0x400,
            },
        ),
        (
            "2014",
            {
                "V": 0x1,
                "RW": 0x2,
                "U": 0x4,
                "A": 0x20,
                "M": 0x40,
                "PS": 0x80,
                "G": 0x100,
                "WIRED": 0x200,
                "MANAGED": 0x400,
            },
        ),
        (
            "2020",
            {
                "V": 0x1,
                "RW": 0x2,
                "U": 0x4,
                "A": 0x20,
                "M": 0x40,
                "PS": 0x80,
                "G": 0x100,
                "WIRED": 0x200,
                "MANAGED": 0x400,
                "NX": 0x800,
            },
        ),
    ],
)
def test_each_version_has_its_page_table_bits(abi: str, bits: dict[str, int]) -> None:
    symbols = abi_symbols(VERSIONS[abi])
    named = {
        name: value
        for name, value in symbols.items()
        if name.startswith("VPTE_") and name != "VPTE_FRAME"
    }
    assert named == {f"VPTE_{name}": bit for name, bit in bits.items()}
    assert symbols["VPTE_FRAME"] == VPTE_FRAME == 0x000FFFFFFFFFF000


@pytest.mark.parametrize(
    ("abi", "bits"),
    [
        # valid, terminal, read, write, accessed, modified, no-execute
        ("2011", (0x1, 0x2, 0x4, 0x8, 0x20, 0x40, 0)),
        ("2014", (0x1, 0x80, 0, 0x2, 0x20, 0x40, 0)),
        ("2020", (0x1, 0x80, 0, 0x2, 0x20, 0x40, 0x800)),
    ],
)
def test_the_walk_looks_at_the_versions_bits(abi: str, bits: tuple[int, ...]) -> None:
    vpte = VERSIONS[abi].vpte
    assert bits == (
        vpte.valid,
        vpte.terminal,
        vpte.read,
        vpte.write,
        vpte.accessed,
        vpte.modified,
        vpte.no_execute,
    )


@pytest.mark.parametrize(
    ("abi", "fault", "breakpoint_code", "stack_code", "user_max", "returns"),
    [
        ("2011", (Signal.BUS, 2), 2, 3, 0x800000000000, SyscallReturn.IRETQ),
        ("2014", (Signal.SEGV, 2), 1, 2, 0x800000000000, SyscallReturn.SYSRET),
        ("2020", (Signal.SEGV, 2), 1, 2, 0x7FFFFFE00000, SyscallReturn.SYSRET_R10_CLEAR),
    ],
)
def test_versions_differ_in_signals_and_limits(
    abi: str,
    fault: tuple[Signal, int],
    breakpoint_code: int,
    stack_code: int,
    user_max: int,
    returns: SyscallReturn,
) -> None:
    version = VERSIONS[abi]
    assert version.protection_fault == fault
    assert version.breakpoint_code == breakpoint_code
    assert version.stack_fault_code == stack_code
    assert version.user_max == user_max
    assert version.syscall_return is returns


@pytest.mark.parametrize(
    ("abi", "execute_checked", "read_keeps_write", "superpages"),
    [("2011", False, False, False), ("2014", False, False, True), ("2020", True, True, True)],
)
def test_versions_differ_in_memory(
    abi: str, execute_checked: bool, read_keeps_write: bool, superpages: bool
) -> None:
    version = VERSIONS[abi]
    assert version.execute_checked is execute_checked
    assert version.read_keeps_write is read_keeps_write
    assert version.mmap_superpages is superpages


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ERRNO_EEXIST", 17),
        ("PROT_WRITE", 2),
        ("MAP_VPAGETABLE", 0x2000),
        ("MADV_SETMAP", 11),
        ("VMSPACE_CTL_RUN", 1),
        ("T_PAGEFLT", 12),
        ("T_FAST_SYSCALL", 0x81),
        ("TF_RIP", 0xA0),
        ("TF_TRAPNO", 0x80),
        ("TF_SIZE", 200),
        ("VEXT_GS_BASE", 16),
        ("PGEX_FPFAULT", 0x80),
        ("SIGSEGV", 11),
        ("SIG_SETMASK", 3),
        ("SIG_IGN", 1),
        ("SA_SIGINFO", 0x40),
        ("SS_DISABLE", 4),
        ("ITIMER_PROF", 2),
        ("EXTEXIT_SETINT", 1),
        ("EXTEXIT_LWP", 0x10000),
        ("S_IFDIR", 0o040000),
        ("S_IFIFO", 0o010000),
        ("S_IFMT", 0o170000),
        ("O_CREAT", 0x200),
        ("O_FNONBLOCKING", 0x80000),
        ("AT_FDCWD", 0xFFFAFDCD),
        ("AT_SYMLINK_NOFOLLOW", 1),
        ("AT_REMOVEDIR", 2),
        ("AT_EACCESS", 4),
        ("TIOCGWINSZ", 0x40087468),
        ("USER_CS", 0x2B),
        ("USER_MAX", 0x800000000000),
        ("PSL_T", 0x100),
        ("SOL_SOCKET", 0xFFFF),
        ("SO_RCVTIMEO", 0x1006),
        ("MSG_NOSIGNAL", 0x400),
        ("SEGV_MAPERR", 1),
        ("TRAP_TRACE", 2),
        ("SIG_SETMASK", 3),
        ("SA_SIGINFO", 0x40),
        ("SA_HANDLER", 0),
        ("SA_FLAGS", 8),
        ("SA_MASK", 12),
        ("SS_DISABLE", 4),
        ("SS_SIZE", 8),
        ("SI_ADDR", 24),
        ("SI_SIZE", 80),
        ("MC_FPOWNED_FPU", 0x20001),
        ("LWP_TID2", 32),
        ("LWP_PARAMS_SIZE", 40),
    ],
)
def test_assembly_knows_the_constants(name: str, value: int) -> None:
    assert abi_symbols(ABI_2011)[name] == value


@pytest.mark.parametrize(
    ("abi", "offsets"),
    [
        ("2011", {"SF_UC": 8, "SF_SI": 0x380, "SF_SIZE": 976, "UC_MCONTEXT": 16, "UC_SIZE": 888}),
        ("2011", {"MC_RDI": 8, "MC_SS": 200, "MC_LEN": 208, "MC_FPREGS": 232, "MC_SIZE": 808}),
        ("2011", {"UC_LINK": 0x338, "UC_STACK": 0x340}),
        ("2014", {"SF_UC": 64, "SF_SI": 1472, "SF_SIZE": 1600, "UC_MCONTEXT": 64, "UC_SIZE": 1408}),
        ("2014", {"MC_RDI": 8, "MC_SS": 200, "MC_LEN": 208, "MC_FPREGS": 256, "MC_SIZE": 1280}),
        ("2020", {"SF_SIZE": 1600, "MC_SIZE": 1280}),
    ],
)
def test_assembly_knows_what_signal_handlers_are_given(abi: str, offsets: dict[str, int]) -> None:
    symbols = abi_symbols(VERSIONS[abi])
    assert {name: symbols[name] for name in offsets} == offsets


def test_assembly_knows_the_system_calls() -> None:
    assert SYMBOLS["SYS_vmspace_ctl"] == 488
    assert SYMBOLS["SYS_syscall"] == 0
    assert SYMBOLS["SYS___syscall"] == 198
    assert SYMBOLS["SYS_break"] == 17
