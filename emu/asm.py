"""Assembly source to a flat binary: the Keystone front end.

Keystone crashes on some input, silently drops or truncates other input, and seldom says where it
found a mistake.  So everything but the encoding is done here: files, macros, conditions,
constants and strings become a list of plain statements, each with its place in the source, and a
child process encodes them.  When that fails, a second child looks for the statement to blame.

The listing and the labels come from a table of addresses assembled behind the program.
"""

import ast
import itertools
import json
import operator
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn


class AsmError(Exception):
    """The source cannot be assembled; says where and why in one line."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A source line and what became of it.  A line that is repeated appears as often."""

    address: int
    code: bytes
    file: str
    line: int
    source: str


@dataclass(frozen=True, slots=True)
class Assembly:
    code: bytes
    lines: Sequence[SourceLine]
    labels: Mapping[str, int]


def assemble(
    path: Path, *, origin: int, symbols: Mapping[str, int], include_dirs: Sequence[Path] = ()
) -> Assembly:
    """Assemble the file at `path`; see assemble_text()."""
    return assemble_text(
        _read(path, _Place(str(path), 0, "")),
        str(path),
        origin=origin,
        symbols=symbols,
        include_dirs=include_dirs,
    )


def assemble_text(
    text: str,
    name: str,
    *,
    origin: int,
    symbols: Mapping[str, int],
    include_dirs: Sequence[Path] = (),
) -> Assembly:
    """Assemble `text`, to be loaded at `origin`, with `symbols` as predefined constants.

    Included files are looked for beside the including file (`name` is its path), then in
    `include_dirs`, then among the guest programs.  Raises AsmError.
    """
    program = _Program(symbols, include_dirs)
    program.add_file(text, name)
    return _encode(program, origin, _Place(name, 0, ""))


def listing(assembly: Assembly) -> Iterator[str]:
    """Yield address, bytes and source of every line of the program's own file.

    Of the files it includes, only the lines that became code or data.
    """
    own = assembly.lines[0].file
    for line in assembly.lines:
        if line.file != own and not line.code:
            continue
        where = str(line.line) if line.file == own else f"{Path(line.file).name}:{line.line}"
        address = f"{line.address:x}" if line.code else ""
        rows = [
            line.code[i : i + _LISTED_BYTES].hex(" ")
            for i in range(0, len(line.code), _LISTED_BYTES)
        ]
        if len(rows) > _LISTED_ROWS:
            rows[_LISTED_ROWS - 1 :] = [f"... {len(line.code)} bytes"]
        yield f"{address:>12}  {rows[0] if rows else '':23}  {where:>5}  {line.source}".rstrip()
        for row in rows[1:]:
            yield f"{'':12}  {row}"


_LISTED_BYTES = 8
_LISTED_ROWS = 8


# --- Source: files, macros, conditions, constants ---------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    file: str
    line: int
    source: str


@dataclass(frozen=True, slots=True)
class _Line:
    """A logical line: one statement, without comments."""

    place: _Place
    text: str
    macros: tuple[str, ...] = ()  # whose expansion it comes from, outermost first


@dataclass(frozen=True, slots=True)
class _Statement:
    """What Keystone gets; nothing at all for the mark of a source line."""

    line: _Line
    text: str = ""
    size: int | None = None  # known in advance
    instruction: bool = False
    definition: bool = False  # of a label or a constant


@dataclass(frozen=True, slots=True)
class _Macro:
    name: str
    parameters: Mapping[str, str | None]  # name → default
    required: frozenset[str]
    rest: str | None  # the parameter that takes all that is left
    body: Sequence[_Line]


@dataclass(slots=True)
class _Condition:
    """An .if that is open: a branch is taken if the ones before were not and the outside is."""

    line: _Line
    outside: bool
    active: bool
    done: bool


_NAME = r"[A-Za-z_.$][\w.$]*"
_NAME_IN_EXPRESSION = rf"(?<![\w.$]){_NAME}"
_QUOTED = r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'"""
_LEXEME = re.compile(rf"{_QUOTED}|/\*.*?\*/|(?://|\#)[^\n]*|/\*|\"", re.DOTALL)
_TOKEN = re.compile(rf"{_QUOTED}|(?<![\w.$])(?:\d+[bf](?![\w.$])|{_NAME})")
_LABEL = re.compile(rf"({_NAME}|\d+)\s*:")
_ASSIGNMENT = re.compile(rf"({_NAME})\s*=(?!=)\s*(.*)")
_NUMERIC_REFERENCE = re.compile(r"(\d+)([bf])")
_MEMORY = re.compile(
    r"((?i:(?:[xyz]mmword|[bdfqt]?word|byte|tbyte)\s+ptr\s*)?(?i:[c-gs]s\s*:\s*)?)\[([^\[\]]*)\]"
)
_PARAMETER = re.compile(rf"({_NAME})(?::(req|vararg))?(?:\s*=\s*(.*))?", re.DOTALL)

_IGNORED = {".text", ".globl", ".global", ".code64"}
_SECTIONS = {".data", ".bss", ".section", ".rodata", ".pushsection", ".popsection", ".previous"}
_INTEGERS = {
    ".byte": 1,
    ".short": 2,
    ".word": 2,
    ".2byte": 2,
    ".long": 4,
    ".int": 4,
    ".4byte": 4,
    ".quad": 8,
    ".8byte": 8,
}
_INTEGER_OF_SIZE = {1: ".byte", 2: ".short", 4: ".long", 8: ".quad"}
_STRINGS = {".ascii": b"", ".asciz": b"\0", ".string": b"\0"}
_NUMBERS = {".float": 4, ".double": 8, ".octa": 16}
_BLOCKS = {".macro": ".endm", ".rept": ".endr", ".irp": ".endr"}

