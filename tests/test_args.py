"""Arguments of system calls: how words become values, and values text."""

from typing import get_args

import pytest

from emu.abi.mman import Map, Prot
from emu.kern.proc import Lwp
from syscalls import args
from syscalls.args import (
    AtArg,
    DirFd,
    Fd,
    InheritArg,
    Int,
    Kind,
    Long,
    MadvArg,
    MapArg,
    Mode,
    MsArg,
    Off,
    Pad,
    ProtArg,
    Ptr,
    Size,
    Str,
    UInt,
    VmspaceCtlArg,
    Word,
    flag_names,
    signature,
)

MEMORY = {0x1000: b"hello\n\0", 0x2000: b"\xff\0", 0x3000: b"x" * 100, 0x4000: b"cut"}


def peek(va: int, size: int) -> bytes | None:
    for start, data in MEMORY.items():
        if start <= va and va + size <= start + len(data):
            return data[va - start : va - start + size]
    return None


def kind(hint: object) -> Kind:
    return get_args(hint)[1]


@pytest.mark.parametrize(
    ("hint", "word", "value"),
    [
        (Int, 0xFFFFFFFF, -1),
        (Int, 0x80000000, -0x80000000),
        (Int, 0x7FFFFFFF, 0x7FFFFFFF),
        (Int, 0xDEAD000000000001, 1),
        (Fd, 0xABCD0000FFFFFFFF, -1),
        (DirFd, 0xFFFAFDCD, -0x50233),
        (UInt, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF),
        (Mode, 0x1FFFFFFFF, 0xFFFFFFFF),
        (Long, 0xFFFFFFFFFFFFFFFF, -1),
        (Off, 0x8000000000000000, -0x8000000000000000),
        (Off, 0x7FFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFFF),
        (ProtArg, 0xFFFFFFFF00000003, 3),
        (MapArg, 0x80000000, -0x80000000),
        (MadvArg, 0xFFFFFFFF, -1),
        (VmspaceCtlArg, 0x100000001, 1),
    ],
)
def test_narrow_arguments_use_the_low_half_of_their_word(
    hint: object, word: int, value: int
) -> None:
    decode = kind(hint).decode
    assert decode is not None
    assert decode(word) == value


@pytest.mark.parametrize("hint", [Ptr, Size, Word, Str, Pad])
def test_whole_words_are_taken_as_they_are(hint: object) -> None:
    assert kind(hint).decode is None


@pytest.mark.parametrize(
    ("hint", "value", "text"),
    [
        (DirFd, -0x50233, "AT_FDCWD"),
        (DirFd, 3, "3"),
        (AtArg, 3, "AT_SYMLINK_NOFOLLOW|AT_REMOVEDIR"),
        (Int, -5, "-5"),
        (Size, 4096, "4096"),
        (Ptr, 0, "0"),
        (Ptr, 0xDEAD000, "0xdead000"),
        (Off, -1, "-0x1"),
        (Mode, 0o644, "0644"),
        (ProtArg, 0, "0"),
        (ProtArg, 3, "PROT_READ|PROT_WRITE"),
        (ProtArg, 0x47, "PROT_READ|PROT_WRITE|PROT_EXEC|0x40"),
        (MapArg, 0x2011, "MAP_SHARED|MAP_FIXED|MAP_VPAGETABLE"),
        (MsArg, 2, "MS_INVALIDATE"),
        (MadvArg, 11, "MADV_SETMAP"),
        (MadvArg, 99, "99"),
        (InheritArg, 2, "INHERIT_NONE"),
        (VmspaceCtlArg, 1, "VMSPACE_CTL_RUN"),
        (Str, 0x1000, r'"hello\n"'),
        (Str, 0x2000, r'"\xff"'),
        (Str, 0x3000, '"' + "x" * 64 + '"…'),
        (Str, 0x4000, "0x4000"),
        (Str, 0x9000, "0x9000"),
    ],
)
def test_values_are_shown_as_c_would_write_them(hint: object, value: int, text: str) -> None:
    assert kind(hint).show(value, peek) == text


@pytest.mark.parametrize(
    ("flags", "prefix", "value", "text"),
    [
        (Prot, "PROT_", 4, "PROT_EXEC"),
        (Map, "MAP_", 0x1002, "MAP_PRIVATE|MAP_ANON"),
        (Map, "MAP_", 0x80000, "0x80000"),
        (Map, "MAP_", 0, "0"),
    ],
)
def test_flags_have_names(flags: type[Prot], prefix: str, value: int, text: str) -> None:
    assert flag_names(flags, prefix, value) == text


@pytest.mark.parametrize("value", [-1, -0x80000000, -2])
def test_a_negative_set_of_flags_can_be_shown(value: int) -> None:
    assert flag_names(Prot, "PROT_", value)


def test_a_handler_says_what_its_arguments_are() -> None:
    def handler(lwp: Lwp, id: Ptr, cmd: args.VmspaceCtlArg, size: Size) -> int:
        return 0

    assert {name: kind.ctype for name, kind in signature(handler).items()} == {
        "id": "void *",
        "cmd": "int",
        "size": "size_t",
    }


def test_an_argument_without_a_kind_is_a_mistake() -> None:
    def handler(lwp: Lwp, number: int) -> int:
        return 0

    with pytest.raises(AttributeError):
        signature(handler)
