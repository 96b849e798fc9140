"""<sys/uuid.h>: universally unique identifiers."""

from ctypes import Array, LittleEndianStructure, c_ubyte, c_uint16, c_uint32

UUID_NODE_LEN = 6
UUIDGEN_MAX = 2048
"""The most that one uuidgen(2) makes."""


class Uuid(LittleEndianStructure):
    _fields_ = [
        ("time_low", c_uint32),
        ("time_mid", c_uint16),
        ("time_hi_and_version", c_uint16),
        ("clock_seq_hi_and_reserved", c_ubyte),
        ("clock_seq_low", c_ubyte),
        ("node", c_ubyte * UUID_NODE_LEN),
    ]

    time_low: int
    time_mid: int
    time_hi_and_version: int
    clock_seq_hi_and_reserved: int
    clock_seq_low: int
    node: Array[c_ubyte]
