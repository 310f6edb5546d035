"""A recorded video as a camera: its frames at its own times, and an error where it ends too early."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pylfr.errors import MediaError
from pylfr.types import Frame
from pylfr.video.decoding.backend import ON_CPU, Decoding
from pylfr.video.decoding.expected_stream import ExpectedStream, codec_of
from pylfr.video.decoding.frame_builder import reason_of
from pylfr.video.decoding.frame_skipping import FrameSkipper
from pylfr.video.decoding.image_io import MAX_PIXELS
from pylfr.video.sources.base import CameraSource
from pylfr.video.sources.observer import CameraEvent, FrameObserver

log = logging.getLogger(__name__)

Pace = Literal["as-fast-as-possible", "real-time"]

# How far a whole recording may end before its announced end: muxers round, and some leave out the last frame's length.
_SLACK_FRAMES = 3
_SLACK_S = 0.2
# Containers that announce only one duration for all streams may mean a longer sound track.
_SHARED_SLACK_S = 2.0


# What recorders write and this FFmpeg reads. It knows some four hundred more, of which a hostile file could pick.
CONTAINERS = (
    *("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpegts", "mpeg", "h264", "hevc", "mjpeg"),
    *("ivf", "flv", "asf", "mxf", "dhav", "ogg"),
)
CODECS = (
    *("h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "libvpx", "libvpx-vp9", "mpeg4", "mpeg2video", "mpeg1video"),
    *("mjpeg", "ffv1", "rawvideo", "prores", "theora"),
)
MAX_DURATION_S = 31 * 86_400


def open_recording(path: Path) -> int:
    """A descriptor of the file, for reading; it is the caller's. Raises ``MediaError`` where it cannot be a video."""
    if not path.exists():
        raise MediaError(f"video {path} does not exist: check the path (looked in {Path.cwd()})")
    if path.is_dir():
        raise MediaError(f"video {path} must be a file, got a folder: name a file in it")
    if not path.is_file():
        raise MediaError(f"video {path} must be a file, got a pipe or a device: record it into a file first")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MediaError(f"video {path} cannot be read: {error.strerror}; check who may read it") from error
    if os.fstat(descriptor).st_size == 0:
        os.close(descriptor)
        raise MediaError(f"video {path} must be a recording, got a file of zero bytes: copy it again")
    return descriptor


