"""Pictures on a device: each batch is uploaded once, or is on the device already."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from pylfr import ops
from pylfr.types import Frame

# One batch is recognised while the next one is detected.
_BATCHES_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Uploaded:
    frames: tuple[Frame, ...]
    pictures: ops.Pictures

    def are(self, frames: Sequence[Frame]) -> bool:
        return len(frames) == len(self.frames) and all(map(_is_same, frames, self.frames))


class Uploads:
    """The pictures of the two newest batches on the device, each uploaded once for all stages.

    ``turn`` orders the threads that share a device's stages: whoever uses pictures, a staging or a network holds it
    until its work is queued, and, where nothing else keeps the pictures, until it is done.
    """

    def __init__(self, stream: ops.Stream) -> None:
        self.turn = threading.RLock()
        self._staging = ops.Staging(stream)
        self._newest: deque[_Uploaded] = deque(maxlen=_BATCHES_AT_ONCE)

    @property
    def stream(self) -> ops.Stream:
        return self._staging.stream

    def of(self, frames: Sequence[Frame]) -> ops.Pictures:
        """The pictures of ``frames``. Those of the batch before the last are released."""
        with self.turn:
            for each in self._newest:
                if each.are(frames):
                    return each.pictures
            if len(self._newest) == _BATCHES_AT_ONCE:
                # Before the next ones come, so that they can have its memory.
                self._newest.popleft()
            pictures = ops.upload(frames, self._staging)
            self._newest.append(_Uploaded(frames=tuple(frames), pictures=pictures))
            return pictures


def _is_same(one: Frame, other: Frame) -> bool:
    return one is other
