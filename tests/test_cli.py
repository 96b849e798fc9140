"""The command line, as a user meets it: status, streams, one line for each mistake."""

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from emu.abi.exec import Elf64Ehdr, Elf64Phdr
from emu.abi.versions import ABI_2011, ABI_2020
from emu.c_header import c_header
from emu.cli import vkemu

EXIT_3 = bytes.fromhex("bf03000000 b801000000 0f05")
LOOP = b"\xeb\xfe"
# write(1, "x", 1)
SAY_X = bytes.fromhex("6a78 bf01000000 4889e6 ba01000000 b804000000 0f05")
# read(0, rsp, 1)
READ = bytes.fromhex("31ff 4889e6 ba01000000 b803000000 0f05")
# Copies standard input to standard output, 4096 bytes at a time, and exits 0.
CAT = bytes.fromhex(
    "31ff be00204000 ba00100000 b803000000 0f05 7214 85c0 7410"
    "89c2 bf01000000 b804000000 0f05 ebd7 31ff b801000000 0f05"
)
ARGUMENTS = """
.include "vkemu.inc"
    mov r12, rdi
    mov r13, [r12]
    PRINT [r12+16]
    PRINT newline
    PRINT [r12+r13*8+16]
    PRINT newline
    SYSCALL SYS_exit, r13
newline:
    .asciz "\\n"
"""


@dataclass
class Outcome:
    status: int
    stdout: bytes
    stderr: str


def vkemu_process(*args: str | Path, stdin: bytes = b"") -> Outcome:
    """Run the command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "emu", *map(str, args)],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr.decode())


Command = Callable[..., Outcome]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process, which is ten times faster."""

    def run(*args: str | Path) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            vkemu(list(map(str, args)), prog_name="vkemu")
        captured = capfd.readouterr()
        status = ended.value.code or 0
        assert isinstance(status, int)
        return Outcome(status, captured.out.encode(), captured.err)

    return run


@pytest.fixture
def program(tmp_path: Path) -> Callable[[bytes | str], Path]:
    """Write a program; text is assembly source."""

    def write(content: bytes | str) -> Path:
        if isinstance(content, str):
            path = tmp_path / "program.s"
            path.write_text(content)
        else:
            path = tmp_path / "program.bin"
            path.write_bytes(content)
        return path

    return write


Program = Callable[[bytes | str], Path]


def elf(code: bytes, *, machine: int = 62, kind: int = 2, bits: int = 2) -> bytes:
    """Return a static executable with one segment, of which `code` is the start."""
    header = Elf64Ehdr(
        e_type=kind,
        e_machine=machine,
        e_version=1,
        e_entry=0x500078,
        e_phoff=64,
        e_ehsize=64,
        e_phentsize=56,
        e_phnum=1,
    )
    header.e_ident[:7] = [*b"\x7fELF", bits, 1, 1]
    size = 120 + len(code)
    segment = Elf64Phdr(1, 5, 0, 0x500000, 0, size, size, 4096)
    return bytes(header) + bytes(segment) + code


# Running


def test_python_m_emu_runs_a_flat_binary(program: Program) -> None:
    assert vkemu_process("run", program(EXIT_3)) == Outcome(3, b"", "")


def test_source_is_assembled_on_the_fly_and_gets_arguments_and_environment(
    program: Program,
) -> None:
    path = program(ARGUMENTS)
    outcome = vkemu_process("run", "--env", "KEY=some value", path, "--first", "second")
    assert outcome == Outcome(3, b"--first\nKEY=some value\n", "")


def test_elf_programs_run(command: Command, program: Program) -> None:
    assert command("run", program(elf(SAY_X + EXIT_3))) == Outcome(3, b"x", "")


def test_the_environment_is_empty_unless_asked_for(command: Command, program: Program) -> None:
    # mov rax, [rdi]; cmp qword [rdi+rax*8+16], 0; setne dil; movzx edi, dil; exit
    path = program(bytes.fromhex("488b07 48837cc71000 400f95c7 400fb6ff b801000000 0f05"))
    assert command("run", path).status == 0
    assert command("run", "--env", "A=", path).status == 1


