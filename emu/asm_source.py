"""Source to statements: files, macros, repetitions, conditions, labels, constants and data.

What comes out is plain: no statement refers to a file, a macro or a predefined constant any more,
and each has its place in the source.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emu.asm_operands import OWN, REGISTER, Values, check_immediate
from emu.asm_text import (
    NAME,
    AsmError,
    Line,
    Place,
    byte_count,
    evaluate,
    fail,
    first_word,
    fits,
    is_expression,
    is_number,
    logical_lines,
    macro_parameters,
    names_in,
    split,
    split_operands,
    string_bytes,
    substitute,
)

_LABEL = re.compile(rf"({NAME}|\d+)\s*:")
_OPERAND = re.compile(r"\\\w+")
_STRING = re.compile(r'"[^"\\]*"')
_ASSIGNMENT = re.compile(rf"({NAME})\s*=(?!=)\s*(.*)")
_PARAMETER = re.compile(rf"({NAME})(?::(req|vararg))?(?:\s*=\s*(.*))?", re.DOTALL)

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
_CONDITIONS = {".if", ".ifdef", ".ifndef", ".ifb", ".ifnb", ".ifc", ".ifnc"}
_PREFIXES = {"lock", "rep", "repe", "repz", "repne", "repnz", "data16", "addr32"}

_DEEPEST = 64
_MOST_STATEMENTS = 1_000_000
_MOST_SPACE = 1 << 26
_MOST_ALIGNMENT = 1 << 21


@dataclass(frozen=True, slots=True)
class Statement:
    """What Keystone gets; nothing at all for the mark of a source line."""

    line: Line
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
    body: Sequence[Line]


@dataclass(slots=True)
class _Condition:
    """An .if that is open: a branch is taken if the ones before were not and the outside is."""

    line: Line
    outside: bool
    active: bool
    done: bool


class Program:
    """The statements of a program, in order, as its source is read."""

    def __init__(self, symbols: Mapping[str, int], include_dirs: Sequence[Path]) -> None:
        self.statements: list[Statement] = []
        self.labels: dict[str, Place] = {}
        self.values = Values(symbols)
        self._include_dirs = include_dirs
        self._macros: dict[str, _Macro] = {}
        self._uses = 0
        self._assigned: set[str] = set()
        self._needed: dict[str, Line] = {}  # by the values of constants, which Keystone computes

    def add_file(self, text: str, name: str) -> None:
        self._add_file(text, name, ())
        self.values.check_awaited()
        for name, line in self._needed.items():
            if name not in self.labels and name not in self._assigned:
                fail(line, f"symbol {name} is not defined: {line.text}")

    def _add_file(self, text: str, name: str, including: tuple[Path, ...]) -> None:
        self._expand(list(logical_lines(text, name)), (*including, Path(name).resolve()))

    def _expand(self, lines: Sequence[Line], files: tuple[Path, ...]) -> None:
        """Add what `lines` say.  `files` are the open ones, the innermost last."""
        conditions: list[_Condition] = []
        position = 0
        while position < len(lines):
            line = lines[position]
            position += 1
            self._mark(line)
            word, rest = first_word(line.text)
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
            fail(conditions[-1].line, "this condition has no .endif")

    def _mark(self, line: Line) -> None:
        """Make the source line appear in the listing even if nothing comes of it."""
        if not self.statements or self.statements[-1].line.place is not line.place:
            self.statements.append(Statement(line))

    # Conditions.

    def _condition(self, conditions: list[_Condition], line: Line, word: str, rest: str) -> bool:
        """Handle a directive that opens, changes or closes a condition; tell if it was one."""
        if word in _CONDITIONS:
            outside = not conditions or conditions[-1].active
            holds = outside and self._holds(line, word, rest)
            conditions.append(_Condition(line, outside, holds, holds))
            return True
        if word not in {".else", ".elseif", ".endif"}:
            return False
        if not conditions:
            fail(line, f"{word} without .if")
        condition = conditions[-1]
        if word == ".endif":
            conditions.pop()
        else:
            open_ = condition.outside and not condition.done
            condition.active = open_ and (word == ".else" or self._holds(line, ".if", rest))
            condition.done |= condition.active
        return True

    def _holds(self, line: Line, word: str, rest: str) -> bool:
        match word:
            case ".if":
                return bool(self.values.constant(line, rest))
            case ".ifdef" | ".ifndef":
                return (rest in self.values.constants or rest in self.labels) == (word == ".ifdef")
            case ".ifb" | ".ifnb":
                return (not rest) == (word == ".ifb")
            case _:
                sides = [side.strip() for side in split(rest, ",")]
                if len(sides) != 2:
                    fail(line, f"{word} takes two operands")
                return (sides[0] == sides[1]) == (word == ".ifc")

    # Macros and repetitions.

    def _define_macro(self, line: Line, rest: str, body: Sequence[Line]) -> None:
        name, parameters = first_word(rest)
        if not re.fullmatch(NAME, name):
            fail(line, "the macro has no name")
        if name in self._macros:
            fail(line, f"macro {name} is already defined")
        defaults: dict[str, str | None] = {}
        required = set()
        variable = None
        for parameter in macro_parameters(parameters):
            match = _PARAMETER.fullmatch(parameter)
            if match is None or variable is not None:
                fail(line, f"bad macro parameter: {parameter}")
            defaults[match[1]] = match[3]
            if match[2] == "req":
                required.add(match[1])
            elif match[2] == "vararg":
                variable = match[1]
        self._macros[name] = _Macro(name, defaults, frozenset(required), variable, body)

    def _expansion(self, line: Line, macro: _Macro, rest: str) -> Iterator[Line]:
        if len(line.macros) >= _DEEPEST:
            fail(line, "macros are nested too deeply")
        values = dict.fromkeys(macro.parameters, "") | {
            name: default for name, default in macro.parameters.items() if default is not None
        }
        given: set[str] = set()
        names = list(macro.parameters)
        arguments = [argument.strip() for argument in split(rest, ",")] if rest else []
        for index, argument in enumerate(arguments):
            named = _ASSIGNMENT.fullmatch(argument)
            if named and named[1] in values:
                name, argument = named[1], named[2]
            elif index < len(names):
                name = names[index]
            else:
                fail(line, f"macro {macro.name} takes {len(names)} operands at most")
            given.add(name)
            if name == macro.rest:
                values[name] = ", ".join(arguments[index:])
                break
            if argument:
                values[name] = argument
        for name in macro.required:
            if not values[name]:
                fail(line, f"macro {macro.name} needs its operand {name}")
        self._uses += 1
        values["@"] = str(self._uses)
        for inner in macro.body:
            text = substitute(inner.text, values)
            # An operand in quotes that is all there is: the statements that are in the quotes.
            if _OPERAND.fullmatch(inner.text) and _STRING.fullmatch(text):
                statements = [part.strip() for part in split(text[1:-1], ";")]
            else:
                statements = [text]
            for statement in statements:
                yield Line(line.place, statement, (*line.macros, macro.name))

    def _repetitions(
        self, line: Line, word: str, rest: str, body: Sequence[Line]
    ) -> Iterator[Sequence[Line]]:
        if word == ".rept":
            count = self.values.constant(line, rest)
            if not 0 <= count <= _MOST_STATEMENTS:
                fail(line, f"cannot repeat {count} times")
            for _ in range(count):
                yield body
            return
        name, *values = (value.strip() for value in split(rest, ","))
        for value in values:
            yield [
                Line(inner.place, substitute(inner.text, {name: value}), inner.macros)
                for inner in body
            ]

    def _include(self, line: Line, rest: str, files: tuple[Path, ...]) -> None:
        name = string_bytes(line, rest).decode()
        folders = [Path(line.place.file).parent, *self._include_dirs, _guest_programs()]
        path = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if path is None:
            fail(line, f"cannot find {name}")
        if path.resolve() in files:
            fail(line, f"{name} includes itself")
        if len(files) >= _DEEPEST:
            fail(line, "files are nested too deeply")
        self._add_file(read(path, line.place), str(path), files)

    # Statements.

    def _statement(self, line: Line, files: tuple[Path, ...]) -> None:
        text = line.text
        while match := _LABEL.match(text):
            self._label(line, match[1])
            text = text[match.end() :].lstrip()
        if not text:
            return
        word, rest = first_word(text)
        if match := _ASSIGNMENT.fullmatch(text):
            self._assign(line, match[1], match[2])
        elif macro := self._macros.get(word):
            self._expand(list(self._expansion(line, macro, rest)), files)
        elif word in {".equ", ".set", ".equiv"}:
            name, *values = split(rest, ",")
            if len(values) != 1 or not re.fullmatch(NAME, name.strip()):
                fail(line, f"{word} takes a name and a value")
            self._assign(line, name.strip(), values[0].strip())
        elif word.startswith("."):
            self._directive(line, word, rest)
        else:
            self._instruction(line, text)

    def _add(
        self,
        line: Line,
        text: str,
        *,
        size: int | None = None,
        instruction: bool = False,
        definition: bool = False,
    ) -> None:
        if len(self.statements) >= _MOST_STATEMENTS:
            fail(line, f"the program has more than {_MOST_STATEMENTS} statements")
        if not text.isascii():
            fail(line, "only strings and comments may have characters outside ASCII")
        self.statements.append(Statement(line, text, size, instruction, definition))

    def _label(self, line: Line, name: str) -> None:
        if name.isdigit():
            name = self.values.define_numeric(name)
        elif first := self.labels.get(name):
            fail(line, f"label {name} is already defined at {first.file}:{first.line}")
        elif name in self.values.constants:
            fail(line, f"{name} is already the name of a constant")
        elif REGISTER.fullmatch(name):
            fail(line, f"{name} is the name of a register")
        else:
            self.labels[name] = line.place
        self._add(line, f"{name}:", definition=True)

    def _assign(self, line: Line, name: str, expression: str) -> None:
        if name == ".":
            fail(line, "the location cannot be set; use .space or .balign")
        if name in self.labels:
            fail(line, f"{name} is already the name of a label")
        if REGISTER.fullmatch(name):
            fail(line, f"{name} is the name of a register")
        if not expression:
            fail(line, f"{name} has no value")
        text = self.values.replace(line, expression)
        value = evaluate(text)
        if value is None:
            if not is_expression(text):
                fail(line, f"not a value: {expression}")
            for needed in names_in(text):
                if needed != "." and not needed.startswith(OWN):
                    self._needed.setdefault(needed, line)
            self.values.constants.pop(name, None)
        else:
            self.values.constants[name] = value
        self._assigned.add(name)
        self._add(line, f"{name} = {text if value is None else value}", definition=True)

    def _directive(self, line: Line, word: str, rest: str) -> None:
        if size := _INTEGERS.get(word):
            values = [self._datum(line, operand, size) for operand in split_operands(line, rest)]
            if not values:
                fail(line, f"{word} without a value")
            directive = _INTEGER_OF_SIZE[size]
            self._add(line, f"{directive} {', '.join(values)}", size=size * len(values))
        elif word in _STRINGS:
            data = b"".join(
                string_bytes(line, operand) + _STRINGS[word]
                for operand in split_operands(line, rest)
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
                fail(line, f"cannot align to {byte_count(alignment)}")
            self._add(line, f".balign {', '.join(map(str, [alignment, *rest_]))}")
        elif size := _NUMBERS.get(word):
            if not rest:
                fail(line, f"{word} without a value")
            self._add(line, f"{word} {rest}", size=size * len(split_operands(line, rest)))
        elif word in _SECTIONS:
            fail(line, f"{word}: a flat binary has one section; put data after the code")
        elif word == ".intel_syntax" or word == ".att_syntax":
            if (word, rest) != (".intel_syntax", "noprefix"):
                fail(line, "the syntax is always .intel_syntax noprefix")
        elif word == ".org":
            fail(line, "there is no .org; use .space or .balign")
        elif word in {".error", ".err"}:
            fail(line, string_bytes(line, rest).decode() if rest else ".err")
        elif word not in _IGNORED:
            fail(line, f"unknown directive {word}")

    def _constants_of(self, line: Line, word: str, rest: str, most: int) -> list[int]:
        operands = split_operands(line, rest)
        if not 1 <= len(operands) <= most:
            fail(line, f"{word} takes 1 to {most} operands")
        return [self.values.constant(line, operand) for operand in operands]

    def _space(self, line: Line, count: int, size: int = 1, value: int = 0) -> None:
        if size not in _INTEGER_OF_SIZE or not 0 <= count * size <= _MOST_SPACE:
            fail(line, f"cannot fill {count} times {byte_count(size)}")
        if not fits(value, size):
            fail(line, f"{value:#x} does not fit in {byte_count(size)}")
        value %= 1 << 8 * size
        if count:
            self._add(line, f".fill {count}, {size}, {value}", size=count * size)

    def _datum(self, line: Line, operand: str, size: int) -> str:
        value = self.values.value(line, operand)
        if is_number(value) and not fits(int(value), size):
            fail(line, f"{operand} does not fit in {byte_count(size)}")
        return value

    def _instruction(self, line: Line, text: str) -> None:
        prefixes = []
        mnemonic, rest = first_word(text)
        while mnemonic.lower() in _PREFIXES and rest:
            prefixes.append(mnemonic)
            mnemonic, rest = first_word(rest)
        if not mnemonic.isalnum():
            fail(line, f"not an instruction: {text}")
        operands = split_operands(line, rest)
        definitions: list[str] = []
        values = [
            self.values.operand(line, mnemonic.lower(), operand, operands, definitions)
            for operand in operands
        ]
        check_immediate(line, mnemonic.lower(), values)
        plain = " ".join([*prefixes, mnemonic, ", ".join(values)]).rstrip()
        self._add(line, "\n".join([*definitions, plain]), instruction=True)


def read(path: Path, place: Place) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        reason = f"cannot read {path}: {error.strerror}" if place.line else str(error.strerror)
        raise AsmError(place.file, place.line, reason) from error
    except UnicodeDecodeError as error:
        raise AsmError(place.file, place.line, f"{path} is not UTF-8 text") from error


def _guest_programs() -> Path:
    from importlib.resources import files

    return Path(str(files("guest_programs")))


def _block(lines: Sequence[Line], start: int, opening: Line, word: str, end: str) -> Sequence[Line]:
    """Return the lines from `start` up to the one that closes the block."""
    openers = {opener for opener, closer in _BLOCKS.items() if closer == end}
    depth = 1
    for position in range(start, len(lines)):
        inner, _ = first_word(lines[position].text)
        if inner in openers:
            depth += 1
        elif inner == end or (end == ".endm" and inner == ".endmacro"):
            depth -= 1
            if not depth:
                return lines[start:position]
    fail(opening, f"{word} without {end}")