_PREFIXES = {"lock", "rep", "repe", "repz", "repne", "repnz", "data16", "addr32"}
_REGISTER_SIZES = (
    (re.compile(r"[abcd][lh]|sil|dil|bpl|spl|r\d+b"), 1),
    (re.compile(r"[abcd]x|si|di|bp|sp|r\d+w"), 2),
    (re.compile(r"e(?:[abcd]x|si|di|bp|sp)|r\d+d"), 4),
    (re.compile(r"r(?:[abcd]x|si|di|bp|sp)|r\d+"), 8),
)
_REGISTER = re.compile(
    r"(?i:[re]?(?:[abcd]x|si|di|bp|sp|ip)|[abcd][lh]|(?:si|di|bp|sp)l|r(?:[89]|1[0-5])[bwd]?"
    r"|[c-gs]s|[cd]r\d+|st|[xyz]?mm\d+)"
)
_REGISTER_TERM = re.compile(rf"{_REGISTER.pattern}(?:\s*\*\s*\d+)?|\d+\s*\*\s*{_REGISTER.pattern}")
_POINTER_SIZES = {"byte": 1, "word": 2, "dword": 4, "qword": 8}
_ACCUMULATORS = {"al", "ax", "eax", "rax"}
_TAKES_IMMEDIATE = {"mov", "add", "or", "adc", "sbb", "and", "sub", "xor", "cmp", "test", "imul"}
_UNSIGNED_IMMEDIATE = {"int": 1, "ret": 2, "retf": 2, "retfq": 2}

_OWN = "__vkasm_"  # how the names made here begin
_DEEPEST = 64
_MOST_STATEMENTS = 1_000_000
_MOST_SPACE = 1 << 26
_MOST_ALIGNMENT = 1 << 21


