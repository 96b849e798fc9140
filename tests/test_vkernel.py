"""The eight vmspace calls, and the way into a vmspace and back (abi 6.2-6.8b, 7.3, 7.4)."""

from collections.abc import Callable
from ctypes import sizeof
from struct import pack, unpack

import pytest
from conftest import LOAD_ADDRESS, NUMBERS, Booted, call, step

from emu.abi.errno import Errno
from emu.abi.frames import TRAPFRAME_FIELDS, Trapframe, Vextframe
from emu.abi.mman import Madv, Map, Prot
from emu.abi.versions import VERSIONS
from emu.abi.vkernel import Trap
from emu.abi.x86 import PAGE_SIZE, Rflags
from emu.kern.proc import Lwp
from emu.vm.vmspace import Vmspace
from syscalls.table import dispatch

Boot = Callable[..., Booted]

ID, OTHER = 0x1000, 0x2000
UNKNOWN = 0x9999
RUN = 1
TFRAME = LOAD_ADDRESS + 0x2000  # in the program's zeroed memory
VFRAME = LOAD_ADDRESS + 0x3000
UNMAPPED = 0xDEAD000
LIMIT = 0x800000000000
ALL_ONES = (1 << 64) - 1
MINUS_ONE = ALL_ONES

GUEST_CODE = 0x10000
GUEST_MEMORY = 0x4000
GUEST_STACK = GUEST_CODE + GUEST_MEMORY
SYSCALL = b"\x0f\x05"

RWX = int(Prot.READ | Prot.WRITE | Prot.EXEC)
RW = int(Prot.READ | Prot.WRITE)
ANON_FIXED = int(Map.ANON | Map.PRIVATE | Map.FIXED)
V_R_W = 0xD  # a 2011 vpte: valid, readable, writable
PS = 0x2
ACCESSED, MODIFIED = 0x20, 0x40


class VirtualKernel:
    """A process with one vmspace, ID, in which the code given lies in 16 KiB of memory."""

    def __init__(self, machine: Booted, code: bytes = SYSCALL) -> None:
        self.machine = machine
        self.lwp = machine.lwp
        assert call(self.lwp, "vmspace_create", ID, 0, 0) == 0
        self.map(GUEST_CODE, GUEST_MEMORY)
        self.space.copyout(GUEST_CODE, code)

    @property
    def space(self) -> Vmspace:
        assert self.lwp.proc.vkernel is not None
        return self.lwp.proc.vkernel.find(ID).vmspace

    @property
    def refs(self) -> int:
        assert self.lwp.proc.vkernel is not None
        return self.lwp.proc.vkernel.find(ID).refs

    def map(self, va: int, size: int, prot: int = RWX) -> None:
        mapped = call(self.lwp, "vmspace_mmap", ID, va, size, prot, ANON_FIXED, MINUS_ONE, 0)
        assert mapped == va

    def enter(self, *, at: int = TFRAME, vext: Vextframe | None = None, **registers: int) -> None:
        """Call vmspace_ctl; the guest has `registers`, or else stands before its code."""
        registers = {"rip": GUEST_CODE, "rsp": GUEST_STACK, "rflags": 0x202} | registers
        self.lwp.proc.vmspace.copyout(at, bytes(Trapframe(**registers)))
        self.lwp.proc.vmspace.copyout(VFRAME, bytes(vext or Vextframe()))
        # Not call(): what the guest starts with is in the registers now, not a result.
        frame = self.lwp.frame
        frame.rax = NUMBERS["vmspace_ctl"]
        frame.rdi, frame.rsi, frame.rdx, frame.rcx = ID, RUN, at, VFRAME
        dispatch(self.lwp)
        assert self.inside

    @property
    def inside(self) -> bool:
        return self.lwp.inside is not None

    def go(self) -> None:
        """Let the guest run until it is back, or the process has ended."""
        lwp = self.lwp
        while self.inside and lwp.proc.alive:
            step(lwp)

    def reflected(self, at: int = TFRAME) -> Trapframe:
        return Trapframe.from_buffer_copy(self.lwp.proc.vmspace.copyin(at, sizeof(Trapframe)))

    def run(self, **registers: int) -> Trapframe:
        """Enter, run and return what was reflected."""
        self.enter(**registers)
        self.go()
        return self.reflected()


@pytest.fixture
def lwp(boot: Boot) -> Lwp:
    return boot(b"\x90").lwp


@pytest.fixture
def vk(boot: Boot) -> VirtualKernel:
    return VirtualKernel(boot(b"\x90"))


def fingerprint(lwp: Lwp) -> tuple[object, ...]:
    """Everything that a refused call must leave alone, but for rax and the carry."""
    frame = Trapframe.from_buffer_copy(lwp.frame_bytes)
    for name in ("rax", *TRAPFRAME_FIELDS[:6]):
        setattr(frame, name, 0)
    frame.rflags &= ~1
    vkernel = lwp.proc.vkernel
    spaces = [] if vkernel is None else vkernel.entries.items()
    return (
        bytes(frame),
        bytes(lwp.bases_bytes),
        lwp.vmspace is lwp.proc.vmspace,
        lwp.cpu.fp_trap,
        [(entry.start, entry.end, entry.prot, entry.root) for entry in lwp.proc.vmspace.map],
        [
            (id, entry.refs, [(e.start, e.end, e.prot, e.root) for e in entry.vmspace.map])
            for id, entry in spaces
        ],
    )


# vmspace_create


