"""Guests in C: compiled as the project compiles them, run, and what they print."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import make_c_guests

from emu.cli import vkemu

Guest = Callable[..., str]


KINDS = [("-O0", "2011"), ("-O2", "2011"), ("-O3", "2011"), ("-O2", "2014"), ("-O2", "2020")]


@pytest.fixture(params=KINDS, ids=" ".join)
def guest(
    request: pytest.FixtureRequest,
    c_guests: Callable[..., Path],
    capfd: pytest.CaptureFixture[str],
) -> Guest:
    """Run a guest; return what it prints.  It must end with `status` and without complaint."""
    optimisation, abi = request.param
    folder = c_guests(optimisation, abi)

    def run(name: str, *arguments: str, options: tuple[str, ...] = (), status: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            vkemu(["run", "--abi", abi, *options, str(folder / f"{name}.elf"), *arguments])
        captured = capfd.readouterr()
        assert (ended.value.code or 0, captured.err) == (status, ""), captured.out
        return captured.out

    return run


def test_hello_prints_its_arguments_and_environment(guest: Guest) -> None:
    options = "--env", "HOME=/", "--env", "TERM=vt220"
    assert guest("hello", "a", "b c", options=options, status=2) == (
        "hello from a guest in C\n"
        "argument 1: a\n"
        "argument 2: b c\n"
        "environment: HOME=/\n"
        "environment: TERM=vt220\n"
    )


def test_memory_is_allocated_mapped_and_given_back(guest: Guest) -> None:
    assert guest("memory") == (
        "anonymous memory begins with 0\n"
        "and can be set: ffffffffffffffff, -1\n"
        "memmemmove rlaps, 0\n"
        "100 nodes on the heap, sum 5050, 25 pages\n"
        "page 0 says one, page 1 says two\n"
        "written through the mapping, read from the file: new\n"
        "read into a page that cannot be written: -14\n"
        "unmapped twice: -22\n"
    )


def test_files_are_written_read_and_removed(guest: Guest) -> None:
    assert guest("files") == (
        "open what is not there: -2\n"
        "write: 20\n"
        "writev: 21\n"
        "lseek: 29\n"
        'read: 12, " and no play"\n'
        "read at the end: 0\n"
        "41 bytes, mode 1a0, kind 8000\n"
        "close: 0\n"
        "close again: -9\n"
        "remove the directory: -66\n"
        "remove the file: 0\n"
        "remove the directory: 0\n"
    )


def test_floating_point_is_exact_across_system_calls(guest: Guest) -> None:
    assert guest("floats") == (
        "a thousand products: 166666992\n"
        "pi is about 3140592 / 1000000\n"
        "1 + 1/2 + ... + 1/1000 is about 7485470 / 1000000\n"
        "the square root of 2 is about 1414213 / 1000000\n"
        "1 / 0 is infinite\n"
    )


def test_a_child_has_a_copy_of_everything(guest: Guest) -> None:
    assert guest("processes") == (
        "the child: 41 + 1 is 42\n"
        "the child says hello\n"
        "it is the child that has ended: 1\n"
        "status 300: it exited with 3\n"
        "the parent: still 41\n"
        "status 9: it was killed\n"
        "nobody is left: -10\n"
    )


def test_handlers_are_told_what_happened_and_leave_no_trace(guest: Guest) -> None:
    assert guest("signals") == (
        "signal 30, rax was 0\n"
        "a function's locals: 506\n"
        "signal 30, rax was 0\n"
        "the registers are as they were: 1\n"
        "signal 11, code 1: trap 12, error 6, address 0x7000000000\n"
        "the address is the same everywhere: 1\n"
        "written: x\n"
        "signal 4 was stepped over\n"
    )


def test_tinyvk_gives_its_guest_each_page_when_it_is_touched(guest: Guest) -> None:
    assert guest("tinyvk") == (
        "[vk] the guest jumps to 0x10000\n"
        "[vk] 0x10000 is now page 4: of the program\n"
        "[vk] the guest writes to 0x3ffff000\n"
        "[vk] 0x3ffff000 is now page 6: zeros, for the stack\n"
        "hello, I have a stack now\n"
        "[vk] the guest writes to 0x11000\n"
        "[vk] 0x11000 is now page 7: of the program\n"
        "[vk] the guest reads 0x12000\n"
        "[vk] 0x12000 is now page 8: of the program\n"
        "and my variables have the right values\n"
        "I must not pass off the memory of others as mine\n"
        "[vk] the guest writes to 0xdead0000\n"
        "[vk] nothing is there: killed\n"
        "[vk] 0x10000: accessed\n"
        "[vk] 0x11000: modified\n"
        "[vk] 0x12000: accessed\n"
        "[vk] 0x13000: never needed\n"
    )


def test_taskvk_shares_two_cpus_among_tasks_that_never_give_way(guest: Guest) -> None:
    lines = guest("taskvk", options=("--clock", "virtual")).splitlines()
    results, how = zip(*(line.split("; ") for line in lines[:-1]), strict=True)
    assert results == (
        "spinner      would go on for ever",
        "counter      would go on for ever",
        "primes       exited with 5133",
        "more primes  exited with 6057",
        "series       exited with 13881901432",
        "more series  exited with 1644932400",
        "trespasser   killed by trap 12 at address 0xdead0000",
    )
    assert lines[-1] == "the counter has counted"
    counts = [tuple(map(int, re.findall(r"\d+", text))) for text in how]
    interruptions, loads = zip(*counts, strict=True)
    assert all(interruptions[:6])
    assert interruptions[6] == 0
    assert [count > 0 for count in loads] == [False] * 4 + [True] * 2 + [False]


@pytest.mark.usefixtures("c_compiler")
def test_without_a_compiler_one_line_says_so(tmp_path: Path) -> None:
    assert make_c_guests(tmp_path, "CC=no-such-cc") == (
        "no-such-cc is no C compiler for x86-64 ELF: the guests in C are not built\n"
    )
    assert list(tmp_path.iterdir()) == []
