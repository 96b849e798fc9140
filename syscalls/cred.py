"""Who a process is: users, groups, login name (sys/kern/kern_prot.c).

Guests start as root.  Each call has the original's rules for others; what is refused by them is
EPERM.  Where a call sets several ids, -1 leaves one as it is.
"""

from collections.abc import Collection
from struct import pack, unpack

from emu.abi.errno import Errno, KernelError
from emu.abi.unistd import MAXLOGNAME, NGROUPS
from emu.abi.x86 import U32_MASK
from emu.kern.proc import Lwp, Ucred
from syscalls.args import Ptr, UInt

_GID = 4
_SAME = U32_MASK


def getuid(lwp: Lwp) -> int:
    return lwp.proc.ucred.ruid


def geteuid(lwp: Lwp) -> int:
    return lwp.proc.ucred.uid


def getgid(lwp: Lwp) -> int:
    return lwp.proc.ucred.rgid


def getegid(lwp: Lwp) -> int:
    return lwp.proc.ucred.gid


def issetugid(lwp: Lwp) -> int:
    """Have the ids changed since the program was executed?"""
    return int(lwp.proc.changed_ids)


def setuid(lwp: Lwp, uid: UInt) -> None:
    """Set all three users; to others than the real and the effective one, as root only."""
    ids = lwp.proc.ucred
    _check(ids, [uid], (ids.ruid, ids.uid))
    _become(lwp, ids._replace(uid=uid, ruid=uid, svuid=uid))


def seteuid(lwp: Lwp, euid: UInt) -> None:
    ids = lwp.proc.ucred
    _check(ids, [euid], (ids.ruid, ids.svuid))
    _become(lwp, ids._replace(uid=euid))


def setreuid(lwp: Lwp, ruid: UInt, euid: UInt) -> None:
    """Set real and effective user.  The saved one follows unless only `euid` goes back to real."""
    ids = lwp.proc.ucred
    _check(ids, _given(ruid), (ids.ruid, ids.svuid))
    _check(ids, _given(euid), (ids.uid, ids.ruid, ids.svuid))
    new = ids._replace(ruid=_or_same(ruid, ids.ruid), uid=_or_same(euid, ids.uid))
    if ruid != _SAME or new.uid != new.ruid:
        new = new._replace(svuid=new.uid)
    _become(lwp, new)


def setresuid(lwp: Lwp, ruid: UInt, euid: UInt, suid: UInt) -> None:
    ids = lwp.proc.ucred
    _check(ids, _given(ruid, euid, suid), (ids.ruid, ids.svuid, ids.uid))
    _become(
        lwp,
        ids._replace(
            ruid=_or_same(ruid, ids.ruid),
            uid=_or_same(euid, ids.uid),
            svuid=_or_same(suid, ids.svuid),
        ),
    )


def setgid(lwp: Lwp, gid: UInt) -> None:
    """Set all three groups; to others than the real and the effective one, as root only."""
    ids = lwp.proc.ucred
    _check(ids, [gid], (ids.rgid, ids.gid))
    _become(lwp, ids._replace(groups=_with_gid(ids, gid), rgid=gid, svgid=gid))


def setegid(lwp: Lwp, egid: UInt) -> None:
    ids = lwp.proc.ucred
    _check(ids, [egid], (ids.rgid, ids.svgid))
    _become(lwp, ids._replace(groups=_with_gid(ids, egid)))


def setregid(lwp: Lwp, rgid: UInt, egid: UInt) -> None:
    """As setreuid, for groups."""
    ids = lwp.proc.ucred
    _check(ids, _given(rgid), (ids.rgid, ids.svgid))
    _check(ids, _given(egid), (ids.gid, ids.rgid, ids.svgid))
    new = ids._replace(
        rgid=_or_same(rgid, ids.rgid), groups=_with_gid(ids, _or_same(egid, ids.gid))
    )
    if rgid != _SAME or new.gid != new.rgid:
        new = new._replace(svgid=new.gid)
    _become(lwp, new)


