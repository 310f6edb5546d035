"""Recordings as FFmpeg opens them: by descriptor, only formats that recorders write, and the stream that is meant."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import SupportsInt, cast

import av
from av.container import InputContainer
from av.format import Flags
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from pylfr.errors import MediaError
from pylfr.video.decoding.backend import Decoding
from pylfr.video.decoding.file_kinds import kind_of_file
from pylfr.video.decoding.file_layout import FileSlice, Ranges
from pylfr.video.decoding.frame_builder import reason_of
from pylfr.video.decoding.image_io import MAX_PIXELS

# What recorders write and this FFmpeg reads. It knows some four hundred more, of which a hostile file could pick.
CONTAINERS = (
    *("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpegts", "mpeg", "h264", "hevc", "mjpeg"),
    *("ivf", "flv", "asf", "mxf", "dhav", "ogg", "m4v", "mpegvideo"),
)
CODECS = (
    *("h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "libvpx", "libvpx-vp9", "mpeg4", "mpeg2video", "mpeg1video"),
    *("mjpeg", "ffv1", "rawvideo", "prores", "theora"),
)

# Elementary streams, which carry no times of their own.
_RAW = frozenset({"h264", "hevc", "mjpeg", "mpjpeg", "m4v", "mpegvideo"})

# Whose packets say when their picture is shown. The others number packets in the order of decoding.
_PRESENTATION_TIMES = frozenset({"mov", "matroska", "mpegts", "mpeg", "flv", "ivf", "mxf", "ogg", "rtsp", "hls"})

_BYTE_STREAMS = frozenset({"mpegts", "mpeg", "h264", "hevc", "mpegvideo"})
_IN_ORDER = frozenset({"matroska", "flv", "avi"})

# Kinds that are read: what is wrong with such a file is not its kind.
_RECORDINGS = ("video", "MP4's family")
_LOOKED_AT = 512

_COVER = Disposition.attached_pic | Disposition.timed_thumbnails


def open_descriptor(path: Path) -> int:
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


def open_container(
    descriptor: int, *, name: str, camera: str, decoding: Decoding, part: Ranges | None = None
) -> InputContainer:
    """The recording in an open file, or in some ranges of its bytes. Raises ``MediaError`` where it cannot be read."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    settings = {
        "fd": str(descriptor),
        # Read by descriptor, and by nothing else: a playlist cannot lead to other files or to the network.
        "protocol_whitelist": "fd",
        "format_whitelist": ",".join(CONTAINERS),
        "codec_whitelist": ",".join(CODECS),
        # What somebody trimmed is in the file all the same.
        "ignore_editlist": "1",
    }
    file = "fd:" if part is None else FileSlice(descriptor, part)
    try:
        with decoding.refusing(camera):
            return av.open(file, mode="r", options=settings, metadata_errors="replace", hwaccel=decoding.accelerator())
    except (av.error.FFmpegError, OSError) as error:
        size, kind = os.fstat(descriptor).st_size, kind_of_file(os.pread(descriptor, _LOOKED_AT, 0))
        if kind is not None and not kind.endswith(_RECORDINGS):
            raise MediaError(
                f"video {name} must be a recording that FFmpeg can read, got {kind}: convert it "
                f"(`ffmpeg -i {Path(name).name} out.mp4`), or name another file"
            ) from error
        raise MediaError(
            f"video {name} must be a recording that FFmpeg can read, got {size:,} bytes that are not "
            f"({reason_of(error)}): it is another kind of file, damaged, or cut off before its index was written"
        ) from error


def choose_stream(container: InputContainer, *, name: str, wanted: int | None) -> VideoStream:
    """The stream ``wanted``, by FFmpeg's number, or the one that a player would show: never a cover picture.

    Raises ``MediaError`` where there is none.
    """
    streams = container.streams.video
    if not streams:
        raise MediaError(f"video {name} must have a video stream, got none: it holds sound or data only")
    if wanted is not None:
        for stream in streams:
            if stream.index == wanted:
                return stream
        raise MediaError(f"video {name} must have a video stream {wanted}, got {describe_streams(container)}")
    moving = [stream for stream in streams if not Disposition(stream.disposition) & _COVER] or list(streams)
    return max(moving, key=_preference)