def test_create_makes_an_empty_vmspace(lwp: Lwp) -> None:
    assert call(lwp, "vmspace_create", ID, 0, 0) == 0
    assert lwp.proc.vkernel is not None
    assert list(lwp.proc.vkernel.find(ID).vmspace.map) == []


def test_create_refuses_an_id_in_use(lwp: Lwp) -> None:
    call(lwp, "vmspace_create", ID, 0, 0)
    before = fingerprint(lwp)
    assert call(lwp, "vmspace_create", ID, 0, 0) is Errno.EEXIST
    assert fingerprint(lwp) == before


@pytest.mark.parametrize("id", [0, 1, 0x7FFFFFFFFFFF, 1 << 63, ALL_ONES])
def test_any_word_is_an_id(lwp: Lwp, id: int) -> None:
    assert call(lwp, "vmspace_create", id, 0, 0) == 0
    assert call(lwp, "vmspace_destroy", id ^ 1 << 40) is Errno.ENOENT
    assert call(lwp, "vmspace_destroy", id) == 0


def test_create_ignores_type_and_data(lwp: Lwp) -> None:
    assert call(lwp, "vmspace_create", ID, -1, UNMAPPED) == 0


def test_create_is_not_supported_without_vkernel_enable(boot: Boot) -> None:
    lwp = boot(b"\x90", vkernel_enable=False).lwp
    assert call(lwp, "vmspace_create", ID, 0, 0) is Errno.EOPNOTSUPP
    assert lwp.proc.vkernel is None


def test_vkernel_enable_comes_before_eexist_and_counts_at_each_create(lwp: Lwp) -> None:
    call(lwp, "vmspace_create", ID, 0, 0)
    lwp.proc.kernel.vkernel_enable = False
    assert call(lwp, "vmspace_create", ID, 0, 0) is Errno.EOPNOTSUPP


def test_the_other_calls_do_not_ask_for_vkernel_enable(vk: VirtualKernel) -> None:
    vk.lwp.proc.kernel.vkernel_enable = False
    assert vk.run().trapno == Trap.FAST_SYSCALL
    assert call(vk.lwp, "vmspace_munmap", ID, GUEST_CODE, GUEST_MEMORY) == 0
    assert call(vk.lwp, "vmspace_destroy", ID) == 0


# The checks that all the others share


EVERY_OTHER_CALL = [
    ("vmspace_destroy", (UNKNOWN,)),
    ("vmspace_ctl", (UNKNOWN, 2, UNMAPPED, UNMAPPED)),
    ("vmspace_mmap", (UNKNOWN, 1, 0, 0, Map.ANON, 0, 1)),
    ("vmspace_munmap", (UNKNOWN, ALL_ONES, ALL_ONES)),
    ("vmspace_mcontrol", (UNKNOWN, ALL_ONES, ALL_ONES, -1, 0)),
    ("vmspace_pread", (UNKNOWN, UNMAPPED, 1, 0, 0)),
    ("vmspace_pwrite", (UNKNOWN, UNMAPPED, 1, 0, 0)),
]


@pytest.mark.parametrize(
    ("name", "args"), EVERY_OTHER_CALL, ids=[name for name, _ in EVERY_OTHER_CALL]
)
def test_who_is_no_virtual_kernel_gets_einval_whatever_else_is_wrong(
    lwp: Lwp, name: str, args: tuple[int, ...]
) -> None:
    before = fingerprint(lwp)
    assert call(lwp, name, *args) is Errno.EINVAL
    assert fingerprint(lwp) == before


@pytest.mark.parametrize(
    ("name", "args"), EVERY_OTHER_CALL, ids=[name for name, _ in EVERY_OTHER_CALL]
)
def test_an_unknown_id_is_enoent_whatever_else_is_wrong(
    lwp: Lwp, name: str, args: tuple[int, ...]
) -> None:
    call(lwp, "vmspace_create", ID, 0, 0)
    before = fingerprint(lwp)
    assert call(lwp, name, *args) is Errno.ENOENT
    assert fingerprint(lwp) == before


def test_once_a_virtual_kernel_always_one(lwp: Lwp) -> None:
    call(lwp, "vmspace_create", ID, 0, 0)
    call(lwp, "vmspace_destroy", ID)
    assert call(lwp, "vmspace_destroy", ID) is Errno.ENOENT


# vmspace_destroy


def test_a_destroyed_id_is_free_again(vk: VirtualKernel) -> None:
    assert call(vk.lwp, "vmspace_destroy", ID) == 0
    assert call(vk.lwp, "vmspace_destroy", ID) is Errno.ENOENT
    assert call(vk.lwp, "vmspace_create", ID, 0, 0) == 0
    assert list(vk.space.map) == []


def test_destroy_gives_every_frame_back(lwp: Lwp) -> None:
    used = lwp.proc.kernel.phys.used
    call(lwp, "vmspace_create", ID, 0, 0)
    call(lwp, "vmspace_mmap", ID, 0, LIMIT, RWX, ANON_FIXED, MINUS_ONE, 0)
    assert lwp.proc.vkernel is not None
    space = lwp.proc.vkernel.find(ID).vmspace
    for va in (0, 0x10000, 0x8000000000, LIMIT - PAGE_SIZE):
        space.copyout(va, b"touched")
    assert lwp.proc.kernel.phys.used > used
    assert call(lwp, "vmspace_destroy", ID) == 0
    assert lwp.proc.kernel.phys.used == used