def setresgid(lwp: Lwp, rgid: UInt, egid: UInt, sgid: UInt) -> None:
    ids = lwp.proc.ucred
    _check(ids, _given(rgid, egid, sgid), (ids.rgid, ids.svgid, ids.gid))
    _become(
        lwp,
        ids._replace(
            rgid=_or_same(rgid, ids.rgid),
            groups=_with_gid(ids, _or_same(egid, ids.gid)),
            svgid=_or_same(sgid, ids.svgid),
        ),
    )


def getresuid(lwp: Lwp, ruid: Ptr, euid: Ptr, suid: Ptr) -> None:
    """Store the users where the pointers are not NULL; one that is bad keeps no other from it."""
    ids = lwp.proc.ucred
    _put_ids(lwp, (ruid, euid, suid), (ids.ruid, ids.uid, ids.svuid))


def getresgid(lwp: Lwp, rgid: Ptr, egid: Ptr, sgid: Ptr) -> None:
    """As getresuid, for groups."""
    ids = lwp.proc.ucred
    _put_ids(lwp, (rgid, egid, sgid), (ids.rgid, ids.gid, ids.svgid))


def getgroups(lwp: Lwp, gidsetsize: UInt, gidset: Ptr) -> int:
    """Store the groups and return how many there are; only return it if there is room for 0."""
    groups = lwp.proc.ucred.groups
    if gidsetsize:
        if gidsetsize < len(groups):
            raise KernelError(Errno.EINVAL, f"room for {gidsetsize} groups")
        lwp.vmspace.copyout(gidset, pack(f"<{len(groups)}I", *groups))
    return len(groups)


def setgroups(lwp: Lwp, gidsetsize: UInt, gidset: Ptr) -> None:
    """Set the groups, the effective one first; none leaves that one alone."""
    ids = lwp.proc.ucred
    ids.check_root("setgroups")
    if gidsetsize > NGROUPS:
        raise KernelError(Errno.EINVAL, f"{gidsetsize} groups")
    groups = ids.groups[:1]
    if gidsetsize:
        groups = unpack(f"<{gidsetsize}I", lwp.vmspace.copyin(gidset, gidsetsize * _GID))
    lwp.proc.ucred = ids._replace(groups=groups)
    lwp.proc.changed_ids = True


def getlogin(lwp: Lwp, namebuf: Ptr, namelen: UInt) -> None:
    login = lwp.proc.pgrp.session.login.ljust(MAXLOGNAME, b"\0")
    lwp.vmspace.copyout(namebuf, login[: min(namelen, MAXLOGNAME)])


def setlogin(lwp: Lwp, namebuf: Ptr) -> None:
    lwp.proc.ucred.check_root("setlogin")
    try:
        lwp.proc.pgrp.session.login = lwp.vmspace.copyinstr(namebuf, MAXLOGNAME)
    except KernelError as refusal:
        if refusal.errno is Errno.ENAMETOOLONG:
            raise KernelError(Errno.EINVAL, "the name is too long") from None
        raise


def _check(ids: Ucred, wanted: Collection[int], allowed: Collection[int]) -> None:
    """Raise KernelError(EPERM) if not everybody may have the ids `wanted`, and this is not root."""
    if any(id not in allowed for id in wanted):
        ids.check_root("another identity")


def _given(*ids: int) -> list[int]:
    return [id for id in ids if id != _SAME]


def _or_same(id: int, before: int) -> int:
    return before if id == _SAME else id


def _with_gid(ids: Ucred, gid: int) -> tuple[int, ...]:
    return (gid, *ids.groups[1:])


def _become(lwp: Lwp, new: Ucred) -> None:
    if new != lwp.proc.ucred:
        lwp.proc.ucred = new
        lwp.proc.changed_ids = True


def _put_ids(lwp: Lwp, pointers: tuple[int, int, int], ids: tuple[int, int, int]) -> None:
    failure = None
    for pointer, id in zip(pointers, ids, strict=True):
        if pointer:
            try:
                lwp.vmspace.copyout(pointer, id.to_bytes(_GID, "little"))
            except KernelError as refusal:
                failure = failure or refusal
    if failure is not None:
        raise failure
