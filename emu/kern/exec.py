"""Executing another program (sys/kern/kern_exec.c, imgact_elf.c, imgact_shell.c)."""

import re
from collections.abc import Sequence
from io import SEEK_END, BufferedReader, RawIOBase

from emu.abi.errno import Errno, KernelError
from emu.abi.event import Note
from emu.abi.exec import ARG_MAX, MAXCOMLEN, MAXSHELLCMDLEN, SHELL_MAGIC
from emu.abi.fcntl import Open
from emu.abi.resource import RlimitKind
from emu.abi.x86 import PAGE_SIZE
from emu.kern import vkernel
from emu.kern.exit import kill_lwps, vfork_done
from emu.kern.file import File
from emu.kern.proc import Lwp, Proc
from emu.kern.sigacts import AltStack
from emu.kern.signal import forget
from emu.kern.vnode import Vnode
from emu.loader import NoRoom, Ready, Unusable, exec_setregs, prepare

_ANYBODY_EXECUTES = 0o111
_LINE_END = re.compile(rb"[\n#\0]")
_BLANKS = re.compile(rb"[ \t]+")


def execve(lwp: Lwp, fname: bytes, argv: Sequence[bytes], envp: Sequence[bytes]) -> None:
    """Go on with the program `fname` of the guest's tree, and without any other LWP.

    Descriptors, signal mask, timers, limits and identity stay; handlers, close-on-exec files and
    vmspaces go.  Raise KernelError with nothing changed, where the original has sometimes
    destroyed the old program already and must end the process.
    """
    proc = lwp.proc
    ready, path = _ready(proc, fname, argv, envp)
    space = proc.vmspace.fresh()
    try:
        image = ready.place(space)
    except KernelError:
        space.destroy()
        raise
    kill_lwps(proc, survivor=lwp)
    if lwp.vkernel is not None:
        vkernel.lwp_exit(lwp)
    if proc.vkernel is not None:
        proc.vkernel.drop()
        proc.vkernel = None
    old, proc.vmspace = proc.vmspace, space
    lwp.vmspace = space
    old.drop()
    if proc.files.refs > 1:
        shared, proc.files = proc.files, proc.files.copy()
        shared.drop()
    proc.files.close_for_exec()
    proc.sigacts = proc.sigacts.copy()
    forget(proc, proc.sigacts.reset_for_exec(proc.kernel.abi))
    lwp.altstack = AltStack()
    lwp.suspended_mask = None
    proc.name = path.rpartition(b"/")[2][:MAXCOMLEN].decode(errors="replace")
    proc.executed = True
    vfork_done(proc)
    ids = proc.ucred
    if ids.uid == ids.ruid and ids.gid == ids.rgid:
        proc.changed_ids = False
    proc.ucred = ids._replace(svuid=ids.uid, svgid=ids.gid)
    proc.notify(Note.EXEC)
    exec_setregs(lwp, image)


def _ready(
    proc: Proc, fname: bytes, argv: Sequence[bytes], envp: Sequence[bytes]
) -> tuple[Ready, bytes]:
    """Return the program that is to be run, and its path in the tree."""
    file, path = _open(proc, fname)
    try:
        interpreter = _interpreter(file)
        if interpreter:
            # The interpreter gets its own arguments, the script, and what the script was given.
            argv = [*interpreter, fname, *argv[1:]]
            _check_size(argv, envp)
            if len(interpreter[0]) >= MAXSHELLCMDLEN:
                raise KernelError(Errno.ENAMETOOLONG, "the interpreter's path")
            script, (file, path) = file, _open(proc, interpreter[0])
            script.drop()
            if file.node.read(0, len(SHELL_MAGIC)) == SHELL_MAGIC:
                raise KernelError(Errno.ENOEXEC, "an interpreter that is a script")
        return _prepare(proc, file, fname if fname.startswith(b"/") else path, argv, envp), path
    finally:
        file.drop()


def _open(proc: Proc, name: bytes) -> tuple[File, bytes]:
    """Open an executable file; return it with its full path (exec_check_permissions)."""
    tree, cwd = proc.kernel.tree, proc.files.cwd
    file = tree.open(name, cwd, Open.RDONLY)
    try:
        node = file.node
        mode = node.stat().st_mode
        if not isinstance(node, Vnode) or not mode & _ANYBODY_EXECUTES:
            raise KernelError(Errno.EACCES, "not an executable file")
        if node.length() == 0:
            raise KernelError(Errno.ENOEXEC, "an empty file")
        if node.writers:
            raise KernelError(Errno.ETXTBSY, "open for writing")
        return file, tree.full_path(name, cwd)
    except KernelError:
        file.drop()
        raise


def _prepare(
    proc: Proc, file: File, path: bytes, argv: Sequence[bytes], envp: Sequence[bytes]
) -> Ready:
    try:
        with BufferedReader(_Contents(file)) as stream:
            ready = prepare(proc.kernel, stream, path, argv, envp)
    except NoRoom as problem:
        raise KernelError(Errno.ENOMEM, str(problem)) from None
    except Unusable as problem:
        raise KernelError(Errno.ENOEXEC, str(problem)) from None
    limits = proc.rlimits
    if (
        ready.data_size > limits[RlimitKind.DATA].cur
        or ready.total_size > limits[RlimitKind.VMEM].cur
    ):
        raise KernelError(Errno.ENOMEM, "more than RLIMIT_DATA or RLIMIT_VMEM")
    return ready


class _Contents(RawIOBase):
    """What is in a file, for the loader to read: no more of it than it asks for."""

    def __init__(self, file: File) -> None:
        self._node = file.node
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = self._node.length() + offset if whence == SEEK_END else offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._node.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _interpreter(file: File) -> list[bytes]:
    """Return the words after #! in a script's first line; none if it is no script."""
    page = file.node.read(0, PAGE_SIZE)
    if not page.startswith(SHELL_MAGIC):
        return []
    header = page[len(SHELL_MAGIC) :]
    line = _LINE_END.split(header, maxsplit=1)[0]
    words = [word for word in _BLANKS.split(line) if word]
    if not words:
        raise KernelError(Errno.ENOEXEC, "a script without an interpreter")
    if line == header and len(page) == PAGE_SIZE:
        raise KernelError(Errno.ENAMETOOLONG, "a script's first line does not end")
    return words


def _check_size(argv: Sequence[bytes], envp: Sequence[bytes]) -> None:
    if sum(len(string) + 1 for string in (*argv, *envp)) > ARG_MAX:
        raise KernelError(Errno.E2BIG, "arguments and environment")
