"""The command `vkemu`: the only place where engine, clock and file tree are chosen."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextlib import closing as _closing
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn

import click

from emu.abi.versions import VERSIONS, AbiVersion
from emu.abi.x86 import PAGE_SIZE
from emu.conform.command import conform
from emu.messages import STDERR, fail, output_width, tell, write_line

if TYPE_CHECKING:
    from emu.asm import Assembly
    from emu.machine import Machine

DEFAULT_LOAD_ADDRESS = 0x400000
DEFAULT_BSS = 64 << 10
DEFAULT_MEMORY = 1 << 30
LONGEST_TIMEOUT = 1e9
EXTENSIONS = ("vmspace-io",)
TRACE_EVENTS = ("syscalls", "traps", "faults", "signals")

_INTERRUPTED = 130
_NOTHING_FOLLOWS = object()  # the command has a process of its own, which ends with it


class Number(click.ParamType[int]):
    """A number in C notation: decimal or 0x hexadecimal."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        try:
            number = int(value, 0)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if not 0 <= number < 1 << 64:
            self.fail(f"{value} does not fit in 64 bits", param, ctx)
        return number


class ByteSize(Number):
    """A number of bytes, with K, M or G for the usual multiples."""

    name = "size"
    _UNITS = {"k": 10, "m": 20, "g": 30}

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        unit = self._UNITS.get(value[-1:].lower())
        return super().convert(value[:-1] if unit else value, param, ctx) << (unit or 0)


class Names(click.ParamType[frozenset[str]]):
    """Some of a fixed set of names, separated by commas."""

    name = "names"

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = allowed

    def convert(self, value: Any, param: Any, ctx: Any) -> frozenset[str]:
        if isinstance(value, frozenset):
            return value
        names = frozenset(value.split(","))
        for name in sorted(names - set(self._allowed)):
            self.fail(f"{name!r} is none of {', '.join(self._allowed)}", param, ctx)
        return names


