"""What an instruction says, and how it uses its memory: the Capstone front end.

Capstone is imported at the first use, because few runs need it and loading it is slow.
"""

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from io import BytesIO
from typing import Any, NamedTuple

from emu.abi.x86 import U32_MASK, U64_MASK, is_canonical

LONGEST_INSTRUCTION = 15
UNDECODABLE = "(bad)"

_READ_MODIFY_WRITE = """
    ADC ADD AND BTC BTR BTS CMPXCHG CMPXCHG8B CMPXCHG16B DEC INC NEG NOT OR RCL RCR ROL ROR SAL SAR
    SBB SHL SHLD SHR SHRD SUB XADD XCHG XOR XSAVE XSAVE64 XSAVEOPT XSAVEOPT64
"""
"""Every instruction that reads its explicit memory destination before it writes it.

A list, because Capstone's access flags are wrong for some of these.  XSAVE is in it for the
header, which it updates.
"""


class Line(NamedTuple):
    """One instruction, or one byte that is none."""

    address: int
    code: bytes
    text: str


class Access(NamedTuple):
    """An operand in memory.  `at` does not count the base of `segment`: "fs", "gs" or empty."""

    at: int
    size: int
    segment: str
    on_stack: bool  # reached through SS


def instruction_text(code: bytes, address: int) -> str:
    """Return the instruction at the start of `code` in Intel syntax."""
    for _, _, mnemonic, operands in _decoder().disasm_lite(code, address, count=1):
        return f"{mnemonic} {operands}".rstrip()
    return UNDECODABLE


@lru_cache(maxsize=4096)
def writes_its_memory_operand(code: bytes) -> bool:
    """Tell whether the instruction at the start of `code` writes the memory operand it reads.

    If so, hardware checks the operand for writing at once, and a fault on it is never a read.
    False also where another operand is what is read: PUSH, POP, CALL, MOVS.
    """
    detailed = _detailed()
    for instruction in detailed.decoder.disasm(code[:LONGEST_INSTRUCTION], 0, count=1):
        if instruction.id not in detailed.read_modify_write:
            return False
        memory = [operand.type == detailed.memory_operand for operand in instruction.operands]
        # The destination comes first, but XCHG's operands have no order.
        return any(memory) if instruction.id == detailed.xchg else memory[0]
    return False


def faults_on_stack(code: bytes, address: int, register: Callable[[str], int]) -> bool:
    """Tell whether a #GP(0) of the instruction at the start of `code` is #SS(0) on hardware.

    It is, if what lies at the first non-canonical address that the instruction accesses is reached
    through SS: by RSP or RBP as a base, without FS or GS, or as the top of the stack.
    """
    for instruction in _detailed().decoder.disasm(code[:LONGEST_INSTRUCTION], address, count=1):
        name = _name(instruction)
        if name in _PRIVILEGED:
            return False
        if name in ("enter", "leave"):
            return True
        accesses = list(_accesses(instruction, name, register))
        if name in _STACK_BYTES:
            rsp = register("rsp")
            size = _STACK_BYTES[name]
            if name in ("push", "pop") and instruction.prefix[2] == _DATA16:
                size = 2
            if name in _PUSHES:
                accesses.append(Access(rsp - size, size, "", True))
            else:
                accesses.insert(0, Access(rsp, size, "", True))
        for at, size, _, on_stack in accesses:
            if name == "cmpxchg16b" and at % 16:
                return False  # that is looked at first
            if not (is_canonical(at) and is_canonical(at + size - 1)):
                return on_stack
    return False


def memory_access(code: bytes, address: int, register: Callable[[str], int]) -> Access | None:
    """Return the operand in memory of the instruction at the start of `code`, if it has one."""
    for instruction in _detailed().decoder.disasm(code[:LONGEST_INSTRUCTION], address, count=1):
        return next(_accesses(instruction, _name(instruction), register), None)
    return None


def _name(instruction: Any) -> str:
    return str(instruction.mnemonic.removeprefix("lock "))


_PRIVILEGED = frozenset(["lgdt", "lidt", "lldt", "ltr", "lmsw", "invlpg", "invpcid"])
_PUSHES = frozenset(["push", "pushf", "pushfq", "call"])
_STACK_BYTES = dict.fromkeys(["push", "pushfq", "call", "pop", "popfq", "ret"], 8) | {
    "pushf": 2,
    "popf": 2,
    "retf": 8,
    "retfq": 16,
    "iret": 10,
    "iretd": 20,
    "iretq": 40,
}
_BIT_TESTS = frozenset(["bt", "bts", "btr", "btc"])
_NO_INDEX = ("riz", "eiz")
_INSTRUCTION_POINTERS = ("rip", "eip")
_DATA16 = 0x66
_FS_GS = {0x64: "fs", 0x65: "gs"}
_LEGACY_PREFIXES = b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3"
_BASES_ON_STACK = frozenset(["rsp", "rbp", "esp", "ebp"])


