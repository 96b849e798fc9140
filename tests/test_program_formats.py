"""The demo virtual kernel does the same from every kind of program file."""

import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DEMO = Path(__file__).parent.parent / "guest_programs" / "demo" / "minivk.s"
LOAD_ADDRESS = 0x400000
BSS = 64 << 10

# One section that may be read, written and executed, as a flat binary's memory may.
ELF_SOURCE = """
    .section .flat, "awx"
    .globl _start
_start:
    .incbin "minivk.bin"
"""


def vkemu(*args: str | Path) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([sys.executable, "-m", "emu", *map(str, args)], capture_output=True)


def run(program: Path) -> "subprocess.CompletedProcess[bytes]":
    """Run the demo.  Only the virtual clock lets its CPUs take turns in the same way each time."""
    return vkemu("run", "--clock", "virtual", program)


@pytest.fixture(scope="module")
def minivk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as a flat binary."""
    flat = tmp_path_factory.mktemp("formats") / "minivk.bin"
    assert vkemu("asm", DEMO, "-o", flat).returncode == 0
    return flat


@pytest.fixture(scope="module")
def expected(minivk: Path) -> bytes:
    result = run(minivk)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.endswith(b"everything is as it should be\n")
    return result.stdout


def source(flat: Path) -> Path:
    return DEMO


def linked_with(linker: str) -> Callable[[Path], Path]:
    def link(flat: Path) -> Path:
        tools = {name: shutil.which(name) for name in ("as", linker)}
        if missing := [name for name, path in tools.items() if path is None]:
            pytest.skip(f"{missing[0]} is not installed")
        folder = flat.parent
        (folder / "minivk_elf.s").write_text(ELF_SOURCE)
        subprocess.run(["as", "minivk_elf.s", "-o", "minivk.o"], cwd=folder, check=True)
        program = folder / f"minivk.{linker}"
        layout = ["-static", f"--section-start=.flat={LOAD_ADDRESS:#x}"]
        subprocess.run([linker, *layout, "minivk.o", "-o", program], cwd=folder, check=True)
        return program

    return link


def written_byte_by_byte(flat: Path) -> Path:
    code = flat.read_bytes()
    header = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)  # 64 bit, little endian
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, LOAD_ADDRESS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    read_write_execute = 7
    segment = struct.pack(
        "<IIQQQQQQ",
        1,
        read_write_execute,
        0x1000,
        LOAD_ADDRESS,
        LOAD_ADDRESS,
        len(code),
        len(code) + BSS,
        0x1000,
    )
    program = flat.parent / "minivk.elf"
    program.write_bytes((header + segment).ljust(0x1000, b"\0") + code)
    return program


@pytest.mark.parametrize(
    "make",
    [source, linked_with("ld"), linked_with("ld.lld"), written_byte_by_byte],
    ids=["source", "GNU ld", "lld", "byte by byte"],
)
def test_the_demo_does_the_same_from(
    make: Callable[[Path], Path], minivk: Path, expected: bytes
) -> None:
    result = run(make(minivk))
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == expected