def test_destroy_is_refused_while_a_thread_is_inside(vk: VirtualKernel) -> None:
    """With one LWP only another process's or LWP's reference can be seen: here it is counted."""
    assert vk.refs == 0
    vk.enter()
    assert vk.refs == 1
    vk.go()
    assert vk.refs == 0
    vk.lwp.proc.vkernel.find(ID).refs = 1  # type: ignore[union-attr]
    before = fingerprint(vk.lwp)
    assert call(vk.lwp, "vmspace_destroy", ID) is Errno.EBUSY
    assert fingerprint(vk.lwp) == before


def test_vmspaces_are_separate(vk: VirtualKernel) -> None:
    lwp = vk.lwp
    call(lwp, "vmspace_create", OTHER, 0, 0)
    assert lwp.proc.vkernel is not None
    assert list(lwp.proc.vkernel.find(OTHER).vmspace.map) == []
    assert call(lwp, "vmspace_destroy", OTHER) == 0
    assert vk.run().trapno == Trap.FAST_SYSCALL


# vmspace_ctl: refusals


@pytest.mark.parametrize("cmd", [0, 2, 3, 4, -1, 0x7FFFFFFF])
def test_the_only_command_is_run_and_it_is_looked_at_before_the_frames(
    vk: VirtualKernel, cmd: int
) -> None:
    before = fingerprint(vk.lwp)
    assert call(vk.lwp, "vmspace_ctl", ID, cmd, UNMAPPED, UNMAPPED) is Errno.EOPNOTSUPP
    assert fingerprint(vk.lwp) == before


def test_the_command_is_an_int(vk: VirtualKernel) -> None:
    assert call(vk.lwp, "vmspace_ctl", ID, 0xFFFFFFFF00000001, UNMAPPED, VFRAME) is Errno.EFAULT


@pytest.mark.parametrize(
    ("tframe", "vframe"),
    [
        (UNMAPPED, VFRAME),
        (TFRAME, UNMAPPED),
        (0, VFRAME),
        (TFRAME, 0),
        (ALL_ONES, VFRAME),
        (TFRAME, ALL_ONES - 15),
        (LIMIT - 199, VFRAME),
        (TFRAME, LIMIT - 31),
        (LIMIT, VFRAME),
        (1 << 63, VFRAME),
    ],
)
def test_a_frame_that_cannot_be_read_is_efault_and_nothing_has_happened(
    vk: VirtualKernel, tframe: int, vframe: int
) -> None:
    vk.lwp.proc.vmspace.copyout(TFRAME, bytes(Trapframe(rip=GUEST_CODE, xflags=0x80)))
    before = fingerprint(vk.lwp)
    assert call(vk.lwp, "vmspace_ctl", ID, RUN, tframe, vframe) is Errno.EFAULT
    assert fingerprint(vk.lwp) == before
    assert call(vk.lwp, "vmspace_destroy", ID) == 0


def test_a_refused_run_leaves_no_trace_after_one_that_worked(vk: VirtualKernel) -> None:
    vk.run()
    before = fingerprint(vk.lwp)
    assert call(vk.lwp, "vmspace_ctl", ID, RUN, TFRAME, UNMAPPED) is Errno.EFAULT
    assert fingerprint(vk.lwp) == before
    assert not vk.inside
    assert vk.run().trapno == Trap.FAST_SYSCALL


# vmspace_ctl: the way in


def test_the_guest_gets_exactly_the_registers_in_tframe(vk: VirtualKernel) -> None:
    registers = {name: 0x0101010101010101 * (n + 1) for n, name in enumerate(TRAPFRAME_FIELDS[:15])}
    vk.enter(**registers, rsp=0x123456789ABCDEF0, rip=0x1122334455667788)
    frame = vk.lwp.frame
    assert {name: getattr(frame, name) for name in registers} == registers
    assert (frame.rsp, frame.rip) == (0x123456789ABCDEF0, 0x1122334455667788)


# mov [r15+0], rdi ... one store for each of the other 14 registers; then mov r15's own.
STORE_ALL = bytes.fromhex(
    "49893f 49897708 49895710 49894f18 4d894720 4d894f28 49894730 49895f38 49896f40"
    " 4d895748 4d895f50 4d896758 4d896f60 4d897768 4d897f70 4989a780000000 0f05"
)


def test_every_register_reaches_the_guest_and_comes_back(boot: Boot) -> None:
    vk = VirtualKernel(boot(b"\x90"), STORE_ALL)
    registers = {name: 0x0101010101010101 * (n + 1) for n, name in enumerate(TRAPFRAME_FIELDS[:14])}
    data = GUEST_CODE + 0x1000
    tframe = vk.run(**registers, r15=data, rsp=0xFEDCBA9876543210)
    seen = vk.space.copyin(data, 136)
    assert seen[:112] == b"".join(value.to_bytes(8, "little") for value in registers.values())
    assert seen[112:120] == data.to_bytes(8, "little")
    assert seen[128:136] == (0xFEDCBA9876543210).to_bytes(8, "little")
    # At a SYSCALL slot rcx holds R10, and r10 and r11 may hold anything.
    expected = registers | {"rcx": registers["r10"], "r15": data, "rsp": 0xFEDCBA9876543210}
    for name in expected.keys() - {"r10", "r11"}:
        assert getattr(tframe, name) == expected[name], name


