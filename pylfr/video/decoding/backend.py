"""What decodes a camera's pictures, and what a source asks of it. The CPU is asked for by ``ON_CPU``."""

from __future__ import annotations

import contextlib
from datetime import datetime
from fractions import Fraction
from typing import Protocol

from av.codec.hwaccel import HWAccel
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from pylfr.errors import MediaError
from pylfr.types import Frame
from pylfr.video.decoding.frame_builder import FrameBuilder
from pylfr.video.decoding.geometry import SQUARE
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions


class Builder(Protocol):
    """Turns one camera's decoded pictures into frames."""

    def build(
        self, picture: VideoFrame, *, sequence: int, captured_at: datetime, sample_aspect: Fraction = SQUARE
    ) -> Frame: ...


class Decoding(Protocol):
    """Decodes a camera's pictures: ``OnCpu`` or ``pylfr.video.decoding.nvdec.Nvdec``. One serves many cameras."""

    @property
    def name(self) -> str: ...

    def accelerator(self) -> HWAccel | None:
        """What ``av.open`` is given, on the thread that decodes."""
        ...

    def builder(self, camera: str, options: PictureOptions = AS_SENT) -> Builder:
        """What makes frames of its pictures."""
        ...

    def accept(self, context: VideoCodecContext, camera: str) -> None:
        """Raises ``MediaError`` where the stream was opened by another decoder."""
        ...

    def refusing(self, camera: str) -> contextlib.AbstractContextManager[None]:
        """Raises ``MediaError`` in place of errors that say that the decoder cannot be had for this stream."""
        ...

    def nothing(self, camera: str) -> MediaError | None:
        """The error where key frames come and no pictures; None where that is waited out."""
        ...


class OnCpu:
    """A ``Decoding`` by FFmpeg's own decoders."""

    name = "CPU"

    def accelerator(self) -> None:
        return None

    def builder(self, camera: str, options: PictureOptions = AS_SENT) -> FrameBuilder:
        return FrameBuilder(camera, options)

    def accept(self, context: VideoCodecContext, camera: str) -> None:
        pass

    def refusing(self, camera: str) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002
        return contextlib.nullcontext()

    def nothing(self, camera: str) -> None:  # noqa: ARG002
        return None


ON_CPU = OnCpu()