class _Program:
    """The statements of a program, in order, as its source is read."""

    def __init__(self, symbols: Mapping[str, int], include_dirs: Sequence[Path]) -> None:
        self.statements: list[_Statement] = []
        self.labels: dict[str, _Place] = {}
        self.absolutes: set[int] = set()  # addresses written as bare numbers
        self._constants = dict(symbols)
        self._include_dirs = include_dirs
        self._macros: dict[str, _Macro] = {}
        self._uses = 0
        self._symbols = 0
        self._numeric: dict[str, int] = {}  # numeric label → how often defined so far
        self._awaited: dict[tuple[str, int], _Line] = {}
        self._assigned: set[str] = set()
        self._needed: dict[str, _Line] = {}  # by the values of constants, which Keystone computes

    def add_file(self, text: str, name: str) -> None:
        self._add_file(text, name, ())
        for (label, _), line in self._awaited.items():
            _fail(line, f"there is no label {label}: after this")
        for name, line in self._needed.items():
            if name not in self.labels and name not in self._assigned:
                _fail(line, f"symbol {name} is not defined: {line.text}")

    def _add_file(self, text: str, name: str, including: tuple[Path, ...]) -> None:
        self._expand(list(_logical_lines(text, name)), (*including, Path(name).resolve()))

    def _expand(self, lines: Sequence[_Line], files: tuple[Path, ...]) -> None:
        """Add what `lines` say.  `files` are the open ones, the innermost last."""
        conditions: list[_Condition] = []
        position = 0
        while position < len(lines):
            line = lines[position]
            position += 1
            self._mark(line)
            word, rest = _first_word(line.text)
            if self._condition(conditions, line, word, rest):
                continue
            if conditions and not conditions[-1].active:
                continue
            if end := _BLOCKS.get(word):
                body = _block(lines, position, line, word, end)
                position += len(body) + 1
                if word == ".macro":
                    self._define_macro(line, rest, body)
                    for inner in body:
                        self._mark(inner)
                else:
                    for repeated in self._repetitions(line, word, rest, body):
                        self._expand(repeated, files)
                self._mark(lines[position - 1])
            elif word == ".end":
                break
            elif word == ".include":
                self._include(line, rest, files)
            else:
                self._statement(line, files)
        if conditions:
            _fail(conditions[-1].line, "this condition has no .endif")

    def _mark(self, line: _Line) -> None:
        """Make the source line appear in the listing even if nothing comes of it."""
        if not self.statements or self.statements[-1].line.place is not line.place:
            self.statements.append(_Statement(line))

    # Conditions.

    def _condition(self, conditions: list[_Condition], line: _Line, word: str, rest: str) -> bool:
        """Handle a directive that opens, changes or closes a condition; tell if it was one."""
        if word in _CONDITIONS:
            outside = not conditions or conditions[-1].active
            holds = outside and self._holds(line, word, rest)
            conditions.append(_Condition(line, outside, holds, holds))
            return True
        if word not in {".else", ".elseif", ".endif"}:
            return False
        if not conditions:
            _fail(line, f"{word} without .if")
        condition = conditions[-1]
        if word == ".endif":
            conditions.pop()
        else:
            open_ = condition.outside and not condition.done
            condition.active = open_ and (word == ".else" or self._holds(line, ".if", rest))
            condition.done |= condition.active
        return True

    def _holds(self, line: _Line, word: str, rest: str) -> bool:
        match word:
            case ".if":
                return bool(self._constant(line, rest))
            case ".ifdef" | ".ifndef":
                return (rest in self._constants or rest in self.labels) == (word == ".ifdef")
            case ".ifb" | ".ifnb":
                return (not rest) == (word == ".ifb")
            case _:
                sides = [side.strip() for side in _split(rest, ",")]
                if len(sides) != 2:
                    _fail(line, f"{word} takes two operands")
                return (sides[0] == sides[1]) == (word == ".ifc")

    # Macros and repetitions.

    def _define_macro(self, line: _Line, rest: str, body: Sequence[_Line]) -> None:
        name, parameters = _first_word(rest)
        if not re.fullmatch(_NAME, name):
            _fail(line, "the macro has no name")
        if name in self._macros:
            _fail(line, f"macro {name} is already defined")
        defaults: dict[str, str | None] = {}
        required = set()
        variable = None
        for parameter in _parameters(parameters):
            match = _PARAMETER.fullmatch(parameter)
            if match is None or variable is not None:
                _fail(line, f"bad macro parameter: {parameter}")
            defaults[match[1]] = match[3]
            if match[2] == "req":
                required.add(match[1])
            elif match[2] == "vararg":
                variable = match[1]
        self._macros[name] = _Macro(name, defaults, frozenset(required), variable, body)

    def _expansion(self, line: _Line, macro: _Macro, rest: str) -> Iterator[_Line]:
        if len(line.macros) >= _DEEPEST:
            _fail(line, "macros are nested too deeply")
        values = dict.fromkeys(macro.parameters, "") | {
            name: default for name, default in macro.parameters.items() if default is not None
        }
        given: set[str] = set()
        names = list(macro.parameters)
        arguments = [argument.strip() for argument in _split(rest, ",")] if rest else []
        for index, argument in enumerate(arguments):
            named = _ASSIGNMENT.fullmatch(argument)
            if named and named[1] in values:
                name, argument = named[1], named[2]
            elif index < len(names):
                name = names[index]
            else:
                _fail(line, f"macro {macro.name} takes {len(names)} operands at most")
            given.add(name)
            if name == macro.rest:
                values[name] = ", ".join(arguments[index:])
                break
            if argument:
                values[name] = argument
        for name in macro.required:
            if not values[name]:
                _fail(line, f"macro {macro.name} needs its operand {name}")
        self._uses += 1
        values["@"] = str(self._uses)
        for inner in macro.body:
            yield _Line(line.place, _substitute(inner.text, values), (*line.macros, macro.name))

    def _repetitions(
        self, line: _Line, word: str, rest: str, body: Sequence[_Line]
    ) -> Iterator[Sequence[_Line]]:
        if word == ".rept":
            count = self._constant(line, rest)
            if not 0 <= count <= _MOST_STATEMENTS:
                _fail(line, f"cannot repeat {count} times")
            for _ in range(count):
                yield body
            return
        name, *values = (value.strip() for value in _split(rest, ","))
        for value in values:
            yield [
                _Line(inner.place, _substitute(inner.text, {name: value}), inner.macros)
                for inner in body
            ]

    def _include(self, line: _Line, rest: str, files: tuple[Path, ...]) -> None:
        name = _string(line, rest).decode()
        folders = [Path(line.place.file).parent, *self._include_dirs, _guest_programs()]
        path = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if path is None:
            _fail(line, f"cannot find {name}")
        if path.resolve() in files:
            _fail(line, f"{name} includes itself")
        if len(files) >= _DEEPEST:
            _fail(line, "files are nested too deeply")
        self._add_file(_read(path, line.place), str(path), files)

    # Statements.

    def _statement(self, line: _Line, files: tuple[Path, ...]) -> None:
        text = line.text
        while match := _LABEL.match(text):
            self._label(line, match[1])
            text = text[match.end() :].lstrip()
        if not text:
            return
        word, rest = _first_word(text)
        if match := _ASSIGNMENT.fullmatch(text):
            self._assign(line, match[1], match[2])
        elif macro := self._macros.get(word):
            self._expand(list(self._expansion(line, macro, rest)), files)
        elif word in {".equ", ".set", ".equiv"}:
            name, *values = _split(rest, ",")
            if len(values) != 1 or not re.fullmatch(_NAME, name.strip()):
                _fail(line, f"{word} takes a name and a value")
            self._assign(line, name.strip(), values[0].strip())
        elif word.startswith("."):
            self._directive(line, word, rest)
        else:
            self._instruction(line, text)

    def _add(
        self,
        line: _Line,
        text: str,
        *,
        size: int | None = None,
        instruction: bool = False,
        definition: bool = False,
    ) -> None:
        if len(self.statements) >= _MOST_STATEMENTS:
            _fail(line, f"the program has more than {_MOST_STATEMENTS} statements")
        if not text.isascii():
            _fail(line, "only strings and comments may have characters outside ASCII")
        self.statements.append(_Statement(line, text, size, instruction, definition))

    def _label(self, line: _Line, name: str) -> None:
        if name.isdigit():
            count = self._numeric[name] = self._numeric.get(name, 0) + 1
            self._awaited.pop((name, count), None)
            name = _numeric_label(name, count)
        elif first := self.labels.get(name):
            _fail(line, f"label {name} is already defined at {first.file}:{first.line}")
        elif name in self._constants:
            _fail(line, f"{name} is already the name of a constant")
        elif _REGISTER.fullmatch(name):
            _fail(line, f"{name} is the name of a register")
        else:
            self.labels[name] = line.place
        self._add(line, f"{name}:", definition=True)

    def _assign(self, line: _Line, name: str, expression: str) -> None:
        if name == ".":
            _fail(line, "the location cannot be set; use .space or .balign")
        if name in self.labels:
            _fail(line, f"{name} is already the name of a label")
        if _REGISTER.fullmatch(name):
            _fail(line, f"{name} is the name of a register")
        if not expression:
            _fail(line, f"{name} has no value")
        text = self._replace(line, expression)
        value = _evaluate(text)
        if value is None:
            if not _is_expression(text):
                _fail(line, f"not a value: {expression}")
            for needed in _names(text):
                if needed != "." and not needed.startswith(_OWN):
                    self._needed.setdefault(needed, line)
            self._constants.pop(name, None)
        else:
            self._constants[name] = value
        self._assigned.add(name)
        self._add(line, f"{name} = {text if value is None else value}", definition=True)

    def _directive(self, line: _Line, word: str, rest: str) -> None:
        if size := _INTEGERS.get(word):
            values = [self._datum(line, operand, size) for operand in _operands(line, rest)]
            if not values:
                _fail(line, f"{word} without a value")
            directive = _INTEGER_OF_SIZE[size]
            self._add(line, f"{directive} {', '.join(values)}", size=size * len(values))
        elif word in _STRINGS:
            data = b"".join(
                _string(line, operand) + _STRINGS[word] for operand in _operands(line, rest)
            )
            if data:
                self._add(line, f".byte {', '.join(map(str, data))}", size=len(data))
        elif word in {".space", ".skip", ".zero"}:
            size, *fill = self._constants_of(line, word, rest, 2)
            self._space(line, size, 1, *fill)
        elif word == ".fill":
            self._space(line, *self._constants_of(line, word, rest, 3))
        elif word in {".align", ".balign", ".p2align"}:
            alignment, *rest_ = self._constants_of(line, word, rest, 3)
            if word == ".p2align" and 0 <= alignment < 64:
                alignment = 1 << alignment
            if alignment.bit_count() != 1 or not 1 <= alignment <= _MOST_ALIGNMENT:
                _fail(line, f"cannot align to {_bytes(alignment)}")
            self._add(line, f".balign {', '.join(map(str, [alignment, *rest_]))}")
        elif size := _NUMBERS.get(word):
            if not rest:
                _fail(line, f"{word} without a value")
            self._add(line, f"{word} {rest}", size=size * len(_operands(line, rest)))
        elif word in _SECTIONS:
            _fail(line, f"{word}: a flat binary has one section; put data after the code")
        elif word == ".intel_syntax" or word == ".att_syntax":
            if (word, rest) != (".intel_syntax", "noprefix"):
                _fail(line, "the syntax is always .intel_syntax noprefix")
        elif word == ".org":
            _fail(line, "there is no .org; use .space or .balign")
        elif word in {".error", ".err"}:
            _fail(line, _string(line, rest).decode() if rest else ".err")
        elif word not in _IGNORED:
            _fail(line, f"unknown directive {word}")

    def _constants_of(self, line: _Line, word: str, rest: str, most: int) -> list[int]:
        operands = _operands(line, rest)
        if not 1 <= len(operands) <= most:
            _fail(line, f"{word} takes 1 to {most} operands")
        return [self._constant(line, operand) for operand in operands]

    def _space(self, line: _Line, count: int, size: int = 1, value: int = 0) -> None:
        if size not in _INTEGER_OF_SIZE or not 0 <= count * size <= _MOST_SPACE:
            _fail(line, f"cannot fill {count} times {_bytes(size)}")
        if not _fits(value, size):
            _fail(line, f"{value:#x} does not fit in {_bytes(size)}")
        value %= 1 << 8 * size
        if count:
            self._add(line, f".fill {count}, {size}, {value}", size=count * size)

    def _datum(self, line: _Line, operand: str, size: int) -> str:
        value = self._value(line, operand)
        if _is_number(value) and not _fits(int(value), size):
            _fail(line, f"{operand} does not fit in {_bytes(size)}")
        return value

    def _instruction(self, line: _Line, text: str) -> None:
        prefixes = []
        mnemonic, rest = _first_word(text)
        while mnemonic.lower() in _PREFIXES and rest:
            prefixes.append(mnemonic)
            mnemonic, rest = _first_word(rest)
        if not mnemonic.isalnum():
            _fail(line, f"not an instruction: {text}")
        operands = _operands(line, rest)
        definitions: list[str] = []
        values = [
            self._operand(line, mnemonic.lower(), operand, operands, definitions)
            for operand in operands
        ]
        _check_immediate(line, mnemonic.lower(), values)
        plain = " ".join([*prefixes, mnemonic, ", ".join(values)]).rstrip()
        self._add(line, "\n".join([*definitions, plain]), instruction=True)

    def _operand(
        self,
        line: _Line,
        mnemonic: str,
        operand: str,
        operands: Sequence[str],
        definitions: list[str],
    ) -> str:
        """Return what Keystone gets for `operand`; add the symbols made for it to `definitions`."""
        match = _MEMORY.fullmatch(operand)
        if match is None:
            if operand.count("[") != operand.count("]"):
                _fail(line, f"unbalanced brackets: {operand}")
            if re.search(r"(?i)\bptr\b", operand):
                _fail(line, f"memory is written with brackets: {operand}")
            if re.fullmatch(r"(?i:st\s*\([0-7]\))", operand):
                return operand
            value = self._value(line, re.sub(r"(?i)^offset\s+(flat:\s*)?", "", operand))
            return value if _is_number(value) else self._symbol(value, definitions)
        before, inside = match[1], self._replace(line, match[2])
        address = _evaluate(inside)
        if address is None:
            return f"{before}[{self._effective(line, inside, definitions)}]"
        full = mnemonic in {"mov", "movabs"} and not _ACCUMULATORS.isdisjoint(
            other.lower() for other in operands
        )
        if not full and not _fits_signed(address, 4):
            _fail(line, f"this address needs a register: {operand}")
        # Keystone encodes a bare number relative to RIP, and in some instructions wrongly;
        # a symbol that is still to come it encodes as an absolute address.
        self.absolutes.add(address)
        return f"{before}[{_absolute(address)}]"

    def _effective(self, line: _Line, inside: str, definitions: list[str]) -> str:
        """Return registers and one displacement for what stands in brackets."""
        registers, rest = [], ""
        for sign, term in _terms(inside):
            if _REGISTER_TERM.fullmatch(term) and "-" not in sign:
                registers.append(term)
            else:
                rest += f"{sign or '+'}{term}"
        if len(registers) > 1 and any(register.lower() == "rip" for register in registers):
            _fail(line, f"nothing can be added to rip but a displacement: [{inside}]")
        if not rest:
            return "+".join(registers)
        value = _evaluate(rest)
        if value is None:
            if not _is_expression(rest):
                _fail(line, f"not an address: [{inside}]")
            symbol = self._symbol(rest.removeprefix("+"), definitions)
            return "+".join([*registers, symbol])
        if not _fits_signed(value, 4):
            _fail(line, f"the displacement does not fit in 4 bytes: [{inside}]")
        return f"{'+'.join(registers)}{_signed(value):+d}"

    def _symbol(self, expression: str, definitions: list[str]) -> str:
        """Return a symbol with the value of `expression`, made for it if need be.

        Keystone takes an operand like 8+label for memory, and of several symbols in brackets it
        forgets all but one; in the value of a symbol it computes them right.
        """
        names = _names(expression)
        if expression in names or not names or any(_REGISTER.fullmatch(name) for name in names):
            return expression
        self._symbols += 1
        symbol = f"{_OWN}is_{self._symbols}"
        definitions.append(f"{symbol} = {expression}")
        return symbol

    # Expressions.

    def _constant(self, line: _Line, expression: str) -> int:
        value = _evaluate(self._replace(line, expression))
        if value is None:
            _fail(line, f"not a constant: {expression}" if expression else "a value is missing")
        return value

    def _value(self, line: _Line, expression: str) -> str:
        """Return the value of `expression` as a number, or what must be left to Keystone."""
        text = self._replace(line, expression)
        value = _evaluate(text)
        if value is None and not _is_expression(text):
            _fail(line, f"not an operand: {expression}")
        return text if value is None else str(value)

    def _replace(self, line: _Line, expression: str) -> str:
        """Put in the constants, the characters and the true names of numeric labels."""

        def replacement(match: re.Match[str]) -> str:
            token = match[0]
            if token[0] == "'":
                if not token.isascii():
                    _fail(line, f"not a character of one byte: {token}")
                return str(ord(_unescape(line, token[1:-1])))
            if token[0].isdigit():
                return self._numeric_reference(line, token)
            value = self._constants.get(token)
            if value is None:
                return token
            return str(value) if value >= 0 else f"({value})"

        return _TOKEN.sub(replacement, expression)

    def _numeric_reference(self, line: _Line, token: str) -> str:
        match = _NUMERIC_REFERENCE.fullmatch(token)
        assert match is not None, token
        label, count = match[1], self._numeric.get(match[1], 0)
        if match[2] == "f":
            count += 1
            self._awaited.setdefault((label, count), line)
        elif not count:
            _fail(line, f"there is no label {label}: before this")
        return _numeric_label(label, count)


