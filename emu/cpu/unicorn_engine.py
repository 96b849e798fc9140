"""The CPU: Unicorn, made to behave as the contract in `engine` says.

Everything odd about Unicorn is handled here, each time with the reason beside it.  Three rules
hold throughout: guest code runs in ring 3 and nothing takes it out; no object is built per trap
(registers move between the engine and `frame` in one batch each way); and the only stops after
which the guest goes on are made inside a hook, at the edge of an instruction or a block.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ctypes import (
    CDLL,
    CFUNCTYPE,
    PyDLL,
    Structure,
    addressof,
    byref,
    c_char,
    c_char_p,
    c_int,
    c_int32,
    c_size_t,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
    cast,
    string_at,
)
from itertools import count
from typing import Any, NamedTuple
from weakref import finalize

from unicorn import unicorn_const as uc
from unicorn import x86_const as x86
from unicorn.unicorn_py3.unicorn import uclib

from emu.abi.frames import TRAPFRAME_FIELDS, Trapframe, Vextframe
from emu.abi.vkernel import SYSCALL_LENGTH, Trap
from emu.abi.x86 import (
    FPU_CONTROL_WORD,
    KERNEL_CS,
    KERNEL_DS,
    LEVEL_SHIFTS,
    MXCSR_DEFAULT,
    PAGE_MASK,
    PTE_FRAME,
    PTES_PER_PAGE,
    RFLAGS_SANITISE,
    RFLAGS_USER,
    U32_MASK,
    U64_MASK,
    USER_CS,
    USER_SS,
    Pgex,
    Pte,
    Rflags,
    Vector,
    round_page,
)
from emu.cpu.boot_space import (
    CODE_VA,
    ENTRY_VA,
    FRAME_VA,
    GDT,
    GDT_VA,
    build_boot_space,
)
from emu.cpu.engine import EngineError, Exit
from emu.cpu.safe_stop import BUDGET, KICK, SYSCALL, VECTOR, Words, place_routines
from emu.vm.phys import PhysicalMemory

# The same library twice: uc_emu_start must release the interpreter lock, so that other threads
# can kick; everything else is too short for that to be worth its price.
_blocking = CDLL(uclib._name)
_lib = PyDLL(uclib._name)
_lib.uc_strerror.restype = c_char_p
_lib.uc_context_size.restype = c_size_t
# Arguments beyond these are variadic, which some hosts pass differently.
_lib.uc_ctl.argtypes = (c_void_p, c_int)
_lib.uc_hook_add.argtypes = (c_void_p, c_void_p, c_int, c_void_p, c_void_p, c_uint64, c_uint64)

_emu_start = _blocking.uc_emu_start
_reg_read_batch = _lib.uc_reg_read_batch
_reg_write_batch = _lib.uc_reg_write_batch
_context_save = _lib.uc_context_save
_context_restore = _lib.uc_context_restore

# Arguments converted once, here and below, make a call a third cheaper.
_ZERO = c_uint64.from_param(0)
_ALWAYS = (1, 0)  # a hook over an empty range applies to every address
_NEVER = (1 << 63, 1 << 63)  # not canonical: nothing ever runs there

# RIP is not among those loaded: it is an argument of uc_emu_start.
_GENERAL = TRAPFRAME_FIELDS[:15]
_LOADED = [*_GENERAL, "rsp", "rflags"]
_STORED = [*_GENERAL, "rsp", "rflags", "rip"]

# Members of an enumeration are slow to look up and to calculate with; these serve every trap.
_EXIT_SYSCALL = Exit.SYSCALL
_EXIT_PAGE_FAULT = Exit.PAGE_FAULT
_RF = int(Rflags.RF)
_VM = int(Rflags.VM)
_T_OR_VM = int(Rflags.T | Rflags.VM)
_FAST_SYSCALL = int(Trap.FAST_SYSCALL)
_PAGEFLT = int(Trap.PAGEFLT)
_USER = int(Pgex.U)
_PF = int(Vector.PF)
_DF = int(Vector.DF)

# What a frame may not bring into the engine: what is not a user's to set; VM, which means
# nothing in 64-bit mode; and RF, which the engine does not clear when an instruction completes.
_NOT_LOADED = int(U64_MASK & ~(RFLAGS_SANITISE | RFLAGS_USER) | Rflags.VM | Rflags.RF)

_CR0 = 0x8005_0033  # PG AM WP NE ET MP PE
_CR0_TS = 0x8
_CR4 = 0x620  # OSXMMEXCPT OSFXSR PAE
_MSR_EFER = 0xC000_0080
_EFER = 0x901  # NXE LME SCE; LMA follows from CR0.PG

_TRAPS: Mapping[int, Trap] = {
    Vector.DE: Trap.DIVIDE,
    Vector.DB: Trap.TRCTRAP,
    Vector.NMI: Trap.NMI,
    Vector.BP: Trap.BPTFLT,
    Vector.OF: Trap.OFLOW,
    Vector.BR: Trap.BOUND,
    Vector.UD: Trap.PRIVINFLT,
    Vector.NM: Trap.DNA,
    Vector.FPU_OVERRUN: Trap.FPOPFLT,
    Vector.TS: Trap.TSSFLT,
    Vector.NP: Trap.SEGNPFLT,
    Vector.SS: Trap.STKFLT,
    Vector.GP: Trap.PROTFLT,
    Vector.MF: Trap.ARITHTRAP,
    Vector.AC: Trap.ALIGNFLT,
    Vector.MC: Trap.MCHK,
    Vector.XM: Trap.XMMFLT,
}

# Words of a frame by index.
_XFLAGS, _TRAPNO, _ADDR, _FLAGS, _ERR, _RIP, _CS, _RFLAGS, _SS = 15, 16, 17, 18, 19, 20, 21, 22, 24

_INVALID: int = uc.UC_ERR_INSN_INVALID
_ICEBP = 0xF1
_PREFIXES = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3") | frozenset(range(0x40, 0x50))
_LONGEST_INSTRUCTION = 15

_NO_LIMIT = 0x7FFF_FFFF  # blocks; refilled when they run out
_TRANSLATIONS_SIZE = 64 << 20  # bytes; the engine's own choice, 1 GiB, would all be touched in time
_EXACT_RANGES = 16  # beyond so many, dropping every translation is cheaper


class UnicornEngine:
    """The CpuEngine of every run.

    `native=False` makes it behave as on a host that gives no executable memory.
    """

    def __init__(self, phys: PhysicalMemory, *, native: bool = True) -> None:
        self.frame = Trapframe()
        self.bases = Vextframe()
        self.blocks = 0
        self.tsc: Callable[[], int] | None = None
        self._phys = phys
        self._stale = phys.stale
        self._root = 0
        self._fp_trap = False
        self._armed = False
        self._counting = False
        self._final = False
        self._rf = 0  # what RF is until the next instruction has completed
        self._refused = False
        self._swap: _SwappedCallback | None = None
        self._callbacks: list[object] = []  # must live as long as the hooks that call them

        self._handle = _open()
        self._shared = Words(_address(_lib.uc_emu_stop))
        self._words = self._shared.words
        self._routines = place_routines() if native else None
        self._slots = memoryview(self.frame).cast("B").cast("Q")
        self._safe_rflags = c_uint64()
        self._fault_rflags = c_uint64()
        self._cr3 = c_uint64()
        self._make_batches()
        # RIP's slot is passed by value, so this stays right whatever the slot holds.
        self._start = (self._handle, self._rip, _ZERO, _ZERO, _ZERO)
        self._fp = _FpState(self._handle)

        self._control(uc.UC_CTL_TCG_BUFFER_SIZE, c_uint32(_TRANSLATIONS_SIZE))
        # An end address costs a translation after each run, which may itself fault and spoil
        # the exception state; with an empty set of exits there is none.
        self._control(uc.UC_CTL_UC_USE_EXITS, c_int(1))
        self._control(uc.UC_CTL_UC_EXITS, c_void_p(), c_size_t(0))
        self._map(0, phys.address, phys.size)
        phys.on_map = self._map
        phys.on_unmap = self._unmap
        self._boot_space = build_boot_space(phys)
        self._add_hooks()
        self._context = self._new_context()
        self._at_context = (self._handle, c_void_p.from_param(self._context.value))
        self._ring_3 = self._new_context()  # as it is on first entry
        finalize(self, _close, self._handle, self._context, self._ring_3)
        self._boot()
        self._calibrate()
        self.fp_reset()

    # ---- running

    def run(self, root: int) -> Exit:
        if self._stale.any:
            self._forget_stale(root)
        if root != self._root:
            self._write_root(root)
        words = self._words
        if words[KICK]:
            return self._kicked_before_start()
        while True:
            start = self._start_count() if self._armed else 0
            error = _emu_start(*self._start)
            started = self._end_count(start) if self._armed else 0
            if words[SYSCALL]:
                words[SYSCALL] = 0
                _reg_read_batch(*self._syscall_registers)
                slots = self._slots
                slots[_XFLAGS] = 0
                slots[_TRAPNO] = _FAST_SYSCALL
                slots[_ERR] = SYSCALL_LENGTH
                slots[_CS] = USER_CS
                slots[_SS] = USER_SS
                if slots[_RFLAGS] & _T_OR_VM:
                    self._odd_syscall()
                return _EXIT_SYSCALL
            vector = words[VECTOR]
            if vector >= 0 or error or self._refused:
                return self._exception(vector, error)
            if self._stopped():
                return self._interrupted(started)
            _reg_read_batch(*self._rip_register)

    def _odd_syscall(self) -> None:
        # With T set the engine has also raised the single step of this instruction.  It belongs
        # to nobody: a real SYSCALL keeps T in the frame and does not trap.
        self._words[VECTOR] = -1
        if self._slots[_RFLAGS] & _VM:
            self._slots[_RFLAGS] = self._leave_virtual_8086()

    def _exception(self, vector: int, error: int) -> Exit:
        """Report what stopped the run, other than a SYSCALL or a kick."""
        self._words[VECTOR] = -1
        if self._refused:
            return self._privileged()
        code, is_int = self._take_exception()
        if error == _INVALID:
            return self._invalid_instruction(is_int)
        if error or vector < 0:
            raise self._broken(error, vector)
        if is_int:
            return self._software_interrupt(vector)
        if vector == _DF:
            raise self._broken(error, vector)
        if vector == _PF:
            _reg_read_batch(*self._fault_registers)
            slots = self._slots
            slots[_XFLAGS] = 0
            slots[_TRAPNO] = _PAGEFLT
            # To IRET and far RET the engine reads the stack as a supervisor would.
            slots[_ERR] = code | _USER
            self._rf = _RF
            if self._fault_rflags.value & _VM:
                self._leave_virtual_8086()
            return _EXIT_PAGE_FAULT
        return self._trap(vector, code)

    def _take_exception(self) -> tuple[int, int]:
        """Return the error code and the INT flag of the last exception, and let the next one be.

        Unicorn never clears "exception in flight": the next page fault would come as a double
        fault, and the one after it would end the run silently (unicorn#1883).  All three words
        lie in the context blob, at offsets found by `_calibrate`.
        """
        _context_save(*self._at_context)
        self._in_flight.value = -1
        _context_restore(*self._at_context)
        return self._error_code.value, self._is_int.value

    def _trap(self, vector: int, code: int = 0) -> Exit:
        """Fill the frame for an exception other than a page fault, at the engine's RIP."""
        self._store_registers(_RF if vector not in (Vector.DB, Vector.BP) else 0)
        slots = self._slots
        slots[_XFLAGS] = 0
        slots[_TRAPNO] = _TRAPS.get(vector, Trap.RESERVED)
        slots[_ADDR] = 0
        slots[_ERR] = code
        self._rf = self._slots[_RFLAGS] & _RF
        return Exit.TRAP

    def _software_interrupt(self, vector: int) -> Exit:
        """INT n: only vector 3 has a gate that ring 3 may use.

        Unicorn skips that check, and leaves RIP after the instruction.  It keeps no trace of
        prefixes, which are legal here and useless: RIP is then reported after them.
        """
        if vector == Vector.BP:
            return self._trap(Vector.BP)
        return self._general_protection(vector * 8 + 2, rip_back=2)

    def _invalid_instruction(self, is_int: int) -> Exit:
        """#UD is not an interrupt to Unicorn; nor are INT 6, with RIP still on it, and ICEBP."""
        if is_int:
            return self._general_protection(Vector.UD * 8 + 2)
        self._trap(Vector.UD)
        length = self._icebp_length(self.frame.rip)
        if length:
            self._trap(Vector.DB)
            self.frame.rip += length
        return Exit.TRAP

    def _privileged(self) -> Exit:
        """IN, OUT and SYSENTER, which Unicorn would carry out in ring 3."""
        self._refused = False
        _context_restore(*self._at_context)
        self._write_root(self._root)
        return self._general_protection(0)

    def _general_protection(self, code: int, rip_back: int = 0) -> Exit:
        self._trap(Vector.GP, code)
        self.frame.rip -= rip_back
        return Exit.TRAP

    def _icebp_length(self, rip: int) -> int:
        """Return the length of the ICEBP at `rip`, or 0 if that is another instruction."""
        for length in range(1, _LONGEST_INSTRUCTION + 1):
            va = rip + length - 1
            entry = self._walk(self._root, va)
            if not entry & Pte.V:
                break
            byte = self._phys.page(entry & PTE_FRAME)[va & PAGE_MASK]
            if byte == _ICEBP:
                return length
            if byte not in _PREFIXES:
                break
        return 0

    def _kicked_before_start(self) -> Exit:
        rip = self._slots[_RIP]  # the engine's is older until the run starts
        self._stopped()
        self._interrupted(0)
        self._slots[_RIP] = rip
        return Exit.INTERRUPTED

    def _stopped(self) -> bool:
        """Tell whether a stop that is none of the guest's doing ends the run; take the kick."""
        words = self._words
        if self._swap is not None:
            self._swap.clear()
            words[KICK] = 0
            return True
        if words[KICK]:
            words[KICK] = 0
            return True
        if self._armed and words[BUDGET] < 0:
            return self._counting
        if self._final:
            return True  # the stop of a final kick whose word an earlier run has taken
        raise self._broken(0, -1)

    def _interrupted(self, started: int) -> Exit:
        self._store_registers(0 if started else self._rf)
        self._rf = self._slots[_RFLAGS] & _RF
        self._slots[_XFLAGS : _ERR + 1] = _NO_CAUSE
        return Exit.INTERRUPTED

    def _broken(self, error: int, vector: int) -> AssertionError:
        """Return what to raise when the engine stopped for a reason no guest should cause."""
        self._store_registers(0)
        registers = ", ".join(f"{name} {getattr(self.frame, name):#x}" for name in _STORED)
        return AssertionError(f"unicorn: {_reason(error)}, vector {vector}, {registers}")

    # ---- registers

    def store(self) -> None:
        self._store_registers(_RF)

    def _store_registers(self, rf: int) -> None:
        _reg_read_batch(*self._all_registers)
        slots = self._slots
        if slots[_RFLAGS] & _VM:
            slots[_RFLAGS] = self._leave_virtual_8086()
        # Not the engine's own RF: it stays as it was until the block ends.
        slots[_RFLAGS] = slots[_RFLAGS] & ~_RF | rf
        slots[_CS] = USER_CS
        slots[_SS] = USER_SS

    def _leave_virtual_8086(self) -> int:
        """Put 64-bit mode back and return the flags that belong to it.

        A 32-bit IRET whose flags have VM set ignores it on hardware, when in long mode.  Unicorn
        obeys, even in ring 3.  That is no way to more rights, as the page table still holds; but
        segments then have bases, which nothing else would ever clear.
        """
        state = self._fp.save()
        _reg_read_batch(*self._heal_registers)
        rflags = self._safe_rflags.value & ~_NOT_LOADED
        self._safe_rflags.value = rflags
        _context_restore(self._handle, self._ring_3)
        _reg_write_batch(*self._heal_registers)
        self._write_root(self._root)
        self._write_cr0()
        self.load_bases()
        self._fp.restore(state)
        return rflags

    def load(self) -> None:
        rflags = self._slots[_RFLAGS]
        if rflags & _NOT_LOADED:
            self._safe_rflags.value = rflags & ~_NOT_LOADED
            self._rf = rflags & _RF
            _reg_write_batch(*self._safe_registers)
        else:
            self._rf = 0
            _reg_write_batch(*self._loaded_registers)

    def load_bases(self) -> None:
        _reg_write_batch(*self._base_registers)

    def fp_save(self) -> bytes:
        return self._fp.save()

    def fp_restore(self, state: bytes) -> None:
        self._fp.restore(state)

    def fp_reset(self) -> None:
        self._fp.restore(_FP_INITIAL)

    @property
    def fp_trap(self) -> bool:
        return self._fp_trap

    @fp_trap.setter
    def fp_trap(self, trap: bool) -> None:
        if trap != self._fp_trap:
            self._fp_trap = trap
            self._write_cr0()

    def _write_cr0(self) -> None:
        self._write("CR0", _CR0 | _CR0_TS if self._fp_trap else _CR0)

    # ---- stopping

    @property
    def budget(self) -> int | None:
        return max(self._words[BUDGET], 0) if self._counting else None

    @budget.setter
    def budget(self, blocks: int | None) -> None:
        if blocks is not None:
            assert 0 <= blocks <= _NO_LIMIT
            self.arm()
            if self._swap is not None:
                raise EngineError("blocks cannot be counted: this host gives no executable memory")
        self._counting = blocks is not None
        self._words[BUDGET] = _NO_LIMIT if blocks is None else blocks

    def arm(self) -> None:
        if self._armed:
            return
        if self._routines is not None:
            hook = self._hook(uc.UC_HOOK_BLOCK, self._routines.block)
            self._armed = self._stops_work()
            if self._armed:
                return
            _check(_lib.uc_hook_del(self._handle, c_size_t(hook)))
        self._swap = _SwappedCallback(self._hook)
        self._armed = self._stops_work()
        if not self._armed:
            raise EngineError("the engine does not stop where it is told to")

    def kick(self, *, final: bool = False) -> None:
        if self._armed:
            self._words[KICK] = 1
            if self._swap is not None:
                self._swap.set()
        if final:
            self._final = True
            self._words[KICK] = 1
            if not self._armed:
                _blocking.uc_emu_stop(self._handle)

    def _start_count(self) -> int:
        """Return the blocks this run may start."""
        words = self._words
        if words[BUDGET] < 0:
            words[BUDGET] = 0 if self._counting else _NO_LIMIT
        return words[BUDGET]

    def _end_count(self, start: int) -> int:
        """Return how many blocks were started."""
        if self._swap is not None:
            return 1  # not known; only the resume flag depends on it
        # The block that was refused has been counted as well.
        started = start - max(self._words[BUDGET], 0)
        if self._counting:
            self.blocks += started
        return started

    # ---- memory

    def _forget_stale(self, root: int) -> None:
        stale = self._stale
        if stale.tlb or root != self._root:
            self._write_root(root)
        if stale.all_code or not self._forget_ranges(root, stale.code):
            self._control(uc.UC_CTL_TB_FLUSH)
        stale.clear()

    def _forget_ranges(self, root: int, ranges: list[tuple[int, int, int]]) -> bool:
        """Drop exactly the code in `ranges`, or change nothing and return False.

        The engine finds the code by fetching from the address: where that is not possible now,
        it would take a page fault of its own and leave it for the guest's next one to trip over.
        """
        pieces = [piece for _, va, size in ranges for piece in _by_page(va, size)]
        if len(pieces) > _EXACT_RANGES or any(under != root for under, _, _ in ranges):
            return False
        fetchable = Pte.V | Pte.U
        if any(self._walk(root, va) & (fetchable | Pte.NX) != fetchable for va, _ in pieces):
            return False
        for va, end in pieces:
            self._control(uc.UC_CTL_TB_REMOVE_CACHE, c_uint64(va), c_uint64(end))
        return True

    def _walk(self, root: int, va: int) -> int:
        """Return the last-level entry for `va`, 0 if a table on the way is missing."""
        words = self._phys.words
        entry = root
        for shift in LEVEL_SHIFTS:
            entry = words[((entry & PTE_FRAME) >> 3) + (va >> shift) % PTES_PER_PAGE]
            if not entry & Pte.V:
                return 0
        return entry

    def _write_root(self, root: int) -> None:
        self._root = root
        self._cr3.value = root
        _reg_write_batch(*self._cr3_register)

    def _map(self, base: int, address: int, size: int) -> None:
        error = _lib.uc_mem_map_ptr(
            self._handle, c_uint64(base), c_uint64(size), uc.UC_PROT_ALL, c_void_p(address)
        )
        if error:
            raise EngineError(f"cannot map physical memory at {base:#x}: {_reason(error)}")

    def _unmap(self, base: int, size: int) -> None:
        _check(_lib.uc_mem_unmap(self._handle, c_uint64(base), c_uint64(size)))
        # It looks for code at `base` as if that were virtual, and keeps the fault it took.
        self._take_exception()

    # ---- the engine library

    def _write(self, register: str, value: int) -> None:
        _check(_lib.uc_reg_write(self._handle, _register(register), byref(c_uint64(value))))

    def _control(self, request: int, *arguments: object) -> None:
        code = request | len(arguments) << 26 | uc.UC_CTL_IO_WRITE << 30
        _check(_lib.uc_ctl(self._handle, code, *arguments))

    def _hook(
        self, kind: int, callback: int, *extra: object, where: tuple[int, int] = _ALWAYS
    ) -> int:
        handle = c_size_t()
        begin, end = where
        _check(
            _lib.uc_hook_add(
                self._handle,
                byref(handle),
                kind,
                callback,
                self._shared.address,
                begin,
                end,
                *extra,
            )
        )
        return handle.value

    def _callback(self, kind: Any, function: Any) -> int:
        callback = kind(function)
        self._callbacks.append(callback)
        return _address(callback)

    def _add_hooks(self) -> None:
        if self._routines is not None:
            syscall, interrupt = self._routines.syscall, self._routines.interrupt
        else:
            syscall = self._callback(_ON_INSN, self._on_syscall)
            interrupt = self._callback(_ON_INTERRUPT, self._on_interrupt)
        self._hook(uc.UC_HOOK_INTR, interrupt)
        on_instruction: Mapping[int, int] = {
            x86.UC_X86_INS_SYSCALL: syscall,
            x86.UC_X86_INS_SYSENTER: self._callback(_ON_INSN, self._refuse),
            x86.UC_X86_INS_IN: self._callback(_ON_IN, self._refuse),
            x86.UC_X86_INS_OUT: self._callback(_ON_OUT, self._refuse),
            x86.UC_X86_INS_CPUID: self._callback(_ON_REPLACED, self._cpuid),
            x86.UC_X86_INS_RDTSC: self._callback(_ON_REPLACED, self._rdtsc),
            x86.UC_X86_INS_RDTSCP: self._callback(_ON_REPLACED, self._rdtscp),
        }
        for instruction, callback in on_instruction.items():
            self._hook(uc.UC_HOOK_INSN, callback, c_int(instruction))

    def _on_syscall(self, handle: int, data: int) -> None:
        self._words[SYSCALL] = 1
        _lib.uc_emu_stop(self._handle)

    def _on_interrupt(self, handle: int, vector: int, data: int) -> None:
        self._words[VECTOR] = vector
        _lib.uc_emu_stop(self._handle)

    def _refuse(self, *arguments: int) -> int:
        # The engine carries the instruction out after the hook, and goes on until the next load
        # or store.  So the registers are put aside, and no such access finds a page.
        _context_save(*self._at_context)
        self._cr3.value = self._boot_space.empty_root
        _reg_write_batch(*self._cr3_register)
        self._refused = True
        _lib.uc_emu_stop(self._handle)
        return 0

    def _cpuid(self, handle: int, data: int) -> int:
        """Answer for the leaves where the engine offers what it cannot do; 1 if answered."""
        leaf = c_uint32()
        _lib.uc_reg_read(self._handle, x86.UC_X86_REG_EAX, byref(leaf))
        answer = _CPUID.get(leaf.value)
        if _CPUID_LAST_LEAF < leaf.value < _CPUID_HYPERVISOR:
            answer = (0, 0, 0, 0)
        if answer is None:
            return 0
        for register, value in zip(("RAX", "RBX", "RCX", "RDX"), answer, strict=True):
            self._write(register, value)
        return 1

    def _rdtsc(self, handle: int, data: int) -> int:
        if self.tsc is None:
            return 0
        now = self.tsc()
        self._write("RAX", now & U32_MASK)
        self._write("RDX", now >> 32 & U32_MASK)
        return 1

    def _rdtscp(self, handle: int, data: int) -> int:
        if self.tsc is not None:
            self._write("RCX", 0)
        return self._rdtsc(handle, data)

    def _make_batches(self) -> None:
        slot = {name: addressof(self.frame) + 8 * i for i, name in enumerate(TRAPFRAME_FIELDS)}
        all_places = [(name, slot[name]) for name in _STORED]
        loaded = [(name, slot[name]) for name in _LOADED]
        safe = dict(loaded) | {"rflags": addressof(self._safe_rflags)}
        syscall = [place for place in all_places if place[0] != "rcx"]
        fs_base = addressof(self.bases)  # Vextframe: base and size of FS, then of GS
        self._rip = c_uint64.from_address(slot["rip"])
        self._all_registers = self._batch(all_places)
        self._loaded_registers = self._batch(loaded)
        self._safe_registers = self._batch(safe.items())
        self._syscall_registers = self._batch([*syscall, ("r10", slot["rcx"])])
        self._fault_registers = self._batch(
            [
                ("rip", slot["rip"]),
                ("cr2", slot["addr"]),
                ("rflags", addressof(self._fault_rflags)),
            ]
        )
        self._healed = (c_uint64 * len(_LOADED))()
        healed = dict(zip(_LOADED, range(addressof(self._healed), 1 << 64, 8), strict=False))
        healed["rflags"] = addressof(self._safe_rflags)
        self._heal_registers = self._batch(healed.items())
        self._rip_register = self._batch([("rip", slot["rip"])])
        self._cr3_register = self._batch([("cr3", addressof(self._cr3))])
        self._base_registers = self._batch([("fs_base", fs_base), ("gs_base", fs_base + 16)])

    def _batch(self, places: Iterable[tuple[str, int]]) -> tuple[object, ...]:
        return _batch(self._handle, list(places))

    # ---- starting up

    def _boot(self) -> None:
        """Turn on paging and enter ring 3, for good, through one IRETQ.

        Privilege is nothing one can write to a register.
        """
        space = self._boot_space
        gdtr = _Mmr(base=GDT_VA, limit=8 * len(GDT) - 1)
        _check(_lib.uc_reg_write(self._handle, x86.UC_X86_REG_GDTR, byref(gdtr)))
        self._write("CR4", _CR4)
        self._write_root(space.root)
        efer = _Msr(number=_MSR_EFER, value=_EFER)
        _check(_lib.uc_reg_write(self._handle, x86.UC_X86_REG_MSR, byref(efer)))
        self._write("CR0", _CR0)
        self._write("CS", KERNEL_CS)
        self._write("SS", KERNEL_DS)
        self._write("RSP", FRAME_VA)
        code = self._phys.page(space.code)
        for place, probe in zip(_places(), (_SYSCALL_PROBE, _LOOP, *_PROBES), strict=False):
            code[place : place + len(probe.code)] = probe.code
        error = self._start_at(ENTRY_VA)[1]
        syscall = self._words[SYSCALL]
        self._words[SYSCALL] = 0
        if error or not syscall:
            raise EngineError(f"the CPU did not reach ring 3: {_reason(error)}")

    def _start_at(self, va: int) -> tuple[int, int]:
        """Run from `va` until something stops the engine; return the vector and the error."""
        error = _emu_start(self._handle, c_uint64(va), _ZERO, _ZERO, _ZERO)
        vector = self._words[VECTOR]
        self._words[VECTOR] = -1
        return vector, error

    def _new_context(self) -> c_void_p:
        context = c_void_p()
        _check(_lib.uc_context_alloc(self._handle, byref(context)))
        return context

    def _calibrate(self) -> None:
        """Find the exception's words in the context blob, by faults whose codes are known."""
        size = _lib.uc_context_size(self._handle)
        clean = self._ring_3
        _context_save(self._handle, clean)
        before = _int32s(clean, size)
        after = []
        for place, probe in zip(_places(skip=2), _PROBES, strict=False):
            _context_restore(self._handle, clean)
            vector, error = self._start_at(CODE_VA + place)
            if vector != probe.vector or error:
                raise EngineError(f"a test fault came as {vector}, not {probe.vector}")
            _context_save(*self._at_context)
            after.append(_int32s(self._context, size))
        _context_restore(self._handle, clean)
        seen = list(zip(*after, strict=True))  # each word of the blob, across the probes
        code_words = tuple(probe.code_word for probe in _PROBES)
        is_int = tuple(probe.is_int for probe in _PROBES)
        vectors = tuple(-1 if probe.is_int else probe.vector for probe in _PROBES)
        codes = [i for i in range(len(seen) - 1) if seen[i : i + 2] == [code_words, is_int]]
        in_flight = [i for i in range(len(seen)) if before[i] == -1 and seen[i] == vectors]
        if len(codes) != 1 or len(in_flight) != 1:
            raise EngineError(
                "this version of Unicorn keeps its exception state in an unknown place"
                f" (candidates: {codes}, {in_flight}); version 2.1.4 is known to work"
            )
        blob = self._context.value or 0
        self._error_code = c_int32.from_address(blob + 4 * codes[0])
        self._is_int = c_int32.from_address(blob + 4 * codes[0] + 4)
        self._in_flight = c_int32.from_address(blob + 4 * in_flight[0])

    def _stops_work(self) -> bool:
        """Tell whether a kick stops before anything is executed, and budgets are exact.

        The guest's state is put aside meanwhile.
        """
        # Hooks do not reach code that was translated before them.
        self._control(uc.UC_CTL_TB_FLUSH)
        guest = self._new_context()
        _context_save(self._handle, guest)
        root, words = self._root, self._words
        self._write_root(self._boot_space.root)
        self._write("RFLAGS", RFLAGS_USER)
        ok = True
        if self._swap is None:
            words[KICK] = 0
            words[BUDGET] = _TEST_BUDGET
            ok = self._blocks_run() == _TEST_BUDGET
            words[BUDGET] = _NO_LIMIT
        else:
            self._swap.set()
        words[KICK] = 1
        ok = ok and self._blocks_run() == 0
        if self._swap is not None:
            self._swap.clear()
        # A final kick from before, or meanwhile, must stay; one meanwhile spoils the count.
        words[KICK] = self._final
        ok = ok or self._final
        _context_restore(self._handle, guest)
        _lib.uc_context_free(guest)
        self._write_root(root)
        return ok

    def _blocks_run(self) -> int | None:
        """Run the test loop; return how many times it ran, None if it was not just stopped."""
        loop = CODE_VA + next(_places(skip=1))
        counter = self._boot_space.data >> 3
        self._phys.words[counter] = 0
        self._write("RCX", 2 * _TEST_BUDGET)
        stopped = self._start_at(loop) == (-1, 0) and self._read("RIP") == loop
        self._words[SYSCALL] = 0
        return self._phys.words[counter] if stopped else None

    def _read(self, register: str) -> int:
        value = c_uint64()
        _check(_lib.uc_reg_read(self._handle, _register(register), byref(value)))
        return value.value


class _Probe(NamedTuple):
    code: bytes
    vector: int
    code_word: int
    is_int: int = 0


_SYSCALL_PROBE = _Probe(bytes.fromhex("0f05"), 0, 0)
_LOOP = _Probe(bytes.fromhex("48ff042500300000 e2f6 0f05"), 0, 0)  # inc [DATA_VA]; loop; syscall
_PROBES = (
    _Probe(bytes.fromhex("8a042500400000"), Vector.PF, 0x04),  # mov al, [ABSENT_VA]
    _Probe(bytes.fromhex("88042500400000"), Vector.PF, 0x06),  # mov [ABSENT_VA], al
    _Probe(bytes.fromhex("8a042500100000"), Vector.PF, 0x05),  # mov al, [ENTRY_VA]
    _Probe(bytes.fromhex("88042500200000"), Vector.PF, 0x07),  # mov [CODE_VA], al
    _Probe(bytes.fromhex("b800300000 ffe0"), Vector.PF, 0x15),  # mov eax, DATA_VA; jmp rax
    _Probe(bytes.fromhex("b878560000 8ed8"), Vector.GP, 0x5678),  # mov eax, 0x5678; mov ds, eax
    _Probe(bytes.fromhex("cd21"), 0x21, 0, is_int=1),
)
_TEST_BUDGET = 1000


def _places(skip: int = 0) -> Iterator[int]:
    """Offsets into the boot space's code page, one per piece of code."""
    return count(16 * skip, 16)


class _FpState:
    """The x87/SSE registers as FXSAVE lays them out (Intel SDM 1, table 10-2)."""

    def __init__(self, handle: object) -> None:
        self._image = bytearray(FXSAVE_SIZE)
        self._tags = c_uint16()
        at = addressof(c_char.from_buffer(self._image))
        places = [
            ("fpcw", at),
            ("fpsw", at + 2),
            ("fptag", addressof(self._tags)),
            ("fip", at + 8),
            ("fdp", at + 16),
            ("mxcsr", at + 24),
            *(
                (f"st{i}", at + 32 + 16 * i) for i in range(8)
            ),  # after FPSW, which says which is ST0
            *((f"xmm{i}", at + 160 + 16 * i) for i in range(16)),
        ]
        self._registers = _batch(handle, places)

    def save(self) -> bytes:
        _reg_read_batch(*self._registers)
        tags = self._tags.value
        # FXSAVE keeps one bit a register, set unless its two-bit tag says empty.
        self._image[4] = sum((tags >> 2 * i & 3 != 3) << i for i in range(8))
        self._image[28:32] = _MXCSR_MASK
        return bytes(self._image)

    def restore(self, state: bytes) -> None:
        assert len(state) == FXSAVE_SIZE
        self._image[:] = state
        self._tags.value = sum(3 << 2 * i for i in range(8) if not state[4] >> i & 1)
        _reg_write_batch(*self._registers)


FXSAVE_SIZE = 512
_MXCSR_MASK = (0xFFFF).to_bytes(4, "little")
_FP_INITIAL = (
    FPU_CONTROL_WORD.to_bytes(24, "little") + MXCSR_DEFAULT.to_bytes(4, "little") + bytes(484)
)


class _SwappedCallback:
    """Safe kicks on a host without executable memory.

    A block hook over everything calls a function of the library that does nothing; a kick puts
    uc_emu_stop in its place.  With one hook alone the engine would bake the function's address
    into translated code, hence a second hook, over an address that never runs.
    """

    def __init__(self, hook: Callable[..., int]) -> None:
        self._harmless = _address(_lib.uc_errno)
        self._stop = _address(_lib.uc_emu_stop)
        structure = hook(uc.UC_HOOK_BLOCK, self._harmless)
        hook(uc.UC_HOOK_BLOCK, self._harmless, where=_NEVER)
        # A hook's handle is its address; where in it the callback lies is for us to find.
        words = [structure + 8 * i for i in range(12)]
        found = [at for at in words if c_uint64.from_address(at).value == self._harmless]
        if len(found) != 1:
            raise EngineError("this host offers no safe way to interrupt the guest")
        self._callback = c_uint64.from_address(found[0])

    def set(self) -> None:
        self._callback.value = self._stop

    def clear(self) -> None:
        self._callback.value = self._harmless


class _Mmr(Structure):
    _fields_ = [
        ("selector", c_uint16),
        ("base", c_uint64),
        ("limit", c_uint32),
        ("flags", c_uint32),
    ]


class _Msr(Structure):
    _fields_ = [("number", c_uint32), ("value", c_uint64)]


_ON_INSN = CFUNCTYPE(None, c_void_p, c_void_p)
_ON_INTERRUPT = CFUNCTYPE(None, c_void_p, c_uint32, c_void_p)
_ON_IN = CFUNCTYPE(c_uint32, c_void_p, c_uint32, c_int, c_void_p)
_ON_OUT = CFUNCTYPE(None, c_void_p, c_uint32, c_int, c_uint32, c_void_p)
_ON_REPLACED = CFUNCTYPE(c_int, c_void_p, c_void_p)

# No XSAVE (and so no AVX), which the engine lists half of in leaf 0xd; no RDRAND, whose results
# no run could repeat.  The rest of leaf 1 is the engine's own.
_CPUID_LAST_LEAF = 0xB
_CPUID_HYPERVISOR = 0x4000_0000
_CPUID: Mapping[int, tuple[int, int, int, int]] = {
    0x0: (_CPUID_LAST_LEAF, 0x756E_6547, 0x6C65_746E, 0x4965_6E69),
    0x1: (0x0003_06C4, 0x0000_0800, 0x82D8_2203, 0x078B_FBFD),
}

_NO_CAUSE = memoryview(bytes(40)).cast("Q")


def _open() -> object:
    handle = c_void_p()
    _check(_lib.uc_open(uc.UC_ARCH_X86, uc.UC_MODE_64, byref(handle)))
    return c_void_p.from_param(handle.value)


def _batch(handle: object, places: Sequence[tuple[str, int]]) -> tuple[object, ...]:
    """Return the arguments of a batch call that moves each register to or from its address."""
    n = len(places)
    registers = (c_int * n)(*(_register(name) for name, _ in places))
    addresses = (c_void_p * n)(*(address for _, address in places))
    return handle, byref(registers), byref(addresses), c_int.from_param(n)


def _by_page(va: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut a range at page boundaries, into (start, end)."""
    end = va + size
    while va < end:
        stop = min(end, round_page(va + 1))
        yield va, stop
        va = stop


def _int32s(context: c_void_p, size: int) -> Sequence[int]:
    assert context.value is not None
    return memoryview(string_at(context.value, size & ~3)).cast("i")


def _close(handle: object, *contexts: c_void_p) -> None:
    for context in contexts:
        _lib.uc_context_free(context)
    _lib.uc_close(handle)


def _address(function: Any) -> int:
    return cast(function, c_void_p).value or 0


def _register(name: str) -> int:
    number: int = getattr(x86, f"UC_X86_REG_{name.upper()}")
    return number


def _reason(error: int) -> str:
    text: bytes = _lib.uc_strerror(error)
    return text.decode()


def _check(error: int) -> None:
    """The calls checked here fail only if we ask for something wrong."""
    if error:
        raise AssertionError(f"unicorn: {_reason(error)}")
