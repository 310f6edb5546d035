"""Decoded pictures, megabytes each, go back to the system as soon as nobody holds them.

glibc does that with blocks above a threshold that it raises to the size of whatever was freed; from then on pictures
lie in the heaps of threads, which are seldom given back whole. Cameras that are opened again and again cost hundreds of
megabytes that way, and none with a threshold that stays.
"""

from __future__ import annotations

import ctypes

# From malloc.h; pictures are larger than this, and most else is smaller.
_M_MMAP_THRESHOLD = -3
_THRESHOLD_BYTES = 1 << 20


def give_back_large_blocks() -> bool:
    """Set glibc's threshold for the whole process, which must be pylfr's own; False with another C library."""
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES))
    except (OSError, AttributeError):
        return False