def test_a_trap_that_is_no_system_call_brings_all_registers_back(boot: Boot) -> None:
    vk = VirtualKernel(boot(b"\x90"), b"\xcc")
    registers = {name: 0x0101010101010101 * (n + 1) for n, name in enumerate(TRAPFRAME_FIELDS[:15])}
    tframe = vk.run(**registers, rsp=0xFEDCBA9876543210)
    assert {name: getattr(tframe, name) for name in registers} == registers
    assert tframe.rsp == 0xFEDCBA9876543210


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (0, 0x202),
        (1 << 0, 0x203),  # C
        (1 << 1, 0x202),  # always set
        (1 << 2, 0x206),  # PF
        (1 << 3, 0x202),
        (1 << 4, 0x212),  # AF
        (1 << 5, 0x202),
        (1 << 6, 0x242),  # Z
        (1 << 7, 0x282),  # N
        (1 << 8, 0x302),  # T
        (1 << 9, 0x202),  # I, always set
        (1 << 10, 0x602),  # D
        (1 << 11, 0xA02),  # V
        (1 << 12, 0x202),  # IOPL
        (1 << 13, 0x202),
        (1 << 14, 0x4202),  # NT
        (1 << 15, 0x202),
        (1 << 16, 0x10202),  # RF
        (1 << 17, 0x20202),  # VM
        (1 << 18, 0x40202),  # AC
        (1 << 19, 0x202),  # VIF
        (1 << 20, 0x202),  # VIP
        (1 << 21, 0x200202),  # ID
        (1 << 22, 0x202),
        (1 << 31, 0x202),
        (1 << 32, 0x202),
        (1 << 63, 0x202),
        (ALL_ONES, 0x274FD7),
    ],
)
def test_flags_are_sanitised(vk: VirtualKernel, given: int, kept: int) -> None:
    vk.enter(rflags=given)
    assert vk.lwp.frame.rflags == kept


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        (SYSCALL, 0x244ED7),
        (b"\x90" + SYSCALL, 0x244ED7),
        (b"\xcc", 0x244ED7),
        (b"\xf4", 0x254ED7),
        (b"\x90\xf4", 0x254ED7),
    ],
    ids=["syscall", "nop-syscall", "int3", "hlt", "nop-hlt"],
)
def test_flags_come_back_without_those_that_do_not_exist(
    boot: Boot, code: bytes, kept: int
) -> None:
    """VM means nothing in 64-bit mode; RF is for hardware to say (abi 12)."""
    vk = VirtualKernel(boot(b"\x90"), code)
    assert vk.run(rflags=ALL_ONES & ~Rflags.T).rflags == kept


@pytest.mark.parametrize(("cs", "ss"), [(0, 0), (0x08, 0x10), (0x1B, 0x2B), (ALL_ONES, ALL_ONES)])
def test_selectors_are_not_the_guests_to_choose(vk: VirtualKernel, cs: int, ss: int) -> None:
    tframe = vk.run(cs=cs, ss=ss)
    assert (tframe.cs, tframe.ss) == (0x2B, 0x23)


def test_trapno_err_addr_and_flags_mean_nothing_on_the_way_in(vk: VirtualKernel) -> None:
    tframe = vk.run(trapno=ALL_ONES, err=ALL_ONES, addr=0xADD7, flags=0xF1A65, xflags=ALL_ONES)
    assert (tframe.trapno, tframe.err, tframe.xflags) == (0x81, 2, 0)


@pytest.mark.parametrize(
    ("name", "code"),
    # mov rax, fs:[0]; syscall
    [("fs_base", "64488b042500000000 0f05"), ("gs_base", "65488b042500000000 0f05")],
)
def test_tls_bases_are_the_guests_inside_and_the_virtual_kernels_outside(
    boot: Boot, name: str, code: str
) -> None:
    vk = VirtualKernel(boot(b"\x90"), bytes.fromhex(code))
    data = GUEST_CODE + 0x1000
    vk.space.copyout(data, b"guestTLS")
    own = Vextframe(0xF5F5000, 16, 0x656565000, 32)
    vk.lwp.bases_bytes[:] = bytes(own)
    vk.enter(vext=Vextframe(**{name: data, "fs_size": 7, "gs_size": -1}))
    assert getattr(vk.lwp.bases, name) == data
    vk.go()
    assert vk.reflected().rax == int.from_bytes(b"guestTLS", "little")
    assert bytes(vk.lwp.bases_bytes) == bytes(own)


def test_the_virtual_kernels_tls_works_again_afterwards(boot: Boot) -> None:
    # mov rax, fs:[0]; int3
    machine = boot(bytes.fromhex("64488b042500000000 cc"))
    vk = VirtualKernel(machine)
    lwp = vk.lwp
    lwp.proc.vmspace.copyout(VFRAME + 0x100, b"vkernels")
    lwp.proc.vmspace.copyout(VFRAME + 0x200, pack("<QQ", VFRAME + 0x100, 16))
    assert call(lwp, "set_tls_area", 0, VFRAME + 0x200, 16) == 0
    vk.enter(vext=Vextframe(fs_base=GUEST_CODE))
    vk.go()
    assert machine.run() == 133
    assert lwp.frame.rax == int.from_bytes(b"vkernels", "little")


def test_a_non_canonical_base_does_not_hinder_the_guest(vk: VirtualKernel) -> None:
    vk.enter(vext=Vextframe(fs_base=1 << 63, gs_base=ALL_ONES >> 1))
    vk.go()
    assert vk.reflected().trapno == Trap.FAST_SYSCALL


# vmspace_ctl: the way back


