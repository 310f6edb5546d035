"""Clips and containers for those who test how packets are read."""

from __future__ import annotations

import io

import av
import pytest
from av.container import InputContainer
from av.video.stream import VideoStream

from pylfr.ops import DueTime
from pylfr.video.decoding import undue_packets
from pylfr.video.decoding.interruption import Closing
from pylfr.video.decoding.undue_packets import PacketReader
from tests.video.clips import picture_of

FRAMES = 60
NEVER = float("inf")
LONG_S = 60.0

needs_known_pyav = pytest.mark.skipif(
    undue_packets._calls() is None, reason=f"PyAV {av.__version__} is not known: it reads every packet by itself"
)


def clip(bframes: int = 0) -> bytes:
    content = io.BytesIO()
    with av.open(content, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": f"bframes={bframes}:keyint=20"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture_of(number, 96, 64), "rgb24")))
        container.mux(stream.encode())
    return content.getvalue()


def opened(content: bytes | io.RawIOBase | str, timeout_s: float = LONG_S) -> tuple[InputContainer, VideoStream]:
    source = io.BytesIO(content) if isinstance(content, bytes) else content
    container = av.open(source, "r", format="mpegts", timeout=(LONG_S, timeout_s))
    stream = container.streams.video[0]
    stream.codec_context.open()
    return container, stream


def reader_of(
    container: InputContainer, stream: VideoStream, due: DueTime | None, closing: Closing | None = None
) -> PacketReader:
    return PacketReader(container, stream, due=due, interruption=closing.interruption if closing is not None else None)


def due_at(at_s: float) -> DueTime:
    due = DueTime()
    due.set(at_s)
    return due