@pytest.mark.parametrize(
    ("code", "status", "name"),
    [
        ("0f0b", 132, "SIGILL"),
        ("cc", 133, "SIGTRAP"),
        ("31c9 f7f1", 136, "SIGFPE"),
        ("f4", 138, "SIGBUS"),
        ("8a042500000000", 139, "SIGSEGV"),
        ("b8ff000000 0f05", 140, "SIGSYS"),
    ],
)
def test_a_signal_is_a_status_and_one_line(
    command: Command, program: Program, code: str, status: int, name: str
) -> None:
    outcome = command("run", program(bytes.fromhex(code)))
    assert (outcome.status, outcome.stdout) == (status, b"")
    assert outcome.stderr.startswith(f"vkemu: process 100 ended by {name} in its own vmspace: ")
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("clock", ["host", "virtual"])
def test_a_timeout_is_124_and_one_line(command: Command, program: Program, clock: str) -> None:
    outcome = command("run", "--clock", clock, "--timeout", "0.1", program(LOOP))
    assert outcome == Outcome(124, b"", "vkemu: still running after 0.1 s: ended\n")


def test_a_timeout_ends_a_guest_that_waits_for_input(program: Program) -> None:
    with waiting_guest(program(SAY_X + READ + EXIT_3), "--timeout", "2") as process:
        assert process.wait(60) == 124


def test_streams_are_the_guests_byte_for_byte(program: Program) -> None:
    data = bytes(range(256)) * 1000
    assert vkemu_process("run", program(CAT), stdin=data) == Outcome(0, data, "")


