"""The floor: what the engine costs with nothing around it.

F1 is one start of the engine and one stop, at a SYSCALL, called from a Python callback.  F2 is two
of them with two writes to CR3, the least that going into an address space and back can be.  The
calls are raw, their arguments made once, the code translated, and there is no other hook.
"""

from ctypes import CFUNCTYPE, addressof, c_char, c_int32, c_uint64, c_void_p
from mmap import mmap
from time import thread_time
from weakref import finalize

from emu.abi.x86 import PAGE_SHIFT, PAGE_SIZE, PTES_PER_PAGE, Pte
from emu.conform.suite import LOAD_ADDRESS
from emu.cpu.start_up import CR0, CR4, EFER, MSR_EFER
from emu.cpu.unicorn_library import (
    HOOK_INSN,
    ZERO,
    Batch,
    add_hook,
    address_of,
    argument,
    close_engine,
    context_restore,
    context_save,
    emu_start,
    emu_stop,
    instruction,
    map_memory,
    new_context,
    open_engine,
    read_register,
    reg_write_batch,
    write_msr,
    write_register,
)

_SIZE = 8 << 20  # of the memory, which is mapped where it is, but for the first megabyte
_ROOT_A, _ROOT_B, _POINTERS, _DIRECTORY, _TABLES = (PAGE_SIZE * page for page in range(1, 6))
_FIRST_MAPPED = 1 << 20
_STACK_TOP = LOAD_ADDRESS - PAGE_SIZE
_CODE = _FIRST_MAPPED
_SYSCALL = bytes.fromhex("0f05")

_LINK = int(Pte.V | Pte.RW | Pte.U)
_EXECUTABLE = int(Pte.V | Pte.U)
_DATA = int(Pte.V | Pte.RW | Pte.U | Pte.NX)  # stores to executable pages would be slow

_ON_SYSCALL = CFUNCTYPE(None, c_void_p, c_void_p)


class Floor:
    """A bare engine with two address spaces, which have the same tables below their roots."""

    def __init__(self) -> None:
        engine = open_engine()
        self._handle = handle = argument(engine)
        self._memory = mmap(-1, _SIZE)
        self._words = words = memoryview(self._memory).cast("Q")
        for table, below in (
            (_ROOT_A, _POINTERS),
            (_ROOT_B, _POINTERS),
            (_POINTERS, _DIRECTORY),
        ):
            words[table >> 3] = below | _LINK
        for index in range(_SIZE // (PTES_PER_PAGE * PAGE_SIZE)):
            words[(_DIRECTORY >> 3) + index] = _TABLES + index * PAGE_SIZE | _LINK
        for page in range(_FIRST_MAPPED, _SIZE, PAGE_SIZE):
            self._enter(page, _DATA)
        self._put(_CODE, _SYSCALL)
        map_memory(handle, 0, addressof(c_char.from_buffer(self._memory)), _SIZE)
        write_register(handle, "CR4", CR4)
        write_register(handle, "CR3", _ROOT_A)
        write_msr(handle, MSR_EFER, EFER)
        write_register(handle, "CR0", CR0)
        self._callback = _ON_SYSCALL(self._on_syscall)
        add_hook(handle, HOOK_INSN, address_of(self._callback), 0, instruction("syscall"))
        self._start = handle, c_uint64.from_param(_CODE), ZERO, ZERO, ZERO
        self._roots = [c_uint64(root) for root in (_ROOT_A, _ROOT_B)]
        self._to_a, self._to_b = (
            Batch(handle, [("cr3", addressof(root))]).arguments for root in self._roots
        )
        self._context = new_context(handle)
        finalize(self, close_engine, handle, self._context)
        self.f2(1)
        assert read_register(handle, "RIP") == _CODE + len(_SYSCALL)

    def f1(self, count: int) -> None:
        """Start and stop the engine `count` times."""
        start = self._start
        for _ in range(count):
            emu_start(*start)

    def f2(self, count: int) -> None:
        """Go to the other address space and back `count` times, to run a little in each."""
        start, to_a, to_b = self._start, self._to_a, self._to_b
        for _ in range(count):
            reg_write_batch(*to_b)
            emu_start(*start)
            reg_write_batch(*to_a)
            emu_start(*start)

    def reset(self, count: int) -> None:
        """Do what every exception needs, `count` times: clear a word of the engine's context."""
        place = self._handle, c_void_p.from_param(self._context.value)
        word = c_int32.from_address(self._context.value or 0)
        for _ in range(count):
            context_save(*place)
            word.value = word.value
            context_restore(*place)

    def compute(self, code: bytes, done: int) -> float:
        """Run a computation; return the seconds of CPU time.

        It is loaded at LOAD_ADDRESS, and has ended well if it gets to `done` with 0 in EDI and
        then to a SYSCALL.
        """
        self._put(LOAD_ADDRESS, code)
        write_register(self._handle, "RSP", _STACK_TOP)
        write_register(self._handle, "CR3", _ROOT_A)
        start = thread_time()
        error = emu_start(self._handle, c_uint64(LOAD_ADDRESS), ZERO, ZERO, ZERO)
        took = thread_time() - start
        assert error == 0 and read_register(self._handle, "RIP") >= done
        assert read_register(self._handle, "RDI") & 0xFFFF_FFFF == 0
        return took

    def _on_syscall(self, handle: int, data: int) -> None:
        emu_stop(self._handle)

    def _put(self, at: int, code: bytes) -> None:
        self._memory[at : at + len(code)] = code
        for page in range(at, at + len(code), PAGE_SIZE):
            self._enter(page, _EXECUTABLE)

    def _enter(self, page: int, rights: int) -> None:
        self._words[(_TABLES >> 3) + (page >> PAGE_SHIFT)] = page | rights
