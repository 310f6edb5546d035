"""The C library's heap: memory that is free goes back to the system. Only glibc can be told so."""

from __future__ import annotations

import ctypes
import gc

# From malloc.h; pictures are larger than this, and most else is smaller.
_M_MMAP_THRESHOLD = -3
_THRESHOLD_BYTES = 1 << 20


def give_back_large_blocks() -> bool:
    """Return decoded pictures, megabytes each, as soon as nobody holds them; False with another C library.

    glibc does that with blocks above a threshold that it raises to the size of whatever was freed; from then on
    pictures lie in the heaps of threads, which are seldom returned whole. Cameras that are opened again and again cost
    hundreds of megabytes that way. Here the threshold is fixed, for the whole process, which must be pylfr's own.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES))
    except (OSError, AttributeError):
        return False


def give_memory_back() -> None:
    """Return whatever is free now, so that what is resident is in use. Does nothing with another C library."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return