@contextmanager
def waiting_guest(path: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a guest that has said x, with its standard input open; it is gone afterwards."""
    with subprocess.Popen(
        [sys.executable, "-m", "emu", "run", *options, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert os.read(process.stdout.fileno(), 1) == b"x"
            yield process
        finally:
            process.kill()


def test_output_does_not_wait_for_the_end_nor_input_for_its_own(program: Program) -> None:
    with waiting_guest(program(SAY_X + READ + SAY_X + EXIT_3)) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.read(1) == b"x"
        assert process.wait(60) == 3


@pytest.mark.parametrize("rest", [LOOP, READ + EXIT_3], ids=["looping", "reading"])
def test_ctrl_c_ends_the_run_with_130(program: Program, rest: bytes) -> None:
    with waiting_guest(program(SAY_X + rest)) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""


@contextmanager
def ignored(number: int) -> Iterator[None]:
    before = signal.signal(number, signal.SIG_IGN)
    yield
    signal.signal(number, before)


def test_the_command_leaves_the_signals_of_a_larger_program_alone(
    command: Command, program: Program
) -> None:
    before = [signal.getsignal(number) for number in range(1, 32)]
    assert command("run", program(EXIT_3)).status == 3
    assert [signal.getsignal(number) for number in range(1, 32)] == before


def test_a_signal_that_was_ignored_from_the_start_stays_ignored(program: Program) -> None:
    """As nohup and the shell's background jobs want it."""
    with ignored(signal.SIGHUP), waiting_guest(program(SAY_X + READ + EXIT_3)) as process:
        process.send_signal(signal.SIGHUP)
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.flush()
        assert process.wait(60) == 3


def test_a_reader_that_is_gone_is_the_guests_business(program: Program) -> None:
    """EPIPE, not a traceback of ours."""
    with waiting_guest(program(SAY_X + READ + SAY_X + EXIT_3)) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.close()
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.wait(60) in (3, 141)
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


# Options


def test_a_flat_binary_goes_where_it_is_told(command: Command, program: Program) -> None:
    # lea rdi, [rip+0]; shr rdi, 20; exit
    path = program(bytes.fromhex("488d3d00000000 48c1ef14 b801000000 0f05"))
    assert command("run", path).status == 4
    assert command("run", "--load-addr", "0x700000", path).status == 7
    assert command("run", "--load-addr=8388608", path).status == 8


def test_the_entry_can_be_chosen(command: Command, program: Program) -> None:
    path = program(b"\xf4" * 16 + EXIT_3)
    assert command("run", "--entry", "0x400010", path).status == 3
    outcome = command("run", "--entry", "0x300000", path)
    assert outcome.status == 2
    assert "the entry point 0x300000 is outside the program" in outcome.stderr


def test_the_zeroed_memory_has_the_size_asked_for(command: Command, program: Program) -> None:
    path = program(bytes.fromhex("a2ff0f600000000000") + EXIT_3)  # mov [0x600fff], al
    assert command("run", path).status == 139
    assert command("run", "--bss", "1M", path).status == 139
    assert command("run", "--bss", "2048K", path).status == 3


def test_a_root_directory_is_the_guests_tree(
    command: Command, program: Program, tmp_path: Path
) -> None:
    # lea rdi, [rip+path]; mov esi, 0o755; mov eax, 136; syscall; mov edi, 0; setc dil; exit
    code = "488d3d1c000000 beed010000 b888000000 0f05 bf00000000 400f92c7 b801000000 0f05"
    path = program(bytes.fromhex(code) + b"/made\0")
    root = tmp_path / "root"
    root.mkdir()
    assert command("run", path).status == 0
    assert list(root.iterdir()) == []
    assert command("run", "--root", root, path).status == 0
    assert (root / "made").is_dir()
    assert command("run", "--root", root, path).status == 1


@pytest.mark.parametrize(
    ("options", "status"),
    [((), 0), (("--no-vkernel",), 45), (("--abi", "2014"), 0), (("--abi", "2020"), 0)],
)
def test_virtual_kernels_can_be_forbidden(
    command: Command, program: Program, options: Sequence[str], status: int
) -> None:
    # vmspace_create(1); exit(rax)
    path = program(bytes.fromhex("bf01000000 b8e6010000 0f05 89c7 b801000000 0f05"))
    assert command("run", *options, path).status == status


@pytest.mark.parametrize(("options", "status"), [((), 22), (("--ext", "vmspace-io"), 0)])
def test_vmspace_io_is_an_extension(
    command: Command, program: Program, options: Sequence[str], status: int
) -> None:
    # vmspace_create(1); vmspace_pread(1, 0, 0, 0, 0); exit(rax)
    create = "bf01000000 b8e6010000 0f05 31f6 31d2 4d31d2 4d31c0 b8ec010000 0f05"
    path = program(bytes.fromhex(create + "89c7 b801000000 0f05"))
    assert command("run", *options, path).status == status


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        ("--ncpu", "hw.ncpu", 3),
        ("--max-procs", "kern.maxproc", 7),
        ("--max-files", "kern.maxfilesperproc", 20),
    ],
)
def test_limits_are_what_the_guest_is_told(
    command: Command, program: Program, option: str, name: str, value: int
) -> None:
    path = program(
        f"""
.include "vkemu.inc"
        SYSCALL SYS___sysctl, offset query, 2, offset mib, offset size, offset name, {len(name)}
        SYSCALL SYS___sysctl, offset mib, 2, offset result, offset four, 0, 0
        mov ebx, [result]
        SYSCALL SYS_exit, rbx
query:  .long 0, 3
mib:    .quad 0, 0, 0
size:   .quad 24
four:   .quad 4
result: .quad 0
name:   .asciz "{name}"
        """
    )
    assert command("run", option, str(value), path).status == value


@pytest.mark.parametrize(
    ("option", "code"),
    [
        ("--max-procs", "SYSCALL SYS_fork"),
        ("--max-lwps", "SYSCALL SYS_fork"),
        ("--max-files", "SYSCALL SYS_dup, 0"),
    ],
)
def test_limits_hold(command: Command, program: Program, option: str, code: str) -> None:
    """The guest has one process, one LWP, three files; the errors are EAGAIN and EMFILE."""
    path = program(f'.include "vkemu.inc"\n{code}\nmov ebx, eax\nSYSCALL SYS_exit, rbx\n')
    limit, errno = ("3", 24) if option == "--max-files" else ("1", 35)
    assert command("run", "--clock", "virtual", option, limit, path).status == errno


