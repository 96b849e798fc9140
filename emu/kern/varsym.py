"""Variables, and their values in symbolic links (sys/kern/kern_varsym.c)."""

import re
from collections.abc import Callable, Iterator

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import MAXPATHLEN
from emu.abi.varsym import MAXVARSYM_SET, VARSYM_COST

_REFERENCE = re.compile(rb"\$\{([^}]*)\}")


class VarsymSet:
    """The variables of a process, of a user or of the system, the one set last at the end."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._size = 0

    def copy(self) -> "VarsymSet":
        result = VarsymSet()
        result._values = dict(self._values)
        result._size = self._size
        return result

    def get(self, name: bytes) -> bytes | None:
        return self._values.get(name)

    def set(self, name: bytes, value: bytes) -> None:
        """Set a variable.  E2BIG if the set is full even without its old value, which stays."""
        old = self._values.get(name)
        size = self._size - (0 if old is None else _cost(name, old))
        if size >= MAXVARSYM_SET:
            raise KernelError(Errno.E2BIG, "too many variables")
        self._values.pop(name, None)
        self._values[name] = value
        self._size = size + _cost(name, value)

    def unset(self, name: bytes) -> None:
        value = self._values.pop(name, None)
        if value is None:
            raise KernelError(Errno.ENOENT, f"no variable {name!r}")
        self._size -= _cost(name, value)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self._values.items())


def _cost(name: bytes, value: bytes) -> int:
    return VARSYM_COST + len(name) + len(value)


def varsymreplace(link: bytes, find: Callable[[bytes], bytes | None]) -> bytes:
    """Return `link` with the values of its `${NAME}`; those that nobody knows stay.

    ENAMETOOLONG as soon as it gets too long for a path.
    """
    length = len(link)

    def value(reference: re.Match[bytes]) -> bytes:
        nonlocal length
        found = find(reference[1])
        if found is None:
            return reference[0]
        length += len(found) - len(reference[0])
        if length >= MAXPATHLEN - 1:
            raise KernelError(Errno.ENAMETOOLONG, "symbolic link")
        return found

    return _REFERENCE.sub(value, link)
