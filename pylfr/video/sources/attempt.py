"""One connection to a live camera, from its opening to the reason of its end."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pylfr.errors import MediaError
from pylfr.video.decoding.backend import Decoding
from pylfr.video.decoding.container import choose_stream, describe_streams, is_raw
from pylfr.video.decoding.expected_stream import ExpectedStream, codec_of, described
from pylfr.video.decoding.frame_builder import reason_of
from pylfr.video.decoding.frame_skipping import FrameSkipper
from pylfr.video.decoding.interruption import Closing, interrupted_by
from pylfr.video.decoding.latency_catchup import LatencyCatchup
from pylfr.video.decoding.picture_options import PictureOptions
from pylfr.video.decoding.undue_packets import PacketReader, Passed
from pylfr.video.sources.observer import CameraEvent, EventKind, FrameObserver
from pylfr.video.sources.replay_detection import StampOrder

# A decoder that makes nothing of so many key frames cannot decode them: packets keep coming, so no read times out.
_KEYS_WITHOUT_A_PICTURE = 5

# HLS recommends segments of six seconds, and three of them are read ahead.
_LONGEST_SEGMENT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectPolicy:
    """How long a live camera is waited for, in seconds.

    ``open_s`` until it answers; ``read_s`` for the next picture, then it counts as frozen; between attempts from
    ``first_retry_s``, doubled each time, to ``longest_retry_s``, shortened by up to a half at random so that
    cameras which failed together do not come back together.
    """

    open_s: float = 5.0
    read_s: float = 5.0
    first_retry_s: float = 0.5
    longest_retry_s: float = 30.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0 s, got {getattr(self, name)}")

    def retry_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row, 1 or more."""
        longest = min(self.longest_retry_s, self.first_retry_s * 2.0 ** min(failures - 1, 30))
        return longest * random.uniform(0.5, 1.0)