@pytest.mark.parametrize(("options", "status"), [((), 1), (("--net", "loopback"), 3)])
def test_a_network_has_to_be_permitted(
    command: Command, program: Program, options: Sequence[str], status: int
) -> None:
    # socket(AF_INET, SOCK_DGRAM, 0); exit(rax)
    code = "bf02000000 be02000000 31d2 b861000000 0f05 89c7 b801000000 0f05"
    outcome = command("run", *options, program(bytes.fromhex(code)))
    assert outcome.status == status
    assert ("--net loopback" in outcome.stderr) == (not options)


def test_memory_is_limited(command: Command, program: Program) -> None:
    outcome = command("run", "--memory", "1M", program(EXIT_3 + bytes(2 << 20)))
    assert (outcome.status, outcome.stdout) == (2, b"")
    assert "KiB of memory" in outcome.stderr


FILL_DISK = """
.include "vkemu.inc"
    SYSCALL SYS_open, name, O_RDWR + O_CREAT, 0600
    mov r15, rax
again:
    SYSCALL SYS_write, r15, 0x400000, 0x1000
    jnc again
    mov rbx, rax
    SYSCALL SYS_exit, rbx
name:
    .asciz "/file"
"""
SAY_RANDOM = """
.include "vkemu.inc"
    SYSCALL SYS_open, name, O_RDONLY, 0
    SYSCALL SYS_read, rax, buffer, 64
    SYSCALL SYS_write, 1, buffer, 64
    SYSCALL SYS_exit, 0
name:
    .asciz "/dev/random"
buffer:
    .zero 64
"""
SAY_UUID = """
.include "vkemu.inc"
    SYSCALL SYS_uuidgen, store, 1
    SYSCALL SYS_write, 1, store, 16
    SYSCALL SYS_exit, 0
store:
    .zero 16
"""


def test_the_disk_is_limited(command: Command, program: Program, tmp_path: Path) -> None:
    path = program(FILL_DISK)
    assert command("run", "--disk", "64K", path) == Outcome(28, b"", "")  # ENOSPC
    root = tmp_path / "root"
    root.mkdir()
    assert command("run", "--disk", "64K", "--root", root, path).status == 28
    assert 0 < (root / "file").stat().st_size < 64 << 10


def test_with_the_virtual_clock_chance_comes_from_a_seed(
    command: Command, program: Program
) -> None:
    path = program(SAY_RANDOM)
    outputs = [
        command("run", *options, path).stdout
        for options in (
            ("--clock", "virtual"),
            ("--clock", "virtual"),
            ("--clock", "virtual", "--seed", "0"),
            ("--seed", "0"),
            ("--seed", "1"),
            (),
            (),
        )
    ]
    assert all(len(output) >= 64 for output in outputs)
    assert len(set(outputs[:4])) == 1
    assert len(set(outputs)) == 4


def test_with_the_virtual_clock_uuids_come_again(command: Command, program: Program) -> None:
    path = program(SAY_UUID)
    outputs = [
        command("run", "--clock", "virtual", "--seed", seed, path).stdout
        for seed in ("1", "1", "2")
    ]
    assert len(outputs[0]) >= 16
    assert outputs[0] == outputs[1] != outputs[2]


def test_trace_goes_to_standard_error_or_a_file(
    command: Command, program: Program, tmp_path: Path
) -> None:
    path = program(SAY_X + EXIT_3)
    line = "write(1, 0x7ffff"
    outcome = command("run", "--trace=syscalls", path)
    assert (outcome.status, outcome.stdout) == (3, b"x")
    first, last = outcome.stderr.splitlines()
    assert first.startswith(line) and first.endswith(", 1) = 1")
    assert last == "exit(3) = ?"
    file = tmp_path / "trace"
    outcome = command("run", "--trace=syscalls", "--trace-file", file, path)
    assert (outcome.status, outcome.stdout, outcome.stderr) == (3, b"x", "")
    assert file.read_text().splitlines() == [first, last]


