"""`python -m emu` is the command `vkemu`."""

from emu.cli import main

main()
