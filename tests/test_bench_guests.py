"""The programs that benchmarks time do the work they are said to do, and notice if they do not."""

from collections.abc import Callable, Iterable
from itertools import islice

import pytest
from bench.guest import COMPUTATIONS, assembled, elf, source
from conftest import Booted

from emu.abi.x86 import PAGE_MASK
from emu.conform.suite import LOAD_ADDRESS

WORD = (1 << 64) - 1
SEED = 0x9E3779B97F4A7C15


def xorshift(state: int = SEED) -> Iterable[int]:
    while True:
        state ^= state << 13 & WORD
        state ^= state >> 7
        state ^= state << 17 & WORD
        yield state


def folded(words: Iterable[int]) -> int:
    """Return a sum that says where each word was."""
    total = 0
    for word in words:
        total = (total << 1 & WORD | total >> 63) + word & WORD
    return total


def primes_below(end: int) -> int:
    crossed = bytearray(end)
    for number in range(2, int(end**0.5) + 1):
        if not crossed[number]:
            crossed[number * number :: number] = b"\1" * len(range(number * number, end, number))
    return crossed.count(0) - 2


def memcpy() -> int:
    words = list(islice(xorshift(), 8192))
    words[-1] = words[-1] + 256 & WORD  # one more in each of the copies
    return folded(words)


RESULTS: dict[str, Callable[[], int]] = {
    "memcpy": memcpy,
    "quicksort": lambda: folded(sorted(islice(xorshift(), 100_000))),
    "sieve": lambda: primes_below(1_000_000),
    "stores": lambda: 10_000_000,
    "xorshift": lambda: next(islice(xorshift(), 1_000_000 - 1, None)),
}

# What goes wrong, and behind which label: one byte or word of the data, after the work on it.
SPOILED = {
    "memcpy": ("copied:", "mov byte ptr [data + 0x1234], 0"),
    "quicksort": ("sorted:", "mov rax, [data]; xchg [data + 8], rax; mov [data], rax"),
    "sieve": ("crossed_out:", "mov byte ptr [data + 997], 1"),
    "stores": ("stored:", "dec qword ptr [data]"),
}


def test_each_computation_is_known() -> None:
    assert sorted(RESULTS) == list(COMPUTATIONS)


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_a_computation_has_the_result_that_python_has(
    name: str, boot: Callable[..., Booted]
) -> None:
    assert boot(elf(source(name, COUNT=1, EXPECT=RESULTS[name]()))).run() == 0


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_a_computation_has_it_in_every_round(name: str, boot: Callable[..., Booted]) -> None:
    assert boot(elf(source(name, COUNT=3))).run() == 0


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_a_computation_with_another_result_fails(name: str, boot: Callable[..., Booted]) -> None:
    assert boot(elf(source(name, COUNT=1, EXPECT=RESULTS[name]() ^ 1))).run() == 1


@pytest.mark.parametrize("name", SPOILED)
def test_a_computation_with_spoiled_data_fails(name: str, boot: Callable[..., Booted]) -> None:
    label, spoil = SPOILED[name]
    text = source(name, COUNT=1)
    assert f"\n{label}\n" in text
    assert boot(elf(text.replace(f"\n{label}\n", f"\n{label}\n{spoil}\n"))).run() == 1


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_the_data_begin_on_the_page_behind_the_code(name: str) -> None:
    program = assembled(source(name))
    assert program.labels["data"] & PAGE_MASK == 0
    assert program.labels["data"] == LOAD_ADDRESS + len(program.code)
