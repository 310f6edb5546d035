"""One person's walk past the camera: where the head is, how large, how far it is turned, and when it can be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pylfr.types import Float32, UInt8

WIDTH, HEIGHT, RATE = 1920, 1080, 25

# Another photograph of the same person takes over this often.
_PHOTOGRAPH_S = 0.8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """A square picture around one face, uint8 [S, S, 3] RGB; ``box`` is the face in it, xyxy as shares of the side."""

    picture: UInt8
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walker:
    """Somebody who walks past: the truth's name, whether it is on the watchlist, and the pictures that are shown."""

    subject: str
    is_mated: bool
    heads: tuple[Head, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turning:
    """How a head turns: ``rest_deg`` to one side, and ``swing_deg`` more to either side, ``hz`` times a second."""

    rest_deg: float = 0.0
    swing_deg: float = 0.0
    hz: float = 0.0
    phase: float = 0.0

    def yaw_deg(self, second: float) -> float:
        return self.rest_deg + self.swing_deg * float(np.sin(2 * np.pi * (self.hz * second + self.phase)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walk:
    """``first`` and ``frames`` are the whole way from far to near; the head is in view from ``enters`` to ``leaves``.

    ``hidden`` is the part of that during which something stands in front of it. Frame numbers, the ends excluded.
    """

    walker: Walker
    sprites: tuple[Image.Image, ...]
    first: int
    frames: int
    enters: int
    leaves: int
    far_px: float
    near_px: float
    from_x: float
    drift_px: float
    bob_px: float
    gain: float
    occluded: tuple[float, float] | None
    hidden: tuple[int, int] = (0, 0)
    turning: Turning = Turning()
    softness_px: float = 0.0

    def is_in_view(self, number: int) -> bool:
        return self.enters <= number < self.leaves

    def is_hidden(self, number: int) -> bool:
        return self.hidden[0] <= number < self.hidden[1]

    def size_px(self, number: int) -> float:
        """The longer side of the face. At a steady pace size goes with one over the distance left."""
        gone = (number - self.first) / max(self.frames - 1, 1)
        return self.far_px / (1 - gone * (1 - self.far_px / self.near_px))

    def centre(self, number: int) -> tuple[float, float]:
        gone = (number - self.first) / max(self.frames - 1, 1)
        size = self.size_px(number)
        bob = self.bob_px * size / self.near_px * np.sin(2 * np.pi * 1.9 * number / RATE)
        return self.from_x + self.drift_px * gone, 240 + 1.7 * size + float(bob)

    def yaw_deg(self, number: int) -> float:
        return self.turning.yaw_deg((number - self.first) / RATE)

    def shown(self, number: int) -> int:
        """Which of the walker's photographs is shown."""
        return int((number - self.first) / RATE / _PHOTOGRAPH_S) % len(self.sprites)

    def place(self, number: int) -> tuple[int, int, int]:
        """Left and top of the painted picture, and its side, pixels."""
        face = self.walker.heads[self.shown(number)].box
        side = max(4, round(self.size_px(number) / max(face[2] - face[0], face[3] - face[1])))
        x, y = self.centre(number)
        return round(x - side / 2), round(y - side / 2), side

    def face(self, number: int) -> tuple[float, float, float, float]:
        """The face's box, xyxy pixels, as far as it is in the picture."""
        left, top, side = self.place(number)
        box = np.array(self.walker.heads[self.shown(number)].box) * side + np.array([left, top, left, top])
        x1, y1, x2, y2 = np.clip(box, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT]).round(1).tolist()
        return x1, y1, x2, y2


def cut_head(picture: UInt8, box: Float32, *, side_px: int = 224, margin: float = 1.9) -> Head:
    """The square around a face, ``margin`` times its longer side, grey where the picture ends; ``box`` float32 [4]."""
    x1, y1, x2, y2 = (float(each) for each in box)
    span = margin * max(x2 - x1, y2 - y1)
    left, top = (x1 + x2 - span) / 2, (y1 + y2 - span) / 2
    cut = Image.fromarray(picture).transform(
        (side_px, side_px),
        Image.Transform.EXTENT,
        (left, top, left + span, top + span),
        Image.Resampling.BILINEAR,
        fillcolor=(110, 110, 110),
    )
    return Head(
        picture=np.asarray(cut),
        box=((x1 - left) / span, (y1 - top) / span, (x2 - left) / span, (y2 - top) / span),
    )
