"""<sys/socket.h>, <sys/un.h>, <netinet/in.h>, <netinet/tcp.h>: sockets and their addresses."""

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
SUN_PATH_MAX = 104