def test_vframe_is_never_written(vk: VirtualKernel) -> None:
    vext = Vextframe(0x1111, 0x2222, 0x3333, 0x4444)
    vk.enter(vext=vext)
    vk.lwp.proc.vmspace.copyout(VFRAME, b"\xab" * 32)
    vk.go()
    assert vk.lwp.proc.vmspace.copyin(VFRAME, 32) == b"\xab" * 32


def test_the_virtual_kernel_sees_its_call_return_zero(vk: VirtualKernel) -> None:
    lwp = vk.lwp
    frame = lwp.frame
    for register in range(15):
        lwp.words[register] = 0x1111 * (register + 1)
    frame.rflags = 0x244ED7
    frame.rip, frame.rsp = LOAD_ADDRESS + 0x123, 0x7FFFFFFFE008
    before = Trapframe.from_buffer_copy(lwp.frame_bytes)
    before.rdi, before.rsi, before.rdx, before.rcx = ID, RUN, TFRAME, VFRAME
    vk.run()
    assert frame.rax == 0
    assert frame.rflags == 0x244ED6
    before.rax, before.rflags = frame.rax, frame.rflags
    assert bytes(lwp.frame_bytes) == bytes(before)  # RDX and RCX, which is its R10, too
    assert lwp.vmspace is lwp.proc.vmspace


@pytest.mark.parametrize("abi", ["2011", "2014", "2020"])
def test_every_register_is_loaded_on_both_ways_in_every_version(boot: Boot, abi: str) -> None:
    """The fast return is not taken: not even RCX and R11 are touched (abi 1.4)."""
    machine = boot(b"\x0f\x05\xcc", abi=VERSIONS[abi])  # syscall; int3
    vk = VirtualKernel(machine, b"\xcc")
    lwp, frame = vk.lwp, vk.lwp.frame
    lwp.proc.vmspace.copyout(
        TFRAME, bytes(Trapframe(rip=GUEST_CODE, rcx=0xC, r8=0x8, r10=0x10, r11=0x11))
    )
    lwp.proc.vmspace.copyout(VFRAME, bytes(32))
    frame.rax, frame.rdi, frame.rsi, frame.rdx, frame.r10 = 488, ID, RUN, TFRAME, VFRAME
    frame.r8, frame.r9, frame.rip = 0x88, 0x99, LOAD_ADDRESS
    lwp.cpu.load()
    assert machine.run() == 133
    inside = vk.reflected()
    assert (inside.trapno, inside.rcx, inside.r8) == (Trap.BPTFLT, 0xC, 0x8)
    assert (inside.r10, inside.r11) == (0x10, 0x11)
    assert (frame.rax, frame.rdx, frame.rcx) == (0, TFRAME, VFRAME)
    assert (frame.r8, frame.r9) == (0x88, 0x99)
    assert frame.rip == LOAD_ADDRESS + 3


def test_a_tframe_that_is_gone_makes_the_call_return_efault(vk: VirtualKernel) -> None:
    lwp = vk.lwp
    frame_page = 0x50000000
    assert call(lwp, "mmap", frame_page, 4096, RW, ANON_FIXED, MINUS_ONE, 0, 0) == frame_page
    vk.enter(at=frame_page)
    # What another thread of the virtual kernel could do meanwhile.
    lwp.proc.vmspace.munmap(frame_page, 4096)
    vk.go()
    assert (lwp.frame.rax, lwp.frame.rflags & Rflags.C) == (Errno.EFAULT, 1)
    assert lwp.vmspace is lwp.proc.vmspace
    assert vk.refs == 0
    assert call(lwp, "vmspace_destroy", ID) == 0


def test_a_tframe_that_became_read_only_is_efault_too(vk: VirtualKernel) -> None:
    lwp = vk.lwp
    frame_page = 0x50000000
    call(lwp, "mmap", frame_page, 4096, RW, ANON_FIXED, MINUS_ONE, 0, 0)
    vk.enter(at=frame_page, rbx=0xB)
    lwp.proc.vmspace.mprotect(frame_page, 4096, Prot.READ)
    vk.go()
    assert lwp.frame.rax == Errno.EFAULT
    assert vk.reflected(frame_page).trapno == 0


@pytest.mark.parametrize("offset", [4096 - 8, 4096 - 100, 4096 - 192, 4093])
def test_a_tframe_may_cross_a_page(boot: Boot, offset: int) -> None:
    vk = VirtualKernel(boot(b"\x90"), b"\xcc")
    vk.enter(at=TFRAME + offset - 0x1000, r15=0x15, rbx=0xB)
    vk.go()
    tframe = vk.reflected(TFRAME + offset - 0x1000)
    assert (tframe.trapno, tframe.r15, tframe.rbx) == (Trap.BPTFLT, 0x15, 0xB)
    assert (tframe.rip, tframe.ss) == (GUEST_CODE + 1, 0x23)


def test_a_tframe_of_which_half_is_gone_is_efault(vk: VirtualKernel) -> None:
    lwp = vk.lwp
    pages = 0x50000000
    call(lwp, "mmap", pages, 8192, RW, ANON_FIXED, MINUS_ONE, 0, 0)
    vk.enter(at=pages + 4096 - 100)
    lwp.proc.vmspace.munmap(pages + 4096, 4096)
    vk.go()
    assert lwp.frame.rax == Errno.EFAULT


