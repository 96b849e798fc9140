"""The one door to Unicorn: its library, called through ctypes, and its numbers.

Nothing here keeps state or knows what a guest is.  A function that takes a `handle` acts on that
engine; one that can only fail if we ask for something wrong raises AssertionError.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from ctypes import (
    CDLL,
    PyDLL,
    Structure,
    addressof,
    byref,
    c_char_p,
    c_int,
    c_size_t,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
    cast,
    string_at,
)
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

from emu.cpu.engine import EngineError

# The package itself is left alone where that can be: at every start it would take 5 ms, for a
# class and for the numbers of eight other CPUs.
_LIBRARY_NAMES = {"linux": "libunicorn.so.2", "darwin": "libunicorn.2.dylib"}


def _package() -> list[str]:
    """Return the folders of the package."""
    spec = find_spec("unicorn")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("No module named 'unicorn'", name="unicorn")
    return spec.submodule_search_locations


def _numbers(name: str) -> Any:
    """Return a module of numbers that is in the package."""
    spec = PathFinder.find_spec(f"unicorn.{name}", _package())
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _library_path() -> str:
    """Return where the library is: mostly in the package, which knows where else to look."""
    name = _LIBRARY_NAMES.get(sys.platform)
    if name is not None and "LIBUNICORN_PATH" not in os.environ:
        for folder in _package():
            path = Path(folder, "lib", name)
            if path.exists():
                return str(path)
    from unicorn.unicorn_py3.unicorn import uclib

    found: str = uclib._name
    return found


uc = _numbers("unicorn_const")
x86 = _numbers("x86_const")
LIBRARY_PATH = _library_path()

# The same library twice: uc_emu_start must release the interpreter lock, so that other threads
# can kick; everything else is too short for that to be worth its price.
_blocking = CDLL(LIBRARY_PATH)
_lib = PyDLL(LIBRARY_PATH)
_lib.uc_strerror.restype = c_char_p
_lib.uc_context_size.restype = c_size_t
# Arguments beyond these are variadic, which some hosts pass differently.
_lib.uc_ctl.argtypes = (c_void_p, c_int)
_lib.uc_hook_add.argtypes = (c_void_p, c_void_p, c_int, c_void_p, c_void_p, c_uint64, c_uint64)

emu_start = _blocking.uc_emu_start
emu_stop = _lib.uc_emu_stop
emu_stop_from_outside = _blocking.uc_emu_stop
reg_read_batch = _lib.uc_reg_read_batch
reg_write_batch = _lib.uc_reg_write_batch
context_save = _lib.uc_context_save
context_restore = _lib.uc_context_restore

# Arguments converted once, here and in `Batch`, make a call a third cheaper.
ZERO = c_uint64.from_param(0)

ERR_INSN_INVALID: int = uc.UC_ERR_INSN_INVALID
HOOK_INTR: int = uc.UC_HOOK_INTR
HOOK_INSN: int = uc.UC_HOOK_INSN
HOOK_BLOCK: int = uc.UC_HOOK_BLOCK
HOOK_NOTHING: int = uc.UC_HOOK_MEM_FETCH_PROT  # all of the memory may be fetched from
HOOK_CODE: int = uc.UC_HOOK_CODE
HOOK_EDGE_GENERATED: int = uc.UC_HOOK_EDGE_GENERATED

ALWAYS = (1, 0)  # a hook over an empty range applies to every address
NEVER = (1 << 63, 1 << 63)  # not canonical: nothing ever runs there

_TRANSLATIONS_SIZE = 64 << 20  # bytes; the engine's own choice, 1 GiB, would all be touched in time


def open_engine() -> c_void_p:
    """Return a new engine, with no memory and no address that ends a run.

    What takes a `handle` is faster with its argument().
    """
    opened = c_void_p()
    check(_lib.uc_open(uc.UC_ARCH_X86, uc.UC_MODE_64, byref(opened)))
    _control(opened, uc.UC_CTL_TCG_BUFFER_SIZE, c_uint32(_TRANSLATIONS_SIZE))
    # An end address costs a translation after each run, which may itself fault and spoil
    # the exception state; with an empty set of exits there is none.
    _control(opened, uc.UC_CTL_UC_USE_EXITS, c_int(1))
    _control(opened, uc.UC_CTL_UC_EXITS, c_void_p(), c_size_t(0))
    return opened


def argument(pointer: c_void_p) -> object:
    """Return what can be passed instead of a pointer."""
    return c_void_p.from_param(pointer.value)


def close_engine(handle: object, *contexts: c_void_p) -> None:
    for context in contexts:
        free_context(context)
    _lib.uc_close(handle)


def _control(handle: object, request: int, *arguments: object) -> None:
    code = request | len(arguments) << 26 | uc.UC_CTL_IO_WRITE << 30
    check(_lib.uc_ctl(handle, code, *arguments))


# ---- registers


class Batch:
    """Registers that move together, each to or from an address of its own."""

    __slots__ = ("arguments", "words")

    def __init__(self, handle: object, places: Iterable[tuple[str, int]]) -> None:
        names, addresses = zip(*places, strict=True)
        n = len(names)
        registers = (c_int * n)(*map(_register, names))
        pointers = (c_void_p * n)(*addresses)
        self.arguments = handle, byref(registers), byref(pointers), c_int.from_param(n)
        """Of reg_read_batch() and reg_write_batch()."""
        self.words = addressof(registers), addressof(pointers), n
        """Those after the handle, as numbers."""

    def read(self) -> None:
        """Move them out of the engine."""
        reg_read_batch(*self.arguments)

    def write(self) -> None:
        """Move them into the engine."""
        reg_write_batch(*self.arguments)


def read_register(handle: object, name: str) -> int:
    value = c_uint64()
    check(_lib.uc_reg_read(handle, _register(name), byref(value)))
    return value.value


def write_register(handle: object, name: str, value: int) -> None:
    check(_lib.uc_reg_write(handle, _register(name), byref(c_uint64(value))))


def write_gdtr(handle: object, base: int, limit: int) -> None:
    register = _Mmr(base=base, limit=limit)
    check(_lib.uc_reg_write(handle, x86.UC_X86_REG_GDTR, byref(register)))


def write_msr(handle: object, number: int, value: int) -> None:
    register = _Msr(number=number, value=value)
    check(_lib.uc_reg_write(handle, x86.UC_X86_REG_MSR, byref(register)))


class _Mmr(Structure):
    _fields_ = [
        ("selector", c_uint16),
        ("base", c_uint64),
        ("limit", c_uint32),
        ("flags", c_uint32),
    ]


class _Msr(Structure):
    _fields_ = [("number", c_uint32), ("value", c_uint64)]


def _register(name: str) -> int:
    number: int = getattr(x86, f"UC_X86_REG_{name.upper()}")
    return number


# ---- contexts: all registers, and the engine's own state with them


def new_context(handle: object) -> c_void_p:
    context = c_void_p()
    check(_lib.uc_context_alloc(handle, byref(context)))
    return context


def free_context(context: c_void_p) -> None:
    _lib.uc_context_free(context)


def context_words(handle: object, context: c_void_p) -> Sequence[int]:
    """Return a copy of a saved context, as 32-bit words."""
    return memoryview(context_bytes(handle, context)).cast("i")


def context_bytes(handle: object, context: c_void_p) -> bytes:
    """Return a copy of a saved context."""
    assert context.value is not None
    size = _lib.uc_context_size(handle)
    return string_at(context.value, size & ~3)


# ---- memory


def map_memory(handle: object, base: int, address: int, size: int) -> None:
    """Make host memory at `address` physical memory at `base`.  Raise EngineError if refused."""
    error = _lib.uc_mem_map_ptr(
        handle, c_uint64(base), c_uint64(size), uc.UC_PROT_ALL, c_void_p(address)
    )
    if error:
        raise EngineError(f"cannot map physical memory at {base:#x}: {reason(error)}")


def unmap_memory(handle: object, base: int, size: int) -> None:
    check(_lib.uc_mem_unmap(handle, c_uint64(base), c_uint64(size)))


def forget_code(handle: object, start: int, end: int) -> None:
    """Drop the translations of code at these virtual addresses."""
    _control(handle, uc.UC_CTL_TB_REMOVE_CACHE, c_uint64(start), c_uint64(end))


def forget_all_code(handle: object) -> None:
    _control(handle, uc.UC_CTL_TB_FLUSH)


# ---- hooks


def add_hook(
    handle: object,
    kind: int,
    callback: int,
    user_data: int,
    *extra: object,
    where: tuple[int, int] = ALWAYS,
) -> int:
    """Have the function at address `callback` called; return the hook's own handle."""
    hook = c_size_t()
    begin, end = where
    check(_lib.uc_hook_add(handle, byref(hook), kind, callback, user_data, begin, end, *extra))
    return hook.value


