"""The processor time that decoding alone takes."""

from __future__ import annotations

import time
from pathlib import Path

import av
import numpy as np

from pylfr.errors import MediaError


def decode_floor(video: Path, *, frames: int = 150) -> float:
    """Milliseconds of processor time to decode one frame of ``video``, and nothing else. Raises ``MediaError``."""
    taken: list[float] = []
    try:
        with av.open(str(video)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            before = time.thread_time()
            for _ in container.decode(video=0):
                now = time.thread_time()
                taken.append((now - before) * 1000)
                before = now
                if len(taken) == frames:
                    break
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise MediaError(f"video {video} cannot be decoded ({error}): give another one") from error
    if not taken:
        raise MediaError(f"video {video} holds no frame: give another one")
    return float(np.mean(taken))
