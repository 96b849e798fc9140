"""<sys/ioccom.h>, <sys/filio.h>, <sys/ttycom.h>, <sys/termios.h>: device control, terminals."""

from enum import IntEnum, IntFlag


class Ioctl(IntEnum):
    FIOCLEX = 0x2000_6601
    FIONCLEX = 0x2000_6602
    FIONREAD = 0x4004_667F
    FIONBIO = 0x8004_667E
    FIOASYNC = 0x8004_667D
    FIOSETOWN = 0x8004_667C
    FIOGETOWN = 0x4004_667B
    FIODNAME = 0x8010_6678
    TIOCEXCL = 0x2000_740D
    TIOCNXCL = 0x2000_740E
    TIOCFLUSH = 0x8004_7410
    TIOCGETA = 0x402C_7413
    TIOCSETA = 0x802C_7414
    TIOCSETAW = 0x802C_7415
    TIOCSETAF = 0x802C_7416
    TIOCGETD = 0x4004_741A
    TIOCDRAIN = 0x2000_745E
    TIOCSCTTY = 0x2000_7461
    TIOCGSID = 0x4004_7463
    TIOCSWINSZ = 0x8008_7467
    TIOCGWINSZ = 0x4008_7468
    TIOCSTART = 0x2000_746E
    TIOCSTOP = 0x2000_746F
    TIOCNOTTY = 0x2000_7471
    TIOCSTI = 0x8001_7472
    TIOCOUTQ = 0x4004_7473
    TIOCSPGRP = 0x8004_7476
    TIOCGPGRP = 0x4004_7477


class Flush(IntFlag):
    """What TIOCFLUSH throws away; nothing stands for both."""

    FREAD = 1
    FWRITE = 2


TTYDISC = 0
"""The one line discipline (TIOCGETD)."""

IOC_OUT = 0x4000_0000  # the caller gets the parameter back
IOC_IN = 0x8000_0000
IOCPARM_SHIFT = 16
IOCPARM_MASK = 0x1FFF


class Iflag(IntFlag):
    IGNBRK = 0x0001
    BRKINT = 0x0002
    IGNPAR = 0x0004
    PARMRK = 0x0008
    INPCK = 0x0010
    ISTRIP = 0x0020
    INLCR = 0x0040
    IGNCR = 0x0080
    ICRNL = 0x0100
    IXON = 0x0200
    IXOFF = 0x0400
    IXANY = 0x0800
    IMAXBEL = 0x2000


class Oflag(IntFlag):
    OPOST = 0x01
    ONLCR = 0x02
    OXTABS = 0x04
    ONOEOT = 0x08
    OCRNL = 0x10
    ONOCR = 0x20
    ONLRET = 0x40


class Cflag(IntFlag):
    CIGNORE = 0x0001
    CSTOPB = 0x0400
    CREAD = 0x0800
    PARENB = 0x1000
    PARODD = 0x2000
    HUPCL = 0x4000
    CLOCAL = 0x8000
    CRTSCTS = 0x30000


CSIZE = 0x300
CHARACTER_SIZES = {"CS5": 0x000, "CS6": 0x100, "CS7": 0x200, "CS8": 0x300}


class Lflag(IntFlag):
    ECHOKE = 0x0001
    ECHOE = 0x0002
    ECHOK = 0x0004
    ECHO = 0x0008
    ECHONL = 0x0010
    ECHOPRT = 0x0020
    ECHOCTL = 0x0040
    ISIG = 0x0080
    ICANON = 0x0100
    ALTWERASE = 0x0200
    IEXTEN = 0x0400
    EXTPROC = 0x0800
    TOSTOP = 0x0040_0000
    FLUSHO = 0x0080_0000
    NOKERNINFO = 0x0200_0000
    PENDIN = 0x2000_0000
    NOFLSH = 0x8000_0000


class Cc(IntEnum):
    """Index into c_cc."""

    VEOF = 0
    VEOL = 1
    VEOL2 = 2
    VERASE = 3
    VWERASE = 4
    VKILL = 5
    VREPRINT = 6
    VERASE2 = 7
    VINTR = 8
    VQUIT = 9
    VSUSP = 10
    VDSUSP = 11
    VSTART = 12
    VSTOP = 13
    VLNEXT = 14
    VDISCARD = 15
    VMIN = 16
    VTIME = 17
    VSTATUS = 18
    VCHECKPT = 19


CC_DISABLED = 0xFF  # _POSIX_VDISABLE
