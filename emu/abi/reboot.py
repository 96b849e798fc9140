"""<sys/reboot.h>: how reboot(2) is to end things."""

from enum import IntFlag


class Rb(IntFlag):
    """Nothing stands for RB_AUTOBOOT."""

    ASKNAME = 0x1
    SINGLE = 0x2
    NOSYNC = 0x4
    HALT = 0x8
    DUMP = 0x100
    POWEROFF = 0x4000
