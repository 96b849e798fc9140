"""The devices in /dev (sys/kern/kern_memio.c, tty_tty.c, kern_descrip.c).

None of them is a file of the host: they are where the guest's tree has a directory for them.
"""

from collections.abc import Callable, Mapping

from emu.abi.errno import Errno, KernelError
from emu.abi.fcntl import Mode
from emu.abi.structs import Stat
from emu.abi.x86 import PAGE_SIZE
from emu.kern.file import File, Node
from emu.kern.namecache import Names

FD_DEVICES = 64
"""How many descriptors have a device (NUMFDESC)."""

_CTTY, _MEM, _FILDESC = 1, 2, 22  # CDEV_MAJOR of each driver
_ROOT, _BIN = (0, 0), (3, 7)  # user and group


class Device(Node):
    """A character device.  Its attributes are fixed."""

    seekable = True

    def __init__(
        self, major: int, minor: int, permissions: int, owner: tuple[int, int] = _ROOT
    ) -> None:
        self.inode = 0
        self._number = major << 8 | minor  # makeudev()
        self._permissions = permissions
        self._owner = owner

    def open(self, flags: int) -> File:
        return File(self, flags)

    def resize(self, length: int) -> None:
        """A device has no length; setting one does nothing."""

    def stat(self) -> Stat:
        uid, gid = self._owner
        return Stat(
            st_ino=self.inode,
            st_nlink=1,
            st_mode=Mode.CHR | self._permissions,
            st_uid=uid,
            st_gid=gid,
            st_rdev=self._number,
            st_blksize=PAGE_SIZE,
        )

    def sync(self) -> None:
        """Nothing is kept back."""


class NullDevice(Device):
    """/dev/null."""

    def __init__(self, minor: int = 2) -> None:
        super().__init__(_MEM, minor, 0o666)

    def read(self, offset: int, size: int) -> bytes:
        return b""

    def write(self, offset: int, data: bytes) -> int:
        return len(data)


class ZeroDevice(NullDevice):
    """/dev/zero."""

    is_zero_device = True

    def __init__(self) -> None:
        super().__init__(12)

    def read(self, offset: int, size: int) -> bytes:
        return bytes(size)

    def check_mappable(self) -> None:
        """mmap makes it anonymous memory."""


class RandomDevice(Device):
    """/dev/random, where what is written is meant to stir it, and /dev/urandom, without that."""

    def __init__(self, minor: int, random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(_MEM, minor, 0o644)
        self._random_bytes = random_bytes
        self._stirred = minor == 3

    def read(self, offset: int, size: int) -> bytes:
        return self._random_bytes(size)

    def write(self, offset: int, data: bytes) -> int:
        if not self._stirred:
            raise KernelError(Errno.EPERM, "/dev/urandom is not written")
        return len(data)


class TerminalDevice(Device):
    """/dev/tty: to open it is to open the controlling terminal of whoever does so."""

    def __init__(self) -> None:
        super().__init__(_CTTY, 0, 0o666)


class DescriptorDevice(Device):
    """/dev/fd/N: open() sees it and duplicates descriptor N instead (fdopen)."""

    def __init__(self, descriptor: int, owner: tuple[int, int]) -> None:
        super().__init__(_FILDESC, descriptor, 0o666, owner)
        self.descriptor = descriptor


def devices(
    random_bytes: Callable[[int], bytes],
) -> Mapping[Names, Device]:
    """Return every device by its place in the tree."""
    result: dict[Names, Device] = {
        (b"dev", b"null"): NullDevice(),
        (b"dev", b"random"): RandomDevice(3, random_bytes),
        (b"dev", b"urandom"): RandomDevice(4, random_bytes),
        (b"dev", b"zero"): ZeroDevice(),
        (b"dev", b"tty"): TerminalDevice(),
        (b"dev", b"stdin"): DescriptorDevice(0, _ROOT),
        (b"dev", b"stdout"): DescriptorDevice(1, _ROOT),
        (b"dev", b"stderr"): DescriptorDevice(2, _ROOT),
    }
    for descriptor in range(FD_DEVICES):
        result[b"dev", b"fd", b"%d" % descriptor] = DescriptorDevice(descriptor, _BIN)
    for inode, (names, device) in enumerate(result.items(), 2):
        device.inode = inode
        device.device_name = b"/".join(names[1:])
    return result
