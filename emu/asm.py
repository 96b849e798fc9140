"""Assembly source to a flat binary: the Keystone front end.

Keystone crashes on some input, silently drops or truncates other input, and seldom says where it
found a mistake.  So it gets only the encoding to do: asm_source makes files, macros, conditions,
constants and strings a list of plain statements, each with its place in the source, and a child
process (asm_child) encodes them.  When that fails, a second child looks for the statement to blame.

The listing and the labels come from a table of addresses assembled behind the program.
"""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from emu import asm_child
from emu.asm_operands import OWN, absolute_symbol
from emu.asm_source import Program, Statement, read
from emu.asm_text import AsmError, Place, byte_count, fail, fits_signed, is_number

__all__ = ["AsmError", "Assembly", "SourceLine", "assemble", "assemble_text", "listing"]


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
        read(path, Place(str(path), 0, "")),
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
    program = Program(symbols, include_dirs)
    program.add_file(text, name)
    return _encode(program, origin, Place(name, 0, ""))


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


# --- Encoding: the parent's side of the child processes ---------------------------------------


def _encode(program: Program, origin: int, whole: Place) -> Assembly:
    statements = program.statements
    if 0x7FFF_0000 <= origin < 1 << 32:
        # Keystone would sign-extend these addresses where an instruction has 32 bits for one.
        raise AsmError(whole.file, whole.line, f"cannot assemble for address {origin:#x}")
    real = [index for index, statement in enumerate(statements) if statement.text]
    if all(statements[index].definition for index in real):
        raise AsmError(whole.file, whole.line, _EMPTY)
    text = [f"{OWN}{index}:\n{_for_keystone(statements[index])}\n" for index in real]
    text.append(f"{OWN}end:\n")
    constants = [
        f"{absolute_symbol(address)} = {address:#x}" for address in sorted(program.values.absolutes)
    ]
    text.extend(f"{constant}\n" for constant in constants)
    text.extend(f".quad {OWN}{index}\n" for index in real)
    text.append(f".quad {OWN}end\n")
    answer = _ask({"origin": origin, "text": "".join(text)})
    table_size = 8 * (len(real) + 1)
    if answer is None or not answer.startswith(asm_child.ENCODED):
        _blame(program, real, constants, origin, whole, answer)
    image = answer.removeprefix(asm_child.ENCODED)
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


def _for_keystone(statement: Statement) -> str:
    """Return the statement with its integers in hexadecimal.

    Which radix Keystone takes a bare number for depends on memory it does not initialise.
    """
    if statement.text.startswith(_WITH_FRACTIONS):
        return statement.text
    return _DECIMAL.sub(lambda number: hex(int(number[0])), statement.text)


_DECIMAL = re.compile(r"(?<![\w.$])\d{2,}(?![\w.$])")
_WITH_FRACTIONS = (".float", ".double")


def _check_encoding(
    statement: Statement, address: int, following: int, labels: Mapping[str, int]
) -> None:
    """Refuse what Keystone got wrong without saying so."""
    size = following - address
    if (statement.instruction and size <= 0) or statement.size not in {None, size}:
        fail(
            statement.line, f"the assembler made {byte_count(size)} of this: {statement.line.text}"
        )
    if statement.instruction and (jump := _JUMP.search(statement.text)):
        target = int(jump[2]) if is_number(jump[2]) else labels.get(jump[2], following)
        if not fits_signed(target - following, 1 if jump[1] else 4):
            fail(statement.line, f"too far: {statement.line.text}")


_JUMP = re.compile(r"(?m)^(?i:call|(loop\w*|j[re]?cxz)|j\w+)\s+(\S+)$")
_EMPTY = "the program is empty: no instruction and no data"


def _source_lines(
    statements: Sequence[Statement], sizes: Mapping[int, int], origin: int, code: bytes
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
    program: Program,
    real: Sequence[int],
    constants: Sequence[str],
    origin: int,
    whole: Place,
    answer: bytes | None,
) -> NoReturn:
    """Raise the AsmError that names the statement Keystone does not take."""
    statements = [program.statements[index] for index in real]
    findings = _ask(
        {
            "origin": origin,
            "statements": [(_for_keystone(s), s.definition, s.instruction) for s in statements],
            "constants": constants,
            "own": OWN,
        }
    )
    if lines := (findings or b"").splitlines():
        index, _, reason = lines[-1].decode().partition(" ")
        if index != "none":
            statement = statements[int(index)]
            reason = reason or "the assembler crashed on this statement"
            fail(statement.line, f"{reason}: {statement.line.text}")
    reason = "the assembler crashed" if answer is None else answer.decode().strip()
    raise AsmError(whole.file, whole.line, reason)


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
    # Some input makes Keystone loop for ever; honest work takes about 0.05 ms for a statement.  The
    # child counts its own time: on a busy machine it may get little of it for long.
    patience = 5 + len(data) // 20_000
    folder = str(Path(keystone.origin).parent.parent)
    command = [sys.executable, "-I", "-S", asm_child.__file__, folder, str(patience)]
    try:
        child = subprocess.run(command, input=data, capture_output=True, timeout=20 * patience)
    except subprocess.TimeoutExpired as timeout:
        return timeout.stdout or None
    if b"Traceback" in child.stderr:
        raise RuntimeError(f"the assembler's child process failed:\n{child.stderr.decode()}")
    return child.stdout or None
