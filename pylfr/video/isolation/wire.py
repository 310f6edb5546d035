"""What the engine and a decoding process say to each other: JSON messages, checked before they are believed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pylfr.types import ColourMatrix, Layout
from pylfr.video.decoding.image_io import MAX_PIXELS, MAX_SIDE_PX

MESSAGE_BYTES = 16_384
TEXT_LENGTH = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a decoder is to do with the file that comes with it."""

    kind: Literal["image", "images", "check", "video"]
    name: str
    camera: str = ""
    loop: bool = False
    threads: int | Literal["auto"] = 1
    rate_hz: float | None = None
    expect: str = ""
    picture: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureShape:
    """The layout and size of a picture that is about to come, checked."""

    layout: Layout
    width: int
    height: int
    matrix: ColourMatrix
    full_range: bool

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> PictureShape:
        """Raises ``ValueError`` for anything that is no picture of a size that is taken."""
        width, height = message.get("width"), message.get("height")
        if not isinstance(width, int) or not isinstance(height, int):
            raise ValueError("a picture without a size")
        if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX and width * height <= MAX_PIXELS):
            raise ValueError(f"a picture of {width}x{height}")
        layout: Layout | None = message.get("layout")
        matrix: ColourMatrix | None = message.get("matrix")
        if layout is None or layout not in get_args(Layout) or matrix is None or matrix not in get_args(ColourMatrix):
            raise ValueError("a picture of an unknown kind")
        return cls(
            layout=layout, width=width, height=height, matrix=matrix, full_range=message.get("full_range") is True
        )

    def plane_shapes(self) -> tuple[tuple[int, ...], ...]:
        half = ((self.height + 1) // 2, (self.width + 1) // 2)
        match self.layout:
            case "i420":
                return (self.height, self.width), half, half
            case "nv12":
                return (self.height, self.width), (*half, 2)
            case "rgb":
                return ((self.height, self.width, 3),)


def parse_message(content: bytes) -> Mapping[str, Any]:
    """The message in ``content``. Raises ``ValueError`` unless it is an object that says what it ``asks``."""
    try:
        message = json.loads(content)
    except RecursionError as error:
        raise ValueError("a message is nested too deep") from error
    if not isinstance(message, dict) or not isinstance(message.get("asks"), str):
        raise ValueError("a message must be an object that says what it asks")
    return message


def plain(text: object) -> str:
    """A short text without control characters, which could forge lines of a log."""
    return "".join(each if each.isprintable() else " " for each in str(text)[:TEXT_LENGTH])
