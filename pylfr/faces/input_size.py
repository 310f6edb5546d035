"""How large a detector's input is: a long side that is given, or as large as the smallest face needs that is sought."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pylfr.errors import ModelError
from pylfr.models.manifest import DetectTable, ModelManifest
from pylfr.types import Frame

# No input is smaller: below it a detector has next to no cells.
_LEAST_PX = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectSize:
    """The size of a detector's input, in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSides:
    """The long side of a detector's input for a picture: ``side_px``, or what its smallest face needs.

    A face ``smallest_face_px`` wide in the picture, or in the zone that is cut from it, is ``face_px`` wide in the
    input. No picture is enlarged for it.
    """

    side_px: int
    smallest_face_px: float | None = None
    face_px: float = 0.0

    def of(self, frame: Frame) -> int:
        """The long side for this frame: its own size decides, and nothing that comes with it."""
        if self.smallest_face_px is None:
            return self.side_px
        long_px = max(frame.width, frame.height)
        return min(max(_LEAST_PX, math.ceil(long_px * self.face_px / self.smallest_face_px)), max(_LEAST_PX, long_px))


def detect_size(frames: Sequence[Frame], *, side_px: int, multiple_of: int) -> DetectSize:
    """The smallest network input that holds every frame scaled to a long side of ``side_px``."""

    def up(pixels: float) -> int:
        return max(multiple_of, -(-round(pixels) // multiple_of) * multiple_of)

    width = max(side_px * frame.width / max(frame.width, frame.height) for frame in frames)
    height = max(side_px * frame.height / max(frame.width, frame.height) for frame in frames)
    return DetectSize(width=up(width), height=up(height))


def input_size(table: DetectTable, frames: Sequence[Frame], *, side_px: int) -> DetectSize:
    """A detector's input size for these frames: its fixed size, or the smallest that holds them all."""
    if table.fixed_size is not None:
        width, height = table.fixed_size
        return DetectSize(width=width, height=height)
    return detect_size(frames, side_px=side_px, multiple_of=table.multiple_of)


def input_sides(manifest: ModelManifest, *, side_px: int | None, smallest_face_px: float | None = None) -> InputSides:
    """The long sides that are asked for, or the manifest's.

    Raises ``ModelError`` for a side that is too small, for faces smaller than the network finds, or where its input has
    one size.
    """
    table = manifest.detection
    side = table.side_px if side_px is None else side_px
    if side < table.multiple_of:
        raise ModelError(f"side_px must be at least {table.multiple_of} for {manifest.name}, got {side}")
    if smallest_face_px is not None:
        if side_px is not None:
            raise ModelError("give either side_px or smallest_face_px: each says how large the detector's input is")
        if table.fixed_size is not None:
            raise ModelError(f"{manifest.name} has an input of one size: leave smallest_face_px out")
        if smallest_face_px < table.face_px:
            raise ModelError(
                f"smallest_face_px must be at least {table.face_px}, the smallest face that {manifest.name} finds, got "
                f"{smallest_face_px:g}"
            )
    return InputSides(side_px=side, smallest_face_px=smallest_face_px, face_px=table.face_px)
