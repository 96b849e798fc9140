"""What the host refuses, told to the guest: the one place where host error numbers are read."""

import errno
import os
import stat
import termios
from types import TracebackType
from weakref import finalize

from emu.abi.errno import Errno, KernelError

_OTHER_NAMES = {"ENOTSUP": "EOPNOTSUPP", "EDEADLOCK": "EDEADLK", "ENODATA": "ENOATTR"}


def guest_errno(error: OSError) -> Errno:
    """Return the guest's number for a host error.  They agree by name only; EIO if by none."""
    name = errno.errorcode.get(error.errno or 0, "")
    return Errno.__members__.get(_OTHER_NAMES.get(name, name), Errno.EIO)


class SpareDescriptor:
    """A descriptor of the host that is kept back, for when guests have all the others."""

    def __init__(self) -> None:
        self._keep()

    def _keep(self) -> None:
        fd = os.open(os.devnull, os.O_RDONLY)
        self.close = finalize(self, os.close, fd)

    def __enter__(self) -> None:
        """Give it up: one file can be opened, and must be closed again inside."""
        self.close()

    def __exit__(self, *_: object) -> None:
        self._keep()


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
        if isinstance(error, termios.error):
            error = OSError(*error.args)
        if isinstance(error, OSError):
            why = f"the host says: {error.strerror}"
            raise KernelError(guest_errno(error), why) from error


def change_mode(name: str | bytes, mode: int, at: int) -> None:
    """Set the permissions of `name` in the directory `at`, whatever they are now.

    A symbolic link is never followed: a name may have become one since it was looked at.
    """
    if os.chmod in os.supports_follow_symlinks:
        os.chmod(name, mode, dir_fd=at, follow_symlinks=False)
        return
    # Linux before Python 3.13: through a descriptor that only stands for the file.
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    try:
        if stat.S_ISLNK(os.fstat(fd).st_mode):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        os.chmod(f"/proc/self/fd/{fd}", mode)
    finally:
        os.close(fd)


def change_owner(name: bytes | int, uid: int, gid: int, at: int | None = None) -> None:
    """Set the owner of `name` in the directory `at`, or of a descriptor.

    Guests are root, which may give files away.  Where the host does not let the emulator, or has
    no such user, the file keeps its owner, as if there were one user only.
    """
    try:
        if isinstance(name, int):
            os.fchown(name, uid, gid)
        else:
            os.chown(name, uid, gid, dir_fd=at, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EINVAL):
            raise