def test_a_tframe_in_a_virtual_page_table_marks_accessed_then_modified(vk: VirtualKernel) -> None:
    """The real client keeps its frames in such memory (abi 8.4)."""
    lwp = vk.lwp
    space = lwp.proc.vmspace
    base = 0x8000000000
    flags = int(Map.ANON | Map.PRIVATE | Map.FIXED | Map.VPAGETABLE)
    assert call(lwp, "mmap", base, 1 << 21, RW, flags, MINUS_ONE, 0, 0) == base
    # Through a linear view, build a tree: pages 1, 2, 3 are tables, page 4 is where frames are.
    assert call(lwp, "mcontrol", base, 1 << 21, Madv.SETMAP, V_R_W | PS) == 0
    leaf = base + 3 * PAGE_SIZE
    for table in (0, 1, 2):
        space.copyout(base + table * PAGE_SIZE, pack("<Q", (table + 1) * PAGE_SIZE | V_R_W))
    space.copyout(leaf, pack("<Q", 4 * PAGE_SIZE | V_R_W))
    space.copyout(base + 4 * PAGE_SIZE, bytes(Trapframe(rip=GUEST_CODE)))
    vpte = space.map.lookup(base)
    assert vpte is not None

    def entry() -> int:
        page, _ = vpte.object.page(3, False)
        return lwp.proc.kernel.phys.read_u64(page)

    assert call(lwp, "mcontrol", base, 1 << 21, Madv.SETMAP, V_R_W) == 0
    lwp.proc.vmspace.copyout(VFRAME, bytes(32))
    assert entry() == 4 * PAGE_SIZE | V_R_W
    call(lwp, "vmspace_ctl", ID, RUN, base, VFRAME)
    assert entry() == 4 * PAGE_SIZE | V_R_W | ACCESSED
    vk.go()
    assert entry() == 4 * PAGE_SIZE | V_R_W | ACCESSED | MODIFIED
    assert vk.reflected(base).trapno == Trap.FAST_SYSCALL


def test_the_tframe_is_read_before_the_vframe_is_faulted_in(vk: VirtualKernel) -> None:
    """Which may mark an entry in the very page of the tframe: copyin() in the original's order."""
    lwp = vk.lwp
    space = lwp.proc.vmspace
    base = 0x8000000000
    flags = int(Map.ANON | Map.PRIVATE | Map.FIXED | Map.VPAGETABLE)
    assert call(lwp, "mmap", base, 1 << 21, RW, flags, MINUS_ONE, 0, 0) == base
    assert call(lwp, "mcontrol", base, 1 << 21, Madv.SETMAP, V_R_W | PS) == 0
    # Page 0 is its own table, at all levels; its first entry is also the tframe's RDI.
    space.copyout(base, bytes(Trapframe(rdi=V_R_W, rip=GUEST_CODE)))
    entry = space.map.lookup(base)
    assert entry is not None
    entry.root = V_R_W
    space.pmap.remove(base + PAGE_SIZE, base + (1 << 21))
    vframe = base + PAGE_SIZE
    space.copyout(base + 8, pack("<Q", V_R_W))  # RSI, and the entry for the vframe's page
    space.copyin(base, 8)  # from now on the kernel knows the page, and need not copy it
    call(lwp, "vmspace_ctl", ID, RUN, base, vframe + 0x800)
    assert (lwp.frame.rdi, lwp.frame.rsi) == (V_R_W, V_R_W)
    words = space.copyin(base, 16)
    assert unpack("<QQ", words) == (V_R_W | ACCESSED, V_R_W | ACCESSED)


def test_what_the_guest_cannot_do_is_call_the_host(vk: VirtualKernel) -> None:
    """Every number is reflected, exit and vmspace_ctl among them."""
    for number in (1, 20, 488, 0, 198, 0xFFFFFFFF, ALL_ONES):
        tframe = vk.run(rax=number, rdi=9, r10=0x10)
        assert (tframe.trapno, tframe.rax, tframe.rdi, tframe.rcx) == (0x81, number, 9, 0x10)
        assert tframe.rip == GUEST_CODE + 2
    assert vk.lwp.proc.alive
    assert vk.machine.told == []


def test_a_guest_may_be_entered_again_where_it_stopped(boot: Boot) -> None:
    vk = VirtualKernel(boot(b"\x90"), b"\x48\xff\xc3" + SYSCALL + b"\xeb\xf9")  # inc rbx
    tframe = vk.run()
    for _ in range(100):
        vk.lwp.proc.vmspace.copyout(TFRAME, bytes(tframe))
        call(vk.lwp, "vmspace_ctl", ID, RUN, TFRAME, VFRAME)
        vk.go()
        tframe = vk.reflected()
    assert tframe.rbx == 101


# vmspace_mmap, vmspace_munmap, vmspace_mcontrol


def test_vmspace_mmap_maps_there_and_not_here(vk: VirtualKernel) -> None:
    lwp = vk.lwp
    mapped = call(lwp, "vmspace_mmap", ID, 0x100000, 5000, RW, ANON_FIXED, MINUS_ONE, 0)
    assert mapped == 0x100000
    entry = vk.space.map.lookup(0x100000)
    assert entry is not None
    assert (entry.start, entry.end) == (0x100000, 0x102000)
    assert lwp.proc.vmspace.map.lookup(0x100000) is None


def test_vmspace_mmap_at_address_0_returns_0(vk: VirtualKernel) -> None:
    assert call(vk.lwp, "vmspace_mmap", ID, 0, 4096, RW, ANON_FIXED, MINUS_ONE, 0) == 0


def test_vmspace_mmap_takes_its_hint_from_the_calling_process(vk: VirtualKernel) -> None:
    anon = int(Map.ANON | Map.PRIVATE)
    mapped = call(vk.lwp, "vmspace_mmap", ID, 0, 4096, RW, anon, MINUS_ONE, 0)
    assert mapped == LOAD_ADDRESS + (32 << 30)


