"""Hooks: what the engine calls while the guest runs.

A hook calls either a native routine or a Python function; both find the shared words behind
their last argument.  Whatever a hook may call lives as long as the Hooks it was added to.
"""

from collections.abc import Callable, Mapping
from ctypes import CFUNCTYPE, POINTER, Structure, c_int, c_uint16, c_uint32, c_uint64, c_void_p
from typing import Any

from emu.cpu.unicorn_library import (
    ALWAYS,
    HOOK_BLOCK,
    HOOK_CODE,
    HOOK_EDGE_GENERATED,
    HOOK_INSN,
    HOOK_INTR,
    HOOK_NOTHING,
    add_hook,
    address_of,
    delete_hook,
    instruction,
)


class _Block(Structure):
    """uc_tb."""

    _fields_ = [("pc", c_uint64), ("count", c_uint16), ("size", c_uint16)]


_ON_NEW_BLOCK = CFUNCTYPE(None, c_void_p, POINTER(_Block), c_void_p, c_void_p)
_ON_CODE = CFUNCTYPE(None, c_void_p, c_uint64, c_uint32, c_void_p)
_ON_INTERRUPT = CFUNCTYPE(None, c_void_p, c_uint32, c_void_p)
_ON_INSN = CFUNCTYPE(None, c_void_p, c_void_p)
_ON_REPLACED = CFUNCTYPE(c_int, c_void_p, c_void_p)
_ON_INSTRUCTION: Mapping[str, Any] = {
    "syscall": _ON_INSN,
    "sysenter": _ON_INSN,
    "in": CFUNCTYPE(c_uint32, c_void_p, c_uint32, c_int, c_void_p),
    "out": CFUNCTYPE(None, c_void_p, c_uint32, c_int, c_uint32, c_void_p),
    "cpuid": _ON_REPLACED,
    "rdtsc": _ON_REPLACED,
    "rdtscp": _ON_REPLACED,
}


class Hooks:
    """The hooks of one engine.  `target` is the address of a routine, or a Python function.

    A function must not use the handle it is given: that is a number, which the library takes
    for a shorter one.
    """

    def __init__(self, handle: object, user_data: int) -> None:
        self._handle = handle
        self._user_data = user_data
        self._callbacks: list[object] = []

    def on_interrupt(self, target: int | Callable[..., None]) -> None:
        self._add(HOOK_INTR, self._address(_ON_INTERRUPT, target))

    def on_instruction(self, name: str, target: int | Callable[..., int | None]) -> None:
        callback = self._address(_ON_INSTRUCTION[name], target)
        self._add(HOOK_INSN, callback, instruction(name))

    def on_block(self, target: int, where: tuple[int, int] = ALWAYS) -> int:
        """Return the hook's own handle, which is the address of its structure."""
        return self._add(HOOK_BLOCK, target, where=where)

    def on_nothing(self, where: tuple[int, int]) -> int:
        """Add a hook that is never called, and whose presence matters."""
        return self._add(HOOK_NOTHING, 0, where=where)

    def on_new_block(self, target: Callable[[int, int, int], None]) -> None:
        """Have `target` called with the address, the instructions and the bytes of each new block.

        It has been translated then, and not run.
        """

        def call(handle: int, block: Any, previous: int, data: int) -> None:
            new = block.contents
            target(new.pc, new.count, new.size)

        self._add(HOOK_EDGE_GENERATED, self._address(_ON_NEW_BLOCK, call))

    def code_callback(self, target: Callable[..., None]) -> int:
        """Return what on_code() can have called, any number of times."""
        return self._address(_ON_CODE, target)

    def on_code(self, callback: int, va: int) -> int:
        """Have `callback` called before the instruction at `va`; return the hook's own handle."""
        return self._add(HOOK_CODE, callback, where=(va, va))

    def delete(self, hook: int) -> None:
        delete_hook(self._handle, hook)

    def _add(
        self, kind: int, callback: int, *extra: object, where: tuple[int, int] = ALWAYS
    ) -> int:
        return add_hook(self._handle, kind, callback, self._user_data, *extra, where=where)

    def _address(self, kind: Any, target: Any) -> int:
        if isinstance(target, int):
            return target
        callback = kind(target)
        self._callbacks.append(callback)
        return address_of(callback)
