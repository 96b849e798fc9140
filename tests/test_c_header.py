"""The C header: what assembly sources know, and what ctypes says of structures."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from emu.abi.symbols import abi_symbols
from emu.abi.versions import ABI_2011, ABI_2014, ABI_2020, VERSIONS, AbiVersion
from emu.c_header import c_header
from syscalls.table import SYMBOLS, TABLE

VKERNEL_H = Path(__file__).parent.parent / "guest_programs/c"
STRICT = "-std=c11", "-ffreestanding", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c"


def compiled(folder: Path, source: str, abi: AbiVersion = ABI_2011) -> str:
    """Return what the compiler complains about when it gets `source` behind the header."""
    (folder / "vkernel_abi.h").write_text(c_header(abi))
    done = subprocess.run(
        [os.environ.get("CC", "cc"), *STRICT, f"-I{folder}", f"-I{VKERNEL_H}", "-"],
        input=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(done.stderr) == bool(done.returncode)
    return done.stderr


@pytest.mark.parametrize("abi", VERSIONS.values(), ids=VERSIONS)
def test_every_symbol_of_the_assembler_is_defined_once_with_its_value(abi: AbiVersion) -> None:
    found = re.findall(r"^#define (\w+) \(?(-?\w+)\)?$", c_header(abi), re.MULTILINE)
    defined = {name: int(value, 0) for name, value in found}
    assert len(found) == len(defined)
    assert defined == {**abi_symbols(abi), **SYMBOLS}


def test_numbers_are_written_as_they_are_read() -> None:
    lines = c_header(ABI_2011).splitlines()
    for line in (
        "#define SYS_vmspace_ctl 488",
        "#define ERRNO_EOPNOTSUPP 45",
        "#define MAP_VPAGETABLE 0x2000",
        "#define EVFILT_TIMER (-7)",
        "#define VPTE_R 4",
        "#define EVFILT_READ (-1)",
        "#define VPTE_FRAME 0xffffffffff000",
    ):
        assert line in lines
    assert not any(line.startswith("#define VPTE_R ") for line in c_header(ABI_2014).splitlines())


def test_every_system_call_is_a_function() -> None:
    text = c_header(ABI_2011)
    by_hand = (VKERNEL_H / "vkernel.h").read_text()
    for call in TABLE.values():
        assert (text + by_hand).count(f"\nsys_{call.name}(") == 1
    assert "\nsys_write(int fd, void *buf, size_t nbyte)\n" in text
    assert "\treturn (vk_syscall(SYS_write, fd, (long)buf, nbyte, 0, 0, 0));\n" in text
    assert "\nsys_getpid(void)\n" in text
    assert "\tstruct timespec st_atim;\n" in text
    assert "\tuint8_t c_cc[20];\n" in text
    assert "\tvoid *iov_base;\n" in text


@pytest.mark.parametrize("abi", VERSIONS.values(), ids=VERSIONS)
@pytest.mark.parametrize("header", ["vkernel_abi.h", "vkernel.h"])
@pytest.mark.usefixtures("c_compiler")
def test_header_compiles_without_a_warning(header: str, abi: AbiVersion, tmp_path: Path) -> None:
    assert compiled(tmp_path, f'#include "{header}"\n#include "{header}"\n', abi) == ""


SIZES = {
    "timespec": 16,
    "timeval": 16,
    "itimerval": 32,
    "kevent": 32,
    "pollfd": 8,
    "iovec": 16,
    "stat": 128,
    "statfs": 320,
    "statvfs": 160,
    "flock": 24,
    "dirent": 272,
    "fiodname_args": 16,
    "winsize": 8,
    "termios": 44,
    "sockaddr_in": 16,
    "linger": 8,
    "msghdr": 48,
    "cmsghdr": 12,
    "cmsgcred": 84,
    "sf_hdtr": 32,
    "rlimit": 16,
    "rusage": 144,
    "rtprio": 4,
    "lwp_params": 40,
    "tls_info": 16,
    "uuid": 16,
    "ps_strings": 32,
    "trapframe": 200,
    "vextframe": 32,
    "sigaction": 32,
    "siginfo": 80,
    "sigaltstack": 24,
    "mcontext": 808,
    "ucontext": 888,
}


@pytest.mark.usefixtures("c_compiler")
def test_structures_have_the_sizes_they_have_in_the_original(tmp_path: Path) -> None:
    text = c_header(ABI_2011)
    assert re.findall(r"^struct (\w+) {$", text, re.MULTILINE) == list(SIZES)
    check = '_Static_assert(sizeof(struct {}) == {}, "size");\n'
    checks = "".join(check.format(*item) for item in SIZES.items())
    include = '#include "vkernel_abi.h"\n'
    assert compiled(tmp_path, include + checks) == ""
    wrong = compiled(tmp_path, include + check.format("stat", 129))
    assert "static assertion failed" in wrong or "static_assert failed" in wrong


@pytest.mark.parametrize("abi", [ABI_2014, ABI_2020], ids=["2014", "2020"])
@pytest.mark.usefixtures("c_compiler")
def test_signal_frames_grew_in_later_versions(abi: AbiVersion, tmp_path: Path) -> None:
    source = (
        '#include "vkernel_abi.h"\n'
        '_Static_assert(sizeof(struct mcontext) == 1280, "");\n'
        '_Static_assert(offsetof(struct ucontext, uc_mcontext) == 64, "");\n'
    )
    assert compiled(tmp_path, source, abi) == ""


@pytest.mark.usefixtures("c_compiler")
def test_offsets_of_the_assembler_are_those_of_the_structures(tmp_path: Path) -> None:
    names = [name for name in abi_symbols(ABI_2011) if re.fullmatch("TF_(?!SIZE)[A-Z0-9]+", name)]
    assert len(names) == 25
    lines = [
        f'_Static_assert(offsetof(struct trapframe, {name.lower()}) == {name}, "{name}");'
        for name in names
    ]
    assert compiled(tmp_path, '#include "vkernel_abi.h"\n' + "\n".join(lines) + "\n") == ""
