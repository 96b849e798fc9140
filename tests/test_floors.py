"""The house rules, checked in the source."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Lowest first.  A module stands on the floor of the longest prefix it has.
FLOORS = [
    ["emu.abi"],
    [
        "emu.vm.phys",
        "emu.cpu.engine",
        "emu.asm",
        "emu.asm_child",
        "emu.asm_operands",
        "emu.asm_source",
        "emu.asm_text",
        "emu.disasm",
    ],
    ["emu.vm", "emu.cpu"],
    ["emu.kern", "emu.loader"],
    ["syscalls", "emu.c_header"],
    ["emu.trap", "emu.machine"],
    ["emu.debug", "emu.conform"],
    ["emu.cli", "emu.messages", "emu.conform.command", "emu.__main__"],
]

# A foreign package may be imported in exactly these places.
DOORS = {
    "unicorn": {"emu.cpu.unicorn_library"},
    "keystone": {"emu.asm_child"},
    "capstone": {"emu.disasm"},
    "elftools": {"emu.disasm"},
    "ctypes": {
        "emu.abi.exec",
        "emu.abi.frames",
        "emu.abi.resource",
        "emu.abi.sigframe",
        "emu.abi.socket",
        "emu.abi.structs",
        "emu.abi.uuid",
        "emu.c_header",
        "emu.kern.host_socket",
        "emu.kern.socket",
        "emu.vm.phys",
        "emu.vm.vmspace",
        "emu.cpu.abort_guard",
        "emu.cpu.division_guard",
        "emu.cpu.exceptions",
        "emu.cpu.fp_state",
        "emu.cpu.hooks",
        "emu.cpu.passage",
        "emu.cpu.registers",
        "emu.cpu.safe_stop",
        "emu.cpu.spoilt_flags",
        "emu.cpu.sse_status",
        "emu.cpu.start_up",
        "emu.cpu.unicorn_library",
    },
}


def _modules() -> dict[str, Path]:
    found = {}
    for top in ("emu", "syscalls"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = _modules()
LEAVES = [name for name, path in MODULES.items() if path.name != "__init__.py"]


def imports(path: Path) -> set[str]:
    """Return every module `path` imports, inside functions too, but not for type checkers only."""
    found: set[str] = set()
    stack: list[ast.AST] = [ast.parse(path.read_text())]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        stack.extend(ast.iter_child_nodes(node))
    return found


def floor(module: str) -> int:
    best = max(
        ((len(prefix), number) for number, prefixes in enumerate(FLOORS) for prefix in prefixes
         if f"{module}.".startswith(f"{prefix}.")),
        default=None,
    )  # fmt: skip
    assert best is not None, f"{module} stands on no floor"
    return best[1]


@pytest.mark.parametrize("module", LEAVES)
def test_imports_go_down(module: str) -> None:
    for target in imports(MODULES[module]) & MODULES.keys() & set(LEAVES):
        assert floor(target) <= floor(module), f"{module} reaches up to {target}"


@pytest.mark.parametrize("module", LEAVES)
def test_foreign_packages_have_one_door(module: str) -> None:
    for package in {name.partition(".")[0] for name in imports(MODULES[module])} & DOORS.keys():
        assert module in DOORS[package], f"{module} imports {package}"


def test_there_are_no_import_cycles() -> None:
    graph = {name: imports(path) & set(LEAVES) - {name} for name, path in MODULES.items()}
    assert list(TopologicalSorter(graph).static_order())


def test_package_files_import_nothing() -> None:
    for name, path in MODULES.items():
        if path.name == "__init__.py":
            assert not imports(path), f"{name}/__init__.py imports something"


def test_the_search_for_imports_sees_those_inside_functions(tmp_path: Path) -> None:
    source = tmp_path / "m.py"
    source.write_text("def f():\n    from unicorn import Uc\n")
    assert "unicorn" in imports(source)
