"""<sys/pipe.h>, <sys/syslimits.h>: how much a pipe holds."""

PIPE_SIZE = 16384
PIPE_BUF = 512
"""A write of up to this much goes in as a whole or not at all."""
