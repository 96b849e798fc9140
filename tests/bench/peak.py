"""Run a program, and print the most memory that this process ever had, in bytes.

It is a process of its own that is asked: `python -m bench.peak NAME COUNT`.  Only where the host
is Linux.
"""

import sys
from pathlib import Path

from bench.guest import program, run

STATUS = Path("/proc/self/status")


def main() -> None:
    run(program(sys.argv[1], COUNT=int(sys.argv[2])))
    # Not getrusage()'s: that begins with what the parent had.
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    print(int(line.split()[1]) * 1024)


if __name__ == "__main__":
    main()