class RunCommand(click.Command):
    """Everything after PROGRAM is the guest's; a bare --trace takes no argument."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        takes_value = {
            name for param in self.params if not getattr(param, "is_flag", True)
            for name in param.opts
        }  # fmt: skip
        at = 0
        while at < len(args) and args[at].startswith("-") and args[at] != "--":
            if args[at] == "--trace":
                args[at] = "--trace=" + ",".join(TRACE_EVENTS)
            at += 2 if args[at] in takes_value else 1
        return super().parse_args(ctx, args)


abi_option = click.option(
    "--abi",
    type=click.Choice(list(VERSIONS)),
    default="2011",
    show_default=True,
    help="Version of the facility.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vkemu", prog_name="vkemu")
def vkemu() -> None:
    """The computer and the host kernel under a virtual kernel."""


@vkemu.command(
    cls=RunCommand,
    context_settings={"allow_interspersed_args": False},
    short_help="Run a flat binary, a static ELF executable, or assembly source.",
)
@click.argument("program", type=click.Path(path_type=Path, readable=False))
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--load-addr",
    type=Number(),
    default=DEFAULT_LOAD_ADDRESS,
    help="Where a flat binary is loaded.  [default: 0x400000]",
)
@click.option("--entry", type=Number(), help="Where it starts.  [default: its first byte]")
@click.option(
    "--bss", type=ByteSize(), default=DEFAULT_BSS, help="Zeroed bytes after it.  [default: 64K]"
)
@click.option("--env", multiple=True, metavar="K=V", help="An environment variable of the guest.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The guest's file tree.  [default: an empty one that goes away]",
)
@click.option(
    "--memory", type=ByteSize(), default=DEFAULT_MEMORY, help="Physical memory.  [default: 1G]"
)
@click.option(
    "--disk", type=ByteSize(), help="How much the guest may add to its tree.  [default: no limit]"
)
@click.option(
    "--ncpu", type=click.IntRange(1, 64), default=1, show_default=True, help="What hw.ncpu says."
)
@click.option(
    "--max-procs",
    type=click.IntRange(1, 10_000),
    default=256,
    show_default=True,
    help="How many processes there may be.",
)
@click.option(
    "--max-lwps",
    type=click.IntRange(1, 100_000),
    default=1024,
    show_default=True,
    help="How many threads all of them may have.",
)
@click.option(
    "--max-files",
    type=click.IntRange(3, 100_000),
    default=1024,
    show_default=True,
    help="How many descriptors a process may have.",
)
@abi_option
@click.option("--ext", type=click.Choice(EXTENSIONS), multiple=True, help="Go beyond the original.")
@click.option(
    "--net",
    type=click.Choice(["loopback"]),
    help="Let the guest use 127.0.0.0/8, and local sockets in its tree.",
)
@click.option(
    "--clock",
    type=click.Choice(["host", "virtual"]),
    default="host",
    show_default=True,
    help="Virtual time depends only on what is executed.",
)
@click.option(
    "--seed",
    type=Number(),
    help="What /dev/random comes from.  [default: 0 in virtual time, else the host]",
)
@click.option("--timeout", type=float, metavar="SECONDS", help="End the run after so long (124).")
@click.option("--no-vkernel", is_flag=True, help="Set vm.vkernel_enable to 0.")
@click.option("--stats", is_flag=True, help="Report counts at the end.")
@click.option(
    "--trace",
    type=Names(TRACE_EVENTS),
    metavar="[EVENTS]",
    help="Print events as they happen: syscalls, traps, faults, signals.  [default: all]",
)
@click.option("--trace-file", type=click.Path(path_type=Path), help="Where to, if not stderr.")
def run(
    program: Path,
    args: tuple[str, ...],
    load_addr: int,
    entry: int | None,
    bss: int,
    env: tuple[str, ...],
    root: Path | None,
    memory: int,
    disk: int | None,
    ncpu: int,
    max_procs: int,
    max_lwps: int,
    max_files: int,
    abi: str,
    ext: tuple[str, ...],
    net: str | None,
    clock: str,
    seed: int | None,
    timeout: float | None,
    no_vkernel: bool,
    stats: bool,
    trace: frozenset[str] | None,
    trace_file: Path | None,
) -> NoReturn:
    """Run PROGRAM: a flat binary, a static ELF executable, or assembly source (.s).

    The exit status is the guest's; 128+N if signal N ended it; 124 after --timeout.

    Ctrl-C, Ctrl-\\ and Ctrl-Z are the guest's.  A guest that does not listen is ended by the
    second Ctrl-C if it blocks the first, by the third within a second if it ignores them.
    """
    last = click.get_current_context().obj is _NOTHING_FOLLOWS
    with _nothing_collected(for_good=last):
        from emu.cpu.engine import EngineError
        from emu.cpu.unicorn_engine import UnicornEngine
        from emu.kern.clock import HostClock, VirtualClock
        from emu.kern.file import standard_files
        from emu.kern.proc import Kernel, Limits, Lwp, Proc
        from emu.kern.tree import Tree
        from emu.loader import LoaderError, LoadOptions, exec_setregs, load
        from emu.machine import STATUS_TIMEOUT, Machine, Watcher
        from emu.vm.phys import PhysicalMemory
        from emu.vm.vmspace import Vmspace

    version = VERSIONS[abi]
    if not 1 << 20 <= memory <= 1 << 36 or memory % PAGE_SIZE:
        fail("--memory must be a whole number of pages, from 1M to 64G")
    if timeout is not None and not 0 <= timeout <= LONGEST_TIMEOUT:  # which not-a-number is not
        fail(f"--timeout must be from 0 to {LONGEST_TIMEOUT:.0f} seconds")
    for variable in env:
        if "=" not in variable:
            fail(f"--env {variable}: say NAME=VALUE")
    files = standard_files()
    _occupy_standard_descriptors()
    with ExitStack() as stack:
        write = _line_writer(trace_file, stack)
        with _host_gives("the machine's memory"):
            phys = PhysicalMemory(memory)
        image: Path | bytes = program
        if program.suffix == ".s":
            image = _assemble(program, load_addr, version, ()).code
        make_tree = partial(Tree, root) if root else Tree.scratch
        with _host_gives("the guest's file tree"):
            tree = make_tree(limit=disk, random_bytes=_chance(clock, seed))
        stack.enter_context(_closing(tree))
        kernel = Kernel(
            abi=version,
            phys=phys,
            clock=HostClock() if clock == "host" else VirtualClock(),
            tree=tree,
            tell=tell,
            vkernel_enable=not no_vkernel,
            vmspace_io="vmspace-io" in ext,
            ncpu=ncpu,
            limits=Limits(procs=max_procs, lwps=max_lwps, files=max_files),
            net=net is not None,
        )
        try:
            engine = UnicornEngine(phys)
            space = Vmspace(phys, version, grows=True)
            lwp = Lwp(Proc(kernel, space, files, name=program.name), engine)
            options = LoadOptions(load_addr=load_addr, entry=entry, bss=bss)
            argv = [os.fsencode(program), *map(os.fsencode, args)]
            loaded = load(lwp.proc, image, argv, [os.fsencode(each) for each in env], options)
            exec_setregs(lwp, loaded)
        except LoaderError as error:
            fail(str(error))
        except EngineError as error:
            fail(f"the CPU engine cannot be used here: {error}")
        machine = stack.enter_context(_closing(Machine(lwp)))
        report = _observe(machine, stats, trace, write)
        with Watcher(machine, timeout, last=last):
            status = machine.run()
            if machine.stopped == STATUS_TIMEOUT and lwp.proc.alive:
                tell(f"still running after {timeout:g} s: ended")
            for line in report():
                tell(line)
            stack.close()  # while another Ctrl-C cannot break it off
    if last:
        os._exit(status)  # Python would take every object apart first: an eighth of a short run
    sys.exit(status)


@vkemu.command()
@click.argument("source", type=click.Path(path_type=Path, readable=False))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="[default: SOURCE as .bin]")
@click.option("-I", "include", multiple=True, type=click.Path(path_type=Path), help="For .include.")
@click.option(
    "--load-addr",
    type=Number(),
    default=DEFAULT_LOAD_ADDRESS,
    help="Where the program will be loaded.  [default: 0x400000]",
)
@click.option("--listing", is_flag=True, help="Print addresses, bytes and source.")
@abi_option
def asm(
    source: Path,
    output: Path | None,
    include: tuple[Path, ...],
    load_addr: int,
    listing: bool,
    abi: str,
) -> None:
    """Assemble SOURCE (Intel syntax) to a flat binary.

    SYS_*, ERRNO_*, PROT_*, MAP_*, MADV_*, VPTE_*, T_* and TF_* are predefined, and more.
    """
    from emu.asm import listing as listing_lines

    assembly = _assemble(source, load_addr, VERSIONS[abi], include)
    target = output or source.with_suffix(".bin")
    try:
        target.write_bytes(assembly.code)
    except OSError as error:
        fail(f"{target}: {error.strerror}")
    if listing:
        for line in listing_lines(assembly):
            click.echo(line)


@vkemu.command(short_help="Disassemble a program.")
@click.argument("program", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--load-addr",
    type=Number(),
    default=DEFAULT_LOAD_ADDRESS,
    help="Where a flat binary is loaded.  [default: 0x400000]",
)
def disasm(program: Path, load_addr: int) -> None:
    """Disassemble PROGRAM: a flat binary, or the executable segments of an ELF file."""
    from emu.disasm import code_of, disassemble

    try:
        pieces = list(code_of(program.read_bytes(), load_addr))
    except OSError as error:
        fail(f"{program}: {error.strerror}")
    except ValueError as error:
        fail(f"{program}: {error}")
    for address, code in pieces:
        for line in disassemble(code, address):
            click.echo(f"{line.address:>12x}  {line.code.hex(' '):<30}  {line.text}")


@vkemu.command()
def syscalls() -> None:
    """List the system calls, and what is partial."""
    from rich.console import Console
    from rich.table import Table

    from syscalls.table import TABLE

    table = Table("number", "call", "note", box=None, header_style="bold")
    for number, call in sorted(TABLE.items()):
        parts = (f"{kind.ctype} {name.rstrip('_')}" for name, kind in call.args.items())
        arguments = ", ".join(parts).replace("* ", "*")
        table.add_row(str(number), f"{call.name}({arguments or 'void'})", call.note)
    Console(width=output_width()).print(table, markup=False)


@vkemu.command(short_help="Print the C header that guests in C include.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="[default: standard output]")
@abi_option
def header(output: Path | None, abi: str) -> None:
    """Print the C header that guests in C include: constants, structures, system calls."""
    from emu.c_header import c_header

    text = c_header(VERSIONS[abi])
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="ascii")
    except OSError as error:
        fail(f"{output}: {error.strerror}")


vkemu.add_command(conform)


def main() -> NoReturn:
    """The console script."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, frame: sys.exit(_INTERRUPTED))
    vkemu(prog_name="vkemu", obj=_NOTHING_FOLLOWS)
    raise AssertionError("click ends the process")


