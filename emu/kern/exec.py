"""Executing another program (sys/kern/kern_exec.c, imgact_elf.c, imgact_shell.c)."""

import re
from collections.abc import Sequence
from io import BytesIO

from emu.abi.errno import Errno, KernelError
from emu.abi.event import Note
from emu.abi.exec import SHELL_MAGIC
from emu.abi.fcntl import Mode, Open
from emu.abi.x86 import PAGE_SIZE
from emu.kern import vkernel
from emu.kern.exit import kill_lwps, vfork_done
from emu.kern.file import File
from emu.kern.proc import Lwp, Proc
from emu.kern.sigacts import AltStack
from emu.kern.signal import forget
from emu.loader import Ready, Unusable, exec_setregs, prepare

_ANYBODY_EXECUTES = 0o111
_LINE_END = re.compile(rb"[\n#\0]")


def execve(lwp: Lwp, path: bytes, argv: Sequence[bytes], envp: Sequence[bytes]) -> None:
    """Go on with the program at `path` in the guest's tree, and without any other LWP.

    Descriptors, signal mask, timers and identity stay; handlers, close-on-exec files and
    vmspaces go.  Raise KernelError with nothing changed.
    """
    proc = lwp.proc
    ready = _ready(proc, path, argv, envp)
    space = proc.vmspace.fresh()
    try:
        ready.place(space)
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
    proc.name = path.rpartition(b"/")[2].decode(errors="replace")
    proc.executed = True
    vfork_done(proc)
    proc.notify(Note.EXEC)
    exec_setregs(lwp, ready.begin(proc))


def _ready(proc: Proc, path: bytes, argv: Sequence[bytes], envp: Sequence[bytes]) -> Ready:
    image = _image(proc, path)
    interpreter = _interpreter(image)
    if interpreter:
        # The interpreter gets its own arguments, the script, and what the script was given.
        argv = [*interpreter, path, *argv[1:]]
        path = interpreter[0]
        image = _image(proc, path)
        if _interpreter(image):
            raise KernelError(Errno.ENOEXEC, "an interpreter that is a script")
    try:
        return prepare(proc.kernel, BytesIO(image), path, argv, envp)
    except Unusable as problem:
        raise KernelError(Errno.ENOEXEC, str(problem)) from None


def _image(proc: Proc, path: bytes) -> bytes:
    """Return the contents of an executable file."""
    file = proc.kernel.tree.open(path, proc.files.cwd, Open.RDONLY)
    try:
        return _contents(file)
    finally:
        file.drop()


def _contents(file: File) -> bytes:
    mode = file.node.stat().st_mode
    if mode & Mode.FMT != Mode.REG or not mode & _ANYBODY_EXECUTES:
        raise KernelError(Errno.EACCES, "not an executable file")
    return file.node.read(0, file.node.length())


def _interpreter(image: bytes) -> list[bytes]:
    """Return the words after #! in a script's first line; none if it is no script."""
    if not image.startswith(SHELL_MAGIC):
        return []
    header = image[len(SHELL_MAGIC) : PAGE_SIZE]
    line = _LINE_END.split(header, maxsplit=1)[0]
    if line == header and len(image) >= PAGE_SIZE:
        raise KernelError(Errno.ENAMETOOLONG, "a script's first line does not end")
    words = line.replace(b"\t", b" ").split(b" ")
    words = [word for word in words if word]
    if not words:
        raise KernelError(Errno.ENOEXEC, "a script without an interpreter")
    return words