def delete_hook(handle: object, hook: int) -> None:
    check(_lib.uc_hook_del(handle, c_size_t(hook)))


def instruction(name: str) -> c_int:
    """Return what a HOOK_INSN takes in `extra` to apply to this instruction."""
    return c_int(getattr(x86, f"UC_X86_INS_{name.upper()}"))


def address_of(function: Any) -> int:
    return cast(function, c_void_p).value or 0


def blocking_function(address: int) -> Any:
    """Return the function at `address`, which lets other threads run."""
    return _blocking._FuncPtr(address)


STOPPING_FUNCTION = address_of(_lib.uc_emu_stop)
HARMLESS_FUNCTION = address_of(_lib.uc_errno)  # as a callback, it does nothing
START_FUNCTION = address_of(_lib.uc_emu_start)
READ_BATCH_FUNCTION = address_of(_lib.uc_reg_read_batch)
WRITE_BATCH_FUNCTION = address_of(_lib.uc_reg_write_batch)
SAVE_FUNCTION = address_of(_lib.uc_context_save)
RESTORE_FUNCTION = address_of(_lib.uc_context_restore)

# Called with the handle, this request, an address and room for its description, it translates a
# block; if that cannot be fetched, it raises the fault in the run that is in progress.
TRANSLATE_FUNCTION = address_of(_lib.uc_ctl)
TRANSLATE_REQUEST: int = (
    uc.UC_CTL_TB_REQUEST_CACHE | 2 << 26 | (uc.UC_CTL_IO_READ | uc.UC_CTL_IO_WRITE) << 30
)
NOT_CANONICAL = 1 << 62


# ---- errors


def reason(error: int) -> str:
    text: bytes = _lib.uc_strerror(error)
    return text.decode()


def check(error: int) -> None:
    """The calls checked here fail only if we ask for something wrong."""
    if error:
        raise AssertionError(f"unicorn: {reason(error)}")