def test_vmspace_mmap_may_span_the_whole_space(vk: VirtualKernel) -> None:
    assert call(vk.lwp, "vmspace_mmap", ID, 0, LIMIT, RWX, ANON_FIXED, MINUS_ONE, 0) == 0
    assert [(entry.start, entry.end) for entry in vk.space.map] == [(0, LIMIT)]


@pytest.mark.parametrize(
    ("args", "errno"),
    [
        # addr, len, prot, flags, fd, offset: two things are wrong, the first decides
        ((1, 0, RW, ANON_FIXED, 3, 0), Errno.EINVAL),
        ((0, 0, RW, int(Map.FIXED | Map.SHARED), 99, 0), Errno.EINVAL),
        ((LIMIT, 4096, RW, int(Map.FIXED | Map.SHARED), 99, 0), Errno.EINVAL),
        ((1, 4096, RW, int(Map.FIXED | Map.SHARED), 99, 0), Errno.EINVAL),
        ((0, 4096, RW, int(Map.FIXED | Map.SHARED), 99, 0), Errno.EBADF),
        ((0, 4096, 1, int(Map.VPAGETABLE | Map.SHARED), 99, 0), Errno.EINVAL),
        ((0, 4096, RW, int(Map.STACK | Map.ANON), 3, 0), Errno.EINVAL),
        ((0, ALL_ONES, RW, int(Map.ANON), MINUS_ONE, 0), Errno.EINVAL),
        ((GUEST_CODE, 4096, RW, int(Map.ANON | Map.TRYFIXED), MINUS_ONE, 0), Errno.ENOMEM),
        ((0, LIMIT, RW, int(Map.ANON), MINUS_ONE, 0), Errno.ENOMEM),
    ],
)
def test_vmspace_mmap_refuses_as_mmap_does(
    vk: VirtualKernel, args: tuple[int, ...], errno: Errno
) -> None:
    before = fingerprint(vk.lwp)
    assert call(vk.lwp, "vmspace_mmap", ID, *args) is errno
    assert fingerprint(vk.lwp) == before


def test_vpagetable_mappings_need_vkernel_enable(vk: VirtualKernel) -> None:
    vk.lwp.proc.kernel.vkernel_enable = False
    flags = int(Map.VPAGETABLE | Map.ANON | Map.STACK)
    before = fingerprint(vk.lwp)
    assert call(vk.lwp, "vmspace_mmap", ID, 0, 4096, RW, flags, MINUS_ONE, 0) is Errno.EOPNOTSUPP
    assert fingerprint(vk.lwp) == before


@pytest.mark.parametrize(
    ("addr", "len", "outcome"),
    [
        (GUEST_CODE, GUEST_MEMORY, 0),
        (GUEST_CODE + 1, 1, 0),
        (GUEST_CODE, 0, 0),
        (UNMAPPED, 0, 0),
        (GUEST_CODE, GUEST_MEMORY + 1, Errno.EINVAL),
        (GUEST_CODE - 1, 2, Errno.EINVAL),
        (UNMAPPED, 4096, Errno.EINVAL),
        (LIMIT, 4096, Errno.EINVAL),
        (ALL_ONES, ALL_ONES, Errno.EINVAL),
        (0, ALL_ONES, Errno.EINVAL),
    ],
)
def test_vmspace_munmap_wants_everything_mapped(
    vk: VirtualKernel, addr: int, len: int, outcome: int
) -> None:
    before = fingerprint(vk.lwp)
    assert call(vk.lwp, "vmspace_munmap", ID, addr, len) == outcome
    if outcome:
        assert fingerprint(vk.lwp) == before


def test_an_unmapped_page_is_gone_for_the_guest(boot: Boot) -> None:
    vk = VirtualKernel(boot(b"\x90"), bytes.fromhex("8a0425 00300100 0f05"))  # mov al, [0x13000]
    assert vk.run().trapno == Trap.FAST_SYSCALL
    assert call(vk.lwp, "vmspace_munmap", ID, GUEST_CODE + 0x3000, 4096) == 0
    tframe = vk.run()
    assert (tframe.trapno, tframe.addr, tframe.err) == (Trap.PAGEFLT, GUEST_CODE + 0x3000, 4)


@pytest.mark.parametrize(
    ("addr", "len", "behav", "outcome"),
    [
        (ALL_ONES, ALL_ONES, -1, Errno.EINVAL),
        (GUEST_CODE, 4096, 12, Errno.EINVAL),
        (GUEST_CODE, 4096, 0x7FFFFFFF, Errno.EINVAL),
        (ALL_ONES - 4095, 4096, Madv.INVAL, Errno.EINVAL),
        (LIMIT - 4096, 4097, Madv.INVAL, Errno.EINVAL),
        (LIMIT - 4096, 4096, Madv.INVAL, 0),
        (LIMIT, 0, Madv.INVAL, 0),
        (0, LIMIT, Madv.INVAL, 0),
        (UNMAPPED, 4096, Madv.SETMAP, 0),
        (GUEST_CODE, 4096, Madv.SETMAP, Errno.EINVAL),
        (GUEST_CODE, 4096, Madv.DONTNEED, 0),
        (GUEST_CODE, 4096, Madv.NORMAL, 0),
    ],
)
def test_vmspace_mcontrol_checks_its_range(
    vk: VirtualKernel, addr: int, len: int, behav: int, outcome: int
) -> None:
    assert call(vk.lwp, "vmspace_mcontrol", ID, addr, len, behav, 0) == outcome