def test_a_bare_trace_shows_everything_and_takes_no_argument(
    command: Command, program: Program
) -> None:
    outcome = command("run", "--trace", program(EXIT_3))
    assert outcome.status == 3
    assert outcome.stderr.splitlines() == [
        "T_PAGEFLT fetch 0x400000 (err 0x15) at 0x400000 → resolved",
        "exit(3) = ?",
    ]


def test_the_guests_own_options_are_left_alone(command: Command, program: Program) -> None:
    outcome = command("run", program(EXIT_3), "--trace", "--no-such-option")
    assert outcome == Outcome(3, b"", "")


def test_stats_come_at_the_end(command: Command, program: Program) -> None:
    outcome = command("run", "--stats", "--clock", "virtual", program(SAY_X + EXIT_3))
    names = [line.removeprefix("vkemu: ").split("  ")[0] for line in outcome.stderr.splitlines()]
    assert names == [
        "faults resolved, fetch",
        "system calls",
        "blocks",
        "wall time",
        "memory of the machine",
    ]


def test_two_runs_with_the_virtual_clock_have_the_same_trace(
    command: Command, program: Program
) -> None:
    # clock_gettime(4, rsp); exit(low byte of the nanoseconds)
    code = "bf04000000 4883ec20 4889e6 b8e8000000 0f05 8b7c2408 b801000000 0f05"
    path = program(bytes.fromhex(code))
    runs = [command("run", "--clock", "virtual", "--trace", path) for _ in range(2)]
    assert runs[0] == runs[1]


# Programs that cannot be used


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\x7fELF", "truncated: the ELF header is not complete"),
        (elf(EXIT_3)[:100], "truncated: the program headers lie past the end of the file"),
        (elf(EXIT_3)[:-1], "truncated: segment 0 lies past the end of the file"),
        (elf(EXIT_3, bits=1), "a 32-bit program; only 64-bit ones run here"),
        (elf(EXIT_3, machine=183), "a program for another machine (ELF machine 183)"),
        (elf(EXIT_3, kind=1), "an object file, not a program; link it first"),
    ],
)
def test_an_unusable_program_is_one_line_and_status_2(
    command: Command, program: Program, content: bytes, reason: str
) -> None:
    path = program(content)
    assert command("run", path) == Outcome(2, b"", f"vkemu: {path}: {reason}\n")


def test_a_missing_program_and_a_directory_are_unusable(command: Command, tmp_path: Path) -> None:
    missing = tmp_path / "missing.bin"
    assert command("run", missing) == Outcome(
        2, b"", f"vkemu: {missing}: No such file or directory\n"
    )
    assert command("run", tmp_path) == Outcome(2, b"", f"vkemu: {tmp_path}: is a directory\n")
    source = tmp_path / "missing.s"
    outcome = command("run", source)
    assert (outcome.status, outcome.stdout) == (2, b"")
    assert outcome.stderr.startswith(f"vkemu: {source}: ")
    assert outcome.stderr.endswith(": No such file or directory\n")
    assert outcome.stderr.count("\n") == 1


def test_a_program_that_may_not_be_read_is_unusable(command: Command, program: Program) -> None:
    path = program(EXIT_3)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("nothing is forbidden to this user")
    assert command("run", path) == Outcome(2, b"", f"vkemu: {path}: Permission denied\n")


@pytest.mark.parametrize(
    "address", ["0x400001", "0x7fffffffff000", "0xfffffffffffff000", "0x7fffe0000000"]
)
def test_a_load_address_must_be_possible(command: Command, program: Program, address: str) -> None:
    outcome = command("run", "--load-addr", address, program(EXIT_3))
    assert (outcome.status, outcome.stdout) == (2, b"")
    assert outcome.stderr.count("\n") == 1


def test_source_with_a_mistake_says_where(command: Command, program: Program) -> None:
    path = program("nop\nmov rax, nothing_known\n")
    outcome = command("run", path)
    assert (outcome.status, outcome.stdout) == (2, b"")
    assert outcome.stderr.startswith(f"vkemu: {path}:2: ")
    assert outcome.stderr.count("\n") == 1