_CONDITIONS = {".if", ".ifdef", ".ifndef", ".ifb", ".ifnb", ".ifc", ".ifnc"}


def _fail(line: _Line, reason: str) -> NoReturn:
    inside = f" (in macro {line.macros[-1]})" if line.macros else ""
    raise AsmError(line.place.file, line.place.line, " ".join(reason.split()) + inside)


def _read(path: Path, place: _Place) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise AsmError(place.file, place.line, f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AsmError(place.file, place.line, f"{path} is not UTF-8 text") from error


def _guest_programs() -> Path:
    from importlib.resources import files

    return Path(str(files("guest_programs")))


def _logical_lines(text: str, file: str) -> Iterator[_Line]:
    """Yield the statements of a file; an empty one for a line that has none."""
    sources = text.split("\n")

    def uncommented(match: re.Match[str]) -> str:
        lexeme = match[0]
        if lexeme in {"/*", '"'}:
            number = text.count("\n", 0, match.start()) + 1
            what = "comment" if lexeme == "/*" else "string"
            raise AsmError(file, number, f"this {what} is never closed")
        if lexeme[0] in "\"'":
            return lexeme
        return " " + "\n" * lexeme.count("\n")

    for number, stripped in enumerate(_LEXEME.sub(uncommented, text).split("\n"), 1):
        source = sources[number - 1].rstrip()
        if number == len(sources) and not source:
            break
        place = _Place(file, number, source)
        for statement in _split(stripped, ";"):
            yield _Line(place, statement.strip())


def _block(
    lines: Sequence[_Line], start: int, opening: _Line, word: str, end: str
) -> Sequence[_Line]:
    """Return the lines from `start` up to the one that closes the block."""
    openers = {opener for opener, closer in _BLOCKS.items() if closer == end}
    depth = 1
    for position in range(start, len(lines)):
        inner, _ = _first_word(lines[position].text)
        if inner in openers:
            depth += 1
        elif inner == end or (end == ".endm" and inner == ".endmacro"):
            depth -= 1
            if not depth:
                return lines[start:position]
    _fail(opening, f"{word} without {end}")


def _first_word(text: str) -> tuple[str, str]:
    words = text.split(None, 1)
    return (words[0] if words else ""), (words[1].strip() if len(words) > 1 else "")


def _split(text: str, separator: str) -> list[str]:
    """Split `text` where `separator` stands outside quotes, parentheses and brackets."""
    parts = [""]
    depth = 0
    for piece in re.findall(rf"{_QUOTED}|.", text, re.DOTALL):
        depth += (piece in "([") - (piece in ")]")
        if piece == separator and (depth <= 0 or separator == ";"):
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _operands(line: _Line, text: str) -> list[str]:
    operands = [operand.strip() for operand in _split(text, ",")] if text else []
    if not all(operands):
        _fail(line, f"an operand is missing: {line.text}")
    for operand in operands:
        if operand.count("(") != operand.count(")") and operand[0] not in "\"'":
            _fail(line, f"unbalanced parentheses: {operand}")
    return operands


def _terms(text: str) -> Iterator[tuple[str, str]]:
    """Yield the terms of a sum, each with the signs before it."""
    sign, term = "", ""
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth or character not in "+-":
            term += character
        elif term.strip():
            yield sign, term.strip()
            sign, term = character, ""
        else:
            sign += character
    yield sign, term.strip()


def _parameters(text: str) -> Iterator[str]:
    """Yield macro parameters, which may be separated by commas or by spaces."""
    for part in _split(text, ","):
        words = re.sub(r"\s*=\s*", "=", part.strip()).split(" ")
        yield from (word for word in words if word)


def _substitute(text: str, values: Mapping[str, str]) -> str:
    r"""Put macro operands in for \name; \() separates."""
    return re.sub(
        r"\\(\w+|@|\(\))",
        lambda match: "" if match[1] == "()" else values.get(match[1], match[0]),
        text,
    )


def _numeric_label(label: str, count: int) -> str:
    return f"{_OWN}{label}_{count}"


def _absolute(address: int) -> str:
    return f"{_OWN}at_{address % (1 << 64):x}"


_ESCAPES = {"n": 10, "t": 9, "r": 13, "b": 8, "f": 12, "a": 7, "v": 11, "e": 27}


def _unescape(line: _Line, text: str) -> str:
    r"""Return `text` with \n, \0, \101 and \x41 made characters (of one byte each)."""

    def character(match: re.Match[str]) -> str:
        escape = match[1]
        if escape[0] == "x" and len(escape) > 1:
            return chr(int(escape[1:], 16) & 0xFF)
        if escape[0] in "01234567":
            return chr(int(escape, 8) & 0xFF)
        if escape in "\\\"'":
            return escape
        if escape not in _ESCAPES:
            _fail(line, f"unknown escape \\{escape}")
        return chr(_ESCAPES[escape])

    return re.sub(r"\\(x[0-9a-fA-F]+|[0-7]{1,3}|.)", character, text)


def _string(line: _Line, operand: str) -> bytes:
    if not re.fullmatch(r'"(?:\\.|[^"\\\n])*"', operand):
        _fail(line, f"not a string: {operand}" if operand else "a string is missing")
    data = bytearray()
    for escape, plain in re.findall(r"(\\(?:x[0-9a-fA-F]+|[0-7]{1,3}|.))|([^\\]+)", operand[1:-1]):
        data += _unescape(line, escape).encode("latin-1") if escape else plain.encode()
    return bytes(data)


_BINARY: Mapping[type[ast.operator] | type[ast.cmpop], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: lambda left, right: left << right if 0 <= right < 64 else 0,
    ast.RShift: lambda left, right: left >> right if 0 <= right < 64 else 0,
    ast.FloorDiv: lambda left, right: abs(left) // abs(right) * (1 if left * right >= 0 else -1),
    ast.Mod: lambda left, right: abs(left) % abs(right) * (1 if left >= 0 else -1),
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[int], int]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_C_TO_PYTHON = (("&&", " and "), ("||", " or "), ("/", "//"))
_LONGEST_EXPRESSION = 1000


def _evaluate(text: str) -> int | None:
    """Return the value of an expression of numbers (C's operators), or None if it is none."""
    if not re.fullmatch(r"[\w\s+\-*/%&|^~<>=!()]+", text) or len(text) > _LONGEST_EXPRESSION:
        return None
    words = re.findall(r"\w+", text)
    if not words or not all(re.fullmatch(r"0[xX][0-9a-fA-F]+|0[bB][01]+|\d+", w) for w in words):
        return None
    for c, python in _C_TO_PYTHON:
        text = text.replace(c, python)
    text = re.sub(r"!(?!=)", " not ", text)
    text = re.sub(r"\b0+(?=[0-7]+\b)", "0o", text)
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ZeroDivisionError):
        return None