class CameraRefusedError(Exception):
    """The camera, or what answers in its place, must not be used as it is; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """How one live camera is read; ``threads`` is as in FFmpeg, 0 for as many as there are cores."""

    camera: str
    patience: ReconnectPolicy
    threads: int
    decoding: Decoding
    picture: PictureOptions
    expect: ExpectedStream | None


class _NoPictureError(Exception):
    """Packets come and no picture for too long."""


class Attempt:
    """One connection: its pictures until it breaks, each with how many were skipped before it, and how it broke."""

    def __init__(self, settings: LiveSettings, closed: Closing, watch: FrameObserver) -> None:
        self._settings = settings
        self._closed = closed
        self._watch = watch
        self._stamps = StampOrder()

    def pictures(
        self, connect: Callable[[], InputContainer]
    ) -> Generator[tuple[VideoFrame, int, VideoStream], None, None]:
        try:
            container = connect()
        except CameraRefusedError as error:
            self._report("refused", str(error))
            return
        except (av.error.FFmpegError, OSError) as error:
            # FFmpeg's own message repeats the address with its password: only the reason is passed on.
            self._report_failure(error, f"no answer for {self._settings.patience.open_s:g} s")
            return
        with self._closing(container):
            stream = self._stream(container)
            if stream is None:
                return
            codec, size = codec_of(stream.codec_context), (stream.width, stream.height)
            if self._is_another(codec, size):
                return
            self._report("opened", described(codec, size))
            tick_s = float(stream.time_base or 0)  # once: fractions cost as much as to demultiplex a packet
            # Segments come many at once: what is wanted of them is not known by the time.
            due = None if container.format.name == "hls" else self._watch.due
            reader = PacketReader(container, stream, due=due, interruption=self._closed.interruption)
            try:
                for picture, skipped in self._decode(container, stream, tick_s, reader):
                    # The size may change in the middle of a stream.
                    if (picture.width, picture.height) != size:
                        size = picture.width, picture.height
                        if self._is_another(codec, size):
                            return
                    self._note_time(picture, tick_s)
                    yield picture, skipped, stream
            except _NoPictureError as error:
                self._report("frozen", str(error))
            except (av.error.FFmpegError, OSError) as error:
                self._report_failure(error, f"no picture for {self._settings.patience.read_s:g} s")
            else:
                if not self._closed.is_set():
                    self._report("disconnected", "the other side ended the stream")
            finally:
                if passed := reader.take_passed():
                    self._watch.skipped(passed)

    @contextlib.contextmanager
    def _closing(self, container: InputContainer) -> Iterator[None]:
        with interrupted_by(self._closed):
            try:
                yield
            finally:
                container.close()

    def _stream(self, container: InputContainer) -> VideoStream | None:
        """The stream that is decoded; None, reported, where there is none."""
        try:
            stream = choose_stream(container, name="", wanted=self._settings.picture.stream)
        except MediaError:
            offered = describe_streams(container)
            self._report("disconnected", f"it offers {offered}" if offered else "it offers no video stream")
            return None
        # A codec that this FFmpeg does not know has no context at all.
        if getattr(stream, "codec_context", None) is None:
            self._report("disconnected", f"it sends a codec that cannot be decoded: {describe_streams(container)}")
            return None
        self._settings.decoding.accept(stream.codec_context, self._settings.camera)
        stream.codec_context.options = {**stream.codec_context.options, **self._settings.picture.decoder_settings}
        stream.codec_context.thread_count = self._settings.threads
        return stream

    def _decode(
        self, container: InputContainer, stream: VideoStream, tick_s: float, reader: PacketReader
    ) -> Iterator[tuple[VideoFrame, int]]:
        edge, told = LatencyCatchup(), 0
        has_times, comes_in_segments = not is_raw(container), container.format.name == "hls"
        skipper = FrameSkipper(stream, rate_hz=lambda: self._watch.rate_now_hz if has_times else None, any_of_slot=True)
        pace = _SegmentPace(self._closed)
        decoding = self._settings.decoding
        has_picture, keys, index = False, 0, stream.index
        deadline = _PictureDeadline(self._settings.patience.read_s)

        def is_steady() -> bool:
            return has_picture and not edge.is_behind and skipper.all_are_needed

        # Packets of every stream, so that sound alone cannot hide that no picture comes.
        while (packet := reader.read(may_pass=is_steady())) is not None and not self._closed.is_set():
            deadline.passed(reader.passed)
            is_key, now_s, stamp = packet.is_keyframe, time.monotonic(), packet.dts
            is_video = packet.stream_index == index
            deadline.packet(now_s, is_video=is_video, is_key=is_key)
            if not is_video:
                continue
            # Segments come in bursts, which are no queue; counted stamps say nothing about the line.
            if (
                has_times
                and not comes_in_segments
                and stamp is not None
                and tick_s
                and not edge.wants(stamp * tick_s, now_s, is_key=is_key)
            ):
                deadline.reset()
                continue
            if edge.skipped > told:
                stream.codec_context.flush_buffers()
                self._watch.lost("late", edge.skipped - told)
                self._report("late", f"{edge.skipped - told} frames were skipped to be at the live edge again")
                told = edge.skipped
            skipper.before(cast("Packet[VideoStream]", packet))
            pictures = self._pictures_of(packet, stream, is_first=not has_picture)
            has_picture = has_picture or bool(pictures)
            keys += is_key
            if (
                not has_picture
                and keys > _KEYS_WITHOUT_A_PICTURE
                and (error := decoding.nothing(self._settings.camera))
            ):
                raise error
            for picture in pictures:
                if comes_in_segments and picture.time is not None:
                    pace.wait(picture.time)
                yield picture, skipper.skipped_before(picture) + reader.take_passed()
            if pictures:
                deadline.reset()

    def _pictures_of(self, packet: Packet[Stream], stream: VideoStream, *, is_first: bool) -> list[VideoFrame]:
        """What is in a packet; a packet that was damaged on the way costs its pictures, not the connection."""
        given = cast("Packet[VideoStream]", packet) if packet.size else None
        try:
            if not is_first:
                return stream.decode(given)
            with self._settings.decoding.refusing(self._settings.camera):
                return stream.decode(given)
        except av.error.InvalidDataError:
            return []

    def _is_another(self, codec: str, size_px: tuple[int, int]) -> bool:
        """Whether the stream is not the expected one, which is reported."""
        difference = self._settings.expect.difference(codec, size_px) if self._settings.expect is not None else None
        if difference is not None:
            self._report("mismatched", difference)
        return difference is not None

    def _note_time(self, picture: VideoFrame, tick_s: float) -> None:
        """Report a camera whose own time stamps stop to grow, and when they do again; 0: it has none."""
        if picture.pts is None or not tick_s:
            return
        turn = self._stamps.take(picture.pts * tick_s, time.monotonic())
        if turn is not None:
            self._report(*turn)

    def _report_failure(self, error: Exception, silence: str) -> None:
        # Both mean that the deadline interrupted FFmpeg; which one depends on where it waited.
        if self._closed.is_set():
            return
        if isinstance(error, TimeoutError | av.error.ExitError):
            self._report("frozen", silence)
        elif isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
            self._report("refused", f"user or password are wrong ({reason_of(error)})")
        elif isinstance(error, av.error.HTTPNotFoundError):
            self._report("refused", f"it has no such stream: check the path of its address ({reason_of(error)})")
        elif isinstance(error, av.error.InvalidDataError):
            self._report("disconnected", "it sends no video stream that FFmpeg can read")
        elif isinstance(error, av.error.ArgumentError):
            # So FFmpeg refuses a format that we do not let it read.
            reason = f"it cannot be read as video ({reason_of(error)})"
            self._report("disconnected", f"{reason}: if its address gives single pictures, name that of its video")
        else:
            self._report("disconnected", reason_of(error))

    def _report(self, kind: EventKind, detail: str) -> None:
        self._watch.report(CameraEvent.now(self._settings.camera, kind, detail))


class _SegmentPace:
    """Lets the pictures of segments, which come many at once, go on at the pace at which they were taken."""

    def __init__(self, closed: threading.Event) -> None:
        self._closed = closed
        self._began_s: float | None = None

    def wait(self, stamp_s: float) -> None:
        """Wait until the picture with this time stamp is due; at once where it comes late, or time has jumped."""
        now_s = time.monotonic()
        ahead_s = 0.0 if self._began_s is None else self._began_s + stamp_s - now_s
        if self._began_s is None or not 0 <= ahead_s <= _LONGEST_SEGMENT_S:
            self._began_s = now_s - stamp_s
            return
        self._closed.wait(ahead_s)


class _PictureDeadline:
    """Raises ``_NoPictureError`` once packets have come for ``read_s`` without a picture; says what came instead."""

    def __init__(self, read_s: float) -> None:
        self._read_s = read_s
        self.reset()

    def reset(self) -> None:
        self._since_s = time.monotonic()
        self._video = self._keys = 0

    def passed(self, passed: Passed) -> None:
        """These packets were read before the one that is taken up next."""
        if passed.pictures:
            self.reset()
        self._video += passed.packets
        self._keys += passed.keys

    def packet(self, now_s: float, *, is_video: bool, is_key: bool) -> None:
        """A packet was taken up at ``now_s``, on the monotonic clock."""
        self._video += is_video
        self._keys += is_video and is_key
        if now_s - self._since_s <= self._read_s:
            return
        if not self._video:
            came = "only other streams come, such as sound"
        elif not self._keys:
            came = f"{self._video} packets came, but no key frame; set a shorter key frame interval on the camera"
        else:
            came = f"{self._video} packets came that cannot be decoded"
        raise _NoPictureError(f"no picture for {self._read_s:g} s: {came}")
