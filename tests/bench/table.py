"""The table of what was measured: for a terminal, for the README, and as JSON."""

import json
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from bench.measure import Measured

_CPU_INFO = Path("/proc/cpuinfo")


def host() -> Mapping[str, str]:
    """Say what it was measured on."""
    cpu = platform.processor() or platform.machine()
    if _CPU_INFO.exists():
        names = [
            line for line in _CPU_INFO.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return {
        "cpu": cpu,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "unicorn": version("unicorn"),
    }


def heading() -> str:
    return f"{'':60}{'against':20}{'':>12}{'ratio':>8}{'median':>8}{'must':>7}{'goal':>7}"


def line(measured: Measured) -> str:
    """Return a line of the table for a terminal."""
    return (
        f"{measured.what:44}{_figure(min(measured.subject), measured.unit):>14}  "
        f"{measured.against:20}{_figure(min(measured.reference), measured.unit):>12}"
        f"{_ratio(measured.ratio):>8}{_ratio(measured.median_ratio):>8}"
        f"{_ratio(measured.must):>7}{_ratio(measured.goal):>7}  {measured.verdict}"
    )


def markdown(lines: Sequence[Measured]) -> str:
    """Return the table for the README."""
    rows = [
        "| what | | against | | ratio | must | goal |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    for measured in lines:
        cells = (
            measured.what,
            _figure(min(measured.subject), measured.unit),
            measured.against,
            _figure(min(measured.reference), measured.unit),
            f"**{_ratio(measured.ratio)}**",
            _ratio(measured.must),
            _ratio(measured.goal),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def as_json(lines: Iterable[Measured]) -> str:
    rows = [
        {
            "what": measured.what,
            "against": measured.against,
            "unit": measured.unit,
            "ratio": measured.ratio,
            "median_ratio": measured.median_ratio,
            "must": measured.must,
            "goal": measured.goal,
            "subject": measured.subject,
            "reference": measured.reference,
        }
        for measured in lines
    ]
    return json.dumps({"host": host(), "argv": sys.argv[1:], "lines": rows}, indent=1) + "\n"


def _figure(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _ratio(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"
