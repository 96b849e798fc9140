"""Operands: constants, numeric labels, and what Keystone gets for what is written with them.

Keystone misreads some operands, cuts numbers down to size and forgets symbols.  It is given only
forms that it gets right; the rest is computed here, given a name, or refused.
"""

import re
from collections.abc import Mapping, Sequence

from emu.asm_text import (
    NAME,
    QUOTED,
    Line,
    evaluate,
    fail,
    fits,
    fits_signed,
    is_expression,
    is_number,
    names_in,
    signed,
    terms,
    unescape,
)

OWN = "__vkasm_"  # how the names made here begin

_TOKEN = re.compile(rf"{QUOTED}|(?<![\w.$])(?:\d+[bf](?![\w.$])|{NAME})")
_NUMERIC_REFERENCE = re.compile(r"(\d+)([bf])")
_MEMORY = re.compile(
    r"((?i:(?:[xyz]mmword|[bdfqt]?word|byte|tbyte)\s+ptr\s*)?(?i:[c-gs]s\s*:\s*)?)\[([^\[\]]*)\]"
)
REGISTER = re.compile(
    r"(?i:[re]?(?:[abcd]x|si|di|bp|sp|ip)|[abcd][lh]|(?:si|di|bp|sp)l|r(?:[89]|1[0-5])[bwd]?"
    r"|[c-gs]s|[cd]r\d+|st|[xyz]?mm\d+)"
)
_REGISTER_TERM = re.compile(rf"{REGISTER.pattern}(?:\s*\*\s*\d+)?|\d+\s*\*\s*{REGISTER.pattern}")
_REGISTER_SIZES = (
    (re.compile(r"[abcd][lh]|sil|dil|bpl|spl|r\d+b"), 1),
    (re.compile(r"[abcd]x|si|di|bp|sp|r\d+w"), 2),
    (re.compile(r"e(?:[abcd]x|si|di|bp|sp)|r\d+d"), 4),
    (re.compile(r"r(?:[abcd]x|si|di|bp|sp)|r\d+"), 8),
)
_POINTER_SIZES = {"byte": 1, "word": 2, "dword": 4, "qword": 8}
_ACCUMULATORS = {"al", "ax", "eax", "rax"}
_TAKES_IMMEDIATE = {"mov", "add", "or", "adc", "sbb", "and", "sub", "xor", "cmp", "test", "imul"}
_UNSIGNED_IMMEDIATE = {"int": 1, "ret": 2, "retf": 2, "retfq": 2}