class FileSource(CameraSource):
    """A recording. ``frames`` may be called again and starts over. Provenance by ``pylfr.video.open.open_file``."""

    def __init__(
        self,
        path: Path,
        *,
        camera: str,
        started_at: datetime,
        pace: Pace,
        loop: bool,
        threads: int | Literal["auto"],
        descriptor: int | None = None,
        decoding: Decoding = ON_CPU,
        expect: ExpectedStream | None = None,
    ) -> None:
        super().__init__(camera)
        self._path = path
        self._started_at = started_at
        self._pace = pace
        self._loop = loop
        self._threads = 0 if threads == "auto" else threads
        self._descriptor = descriptor
        self._decoding = decoding
        self._expect = expect

    def __repr__(self) -> str:
        return f"FileSource({str(self._path)!r}, camera={self._camera!r})"

    @property
    def decoder(self) -> str:
        """What decodes it: "CPU" or "NVDEC"."""
        return self._decoding.name

    @property
    def is_live(self) -> bool:
        """A recording played in real time comes whether or not anybody takes it."""
        return self._pace == "real-time"

    def watched(self, watch: FrameObserver) -> Iterator[Frame]:
        """Frames that are due, until the end. Raises ``MediaError`` after the last one of a damaged recording."""
        builder = self._decoding.builder(self._camera)
        sequence = 0
        offset_s = 0.0
        began = time.monotonic()
        while not self._closed.is_set():
            end_s = 0.0
            for picture, at_s, length_s, passed_over in self._pictures(watch, offset_s):
                due_s = offset_s + at_s
                end_s = max(end_s, at_s + length_s)
                if passed_over:
                    watch.passed_over(passed_over)
                    sequence += passed_over
                if picture is None:
                    break
                if self._pace == "real-time" and self._closed.wait(max(0.0, began + due_s - time.monotonic())):
                    return
                captured_at = self._started_at + timedelta(seconds=due_s)
                if watch.is_due(captured_at):
                    yield builder.build(picture, sequence=sequence, captured_at=captured_at)
                sequence += 1
                if self._closed.is_set():
                    return
            offset_s += end_s
            if not self._loop:
                watch.report(CameraEvent.now(self._camera, "ended", f"{self._path} after {sequence} frames"))
                return

    def check(self) -> None:
        """Open the recording and close it again. Raises ``MediaError`` where it is no video."""
        self._open()[0].close()

    def _open(self) -> tuple[InputContainer, VideoStream]:
        path = self._path
        descriptor = open_recording(path) if self._descriptor is None else self._descriptor
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            # Read by descriptor, and by nothing else: a playlist cannot lead to other files or to the network.
            with self._decoding.refusing(self._camera):
                container = av.open(
                    "fd:",
                    mode="r",
                    options={
                        "fd": str(descriptor),
                        "protocol_whitelist": "fd",
                        "format_whitelist": ",".join(CONTAINERS),
                        "codec_whitelist": ",".join(CODECS),
                    },
                    hwaccel=self._decoding.accelerator(),
                )
        except (av.error.FFmpegError, OSError) as error:
            size = os.fstat(descriptor).st_size
            raise MediaError(
                f"video {path} must be a recording that FFmpeg can read, got {size:,} bytes that are not "
                f"({reason_of(error)}): it is another kind of file, damaged, or cut off before its index was written"
            ) from error
        finally:
            # FFmpeg has a copy of its own.
            if self._descriptor is None:
                os.close(descriptor)
        try:
            return container, self._stream_of(container)
        except MediaError:
            container.close()
            raise

    def _stream_of(self, container: InputContainer) -> VideoStream:
        """The stream that is decoded. Raises ``MediaError`` unless it is of a kind and a size that are taken."""
        if not container.streams.video:
            raise MediaError(f"video {self._path} must have a video stream, got none: it holds sound or data only")
        stream = container.streams.video[0]
        # A stream of a kind that this FFmpeg does not know has no context at all.
        context: VideoCodecContext | None = stream.codec_context
        if context is None or context.codec.name not in CODECS:
            got = "an unknown one" if context is None else context.codec.name
            raise MediaError(f"video {self._path} must be coded as one of {', '.join(CODECS)}, got {got}: convert it")
        self._decoding.accept(context, self._camera)
        if stream.width * stream.height > MAX_PIXELS:
            raise MediaError(
                f"video {self._path} must have at most {MAX_PIXELS:,} pixels a picture, got "
                f"{stream.width}x{stream.height}: scale it down"
            )
        context.options = {"max_pixels": str(MAX_PIXELS)}
        context.thread_count = self._threads
        if self._threads != 1:
            stream.thread_type = "AUTO"
        return stream

    def _pictures(self, watch: FrameObserver, from_s: float) -> Iterator[tuple[VideoFrame | None, float, float, int]]:
        """Decoded pictures, each with its time from the first one, its length and how many were passed over before it.

        Times in seconds. In place of one more picture comes None where some were passed over at the end.
        """
        container, stream = self._open()
        with container:
            codec = codec_of(stream.codec_context)
            self._require_expected(codec, (stream.width, stream.height), watch)
            watch.report(CameraEvent.now(self._camera, "opened", str(self._path)))
            interval_s = 1.0 / float(stream.average_rate) if stream.average_rate else 0.04
            tick = stream.time_base or Fraction(1, av.time_base)
            ending = _Ending(self._decoding, self._camera)
            passing = FrameSkipper(stream, rate_hz=watch.rate_hz, from_s=from_s)
            first_s: float | None = None
            last_s = -interval_s
            end_s = 0.0
            for picture in ending.follow(container, stream, passing):
                self._require_expected(codec, (picture.width, picture.height), watch)
                if picture.pts is None:
                    at_s = last_s + interval_s
                else:
                    # Pictures flushed out of the decoder carry no time base of their own.
                    pts_s = float(picture.pts * tick)
                    first_s = pts_s if first_s is None else first_s
                    at_s = pts_s - first_s
                last_s = at_s
                length_s = float(picture.duration * tick) or interval_s
                end_s = max(end_s, at_s + length_s)
                if not abs(end_s) + abs(at_s) <= MAX_DURATION_S:
                    raise MediaError(
                        f"video {self._path} must last {MAX_DURATION_S // 86_400} days at most, got a picture at "
                        f"{at_s:.0f} s that lasts {length_s:.0f} s: cut it"
                    )
                passed_over = passing.passed_before(picture)
                ending.frames += passed_over
                yield picture, at_s, length_s, passed_over
            if passed_over := passing.passed_at_the_end():
                end_s += passed_over * interval_s
                ending.frames += passed_over
                yield None, end_s - interval_s, interval_s, passed_over
            self._check_ending(container, stream, ending, end_s, interval_s)

    def _require_expected(self, codec: str, size_px: tuple[int, int], watch: FrameObserver) -> None:
        """Report a stream that is not the expected one, and raise ``MediaError``."""
        difference = self._expect.difference(codec, size_px) if self._expect is not None else None
        if difference is not None:
            watch.report(CameraEvent.now(self._camera, "mismatched", difference))
            raise MediaError(f"video {self._path}: {difference}; have the camera authorised as it is, or mend it")

    def _check_ending(
        self, container: InputContainer, stream: VideoStream, ending: _Ending, end_s: float, interval_s: float
    ) -> None:
        """Raise ``MediaError`` unless the recording was whole."""
        announced_s, slack_s = 0.0, 0.0
        if stream.duration is not None:
            announced_s = float(stream.duration * (stream.time_base or 0))
            slack_s = max(_SLACK_FRAMES * interval_s, _SLACK_S)
        elif container.duration is not None:
            announced_s = container.duration / av.time_base
            slack_s = max(_SHARED_SLACK_S, 0.05 * announced_s)
        if ending.frames and not ending.trouble and end_s >= announced_s - slack_s:
            return
        expected = f"{announced_s:.1f} s" + (f" ({stream.frames} frames)" if stream.frames else "")
        trouble = f" ({ending.trouble})" if ending.trouble else ""
        raise MediaError(
            f"video {self._path} must hold {expected}, got {ending.frames} frames ({end_s:.1f} s){trouble}: "
            "it is cut off or damaged; copy it again, or go on with what it held"
        )


class _Ending:
    """Decodes to the end whatever happens on the way, and remembers how it went."""

    def __init__(self, decoding: Decoding, camera: str) -> None:
        self._decoding = decoding
        self._camera = camera
        self.frames = 0
        self.trouble = ""

    def follow(self, container: InputContainer, stream: VideoStream, passing: FrameSkipper) -> Iterator[VideoFrame]:
        for packet in self._packets(container, stream):
            passing.before(packet)
            try:
                with contextlib.nullcontext() if self.frames else self._decoding.refusing(self._camera):
                    pictures = stream.decode(packet)
            except EOFError:
                return
            except av.error.FFmpegError as error:
                self.trouble = self.trouble or reason_of(error)
                continue
            for picture in pictures:
                if not self.frames:
                    # What stands before the first key frame of a cut stream cannot be decoded, and is no damage.
                    self.trouble = ""
                self.frames += 1
                yield picture

    def _packets(self, container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream] | None]:
        """The packets, and None at the end: then the decoder gives the pictures that it still holds."""
        try:
            for packet in container.demux(stream):
                if packet.size:
                    yield packet
        except av.error.FFmpegError as error:
            self.trouble = self.trouble or reason_of(error)
        yield None
