"""<sys/socket.h>, <sys/un.h>, <netinet/in.h>, <netinet/tcp.h>: sockets and their addresses."""

from ctypes import (
    Array,
    LittleEndianStructure,
    c_int16,
    c_int32,
    c_ubyte,
    c_uint32,
    c_uint64,
)
from enum import IntEnum, IntFlag


class Af(IntEnum):
    UNSPEC = 0
    UNIX = 1
    INET = 2
    INET6 = 28


AF_MAX = 36


class Sock(IntEnum):
    STREAM = 1
    DGRAM = 2
    RAW = 3
    RDM = 4
    SEQPACKET = 5


class Level(IntEnum):
    """What an option is for; above IP by the number of the protocol."""

    IP = 0
    TCP = 6
    UDP = 17
    SOCKET = 0xFFFF


class So(IntEnum):
    """Options of SOL_SOCKET."""

    DEBUG = 0x0001
    ACCEPTCONN = 0x0002
    REUSEADDR = 0x0004
    KEEPALIVE = 0x0008
    DONTROUTE = 0x0010
    BROADCAST = 0x0020
    USELOOPBACK = 0x0040
    LINGER = 0x0080
    OOBINLINE = 0x0100
    REUSEPORT = 0x0200
    TIMESTAMP = 0x0400
    ACCEPTFILTER = 0x1000
    SNDBUF = 0x1001
    RCVBUF = 0x1002
    SNDLOWAT = 0x1003
    RCVLOWAT = 0x1004
    SNDTIMEO = 0x1005
    RCVTIMEO = 0x1006
    ERROR = 0x1007
    TYPE = 0x1008
    SNDSPACE = 0x100A


class Tcp(IntEnum):
    """Options of IPPROTO_TCP."""

    NODELAY = 0x01
    MAXSEG = 0x02
    NOPUSH = 0x04
    NOOPT = 0x08
    KEEPINIT = 0x20
    KEEPIDLE = 0x100
    KEEPINTVL = 0x200
    KEEPCNT = 0x400


class Msg(IntFlag):
    OOB = 0x0000_0001
    PEEK = 0x0000_0002
    DONTROUTE = 0x0000_0004
    EOR = 0x0000_0008
    TRUNC = 0x0000_0010
    CTRUNC = 0x0000_0020
    WAITALL = 0x0000_0040
    DONTWAIT = 0x0000_0080
    EOF = 0x0000_0100
    NOTIFICATION = 0x0000_0200
    NOSIGNAL = 0x0000_0400
    FBLOCKING = 0x0001_0000
    FNONBLOCKING = 0x0002_0000


class Scm(IntEnum):
    """Kinds of control messages."""

    RIGHTS = 1
    TIMESTAMP = 2
    CREDS = 3


class Shut(IntEnum):
    RD = 0
    WR = 1
    RDWR = 2


SOMAXCONN = 128
SOMAXOPT_SIZE = 65536
SOCK_MAXADDRLEN = 255
SB_MAX = 209_715
"""The most that SO_SNDBUF and SO_RCVBUF reserve (sb_max_adj)."""
PIPSIZ = 57344
"""What a stream socket has room for (also tcp_sendspace and tcp_recvspace)."""
UNPDG_SENDSPACE = 2048
UNPDG_RECVSPACE = 4096
UDP_SENDSPACE = 9216
UDP_RECVSPACE = 42080
MCLBYTES = 2048
MSIZE = 512
"""What a piece of a message costs at least (struct mbuf)."""
MLEN = 352
"""What fits in one such piece: the longest control message."""
HZ = 100
"""Ticks a second, in which timeouts are kept."""
TF_NODELAY = 0x4
"""What TCP_NODELAY reads as when it is on."""
LOCAL_PEERCRED = 1
IP_TOS = 3
IP_TTL = 4
CMGROUP_MAX = 16


class SockaddrIn(LittleEndianStructure):
    """struct sockaddr_in.  Port and address are in network order."""

    _fields_ = [
        ("sin_len", c_ubyte),
        ("sin_family", c_ubyte),
        ("sin_port", c_ubyte * 2),
        ("sin_addr", c_ubyte * 4),
        ("sin_zero", c_ubyte * 8),
    ]

    sin_len: int
    sin_family: int
    sin_port: Array[c_ubyte]
    sin_addr: Array[c_ubyte]


class Linger(LittleEndianStructure):
    _fields_ = [("l_onoff", c_int32), ("l_linger", c_int32)]

    l_onoff: int
    l_linger: int


class Msghdr(LittleEndianStructure):
    """struct msghdr: 48 bytes."""

    _fields_ = [
        ("msg_name", c_uint64),
        ("msg_namelen", c_int32),
        ("msg_padding1", c_uint32),
        ("msg_iov", c_uint64),
        ("msg_iovlen", c_uint32),
        ("msg_padding2", c_uint32),
        ("msg_control", c_uint64),
        ("msg_controllen", c_int32),
        ("msg_flags", c_int32),
    ]

    msg_name: int
    msg_namelen: int
    msg_iov: int
    msg_iovlen: int
    msg_control: int
    msg_controllen: int
    msg_flags: int


class Cmsghdr(LittleEndianStructure):
    _fields_ = [("cmsg_len", c_uint32), ("cmsg_level", c_int32), ("cmsg_type", c_int32)]

    cmsg_len: int
    cmsg_level: int
    cmsg_type: int


class Cmsgcred(LittleEndianStructure):
    """Who has sent a message: the kernel fills it in."""

    _fields_ = [
        ("cmcred_pid", c_int32),
        ("cmcred_uid", c_uint32),
        ("cmcred_euid", c_uint32),
        ("cmcred_gid", c_uint32),
        ("cmcred_ngroups", c_int16),
        ("cmcred_padding", c_int16),
        ("cmcred_groups", c_uint32 * CMGROUP_MAX),
    ]

    cmcred_pid: int
    cmcred_uid: int
    cmcred_euid: int
    cmcred_gid: int
    cmcred_ngroups: int


class SfHdtr(LittleEndianStructure):
    """What sendfile sends before and after the file."""

    _fields_ = [
        ("headers", c_uint64),
        ("hdr_cnt", c_uint32),
        ("hdtr_padding1", c_uint32),
        ("trailers", c_uint64),
        ("trl_cnt", c_uint32),
        ("hdtr_padding2", c_uint32),
    ]

    headers: int
    hdr_cnt: int
    trailers: int
    trl_cnt: int


MSG_NAMELEN_AT = 8
MSG_CONTROLLEN_AT = 40
MSG_FLAGS_AT = 44
"""Where recvmsg stores results in a struct msghdr."""
CMSGHDR_SIZE = 12
SOCKADDR_IN_SIZE = 16
SOCKADDR_HEADER = 2
"""sa_len and sa_family."""
SUN_NONAME = bytes((16, Af.UNIX)).ljust(16, b"\0")
"""The address of a local socket without a name."""


def cmsg_align(size: int) -> int:
    return (size + 3) & ~3
