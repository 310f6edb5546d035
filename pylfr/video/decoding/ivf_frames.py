"""Whether the frames of an IVF file are contiguous: FFmpeg ends silently where they are not.

Layout: a header of 32 bytes, then each frame behind its length and its time (libvpx, ``ivfdec.c``).
"""

from __future__ import annotations

import os

_HEAD_BYTES = 12
# No recorder fills so much with zeros, except behind its last frame.
_ZEROS_BYTES = 1 << 16


def damage_of_ivf(descriptor: int) -> str | None:
    """What is wrong with it, in words; None where nothing is, or it is no IVF file."""
    head, size = os.pread(descriptor, 32, 0), os.fstat(descriptor).st_size
    if head[:4] != b"DKIF" or len(head) < 32:
        return None
    at, time = int.from_bytes(head[6:8], "little"), -1
    while at < size:
        frame = os.pread(descriptor, _HEAD_BYTES, at)
        if not any(frame) and not any(os.pread(descriptor, _ZEROS_BYTES, at)):
            return None  # the file was allocated larger than its recording
        length, now = int.from_bytes(frame[:4], "little"), int.from_bytes(frame[4:], "little")
        if len(frame) < _HEAD_BYTES or at + _HEAD_BYTES + length > size:
            return f"it ends in the middle of a frame, from byte {at:,} on"
        if not time < now < time + (1 << 31):
            return f"its frames do not follow one another from byte {at:,} on"
        at, time = at + _HEAD_BYTES + length, now
    return None
