"""Files of unknown origin, decoded by a confined process: a recording as a camera, a picture as an array."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from pylfr.errors import MediaError
from pylfr.types import Frame, UInt8
from pylfr.video.decoding.container import open_descriptor
from pylfr.video.decoding.expected_stream import ExpectedStream
from pylfr.video.decoding.image_io import closing_descriptor, open_picture
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions
from pylfr.video.isolation.decoder_process import Decoder
from pylfr.video.isolation.wire import Job, plain
from pylfr.video.sources.base import CameraSource
from pylfr.video.sources.file import Pace
from pylfr.video.sources.observer import CameraEvent, EventKind, FrameObserver

log = logging.getLogger(__name__)

# More frames than a month of the fastest camera holds.
_MOST_SKIPPED = 1_000_000_000


def read_image_isolated(path: Path | str) -> UInt8:
    """As ``read_image`` of ``pylfr.video.decoding.image_io``, in a confined process that is started for it alone.

    Raises ``MediaError`` also where that process hangs, is killed, or cannot be isolated here.
    """
    with (
        closing_descriptor(open_picture(path)) as descriptor,
        Decoder(Job(kind="image", name=f"image {path}"), descriptor) as decoder,
    ):
        return _only_picture(decoder)


class IsolatedImages:
    """Reads many pictures as ``read_image_isolated`` does, in one confined process: ten times as fast.

    A context manager; one thread at a time. A picture that is refused costs a new process.
    """

    def __init__(self) -> None:
        self._decoder: Decoder | None = None

    def __enter__(self) -> IsolatedImages:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def read(self, path: Path | str) -> UInt8:
        """The picture, uint8 [H, W, 3] RGB. Raises ``MediaError`` as ``read_image_isolated`` does."""
        job = Job(kind="images", name=f"image {path}")
        with closing_descriptor(open_picture(path)) as descriptor:
            if self._decoder is None:
                self._decoder = Decoder(job, descriptor).__enter__()
            else:
                self._decoder.go_on(job, descriptor)
            try:
                return _only_picture(self._decoder)
            except MediaError:
                self._drop()
                raise

    def _drop(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.__exit__(None, None, None)


def _only_picture(decoder: Decoder) -> UInt8:
    picture: UInt8 | None = None
    for message in decoder.messages():
        if message["asks"] != "room" or picture is not None:
            raise decoder.malformed(message)
        picture = decoder.receive(message)[1][0].copy()
    if picture is None:
        raise MediaError(f"{decoder.name} gave no picture")
    return picture


class IsolatedFile(CameraSource):
    """A recording, decoded elsewhere: a ``WatchedSource`` like ``FileSource``, whose frames it gives.

    Each call of ``frames`` starts a process, which ends with it, and with the thread that called it.
    Made by ``pylfr.video.open.open_file``.
    """

    def __init__(
        self,
        path: Path,
        *,
        camera: str,
        started_at: datetime,
        pace: Pace,
        loop: bool,
        threads: int | Literal["auto"],
        options: PictureOptions = AS_SENT,
        expect: ExpectedStream | None = None,
    ) -> None:
        super().__init__(camera)
        self._path = path
        self._started_at = started_at
        self._pace = pace
        self._loop = loop
        self._threads: int | Literal["auto"] = threads
        self._options = options
        self._expect = expect

    def __repr__(self) -> str:
        return f"IsolatedFile({str(self._path)!r}, camera={self._camera!r})"

    @property
    def is_live(self) -> bool:
        """A recording played in real time comes whether or not anybody takes it."""
        return self._pace == "real-time"

    def check(self) -> None:
        """Open the recording and close it again. Raises ``MediaError`` where it is no video."""
        with self._decoder("check") as decoder:
            for message in decoder.messages():
                raise decoder.malformed(message)

    def watched(self, watch: FrameObserver) -> Iterator[Frame]:
        """Frames that are due, until the end. Raises ``MediaError`` after the last one of a damaged recording."""
        if self._closed.is_set():
            return
        with self._decoder("video", rate_hz=watch.rate_hz) as decoder:
            began = time.monotonic()
            sequence = -1
            captured_at = self._started_at
            for message in decoder.messages():
                if self._closed.is_set():
                    return
                match message["asks"]:
                    case "due":
                        sequence += 1
                        captured_at = self._time_of(message["at_us"])
                        due_s = (captured_at - self._started_at).total_seconds()
                        if self._pace == "real-time" and self._closed.wait(max(0.0, began + due_s - time.monotonic())):
                            return
                        decoder.answer(due=watch.is_due(captured_at))
                    case "skipped":
                        count = message["count"]
                        if not isinstance(count, int) or not 0 < count <= _MOST_SKIPPED:
                            raise decoder.malformed(message)
                        watch.skipped(count)
                        sequence += count
                    case "room":
                        shape, planes = decoder.receive(message)
                        yield Frame(
                            camera=self._camera,
                            sequence=sequence,
                            captured_at=captured_at,
                            planes=planes,
                            layout=shape.layout,
                            matrix=shape.matrix,
                            full_range=shape.full_range,
                        )
                        if self._closed.is_set():
                            return
                    case "event":
                        kind: EventKind = message["kind"] if message["kind"] in get_args(EventKind) else "failed"
                        watch.report(CameraEvent.now(self._camera, kind, plain(message["detail"])))
                    case _:
                        raise decoder.malformed(message)

    @contextlib.contextmanager
    def _decoder(self, kind: Literal["check", "video"], *, rate_hz: float | None = None) -> Iterator[Decoder]:
        job = Job(
            kind=kind,
            name=str(self._path),
            camera=self._camera,
            loop=self._loop,
            threads=self._threads,
            rate_hz=rate_hz,
            picture=self._options.to_json(),
            expect="" if self._expect is None else str(self._expect),
        )
        with closing_descriptor(open_descriptor(self._path)) as descriptor, Decoder(job, descriptor) as decoder:
            yield decoder

    def _time_of(self, at_us: object) -> datetime:
        try:
            return self._started_at + timedelta(microseconds=int(str(at_us)))
        except (OverflowError, ValueError) as error:
            raise MediaError(f"video {self._path} must hold times of this age, got {at_us!s:.40}: cut it") from error
