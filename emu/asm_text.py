"""The text of assembly source: lines and their places, lexing, operands, expressions, strings.

Nothing here knows the program the text is part of.
"""

import ast
import itertools
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

NAME = r"[A-Za-z_.$][\w.$]*"
_NAME_IN_EXPRESSION = rf"(?<![\w.$]){NAME}"
QUOTED = r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'"""
_LEXEME = re.compile(rf"{QUOTED}|/\*.*?\*/|(?://|\#)[^\n]*|/\*|\"", re.DOTALL)


class AsmError(Exception):
    """The source cannot be assembled; says where and why in one line."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Place:
    file: str
    line: int
    source: str


@dataclass(frozen=True, slots=True)
class Line:
    """A logical line: one statement, without comments."""

    place: Place
    text: str
    macros: tuple[str, ...] = ()  # whose expansion it comes from, outermost first


def fail(line: Line, reason: str) -> NoReturn:
    inside = f" (in macro {line.macros[-1]})" if line.macros else ""
    raise AsmError(line.place.file, line.place.line, " ".join(reason.split()) + inside)


def byte_count(size: int) -> str:
    return "1 byte" if size == 1 else f"{size} bytes"


# --- Lines, words, operands -------------------------------------------------------------------


def logical_lines(text: str, file: str) -> Iterator[Line]:
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
        place = Place(file, number, source)
        for statement in split(stripped, ";"):
            yield Line(place, statement.strip())


def first_word(text: str) -> tuple[str, str]:
    words = text.split(None, 1)
    return (words[0] if words else ""), (words[1].strip() if len(words) > 1 else "")


def split(text: str, separator: str) -> list[str]:
    """Split `text` where `separator` stands outside quotes, parentheses and brackets."""
    parts = [""]
    depth = 0
    for piece in re.findall(rf"{QUOTED}|.", text, re.DOTALL):
        depth += (piece in "([") - (piece in ")]")
        if piece == separator and (depth <= 0 or separator == ";"):
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def split_operands(line: Line, text: str) -> list[str]:
    operands = [operand.strip() for operand in split(text, ",")] if text else []
    if not all(operands):
        fail(line, f"an operand is missing: {line.text}")
    for operand in operands:
        if operand.count("(") != operand.count(")") and operand[0] not in "\"'":
            fail(line, f"unbalanced parentheses: {operand}")
    return operands


def terms(text: str) -> Iterator[tuple[str, str]]:
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


def macro_parameters(text: str) -> Iterator[str]:
    """Yield macro parameters, which may be separated by commas or by spaces."""
    for part in split(text, ","):
        words = re.sub(r"\s*=\s*", "=", part.strip()).split(" ")
        yield from (word for word in words if word)


def substitute(text: str, values: Mapping[str, str]) -> str:
    r"""Put macro operands in for \name; \() separates."""
    return re.sub(
        r"\\(\w+|@|\(\))",
        lambda match: "" if match[1] == "()" else values.get(match[1], match[0]),
        text,
    )


# --- Characters and strings -------------------------------------------------------------------

_ESCAPES = {"n": 10, "t": 9, "r": 13, "b": 8, "f": 12, "a": 7, "v": 11, "e": 27}


def unescape(line: Line, text: str) -> str:
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
            fail(line, f"unknown escape \\{escape}")
        return chr(_ESCAPES[escape])

    return re.sub(r"\\(x[0-9a-fA-F]+|[0-7]{1,3}|.)", character, text)


def string_bytes(line: Line, operand: str) -> bytes:
    if not re.fullmatch(r'"(?:\\.|[^"\\\n])*"', operand):
        fail(line, f"not a string: {operand}" if operand else "a string is missing")
    data = bytearray()
    for escape, plain in re.findall(r"(\\(?:x[0-9a-fA-F]+|[0-7]{1,3}|.))|([^\\]+)", operand[1:-1]):
        data += unescape(line, escape).encode("latin-1") if escape else plain.encode()
    return bytes(data)


# --- Expressions and numbers ------------------------------------------------------------------

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


def evaluate(text: str) -> int | None:
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


def names_in(expression: str) -> list[str]:
    return re.findall(_NAME_IN_EXPRESSION, expression)


def is_expression(text: str) -> bool:
    """Tell whether `text` is an expression of numbers and names.

    What is not must not reach Keystone, which loops for ever on some of it and drops some.
    """
    values = itertools.count(1_000_003, 1_000_003)  # apart from each other and from 0
    return evaluate(re.sub(_NAME_IN_EXPRESSION, lambda _: str(next(values)), text)) is not None


def is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()


def fits(value: int, size: int) -> bool:
    """Tell whether `value`, signed, unsigned or a negative 64-bit word, is one of `size` bytes."""
    bits = 8 * size
    return -(1 << bits - 1) <= value < 1 << bits or -(1 << bits - 1) <= value - (1 << 64) < 0


def fits_signed(value: int, size: int) -> bool:
    limit = 1 << 8 * size - 1
    return -limit <= value < limit or -limit <= value - (1 << 64) < 0


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 > 0 else value