def _names(expression: str) -> list[str]:
    return re.findall(_NAME_IN_EXPRESSION, expression)


def _is_expression(text: str) -> bool:
    """Tell whether `text` is an expression of numbers and names.

    What is not must not reach Keystone, which loops for ever on some of it and drops some.
    """
    values = itertools.count(1_000_003, 1_000_003)  # apart from each other and from 0
    return _evaluate(re.sub(_NAME_IN_EXPRESSION, lambda _: str(next(values)), text)) is not None


def _value(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int() as value):
            return value
        case ast.UnaryOp(op=op, operand=operand):
            return int(_UNARY[type(op)](_value(operand)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left), _value(right))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _BINARY:
            return int(_BINARY[type(op)](_value(left), _value(right)))
        case ast.BoolOp(op=ast.And(), values=values):
            return int(all(_value(value) for value in values))
        case ast.BoolOp(values=values):
            return int(any(_value(value) for value in values))
    raise SyntaxError


def _is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()


def _fits(value: int, size: int) -> bool:
    """Tell whether `value`, signed, unsigned or a negative 64-bit word, is one of `size` bytes."""
    bits = 8 * size
    return -(1 << bits - 1) <= value < 1 << bits or -(1 << bits - 1) <= value - (1 << 64) < 0


def _fits_signed(value: int, size: int) -> bool:
    limit = 1 << 8 * size - 1
    return -limit <= value < limit or -limit <= value - (1 << 64) < 0


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 > 0 else value