def check_stream(stream: VideoStream, *, name: str, camera: str, decoding: Decoding) -> None:
    """Raises ``MediaError`` unless the stream's codec, size and decoder are accepted."""
    # A stream of a codec that this FFmpeg does not know has no context at all.
    context: VideoCodecContext | None = stream.codec_context
    if context is None or context.codec.name not in CODECS:
        got = "an unknown one" if context is None else context.codec.name
        raise MediaError(f"video {name} must be coded as one of {', '.join(CODECS)}, got {got}: convert it")
    decoding.accept(context, camera)
    if stream.width * stream.height > MAX_PIXELS:
        raise MediaError(
            f"video {name} must have at most {MAX_PIXELS:,} pixels a picture, got "
            f"{stream.width}x{stream.height}: scale it down"
        )
    context.options = {"max_pixels": str(MAX_PIXELS)}


def describe_streams(container: InputContainer) -> str:
    """Every video stream by its number: "0 (h264 640x480), 1 (h264 1920x1080, default)"."""
    return ", ".join(_describe(stream) for stream in container.streams.video)


def has_presentation_times(container: InputContainer) -> bool:
    """Whether its packets say when their pictures are shown, rather than in which order they are decoded."""
    return _is_one_of(_PRESENTATION_TIMES, container)


def is_raw(container: InputContainer) -> bool:
    """Whether it is an elementary stream, which carries no times."""
    return _is_one_of(_RAW, container)


def is_byte_stream(container: InputContainer) -> bool:
    """Whether its pictures lie behind start codes, as they were sent, rather than in a container's own frames."""
    return _is_one_of(_BYTE_STREAMS, container)


def are_bytes_in_order(container: InputContainer) -> bool:
    """Whether its packets follow one another in the file, and each says where it is."""
    return _is_one_of(_IN_ORDER, container)


def _is_one_of(formats: frozenset[str], container: InputContainer) -> bool:
    """Whether FFmpeg's name for the format, which may be several with commas, has one of these."""
    return not formats.isdisjoint(container.format.name.split(","))


def clock_may_jump(container: InputContainer) -> bool:
    """Whether the format lets its clock jump within a stream (MPEG transport and program streams)."""
    return bool(int(cast("SupportsInt", container.format.flags)) & cast("int", Flags.ts_discont.value))


def stream_duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    """The duration that the container announces for this very stream, in seconds; None where it announces none."""
    if clock_may_jump(container):
        # FFmpeg estimates the duration of these from the last time stamps: nothing was announced.
        return None
    if "matroska" in container.format.name:
        # What FFmpeg gives as the duration of one stream here is that of the file.
        return _matroska_duration_s(stream)
    if stream.duration is not None:
        return float(stream.duration * (stream.time_base or 0))
    return None


def _matroska_duration_s(stream: VideoStream) -> float | None:
    for key, value in stream.metadata.items():
        if key.upper().split("-")[0] == "DURATION":
            try:
                hours, minutes, seconds = value.split(":")
                return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
            except ValueError:
                return None
    return None


def _preference(stream: VideoStream) -> tuple[bool, float, int, int]:
    """What makes a player prefer a stream: the recorder's word, its length, its size, and at last its place."""
    duration_s = float(stream.duration * (stream.time_base or 0)) if stream.duration is not None else None
    length_s = _matroska_duration_s(stream) or duration_s or 0.0
    is_default = bool(Disposition(stream.disposition) & Disposition.default)
    # A stream of a codec that this FFmpeg does not know has no size.
    pixels = stream.width * stream.height if _context_of(stream) is not None else 0
    return is_default, round(length_s) if math.isfinite(length_s) else 0, pixels, -stream.index


def _context_of(stream: VideoStream) -> VideoCodecContext | None:
    return stream.codec_context


def _describe(stream: VideoStream) -> str:
    context: VideoCodecContext | None = stream.codec_context
    codec = "unknown codec" if context is None else str(context.codec.canonical_name)
    flags = [
        name
        for name, flag in (("default", Disposition.default), ("cover picture", _COVER))
        if Disposition(stream.disposition) & flag
    ]
    width, height = _size(stream)
    return f"{stream.index} ({', '.join([f'{codec} {width}x{height}', *flags])})"


def _size(stream: VideoStream) -> tuple[int, int]:
    """Width and height; of a codec that this FFmpeg does not know, nothing is known."""
    context: VideoCodecContext | None = stream.codec_context
    return (0, 0) if context is None else (context.width, context.height)
