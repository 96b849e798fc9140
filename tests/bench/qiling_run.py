"""One run under Qiling, in the Python that has it: prints the CPU time it takes, in seconds.

What precedes the first instruction is not counted: Qiling itself, and the loading of the program.
"""

import sys
from pathlib import Path
from time import process_time

from qiling import Qiling
from qiling.const import QL_VERBOSE

program = Path(sys.argv[1])
emulator = Qiling([str(program)], str(program.parent), verbose=QL_VERBOSE.DISABLED)
start = process_time()
emulator.run()
end = process_time()
if emulator.os.exit_code:
    sys.exit(f"the program's exit status is {emulator.os.exit_code}")
print(end - start)