def _bytes(size: int) -> str:
    return "1 byte" if size == 1 else f"{size} bytes"


def _check_immediate(line: _Line, mnemonic: str, operands: Sequence[str]) -> None:
    """Refuse a number that Keystone would cut down to the operand's size."""
    if not operands or not _is_number(operands[-1]):
        return
    value = int(operands[-1])
    if mnemonic == "push":
        fits = _fits_signed(value, 4)
    elif size := _UNSIGNED_IMMEDIATE.get(mnemonic):
        fits = 0 <= value < 1 << 8 * size
    elif mnemonic in _TAKES_IMMEDIATE and (size := _operand_size(operands[0])):
        fits = _fits(value, size)
    else:
        return
    if not fits:
        _fail(line, f"{value:#x} does not fit: {line.text}")


def _operand_size(operand: str) -> int | None:
    word, _, rest = operand.lower().partition(" ")
    if rest.lstrip().startswith("ptr"):
        return _POINTER_SIZES.get(word)
    return next((size for names, size in _REGISTER_SIZES if names.fullmatch(word)), None)


# --- Encoding: the child processes ------------------------------------------------------------


def _encode(program: _Program, origin: int, whole: _Place) -> Assembly:
    statements = program.statements
    if 0x7FFF_0000 <= origin < 1 << 32:
        # Keystone would sign-extend these addresses where an instruction has 32 bits for one.
        raise AsmError(whole.file, whole.line, f"cannot assemble for address {origin:#x}")
    real = [index for index, statement in enumerate(statements) if statement.text]
    if all(statements[index].definition for index in real):
        raise AsmError(whole.file, whole.line, _EMPTY)
    text = [f"{_OWN}{index}:\n{statements[index].text}\n" for index in real]
    text.append(f"{_OWN}end:\n")
    constants = [f"{_absolute(address)} = {address}" for address in sorted(program.absolutes)]
    text.extend(f"{constant}\n" for constant in constants)
    text.extend(f".quad {_OWN}{index}\n" for index in real)
    text.append(f".quad {_OWN}end\n")
    answer = _ask({"origin": origin, "text": "".join(text)})
    table_size = 8 * (len(real) + 1)
    if answer is None or not answer.startswith(_ENCODED):
        _blame(program, real, constants, origin, whole, answer)
    image = answer.removeprefix(_ENCODED)
    if len(image) < table_size:
        _blame(program, real, constants, origin, whole, b"the assembler made nothing of this")
    code = image[:-table_size]
    table = [int.from_bytes(image[at : at + 8], "little") for at in range(len(code), len(image), 8)]
    if table[-1] != origin + len(code):
        raise AsmError(whole.file, whole.line, "the assembler lost count of its addresses")
    labels = {
        statements[index].text[:-1]: address
        for index, address in zip(real, table, strict=False)
        if statements[index].text.endswith(":")
    }
    sizes = {}
    for index, address, following in zip(real, table, table[1:], strict=False):
        sizes[index] = following - address
        _check_encoding(statements[index], address, following, labels)
    if not code:
        raise AsmError(whole.file, whole.line, _EMPTY)
    return Assembly(
        code,
        list(_source_lines(statements, sizes, origin, code)),
        {name: labels[name] for name in program.labels if not name.startswith(".L")},
    )


