"""From a decoded picture to a ``Frame``: the decoder's own memory as read-only views, nothing copied."""

from __future__ import annotations

import logging
from datetime import datetime

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane

from pylfr.types import ColourMatrix, Frame, Layout, UInt8

log = logging.getLogger(__name__)

_LAYOUTS: dict[str, Layout] = {"yuv420p": "i420", "yuvj420p": "i420", "nv12": "nv12", "rgb24": "rgb"}

# AVCOL_SPC_* and AVCOL_RANGE_* of FFmpeg's libavutil/pixfmt.h
_MATRICES: dict[int, ColourMatrix] = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020", 10: "bt2020"}
_FULL_RANGE = 2

# From this height on a picture without a colour tag is taken for BT.709, below for BT.601, as players do.
_BT709_HEIGHT = 720


class FrameBuilder:
    """Turns one camera's decoded pictures into frames.

    The views keep the picture alive, and FFmpeg reuses a buffer only when nobody holds it. They are read-only,
    because the decoder still predicts later pictures from that memory.
    """

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self.converted = 0

    def build(self, picture: VideoFrame, *, sequence: int, captured_at: datetime) -> Frame:
        """The frame of ``picture``: 4:2:0 of 8 bits without a copy; anything else and turned pictures copied."""
        name = picture.format.name
        # A conversion keeps neither the colour tags nor the rotation.
        source = picture
        if name not in _LAYOUTS:
            picture = self._convert(picture)
        layout = _LAYOUTS[picture.format.name]
        planes = tuple(_view(plane, layout, index) for index, plane in enumerate(picture.planes))
        quarter_turns = round(source.rotation / 90) % 4
        if quarter_turns:
            planes = tuple(np.ascontiguousarray(np.rot90(plane, quarter_turns)) for plane in planes)
        matrix, full_range = colour_of(source)
        return Frame(
            camera=self._camera,
            sequence=sequence,
            captured_at=captured_at,
            planes=planes,
            layout=layout,
            matrix=matrix,
            full_range=full_range or name.startswith("yuvj"),
        )

    def _convert(self, picture: VideoFrame) -> VideoFrame:
        """The picture as 4:2:0, or as RGB where it has no colour differences; said once a camera."""
        name = picture.format.name
        wanted = "rgb24" if picture.format.is_rgb or name.startswith(("gray", "pal", "mono", "ya")) else "yuv420p"
        if not self.converted:
            log.warning("camera %s sends %s pictures: each frame in use is converted to %s", self._camera, name, wanted)
        self.converted += 1
        if wanted == "rgb24":
            return picture.reformat(format="rgb24")
        colour_range = picture.color_range
        return picture.reformat(format="yuv420p", src_color_range=colour_range, dst_color_range=colour_range)


def colour_of(picture: VideoFrame) -> tuple[ColourMatrix, bool]:
    """The picture's colour matrix, and whether its values use the full range."""
    untagged: ColourMatrix = "bt709" if picture.height >= _BT709_HEIGHT else "bt601"
    return _MATRICES.get(int(picture.colorspace), untagged), int(picture.color_range) == _FULL_RANGE


def _view(plane: VideoPlane, layout: Layout, index: int) -> UInt8:
    """A read-only view of the plane's pixels; rows keep the decoder's padding."""
    rows: UInt8 = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, abs(plane.line_size))[: plane.height]
    rows.flags.writeable = False
    if layout == "rgb":
        return rows[:, : 3 * plane.width].reshape(plane.height, plane.width, 3)
    if layout == "nv12" and index == 1:
        return rows[:, : 2 * plane.width].reshape(plane.height, plane.width, 2)
    return rows[:, : plane.width]


def reason_of(error: Exception) -> str:
    """Why FFmpeg failed, without the address that its own message repeats."""
    if isinstance(error, av.error.FFmpegError):
        return str(error.strerror or type(error).__name__)
    return type(error).__name__
