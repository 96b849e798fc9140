"""Measure how fast vkemu is: `make bench`."""

import argparse
import sys
from pathlib import Path

from bench import table
from bench.measure import FULL, SHORT
from bench.rows import GROUPS


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "group", nargs="*", choices=[[], *GROUPS], help=f"which lines: {', '.join(GROUPS)}"
    )
    parser.add_argument("--full", action="store_true", help="measure more, and longer")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table of the README to FILE"
    )
    options = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in table.host().items()))
    print(table.heading())
    lines = []
    for name in options.group or GROUPS:
        for measured in GROUPS[name](FULL if options.full else SHORT):
            lines.append(measured)
            print(table.line(measured), flush=True)
    if options.json:
        options.json.write_text(table.as_json(lines))
    if options.markdown:
        options.markdown.write_text(table.markdown(lines))
    missed = [measured.what for measured in lines if measured.verdict == "MISSED"]
    if missed:
        print(f"missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