@contextmanager
def _nothing_collected(*, for_good: bool) -> Iterator[None]:
    """Around imports: what they make is no garbage, and looking for some takes its time.

    `for_good`: what there is now is never looked at again.
    """
    gc.disable()
    try:
        yield
    finally:
        if for_good:
            gc.freeze()
        gc.enable()


def _assemble(
    source: Path, origin: int, version: AbiVersion, include: Sequence[Path]
) -> "Assembly":
    from emu.abi.symbols import abi_symbols
    from emu.asm import AsmError, assemble
    from syscalls.table import SYMBOLS

    symbols = {**abi_symbols(version), **SYMBOLS}
    try:
        return assemble(source, origin=origin, symbols=symbols, include_dirs=include)
    except AsmError as error:
        fail(str(error))


def _chance(clock: str, seed: int | None) -> Callable[[int], bytes]:
    """Return where random bytes come from: with the virtual clock a run can be repeated."""
    if seed is None and clock == "host":
        return os.urandom
    return Random(seed or 0).randbytes


def _observe(
    machine: "Machine",
    stats: bool,
    trace: frozenset[str] | None,
    write: Callable[[str], None],
) -> Callable[[], Iterable[str]]:
    """Put the observers that are asked for around the machine; return what reports at the end."""
    tracer = ledger = None
    if trace is not None:
        from emu.debug.trace import Tracer

        tracer = Tracer(write, trace)
        tracer.attach(machine)
    if stats:
        from emu.debug.ledger import Ledger

        ledger = Ledger()
        ledger.attach(machine)

    def report() -> Iterable[str]:
        if tracer is not None:
            tracer.finish()
        return ledger.lines(machine.lwp) if ledger is not None else ()

    return report


def _occupy_standard_descriptors() -> None:
    """Those that were closed must not become files of ours: libraries may write to them."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(fd)


def _line_writer(path: Path | None, stack: ExitStack) -> Callable[[str], None]:
    """Return what writes a line to `path`, or to standard error."""
    fd, name = STDERR, "standard error"
    if path is not None:
        name = str(path)
        try:
            file = stack.enter_context(path.open("wb"))
        except OSError as error:
            fail(f"{path}: {error.strerror}")
        fd = file.fileno()

    def write(line: str) -> None:
        try:
            write_line(fd, line)
        except OSError as error:
            fail(f"{name}: {error.strerror}")

    return write


@contextmanager
def _host_gives(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        fail(f"the host does not give us {what}: {error.strerror}")
