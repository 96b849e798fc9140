"""Asynchronous I/O, which the original has calls for and does not do (sys/kern/vfs_aio.c)."""

from typing import NoReturn

from emu.abi.errno import Errno, KernelError
from emu.kern.proc import Lwp
from syscalls.args import Fd, Int, Ptr


def aio_return(lwp: Lwp, aiocbp: Ptr) -> NoReturn:
    raise KernelError(Errno.ENOSYS)


def aio_suspend(lwp: Lwp, aiocbp: Ptr, nent: Int, timeout: Ptr) -> NoReturn:
    raise KernelError(Errno.ENOSYS)


def aio_cancel(lwp: Lwp, fd: Fd, aiocbp: Ptr) -> NoReturn:
    raise KernelError(Errno.ENOSYS)


def aio_error(lwp: Lwp, aiocbp: Ptr) -> NoReturn:
    raise KernelError(Errno.ENOSYS)


def aio_read(lwp: Lwp, aiocbp: Ptr) -> NoReturn:
    raise KernelError(Errno.ENOSYS)


def aio_write(lwp: Lwp, aiocbp: Ptr) -> NoReturn:
    raise KernelError(Errno.ENOSYS)


def lio_listio(lwp: Lwp, mode: Int, acb_list: Ptr, nent: Int, sig: Ptr) -> NoReturn:
    raise KernelError(Errno.ENOSYS)


def aio_waitcomplete(lwp: Lwp, aiocbp: Ptr, timeout: Ptr) -> NoReturn:
    raise KernelError(Errno.ENOSYS)
