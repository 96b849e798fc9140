"""The guest programs: each conformance program is a test, the demonstrations do as they say."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import LOAD_ADDRESS, Booted

import guest_programs
from emu.abi.symbols import abi_symbols
from emu.abi.versions import VERSIONS
from emu.asm import Assembly, assemble
from syscalls.table import SYMBOLS

PROGRAMS = Path(guest_programs.__path__[0])
CONFORMANCE = sorted((PROGRAMS / "conformance").glob("*.s"))
MOV_EBX = b"\xbb"  # how a check begins: mov ebx, its number


def assembled(program: Path, abi: str) -> Assembly:
    symbols = {**abi_symbols(VERSIONS[abi]), **SYMBOLS}
    return assemble(program, origin=LOAD_ADDRESS, symbols=symbols)


def check(assembly: Assembly, number: int) -> str:
    """Return where check `number` is in the source, and its text."""
    code = MOV_EBX + number.to_bytes(4, "little")
    found = [
        f"{Path(line.file).name}:{line.line}: {line.source.strip()}"
        for line in assembly.lines
        if code in line.code
    ]
    return "\n".join([f"check {number} failed:", *dict.fromkeys(found)])


def vkemu(*args: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "emu", *map(str, args)], capture_output=True, text=True, timeout=60
    )


def demo(name: str, *options: str) -> str:
    """Run a demonstration, which must succeed without complaint, and return its output."""
    result = vkemu("run", *options, PROGRAMS / "demo" / name)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    return result.stdout


@pytest.mark.parametrize("abi", VERSIONS)
@pytest.mark.parametrize("program", CONFORMANCE, ids=lambda program: program.stem)
def test_conformance_program_passes_every_check(
    program: Path, abi: str, boot: Callable[..., Booted]
) -> None:
    assembly = assembled(program, abi)
    machine = boot(assembly.code, abi=VERSIONS[abi])
    status = machine.run()
    assert machine.told == []
    assert status == 0, check(assembly, status)


@pytest.mark.parametrize("program", CONFORMANCE, ids=lambda program: program.stem)
def test_conformance_program_says_which_section_it_checks(program: Path) -> None:
    assert program.read_text().startswith("# abi ")


def test_failed_check_is_shown_with_its_source(tmp_path: Path, boot: Callable[..., Booted]) -> None:
    program = tmp_path / "wrong.s"
    program.write_text('.include "vkemu.inc"\nCHECK_EQ 1, 5, 5\nCHECK_EQ 2, 5, 6\nDONE\n')
    assembly = assembled(program, "2011")
    status = boot(assembly.code).run()
    assert check(assembly, status) == "check 2 failed:\nwrong.s:3: CHECK_EQ 2, 5, 6"


def test_hello() -> None:
    assert demo("hello.s") == "hello from a guest of vkemu\n"


def test_roundtrip_shows_the_frame_of_a_system_call() -> None:
    lines = [line.split()[:2] for line in demo("roundtrip.s").splitlines()]
    assert ["TF_RAX", "0x3e8"] in lines
    assert ["TF_RDI", "0x1111111111111111"] in lines
    assert ["TF_RCX", "0x4444444444444444"] in lines  # r10
    assert ["TF_RSP", "0x5e5e5e5e5e5e5e5e"] in lines
    assert ["TF_ERR", "0x2"] in lines


@pytest.mark.parametrize("abi", VERSIONS)
def test_minivk_runs_its_processes_and_gives_all_pages_back(abi: str) -> None:
    output = demo("minivk.s", "--abi", abi)
    lines = [" ".join(line.split()) for line in output.splitlines()]
    for line in (
        "[pid 1] count 3",
        "[pid 2] my value is 3",  # the parent's copy of the variable
        "[pid 4] my value is 2",  # the child's
        "[vk] pid 2 write 0x20000 page 18: a copy of the shared one",
        "[vk] pid 3 write 0xdead0000 nothing is there",
        "3 vandal T_PAGEFLT 4 2 0",
        "5 vandal T_DIVIDE 1 0 0",
        "of 64 pages at most 27 in use, now 0",
        "everything is as it should be",
    ):
        assert line in lines, output
    assert len(lines) < 70


def test_minivk_says_the_same_every_time() -> None:
    options = "--clock", "virtual", "--trace"
    first, second = (vkemu("run", *options, PROGRAMS / "demo/minivk.s") for _ in range(2))
    assert first.returncode == 0
    assert (first.stdout, first.stderr) == (second.stdout, second.stderr)
