"""The system calls of the host kernel, one module per family."""