def _check_encoding(
    statement: _Statement, address: int, following: int, labels: Mapping[str, int]
) -> None:
    """Refuse what Keystone got wrong without saying so."""
    size = following - address
    if (statement.instruction and size <= 0) or statement.size not in {None, size}:
        _fail(statement.line, f"the assembler made {_bytes(size)} of this: {statement.line.text}")
    if statement.instruction and (jump := _JUMP.search(statement.text)):
        target = int(jump[2]) if _is_number(jump[2]) else labels.get(jump[2], following)
        if not _fits_signed(target - following, 1 if jump[1] else 4):
            _fail(statement.line, f"too far: {statement.line.text}")


_JUMP = re.compile(r"(?m)^(?i:call|(loop\w*|j[re]?cxz)|j\w+)\s+(\S+)$")
_EMPTY = "the program is empty: no instruction and no data"


def _source_lines(
    statements: Sequence[_Statement], sizes: Mapping[int, int], origin: int, code: bytes
) -> Iterator[SourceLine]:
    done = 0
    for _, group in itertools.groupby(enumerate(statements), lambda item: id(item[1].line.place)):
        indices = [index for index, _ in group]
        size = sum(sizes.get(index, 0) for index in indices)
        place = statements[indices[0]].line.place
        yield SourceLine(
            origin + done, code[done : done + size], place.file, place.line, place.source
        )
        done += size


