"""What of a process's memory is in use: what it takes of the machine says little of that.

An allocator keeps what was given back, in holes that later allocations may not fit, so that a
process may grow for hours with nothing more in use.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heap:
    """Bytes of malloc."""

    used: int
    free: int
    """Given back, and held for later."""


class _MallInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


def heap() -> Heap:
    """What malloc has given out and what it holds free; zeros where there is no glibc.

    Python's objects of up to 512 bytes are among them where PYTHONMALLOC is `malloc`, and else
    counted by `small_objects`.
    """
    if sys.platform != "linux" or (mallinfo := getattr(_LIBC, "mallinfo2", None)) is None:
        return Heap(0, 0)
    mallinfo.restype = _MallInfo
    info = mallinfo()
    return Heap(info.uordblks + info.hblkhd, info.fordblks)


def small_objects() -> int:
    """Blocks of up to 512 bytes that Python has given out."""
    return sys.getallocatedblocks()


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
