"""A camera that sends by itself: its frames at the time of their arrival, and another attempt after every failure."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pylfr._internal.secrets import redact, resolve_secrets
from pylfr._internal.steady_clock import steady_now
from pylfr.errors import MediaError
from pylfr.types import Frame
from pylfr.video.decoding.backend import ON_CPU, Decoding
from pylfr.video.decoding.expected_stream import ExpectedStream, codec_of, described
from pylfr.video.decoding.frame_builder import reason_of
from pylfr.video.decoding.frame_skipping import FrameSkipper
from pylfr.video.decoding.latency_catchup import LatencyCatchup
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions
from pylfr.video.sources.base import CameraSource
from pylfr.video.sources.observer import CameraEvent, EventKind, FrameObserver
from pylfr.video.sources.replay_detection import StampOrder

# A decoder that makes nothing of so many key frames cannot decode them: packets keep coming, so no read times out.
_KEYS_WITHOUT_A_PICTURE = 5


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


class LiveSource(CameraSource):
    """A live camera: goes on until it is closed. Made by ``open_rtsp`` and ``open_device`` of ``pylfr.video.open``.

    ``address`` may name secrets as ``${NAME}``; they are looked up at each attempt and kept nowhere.
    """

    def __init__(
        self,
        address: str,
        *,
        camera: str,
        input_format: str | None,
        options: Mapping[str, str],
        patience: ReconnectPolicy,
        threads: int | Literal["auto"],
        decoding: Decoding = ON_CPU,
        picture: PictureOptions = AS_SENT,
        expect: ExpectedStream | None = None,
    ) -> None:
        super().__init__(camera)
        self._address = address
        self._input_format = input_format
        self._options = dict(options)
        self._patience = patience
        self._threads = 0 if threads == "auto" else threads
        self._decoding = decoding
        self._picture = picture
        self._expect = expect

    def __repr__(self) -> str:
        return f"LiveSource({redact(self._address)!r}, camera={self._camera!r})"

    @property
    def decoder(self) -> str:
        """What decodes it: "CPU" or "NVDEC"."""
        return self._decoding.name

    def close(self) -> None:
        """Stop. A read that waits for a silent camera ends within ``ReconnectPolicy.read_s``."""
        self._closed.set()

    def watched(self, watch: FrameObserver) -> Iterator[Frame]:
        """Frames that are due, for ever. What goes wrong is reported and tried again.

        Raises ``MediaError`` where the decoder that was asked for does not take the camera's stream.
        """
        builder = self._decoding.builder(self._camera, self._picture)
        sequence = failures = 0
        while not self._closed.is_set():
            attempt = _Attempt(self._camera, self._patience, watch, self._decoding, self._expect)
            with contextlib.closing(attempt.pictures(self._open)) as pictures:
                for picture, skipped in pictures:
                    if self._closed.is_set():
                        return
                    failures = 0
                    if skipped:
                        watch.skipped(skipped)
                        sequence += skipped
                    captured_at = steady_now()
                    if watch.is_due(captured_at):
                        yield builder.build(picture, sequence=sequence, captured_at=captured_at)
                    sequence += 1
            if self._closed.is_set():
                return
            failures += 1
            delay_s = self._patience.retry_s(failures)
            watch.report(CameraEvent.now(self._camera, "reconnecting", f"attempt {failures} in {delay_s:.1f} s"))
            self._closed.wait(delay_s)

    def _open(self) -> InputContainer:
        with self._decoding.refusing(self._camera):
            container = av.open(
                resolve_secrets(self._address, name=f"the address of camera {self._camera!r}", percent_encoded=True),
                mode="r",
                format=self._input_format,
                options=self._options,
                timeout=(self._patience.open_s, self._patience.read_s),
                hwaccel=self._decoding.accelerator(),
            )
        if container.streams.video:
            context = container.streams.video[0].codec_context
            try:
                self._decoding.accept(context, self._camera)
            except MediaError:
                container.close()
                raise
            context.thread_count = self._threads
        return container


class _Attempt:
    """One connection: its pictures until it breaks, each with how many were passed over before it, and how it broke."""

    def __init__(
        self,
        camera: str,
        patience: ReconnectPolicy,
        watch: FrameObserver,
        decoding: Decoding,
        expect: ExpectedStream | None,
    ) -> None:
        self._camera = camera
        self._patience = patience
        self._watch = watch
        self._decoding = decoding
        self._expect = expect
        self._stamps = StampOrder()

    def pictures(self, connect: Callable[[], InputContainer]) -> Generator[tuple[VideoFrame, int], None, None]:
        try:
            container = connect()
        except (av.error.FFmpegError, OSError) as error:
            # FFmpeg's own message repeats the address with its password: only the reason is passed on.
            self._report_failure(error, f"no answer for {self._patience.open_s:g} s")
            return
        with container:
            if not container.streams.video:
                self._report("disconnected", "it offers no video stream")
                return
            stream = container.streams.video[0]
            codec, size = codec_of(stream.codec_context), (stream.width, stream.height)
            if self._is_another(codec, size):
                return
            self._report("opened", described(codec, size))
            try:
                for picture, skipped in self._decode(container):
                    # The size may change in the middle of a stream.
                    if self._is_another(codec, (picture.width, picture.height)):
                        return
                    self._note_time(picture, stream)
                    yield picture, skipped
            except (av.error.FFmpegError, OSError) as error:
                self._report_failure(error, f"no picture for {self._patience.read_s:g} s")
            else:
                self._report("disconnected", "the other side ended the stream")

    def _decode(self, container: InputContainer) -> Iterator[tuple[VideoFrame, int]]:
        stream = container.streams.video[0]
        edge, told = LatencyCatchup(), 0
        passing = FrameSkipper(stream, rate_hz=self._watch.rate_hz)
        has_picture, keys = False, 0
        for packet in container.demux(stream):
            if packet.dts is not None and packet.time_base is not None:
                stamp_s = float(packet.dts * packet.time_base)
                if not edge.wants(stamp_s, time.monotonic(), is_key=packet.is_keyframe):
                    continue
            if edge.skipped > told:
                stream.codec_context.flush_buffers()
                self._watch.lost("late", edge.skipped - told)
                self._report("late", f"{edge.skipped - told} frames were passed over to be at the live edge again")
                told = edge.skipped
            passing.before(packet)
            # A packet that was damaged on the way costs its pictures, not the connection.
            pictures: list[VideoFrame] = []
            asking = contextlib.nullcontext() if has_picture else self._decoding.refusing(self._camera)
            with contextlib.suppress(av.error.InvalidDataError), asking:
                pictures = packet.decode()
            has_picture = has_picture or bool(pictures)
            keys += packet.is_keyframe
            if not has_picture and keys > _KEYS_WITHOUT_A_PICTURE and (error := self._decoding.nothing(self._camera)):
                raise error
            for picture in pictures:
                yield picture, passing.skipped_before(picture)

    def _is_another(self, codec: str, size_px: tuple[int, int]) -> bool:
        """Whether the stream is not the expected one, which is reported."""
        difference = self._expect.difference(codec, size_px) if self._expect is not None else None
        if difference is not None:
            self._report("mismatched", difference)
        return difference is not None

    def _note_time(self, picture: VideoFrame, stream: VideoStream) -> None:
        """Report a camera whose own time stamps stop to grow, and when they do again."""
        if picture.pts is None or stream.time_base is None:
            return
        turn = self._stamps.take(float(picture.pts * stream.time_base), time.monotonic())
        if turn is not None:
            self._report(*turn)

    def _report_failure(self, error: Exception, silence: str) -> None:
        # Both mean that the deadline interrupted FFmpeg; which one depends on where it waited.
        if isinstance(error, TimeoutError | av.error.ExitError):
            self._report("frozen", silence)
        else:
            self._report("disconnected", reason_of(error))

    def _report(self, kind: EventKind, detail: str) -> None:
        self._watch.report(CameraEvent.now(self._camera, kind, detail))