def test_a_host_without_room_says_so(
    command: Command, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(EXIT_3)
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", "/nonexistent")
        assert command("run", path) == Outcome(
            2,
            b"",
            "vkemu: the host does not give us the guest's file tree: No such file or directory\n",
        )
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (32 << 30, before[1]))
    try:
        assert command("run", "--memory", "64G", path) == Outcome(
            2,
            b"",
            "vkemu: the host does not give us the machine's memory: Cannot allocate memory\n",
        )
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_source_is_assembled_where_memory_is_limited_already(
    program: Program, tmp_path: Path
) -> None:
    """Such a limit may not be raised again."""
    done = subprocess.run(
        [sys.executable, "-m", "emu", "asm", program("nop\n")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "program.bin").read_bytes() == b"\x90"


# Bad command lines


@pytest.mark.parametrize(
    "args",
    [
        ("run",),
        ("run", "--no-such-option", "x"),
        ("run", "--load-addr", "here", "x"),
        ("run", "--load-addr", "-1", "x"),
        ("run", "--bss", "64Q", "x"),
        ("run", "--abi", "2012", "x"),
        ("run", "--clock", "sun", "x"),
        ("run", "--ext", "warp", "x"),
        ("run", "--trace=everything", "x"),
        ("run", "--timeout", "soon", "x"),
        ("run", "--timeout", "nan", "x"),
        ("run", "--timeout", "inf", "x"),
        ("run", "--timeout", "-1", "x"),
        ("run", "--timeout", "1e300", "x"),
        ("run", "--root", "/no/such/directory", "x"),
        ("run", "--memory", "1000", "x"),
        ("run", "--ncpu", "0", "x"),
        ("run", "--ncpu", "65", "x"),
        ("run", "--max-procs", "0", "x"),
        ("run", "--max-lwps", "many", "x"),
        ("run", "--max-files", "2", "x"),
        ("run", "--memory", "1", "x"),
        ("run", "--memory", "128G", "x"),
        ("run", "--disk", "-1", "x"),
        ("run", "--seed", "luck", "x"),
        ("run", "--env", "novalue", "x"),
        ("run", "--trace", "--trace-file", "/no/such/directory/file", "x"),
        ("asm",),
        ("asm", "/no/such/file.s"),
        ("asm", "--abi", "1", "x.s"),
        ("disasm",),
        ("disasm", "/no/such/file"),
        ("dance",),
    ],
    ids=" ".join,
)
def test_a_bad_command_line_is_status_2_and_no_output(
    command: Command, args: Sequence[str]
) -> None:
    outcome = command(*args)
    assert (outcome.status, outcome.stdout) == (2, b"")
    assert outcome.stderr
    assert "x: No such file" not in outcome.stderr  # never as far as the program
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("args", [("--help",), ("-h",), ("run", "--help"), ("asm", "-h")])
def test_help_is_there(command: Command, args: Sequence[str]) -> None:
    outcome = command(*args)
    assert outcome.status == 0
    assert outcome.stdout.startswith(b"Usage: vkemu ")


# The other commands


def test_syscalls_lists_the_table(command: Command) -> None:
    outcome = command("syscalls")
    assert (outcome.status, outcome.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in outcome.stdout.decode().splitlines()]
    assert lines[0] == "number call note"
    assert "20 getpid(void)" in lines
    assert "488 vmspace_ctl(void *id, int cmd, void *tframe, void *vframe)" in lines


def test_asm_writes_a_flat_binary_beside_its_source(command: Command, program: Program) -> None:
    path = program("mov edi, 3\nmov eax, SYS_exit\nsyscall\n")
    assert command("asm", path) == Outcome(0, b"", "")
    assert path.with_suffix(".bin").read_bytes() == EXIT_3


def test_asm_writes_where_it_is_told_and_lists(
    command: Command, program: Program, tmp_path: Path
) -> None:
    path = program("start: mov eax, VPTE_W\n    mov rbx, offset start\n")
    output = tmp_path / "out"
    outcome = command("asm", path, "-o", output, "--listing", "--load-addr", "0x1000000")
    assert (outcome.status, outcome.stderr) == (0, "")
    assert output.read_bytes()[:5] == b"\xb8\x08\0\0\0"
    first = outcome.stdout.decode().splitlines()[0]
    assert first.split()[:6] == ["1000000", "b8", "08", "00", "00", "00"]


def test_the_version_decides_the_symbols(command: Command, program: Program) -> None:
    path = program("mov eax, VPTE_RW\n")
    assert command("asm", "--abi", "2014", path).status == 0
    outcome = command("asm", path)
    assert outcome.status == 2
    assert outcome.stderr.startswith(f"vkemu: {path}:1: ")


def test_asm_says_where_it_cannot_write(command: Command, program: Program) -> None:
    outcome = command("asm", program("nop\n"), "-o", "/no/such/directory/x")
    assert outcome == Outcome(2, b"", "vkemu: /no/such/directory/x: No such file or directory\n")


def test_header_prints_the_header_of_the_version_that_is_asked_for(command: Command) -> None:
    outcome = command("header", "--abi", "2020")
    assert outcome == Outcome(0, c_header(ABI_2020).encode(), "")
    assert outcome.stdout.startswith(b"/* The ABI of 2020")


def test_header_is_written_where_it_is_told(command: Command, tmp_path: Path) -> None:
    output = tmp_path / "abi.h"
    assert command("header", "-o", output) == Outcome(0, b"", "")
    assert output.read_text() == c_header(ABI_2011)
    missing = tmp_path / "missing/abi.h"
    assert command("header", "-o", missing) == Outcome(
        2, b"", f"vkemu: {missing}: No such file or directory\n"
    )


def test_disasm_shows_addresses_bytes_and_text(command: Command, program: Program) -> None:
    outcome = command("disasm", "--load-addr", "0x1000", program(EXIT_3 + b"\x06"))
    assert outcome.status == 0
    assert [line.split() for line in outcome.stdout.decode().splitlines()] == [
        ["1000", "bf", "03", "00", "00", "00", "mov", "edi,", "3"],
        ["1005", "b8", "01", "00", "00", "00", "mov", "eax,", "1"],
        ["100a", "0f", "05", "syscall"],
        ["100c", "06", ".byte", "0x06"],
    ]


def test_disasm_of_a_broken_elf_file_is_one_line(command: Command, program: Program) -> None:
    path = program(elf(EXIT_3)[:40])
    outcome = command("disasm", path)
    assert (outcome.status, outcome.stdout) == (2, b"")
    assert outcome.stderr.startswith(f"vkemu: {path}: ")
    assert outcome.stderr.count("\n") == 1


def test_the_console_script_is_the_same(program: Program) -> None:
    script = Path(sys.executable).with_name("vkemu")
    if not script.exists():
        pytest.skip("not installed as a script")
    done = subprocess.run([script, "run", program(EXIT_3)], check=False, timeout=60)
    assert done.returncode == 3


NOT_FOR_EVERY_RUN = {
    *("capstone", "keystone", "elftools", "rich", "unicorn", "socket", "selectors", "zipfile"),
    *("emu.asm", "emu.conform.runner", "emu.debug.trace", "emu.debug.ledger"),
    *("emu.kern.host_socket", "emu.kern.local", "emu.kern.sysctl", "emu.kern.kqueue"),
    *("syscalls.socket", "syscalls.sysctl", "syscalls.vmspace", "syscalls.event"),
}


def test_a_run_loads_what_it_needs_and_nothing_else(program: Program) -> None:
    done = subprocess.run(
        [sys.executable, "-v", "-m", "emu", "run", program(SAY_X + EXIT_3)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, b"x")
    loaded = set(re.findall(r"^import '(\S+)'", done.stderr.decode(), re.MULTILINE))
    assert {"emu.machine", "syscalls.file", "syscalls.proc"} <= loaded
    assert loaded & NOT_FOR_EVERY_RUN == set()