def test_setmap_sets_the_root_of_what_has_one_and_reports_the_rest(vk: VirtualKernel) -> None:
    lwp = vk.lwp
    vpage = ANON_FIXED | Map.VPAGETABLE
    behind = GUEST_CODE + GUEST_MEMORY
    assert call(lwp, "vmspace_mmap", ID, behind, 8192, RW, vpage, MINUS_ONE, 0) == behind
    length = GUEST_MEMORY + 8192
    assert call(lwp, "vmspace_mcontrol", ID, GUEST_CODE, length, Madv.SETMAP, ALL_ONES) is (
        Errno.EINVAL
    )
    entry = vk.space.map.lookup(behind)
    assert entry is not None
    assert entry.root == ALL_ONES


# vmspace_pread, vmspace_pwrite


@pytest.mark.parametrize("name", ["vmspace_pread", "vmspace_pwrite"])
def test_reading_and_writing_a_vmspace_is_einval_as_in_the_original(
    vk: VirtualKernel, name: str
) -> None:
    before = fingerprint(vk.lwp)
    assert call(vk.lwp, name, ID, TFRAME, 8, 0, GUEST_CODE) is Errno.EINVAL
    assert call(vk.lwp, name, ID, TFRAME, 0, 0, GUEST_CODE) is Errno.EINVAL
    assert fingerprint(vk.lwp) == before


@pytest.fixture
def io(boot: Boot) -> VirtualKernel:
    """A virtual kernel that may read and write its vmspaces."""
    return VirtualKernel(boot(b"\x90", vmspace_io=True))


def test_pread_copies_from_the_vmspace(io: VirtualKernel) -> None:
    data = bytes(range(256)) * 40
    io.space.copyout(GUEST_CODE + 123, data)
    assert call(io.lwp, "vmspace_pread", ID, TFRAME + 7, 10240, 0, GUEST_CODE + 123) == 10240
    assert io.lwp.proc.vmspace.copyin(TFRAME + 7, 10240) == data


def test_pwrite_copies_to_the_vmspace(io: VirtualKernel) -> None:
    data = bytes(range(256)) * 40
    io.lwp.proc.vmspace.copyout(TFRAME + 7, data)
    assert call(io.lwp, "vmspace_pwrite", ID, TFRAME + 7, 10240, 0, GUEST_CODE + 123) == 10240
    assert io.space.copyin(GUEST_CODE + 123, 10240) == data


@pytest.mark.parametrize("name", ["vmspace_pread", "vmspace_pwrite"])
@pytest.mark.parametrize(
    ("offset", "size", "count"),
    [
        (GUEST_CODE, 0, 0),
        (UNMAPPED, 0, 0),
        (GUEST_STACK - 10, 20, 10),
        (GUEST_STACK - 5000, 6000, 5000),
        (GUEST_STACK, 20, 0),
        (0, 20, 0),
        (LIMIT - 10, 20, 0),
        (ALL_ONES, ALL_ONES, 0),
    ],
)
def test_the_count_is_short_where_the_vmspace_has_a_hole(
    io: VirtualKernel, name: str, offset: int, size: int, count: int
) -> None:
    assert call(io.lwp, name, ID, TFRAME, size, 0, offset) == count


def test_a_short_transfer_can_be_repaired_and_go_on(io: VirtualKernel) -> None:
    io.lwp.proc.vmspace.copyout(TFRAME, b"0123456789")
    assert call(io.lwp, "vmspace_pwrite", ID, TFRAME, 10, 0, GUEST_STACK - 4) == 4
    io.map(GUEST_STACK, 4096)
    assert call(io.lwp, "vmspace_pwrite", ID, TFRAME + 4, 6, 0, GUEST_STACK) == 6
    assert io.space.copyin(GUEST_STACK - 4, 10) == b"0123456789"


@pytest.mark.parametrize("name", ["vmspace_pread", "vmspace_pwrite"])
@pytest.mark.parametrize("buf", [UNMAPPED, LIMIT - 1, ALL_ONES])
def test_a_bad_buffer_of_the_callers_is_efault(io: VirtualKernel, name: str, buf: int) -> None:
    assert call(io.lwp, name, ID, buf, 8, 0, GUEST_CODE) is Errno.EFAULT


def test_pwrite_obeys_the_vmspaces_protection(io: VirtualKernel) -> None:
    io.map(0x30000, 4096, int(Prot.READ))
    assert call(io.lwp, "vmspace_pwrite", ID, TFRAME, 8, 0, 0x30000) == 0
    assert call(io.lwp, "vmspace_pread", ID, TFRAME, 8, 0, 0x30000) == 8


def test_code_written_by_pwrite_is_what_runs(io: VirtualKernel) -> None:
    assert io.run().trapno == Trap.FAST_SYSCALL
    io.lwp.proc.vmspace.copyout(TFRAME + 0x800, b"\xcc")
    assert call(io.lwp, "vmspace_pwrite", ID, TFRAME + 0x800, 1, 0, GUEST_CODE) == 1
    assert io.run().trapno == Trap.BPTFLT


def test_frames_and_tables_are_given_back_when_the_process_lets_go(vk: VirtualKernel) -> None:
    vkernel = vk.lwp.proc.vkernel
    assert vkernel is not None
    used = vk.lwp.proc.kernel.phys.used
    vkernel.drop()
    assert vkernel.entries == {}
    assert vk.lwp.proc.kernel.phys.used < used
