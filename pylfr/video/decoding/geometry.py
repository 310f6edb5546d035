"""How a decoded picture lies: turned, mirrored, or with pixels that are not square."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import numpy as np
from av.sidedata.sidedata import SideData, SideDataContainer, Type
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pylfr.types import UInt8
from pylfr.video.decoding.image_io import MAX_PIXELS, MAX_SIDE_PX

SQUARE = Fraction(1)

# Aspects beyond this are tags that nobody set; below the least no face changes its shape.
_MOST_ASPECT = 8
_LEAST_DIFFERENCE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """What makes a picture upright: mirror it left to right where ``mirrored``, then turn it clockwise."""

    quarter_turns: int = 0
    mirrored: bool = False

    def turned(self, degrees: int) -> Orientation:
        """The same, turned by so many degrees more, clockwise."""
        return Orientation(quarter_turns=(self.quarter_turns + degrees // 90) % 4, mirrored=self.mirrored)

    def apply(self, plane: UInt8) -> UInt8:
        """The upright plane, uint8 [H, W] or [H, W, C]: a copy, or ``plane`` itself where nothing is to be done."""
        if self.mirrored:
            plane = plane[:, ::-1]
        if self.quarter_turns:
            plane = np.rot90(plane, -self.quarter_turns)
        return np.ascontiguousarray(plane) if self.mirrored or self.quarter_turns else plane

    def __str__(self) -> str:
        words = ["mirrored"] if self.mirrored else []
        words += [f"turned by {90 * self.quarter_turns} degrees"] if self.quarter_turns else []
        return " and ".join(words) or "upright"


UPRIGHT = Orientation()


def side_data_of(picture: VideoFrame) -> Iterable[SideData]:
    """The side data of ``picture``, without a reference cycle."""
    # `picture.side_data` would keep picture and memory alive until garbage is collected.
    # Whatever its stub says, this takes a picture, and iterating over it gives its items.
    return cast("Iterable[SideData]", SideDataContainer(picture))  # type: ignore[call-arg]


def orientation_of(side_data: Iterable[SideData]) -> Orientation:
    """What the display matrix of a picture asks for, to the nearest quarter turn."""
    found = [each for each in side_data if each.type is Type.DISPLAYMATRIX]
    if not found:
        return UPRIGHT
    matrix = np.frombuffer(bytes(found[0]), np.int32)
    a, b, c, d = (int(each) for each in matrix[[0, 1, 3, 4]])
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return Orientation(quarter_turns=round(math.degrees(math.atan2(b, a)) / 90) % 4, mirrored=mirrored)


def aspect_of(stream: VideoStream) -> Fraction:
    """Width over height of one pixel, as the container or the codec tags it; 1 where neither does so credibly."""
    for tagged in (stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio):
        if tagged and Fraction(1, _MOST_ASPECT) <= tagged <= _MOST_ASPECT:
            return Fraction(tagged)
    return SQUARE


def square_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The size in square pixels: what is narrow becomes wider, what is flat becomes higher; nothing is thrown away."""
    if aspect is SQUARE or abs(float(aspect) - 1) < _LEAST_DIFFERENCE:
        return width, height
    wide, high = (width * aspect, height) if aspect > 1 else (width, height / aspect)
    size = _even(float(wide)), _even(float(high))
    return size if max(size) <= MAX_SIDE_PX and size[0] * size[1] <= MAX_PIXELS else (width, height)


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))
