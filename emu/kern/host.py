"""What the host refuses, told to the guest: the one place where host error numbers are read."""

import errno
from types import TracebackType

from emu.abi.errno import Errno, KernelError

_OTHER_NAMES = {"ENOTSUP": "EOPNOTSUPP", "EDEADLOCK": "EDEADLK", "ENODATA": "ENOATTR"}


def guest_errno(error: OSError) -> Errno:
    """Return the guest's number for a host error.  They agree by name only; EIO if by none."""
    name = errno.errorcode.get(error.errno or 0, "")
    return Errno.__members__.get(_OTHER_NAMES.get(name, name), Errno.EIO)


class host_errors:
    """`with host_errors():` an OSError inside becomes the KernelError it means for the guest.

    A class because every transfer passes here, and a generator would be three times slower.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            why = f"the host says: {error.strerror}"
            raise KernelError(guest_errno(error), why) from error
