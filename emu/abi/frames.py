"""Register frames as the kernel and its virtual kernels exchange them.

cpu/x86_64/include/frame.h, vframe.h and <sys/tls.h>.
"""

from ctypes import LittleEndianStructure, c_int64, c_uint64

# fmt: off
TRAPFRAME_FIELDS = (
    "rdi", "rsi", "rdx", "rcx", "r8", "r9", "rax", "rbx", "rbp", "r10", "r11", "r12", "r13",
    "r14", "r15", "xflags", "trapno", "addr", "flags", "err", "rip", "cs", "rflags", "rsp", "ss",
)
# fmt: on


class Trapframe(LittleEndianStructure):
    """User registers at a trap: 25 words, 200 bytes.

    The first six are the system call arguments in argument order (rcx holds R10); the
    dispatcher relies on it.
    """

    _fields_ = [(name, c_uint64) for name in TRAPFRAME_FIELDS]

    rdi: int
    rsi: int
    rdx: int
    rcx: int
    r8: int
    r9: int
    rax: int
    rbx: int
    rbp: int
    r10: int
    r11: int
    r12: int
    r13: int
    r14: int
    r15: int
    xflags: int
    trapno: int
    addr: int
    flags: int
    err: int
    rip: int
    cs: int
    rflags: int
    rsp: int
    ss: int


class Vextframe(LittleEndianStructure):
    """The two TLS areas of a thread: FS and GS base.  The sizes are ignored on x86-64."""

    _fields_ = [
        ("fs_base", c_uint64),
        ("fs_size", c_int64),
        ("gs_base", c_uint64),
        ("gs_size", c_int64),
    ]

    fs_base: int
    fs_size: int
    gs_base: int
    gs_size: int


class TlsInfo(LittleEndianStructure):
    """One of them, as set_tls_area(2) and get_tls_area(2) exchange it."""

    _fields_ = [("base", c_uint64), ("size", c_int64)]

    base: int
    size: int


TRAPFRAME_SIZE = 200
VEXTFRAME_SIZE = 32
TLS_INFO_SIZE = 16
