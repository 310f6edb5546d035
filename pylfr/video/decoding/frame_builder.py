"""From a decoded picture to a ``Frame``: the decoder's own memory as read-only views, nothing copied."""

from __future__ import annotations

import logging
from datetime import datetime
from fractions import Fraction

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane

from pylfr.types import ColourMatrix, Frame, Layout, UInt8
from pylfr.video.decoding.deinterlacing import is_combed, without_second_field
from pylfr.video.decoding.geometry import SQUARE, UPRIGHT, Orientation, orientation_of, side_data_of, square_size
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions

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

    def __init__(self, camera: str, options: PictureOptions = AS_SENT) -> None:
        self._camera = camera
        self._options = options
        self._orientation = UPRIGHT
        self._aspect = SQUARE
        self._is_interlaced = False
        self.converted = 0

    def build(
        self, picture: VideoFrame, *, sequence: int, captured_at: datetime, sample_aspect: Fraction = SQUARE
    ) -> Frame:
        """The frame of ``picture``, upright and with square pixels.

        4:2:0 of 8 bits is not copied; other formats, turned and mirrored pictures and pixels that are not square are.
        ``sample_aspect`` is what the stream says of its pixels.
        """
        name = picture.format.name
        # A conversion keeps neither the colour tags nor the display matrix.
        source = picture
        if picture.interlaced_frame:
            picture = self._deinterlaced(picture)
            name = picture.format.name
        aspect = self._options.sample_aspect or sample_aspect
        size = square_size(picture.width, picture.height, aspect)
        if size != (picture.width, picture.height):
            self._note_aspect(aspect, size)
        if name not in _LAYOUTS or size != (picture.width, picture.height):
            picture = self._convert(picture, size)
        layout = _LAYOUTS[picture.format.name]
        planes = tuple(_view(plane, layout, index) for index, plane in enumerate(picture.planes))
        orientation = orientation_of(side_data_of(source)).turned(self._options.rotate)
        self._note_orientation(orientation)
        planes = tuple(orientation.apply(plane) for plane in planes)
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

    def _convert(self, picture: VideoFrame, size: tuple[int, int]) -> VideoFrame:
        """The picture in that size as 4:2:0, or as RGB where it has no colour differences; logged once a camera."""
        name = picture.format.name
        width, height = size
        if name in _LAYOUTS:
            wanted = name
        elif not _has_colour_differences(picture):
            wanted = "rgb24"
        else:
            wanted = "yuv420p"
        if not self.converted and wanted != name:
            log.warning(
                "camera %s sends %s pictures: every analysed frame is converted to %s", self._camera, name, wanted
            )
        self.converted += 1
        if wanted == "rgb24":
            return picture.reformat(width, height, format="rgb24", interpolation="BILINEAR")
        colour_range = picture.color_range
        return picture.reformat(
            width,
            height,
            format=wanted,
            src_color_range=colour_range,
            dst_color_range=colour_range,
            interpolation="BILINEAR",
        )

    def _deinterlaced(self, picture: VideoFrame) -> VideoFrame:
        """One field of the picture at its full size; the picture itself where both show one moment."""
        if not _has_colour_differences(picture):
            return picture
        if picture.format.name not in ("yuv420p", "yuvj420p"):
            picture = picture.reformat(format="yuv420p")
        planes = [_view(plane, "i420", index) for index, plane in enumerate(picture.planes)]
        if not is_combed(planes[0]):
            return picture
        if not self._is_interlaced:
            self._is_interlaced = True
            log.warning("camera %s sends interlaced pictures: one field of each is analysed", self._camera)
        made = VideoFrame(picture.width, picture.height, picture.format.name)
        for plane, into in zip(planes, made.planes, strict=True):
            rows = np.frombuffer(memoryview(into), np.uint8).reshape(-1, abs(into.line_size))
            rows[: into.height, : into.width] = without_second_field(plane)
        return made

    def _note_aspect(self, aspect: Fraction, size: tuple[int, int]) -> None:
        if aspect != self._aspect:
            self._aspect = aspect
            log.warning(
                "camera %s has pixels of %s:%s: every analysed frame is scaled to %sx%s",
                self._camera, aspect.numerator, aspect.denominator, *size,
            )  # fmt: skip

    def _note_orientation(self, orientation: Orientation) -> None:
        if orientation != self._orientation:
            self._orientation = orientation
            log.warning("camera %s: its pictures are %s before they are analysed", self._camera, orientation)


def _has_colour_differences(picture: VideoFrame) -> bool:
    return not (picture.format.is_rgb or picture.format.name.startswith(("gray", "pal", "mono", "ya")))


def colour_of(picture: VideoFrame) -> tuple[ColourMatrix, bool]:
    """The picture's colour matrix, and whether its values use the full range."""
    untagged: ColourMatrix = "bt709" if picture.height >= _BT709_HEIGHT else "bt601"
    return _MATRICES.get(int(picture.colorspace), untagged), int(picture.color_range) == _FULL_RANGE


def _view(plane: VideoPlane, layout: Layout, index: int) -> UInt8:
    """A read-only view of the plane's pixels; rows keep the decoder's padding."""
    values = 3 if layout == "rgb" else 2 if layout == "nv12" and index == 1 else 1
    inner = () if values == 1 else (values,)
    shape = plane.height, plane.width, *inner
    strides = abs(plane.line_size), values, *(1 for _ in inner)
    # Made at once: views of views cost as much as to decode a small picture.
    view: UInt8 = np.ndarray(shape, np.uint8, memoryview(plane), 0, strides)
    view.flags.writeable = False
    return view


def reason_of(error: Exception) -> str:
    """Why FFmpeg or the system failed, without the address that FFmpeg's own message repeats."""
    if isinstance(error, av.error.FFmpegError | OSError):
        return str(error.strerror or type(error).__name__)
    return type(error).__name__