class Values:
    """What the constants and numeric labels of a program stand for, as far as it has been read."""

    def __init__(self, symbols: Mapping[str, int]) -> None:
        self.constants = dict(symbols)
        self.absolutes: set[int] = set()  # addresses written as bare numbers
        self._symbols = 0
        self._numeric: dict[str, int] = {}  # numeric label → how often defined so far
        self._awaited: dict[tuple[str, int], Line] = {}

    def define_numeric(self, name: str) -> str:
        """Define a numeric label; return its true name."""
        count = self._numeric[name] = self._numeric.get(name, 0) + 1
        self._awaited.pop((name, count), None)
        return _numeric_label(name, count)

    def check_awaited(self) -> None:
        """Refuse the first reference to a numeric label that did not come."""
        for (label, _), line in self._awaited.items():
            fail(line, f"there is no label {label}: after this")

    def constant(self, line: Line, expression: str) -> int:
        value = evaluate(self.replace(line, expression))
        if value is None:
            fail(line, f"not a constant: {expression}" if expression else "a value is missing")
        return value

    def value(self, line: Line, expression: str) -> str:
        """Return the value of `expression` as a number, or what must be left to Keystone."""
        text = self.replace(line, expression)
        value = evaluate(text)
        if value is None and not is_expression(text):
            fail(line, f"not an operand: {expression}")
        return text if value is None else str(value)

    def replace(self, line: Line, expression: str) -> str:
        """Put in the constants, the characters and the true names of numeric labels."""

        def replacement(match: re.Match[str]) -> str:
            token = match[0]
            if token[0] == "'":
                if not token.isascii():
                    fail(line, f"not a character of one byte: {token}")
                return str(ord(unescape(line, token[1:-1])))
            if token[0].isdigit():
                return self._numeric_reference(line, token)
            value = self.constants.get(token)
            if value is None:
                return token
            return str(value) if value >= 0 else f"({value})"

        return _TOKEN.sub(replacement, expression)

    def operand(
        self,
        line: Line,
        mnemonic: str,
        operand: str,
        operands: Sequence[str],
        definitions: list[str],
    ) -> str:
        """Return what Keystone gets for `operand`; add the symbols made for it to `definitions`."""
        match = _MEMORY.fullmatch(operand)
        if match is None:
            if operand.count("[") != operand.count("]"):
                fail(line, f"unbalanced brackets: {operand}")
            if re.search(r"(?i)\bptr\b", operand):
                fail(line, f"memory is written with brackets: {operand}")
            if re.fullmatch(r"(?i:st\s*\([0-7]\))", operand):
                return operand
            value = self.value(line, re.sub(r"(?i)^offset\s+(flat:\s*)?", "", operand))
            return value if is_number(value) else self._symbol(value, definitions)
        before, inside = match[1], self.replace(line, match[2])
        address = evaluate(inside)
        if address is None:
            return f"{before}[{self._effective(line, inside, definitions)}]"
        full = mnemonic in {"mov", "movabs"} and not _ACCUMULATORS.isdisjoint(
            other.lower() for other in operands
        )
        if not full and not fits_signed(address, 4):
            fail(line, f"this address needs a register: {operand}")
        # Keystone encodes a bare number relative to RIP, and in some instructions wrongly;
        # a symbol that is still to come it encodes as an absolute address.
        self.absolutes.add(address)
        return f"{before}[{absolute_symbol(address)}]"

    def _effective(self, line: Line, inside: str, definitions: list[str]) -> str:
        """Return registers and one displacement for what stands in brackets."""
        registers, rest = [], ""
        for sign, term in terms(inside):
            if _REGISTER_TERM.fullmatch(term) and "-" not in sign:
                registers.append(term)
            else:
                rest += f"{sign or '+'}{term}"
        if len(registers) > 1 and any(register.lower() == "rip" for register in registers):
            fail(line, f"nothing can be added to rip but a displacement: [{inside}]")
        if not rest:
            return "+".join(registers)
        value = evaluate(rest)
        if value is None:
            if not is_expression(rest):
                fail(line, f"not an address: [{inside}]")
            symbol = self._symbol(rest.removeprefix("+"), definitions, in_brackets=True)
            return "+".join([*registers, symbol])
        if not fits_signed(value, 4):
            fail(line, f"the displacement does not fit in 4 bytes: [{inside}]")
        return f"{'+'.join(registers)}{signed(value):+d}"

    def _symbol(self, expression: str, definitions: list[str], *, in_brackets: bool = False) -> str:
        """Return a symbol with the value of `expression`, made for it if need be.

        Keystone takes an operand like 8+label for memory, and of several symbols in brackets it
        forgets all but one; in the value of a symbol it computes them right.  A dot in brackets
        selects a field to it.
        """
        names = names_in(expression)
        usable = expression in names and not (in_brackets and expression.startswith("."))
        if usable or not names or any(REGISTER.fullmatch(name) for name in names):
            return expression
        self._symbols += 1
        symbol = f"{OWN}is_{self._symbols}"
        definitions.append(f"{symbol} = {expression}")
        return symbol

    def _numeric_reference(self, line: Line, token: str) -> str:
        match = _NUMERIC_REFERENCE.fullmatch(token)
        assert match is not None, token
        label, count = match[1], self._numeric.get(match[1], 0)
        if match[2] == "f":
            count += 1
            self._awaited.setdefault((label, count), line)
        elif not count:
            fail(line, f"there is no label {label}: before this")
        return _numeric_label(label, count)


def _numeric_label(label: str, count: int) -> str:
    return f"{OWN}{label}_{count}"


def absolute_symbol(address: int) -> str:
    return f"{OWN}at_{address % (1 << 64):x}"


def check_immediate(line: Line, mnemonic: str, operands: Sequence[str]) -> None:
    """Refuse a number that Keystone would cut down to the operand's size."""
    if not operands or not is_number(operands[-1]):
        return
    value = int(operands[-1])
    if mnemonic == "push":
        accepted = fits_signed(value, 4)
    elif size := _UNSIGNED_IMMEDIATE.get(mnemonic):
        accepted = 0 <= value < 1 << 8 * size
    elif mnemonic in _TAKES_IMMEDIATE and (size := _operand_size(operands[0])):
        accepted = fits(value, size)
    else:
        return
    if not accepted:
        fail(line, f"{value:#x} does not fit: {line.text}")


def _operand_size(operand: str) -> int | None:
    word, _, rest = operand.lower().partition(" ")
    if rest.lstrip().startswith("ptr"):
        return _POINTER_SIZES.get(word)
    return next((size for names, size in _REGISTER_SIZES if names.fullmatch(word)), None)