def _accesses(instruction: Any, name: str, register: Callable[[str], int]) -> Iterator[Access]:
    for operand in instruction.operands:
        if operand.type != _detailed().memory_operand:
            continue
        memory = operand.mem
        base = instruction.reg_name(memory.base) if memory.base else ""
        at: int = memory.disp
        if base in _INSTRUCTION_POINTERS:
            at += instruction.address + instruction.size
        elif base:
            at += register(_whole(base))
        if memory.index:
            index = instruction.reg_name(memory.index)
            at += register(_whole(index)) * memory.scale if index not in _NO_INDEX else 0
        if name == "pop" and base == "rsp":
            at += 8  # it is used after it was popped
        if name in _BIT_TESTS:
            at += _bit_offset(instruction, operand.size, register)
        at &= U64_MASK if instruction.addr_size == 8 else U32_MASK
        segments = [_FS_GS[byte] for byte in _prefixes(instruction.bytes) if byte in _FS_GS]
        segment = segments[-1] if segments else ""
        yield Access(at, operand.size, segment, base in _BASES_ON_STACK and not segment)


def _bit_offset(instruction: Any, size: int, register: Callable[[str], int]) -> int:
    """Return how far from its operand a bit test with a register reaches."""
    index = instruction.operands[1]
    if index.type != _detailed().register_operand:
        return 0
    bits = 8 * size
    bit = register(_whole(instruction.reg_name(index.reg))) % (1 << bits)
    return (bit - (bit >> bits - 1 << bits) >> bits.bit_length() - 1) * size


def _whole(name: str) -> str:
    """Return the register of 64 bits that the one of 16, 32 or 64 bits called `name` is part of."""
    if name.startswith("r"):
        return name.rstrip("wd")
    return f"r{name.removeprefix('e')}"


def _prefixes(code: bytes) -> Iterator[int]:
    for byte in code:
        if byte not in _LEGACY_PREFIXES:
            return
        yield byte


def code_of(program: bytes, load_addr: int) -> Iterator[tuple[int, bytes]]:
    """Yield the executable pieces of a program file, each with its address.

    A file that is not ELF is one piece, at `load_addr`.  Raise ValueError if an ELF file is broken.
    """
    if not program.startswith(b"\x7fELF"):
        yield load_addr, program
        return
    from elftools.common.exceptions import ELFError
    from elftools.elf.constants import P_FLAGS
    from elftools.elf.elffile import ELFFile

    try:
        for segment in ELFFile(BytesIO(program)).iter_segments("PT_LOAD"):
            if segment["p_flags"] & P_FLAGS.PF_X:
                yield segment["p_vaddr"], segment.data()
    except ELFError as error:
        raise ValueError(f"not a valid ELF file: {error}") from None


def disassemble(code: bytes, address: int) -> Iterator[Line]:
    """Yield the instructions of `code` one after the other; bytes that are none as `.byte`."""
    decoder = _decoder()
    done = 0
    while done < len(code):
        start = done
        # Capstone decodes all it is given before the first result, so give it a little.
        for at, size, mnemonic, operands in decoder.disasm_lite(
            code[start : start + _WINDOW], address + start
        ):
            yield Line(at, code[done : done + size], f"{mnemonic} {operands}".rstrip())
            done += size
        if done == start:
            yield Line(address + done, code[done : done + 1], f".byte {code[done]:#04x}")
            done += 1


_WINDOW = 4096


class _Detailed(NamedTuple):
    decoder: Any
    read_modify_write: frozenset[int]
    xchg: int
    memory_operand: int
    register_operand: int


@cache
def _decoder() -> Any:
    import capstone

    return capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)


@cache
def _detailed() -> _Detailed:
    import capstone
    from capstone import x86_const

    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    return _Detailed(
        decoder,
        frozenset(getattr(x86_const, f"X86_INS_{name}") for name in _READ_MODIFY_WRITE.split()),
        x86_const.X86_INS_XCHG,
        x86_const.X86_OP_MEM,
        x86_const.X86_OP_REG,
    )