def _blame(
    program: _Program,
    real: Sequence[int],
    constants: Sequence[str],
    origin: int,
    whole: _Place,
    answer: bytes | None,
) -> NoReturn:
    """Raise the AsmError that names the statement Keystone does not take."""
    statements = [program.statements[index] for index in real]
    findings = _ask(
        {
            "origin": origin,
            "statements": [(s.text, s.definition, s.instruction) for s in statements],
            "constants": constants,
        }
    )
    if lines := (findings or b"").splitlines():
        index, _, reason = lines[-1].decode().partition(" ")
        if index != "none":
            statement = statements[int(index)]
            reason = reason or "the assembler crashed on this statement"
            _fail(statement.line, f"{reason}: {statement.line.text}")
    reason = "the assembler crashed" if answer is None else answer.decode().strip()
    raise AsmError(whole.file, whole.line, reason)


_ENCODED = b"encoded\n"
_MEMORY_LIMIT = 4 << 30


def _ask(request: Mapping[str, Any]) -> bytes | None:
    """Return what a child process of its own answers; for a crash, what it had said before.

    None if that is nothing.
    """
    from importlib.util import find_spec

    keystone = find_spec("keystone")
    if keystone is None or keystone.origin is None:
        raise ModuleNotFoundError("the assembler needs the package keystone-engine")
    data = json.dumps(request).encode()
    # Isolated and without site-packages: the child starts faster, and nothing but the standard
    # library and Keystone can be imported by mistake.
    # Some input makes Keystone loop for ever; honest work takes about 0.05 ms for a statement.
    patience = 5 + len(data) / 20_000
    command = [sys.executable, "-I", "-S", __file__, str(Path(keystone.origin).parent.parent)]
    try:
        child = subprocess.run(command, input=data, capture_output=True, timeout=patience)
    except subprocess.TimeoutExpired as timeout:
        return timeout.stdout or None
    if b"Traceback" in child.stderr:
        raise RuntimeError(f"the assembler's child process failed:\n{child.stderr.decode()}")
    return child.stdout or None


def _child(keystone_folder: str) -> None:
    _limit_damage()
    sys.path.append(keystone_folder)
    import keystone

    def encode(text: str, names: list[str] | None = None) -> bytes | str:
        """Return the code, or the reason there is none.  Collect unknown names if wanted."""
        assembler = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64)
        if names is not None:

            def resolve(name: bytes, value: Any) -> bool:
                names.append(name.decode())
                value[0] = request["origin"]
                return True

            assembler.sym_resolver = resolve
        try:
            code, _ = assembler.asm(text, request["origin"], as_bytes=True)
        except keystone.KsError as error:
            reason = str(error).partition(" (KS_ERR")[0]
            if reason == "Invalid fixup":
                return "a value or the distance of a jump does not fit"
            return reason[:1].lower() + reason[1:]
        return bytes(code or b"")

    request = json.load(sys.stdin)
    if "text" in request:
        result = encode(request["text"])
        sys.stdout.buffer.write(result.encode() if isinstance(result, str) else _ENCODED + result)
    else:
        _find_culprit(request["statements"], request["constants"], encode)


def _find_culprit(
    statements: Sequence[tuple[str, bool, bool]],
    constants: Sequence[str],
    encode: Callable[[str, list[str]], bytes | str],
) -> None:
    """Write lines "index" before a try, "index reason" for the statement that is wrong."""
    after = "\n" + "\n".join(constants) + "\n"
    defined = {re.split(r"[:\s]", text)[0] for text, definition, _ in statements if definition}
    for index, (text, definition, instruction) in enumerate(statements):
        os.write(1, b"%d\n" % index)
        if definition and text.endswith(":"):
            continue
        names: list[str] = []
        result = encode(text + after, names)
        for name in names:
            if name not in defined and not name.startswith(_OWN):
                os.write(1, f"{index} symbol {name} is not defined\n".encode())
                return
        if instruction and not result:
            result = "the assembler made nothing of this"
        if isinstance(result, str) and not definition:
            os.write(1, f"{index} {result}\n".encode())
            return

    # Each is right by itself: find the shortest beginning of the program that is wrong.
    def encode_first(count: int) -> bytes | str:
        os.write(1, f"{count - 1} the assembler crashed on this or before it\n".encode())
        return encode("\n".join(text for text, *_ in statements[:count]) + after, [])

    right, wrong = 0, len(statements)
    while wrong - right > 1:
        middle = (right + wrong) // 2
        if isinstance(encode_first(middle), str):
            wrong = middle
        else:
            right = middle
    reason = encode_first(wrong)
    if isinstance(reason, str):
        os.write(1, f"{wrong - 1} {reason}\n".encode())
    else:
        os.write(1, b"none\n")


def _limit_damage() -> None:
    """Let a crash leave no core file, and let no source fill the host's memory."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT, _MEMORY_LIMIT))


if __name__ == "__main__":
    _child(sys.argv[1])
