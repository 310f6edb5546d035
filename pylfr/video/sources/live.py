"""A camera that sends by itself: its frames at the time of their arrival, and another attempt after every failure."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import av
from av.container import InputContainer

from pylfr._internal.secrets import redact, resolve_secrets
from pylfr._internal.steady_clock import steady_now
from pylfr.types import Frame
from pylfr.video.decoding.backend import ON_CPU, Decoding
from pylfr.video.decoding.expected_stream import ExpectedStream
from pylfr.video.decoding.geometry import aspect_of
from pylfr.video.decoding.interruption import interrupted_by
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions
from pylfr.video.decoding.redirects import hearing_redirects
from pylfr.video.sources.attempt import Attempt, CameraRefusedError, LiveSettings, ReconnectPolicy
from pylfr.video.sources.base import CameraSource
from pylfr.video.sources.observer import CameraEvent, FrameObserver

# A camera that is still taking down what it set up for the check says that it is unavailable (503), for milliseconds
# as a rule. It is asked again after these pauses before that counts.
_BUSY_PAUSES_S = (0.1, 0.3, 0.9)

# libavutil/error.h: AVERROR_INVALIDDATA.
_INVALID_DATA = int.from_bytes(b"INDA", "little")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How FFmpeg connects: the format of the stream, and one set of options for each way that is tried in turn.

    Without an ``input_format`` FFmpeg recognises it. Where that gives no picture, ``second_format`` is tried.

    ``check`` is called with the resolved address before each attempt; it gives the address to connect to, which a
    redirect may have changed, and further options. It ends soon after the event that it is given is set, calls what it
    is given with what a person should know, and raises ``CameraRefusedError`` where the camera must not be used.

    ``dial`` connects in place of FFmpeg, which has no such protocol, and gives what is read; it raises as ``check``.
    """

    input_format: str | None
    second_format: str | None = None
    ways: Sequence[Mapping[str, str]] = ({},)
    check: Callable[[str, threading.Event, Callable[[str], None]], tuple[str, Mapping[str, str]]] | None = None
    dial: Callable[[str, threading.Event], io.RawIOBase] | None = None


class LiveSource(CameraSource):
    """A live camera: goes on until it is closed. Made by the functions of ``pylfr.video.open``.

    ``address`` may name secrets as ``${NAME}``; they are looked up at each attempt and kept nowhere.
    """

    def __init__(
        self,
        address: str,
        *,
        camera: str,
        connection: Connection,
        patience: ReconnectPolicy,
        threads: int | Literal["auto"],
        decoding: Decoding = ON_CPU,
        picture: PictureOptions = AS_SENT,
        expect: ExpectedStream | None = None,
    ) -> None:
        super().__init__(camera)
        self._address = address
        self._connection = connection
        self._way = 0
        self._settings = LiveSettings(
            camera=camera,
            patience=patience,
            threads=0 if threads == "auto" else threads,
            decoding=decoding,
            picture=picture,
            expect=expect,
        )

    def __repr__(self) -> str:
        return f"LiveSource({redact(self._address)!r}, camera={self._camera!r})"

    @property
    def decoder(self) -> str:
        """What decodes it: "CPU" or "NVDEC"."""
        return self._settings.decoding.name

    def watched(self, watch: FrameObserver) -> Iterator[Frame]:
        """Frames that are due, for ever. What goes wrong is reported and tried again.

        Raises ``MediaError`` where the decoder that was asked for does not take the camera's stream.
        """
        builder = self._settings.decoding.builder(self._camera, self._settings.picture)
        sequence = failures = 0
        while not self._closed.is_set():
            has_pictures = False
            attempt = Attempt(self._settings, self._closed, watch)
            with (
                contextlib.ExitStack() as line,
                contextlib.closing(attempt.pictures(partial(self._open, watch, line))) as pictures,
            ):
                for picture, skipped, stream in pictures:
                    if self._closed.is_set():
                        return
                    failures, has_pictures = 0, True
                    if skipped:
                        watch.skipped(skipped)
                        sequence += skipped
                    captured_at = steady_now()
                    if watch.is_due(captured_at):
                        aspect = aspect_of(stream)
                        yield builder.build(picture, sequence=sequence, captured_at=captured_at, sample_aspect=aspect)
                    sequence += 1
            if self._closed.is_set():
                return
            if not has_pictures and self._has_another_way():
                continue
            failures += 1
            delay_s = self._settings.patience.retry_s(failures)
            watch.report(CameraEvent.now(self._camera, "reconnecting", f"attempt {failures} in {delay_s:.1f} s"))
            self._closed.wait(delay_s)

    def _has_another_way(self) -> bool:
        """Turn to the next way of connecting; whether it has not been tried in this round."""
        self._way = (self._way + 1) % len(self._connection.ways)
        return self._way > 0

    def _open(self, watch: FrameObserver, line: contextlib.ExitStack) -> InputContainer:
        address = resolve_secrets(self._address, name=f"the address of camera {self._camera!r}", percent_encoded=True)
        check = self._connection.check

        def warn(detail: str) -> None:
            watch.report(CameraEvent.now(self._camera, "noted", detail))

        address, further = check(address, self._closed, warn) if check is not None else (address, {})
        dial = self._connection.dial
        file = address if dial is None else line.enter_context(dial(address, self._closed))
        for pause_s in _BUSY_PAUSES_S if check is not None else ():
            try:
                return self._connect(file, further, warn)
            except av.error.HTTPServerError:
                self._closed.wait(pause_s)
        return self._connect(file, further, warn)

    def _connect(
        self, file: str | io.RawIOBase, further: Mapping[str, str], warn: Callable[[str], None]
    ) -> InputContainer:
        with (
            self._settings.decoding.refusing(self._camera),
            hearing_redirects() as is_redirected,
            interrupted_by(self._closed),
        ):
            try:
                return self._container(file, further, warn)
            except (av.error.FFmpegError, OSError) as error:
                if is_redirected():
                    raise CameraRefusedError(
                        "it answered when it was asked first and redirected the request for pictures: no such redirect "
                        "is followed; if the camera is right, it is found at the next attempt"
                    ) from error
                raise

    def _container(
        self, file: str | io.RawIOBase, further: Mapping[str, str], warn: Callable[[str], None]
    ) -> InputContainer:
        """What FFmpeg opens, in the second format where the first gives no picture. Raises as ``av.open``."""
        second = self._connection.second_format
        if second is None:
            return self._opened(file, further, self._connection.input_format)
        try:
            container = self._opened(file, further, self._connection.input_format)
        except (av.error.InvalidDataError, av.error.EOFError):
            pass
        else:
            # FFmpeg has looked for pictures for seconds; other formats may yet show their size.
            if container.format.name != "mpjpeg" or _has_size(container):
                return container
            container.close()
        container = self._opened(file, further, second)
        if not _has_size(container):
            container.close()
            raise av.error.InvalidDataError(_INVALID_DATA, "no picture was found")
        warn("what it sends between its pictures is no multipart boundary: they are told apart by their own markers")
        return container

    def _opened(self, file: str | io.RawIOBase, further: Mapping[str, str], input_format: str | None) -> InputContainer:
        return av.open(
            file,
            mode="r",
            format=input_format,
            options={**self._connection.ways[self._way], **further},
            metadata_errors="replace",
            timeout=(self._settings.patience.open_s, self._settings.patience.read_s),
            hwaccel=self._settings.decoding.accelerator(),
        )


def _has_size(container: InputContainer) -> bool:
    """Whether a video stream says how large its pictures are."""
    return any(stream.width > 0 and stream.height > 0 for stream in container.streams.video)
