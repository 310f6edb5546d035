"""A recorded video as a camera: its frames at its own times, and an error where it ends too early."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pylfr.errors import MediaError
from pylfr.types import Frame
from pylfr.video.decoding.backend import ON_CPU, Decoding
from pylfr.video.decoding.expected_stream import ExpectedStream
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions
from pylfr.video.decoding.recording import RecordingReader
from pylfr.video.decoding.recording_file import OpenRecording, RecordingFile
from pylfr.video.sources.base import CameraSource
from pylfr.video.sources.observer import CameraEvent, EventKind, FrameObserver

Pace = Literal["as-fast-as-possible", "real-time"]


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
        options: PictureOptions = AS_SENT,
        expect: ExpectedStream | None = None,
    ) -> None:
        super().__init__(camera)
        self._path = path
        self._started_at = started_at
        self._pace = pace
        self._loop = loop
        self._file = RecordingFile(
            path=path,
            camera=camera,
            decoding=decoding,
            options=options,
            threads=0 if threads == "auto" else threads,
            descriptor=descriptor,
        )
        self._expect = expect

    def __repr__(self) -> str:
        return f"FileSource({str(self._path)!r}, camera={self._camera!r})"

    @property
    def decoder(self) -> str:
        """What decodes it: "CPU" or "NVDEC"."""
        return self._file.decoding.name

    @property
    def is_live(self) -> bool:
        """A recording played in real time comes whether or not anybody takes it."""
        return self._pace == "real-time"

    def watched(self, watch: FrameObserver) -> Iterator[Frame]:
        """Frames that are due, until the end. Raises ``MediaError`` after the last one of a damaged recording."""
        with OpenRecording(self._file) as opened:
            yield from self._passes(watch, opened)

    def _passes(self, watch: FrameObserver, opened: OpenRecording) -> Iterator[Frame]:
        builder = self._file.decoding.builder(self._camera, self._file.options)
        sequence = 0
        offset_s = 0.0
        began = time.monotonic()
        while not self._closed.is_set():
            end_s = 0.0
            for decoded in self._reader(watch, opened, offset_s).pictures():
                due_s = offset_s + decoded.at_s
                end_s = max(end_s, decoded.at_s + decoded.length_s)
                if decoded.skipped:
                    watch.skipped(decoded.skipped)
                    sequence += decoded.skipped
                if decoded.picture is None:
                    continue
                if self._pace == "real-time" and self._closed.wait(max(0.0, began + due_s - time.monotonic())):
                    return
                captured_at = self._started_at + timedelta(seconds=due_s)
                if watch.is_due(captured_at):
                    yield builder.build(
                        decoded.picture, sequence=sequence, captured_at=captured_at, sample_aspect=decoded.sample_aspect
                    )
                sequence += 1
                if self._closed.is_set():
                    return
            offset_s += end_s
            if not self._loop:
                watch.report(CameraEvent.now(self._camera, "ended", f"{self._path} after {sequence} frames"))
                return

    def check(self) -> None:
        """Open the recording and close it again. Raises ``MediaError`` where it is no video."""
        with self._file.opened() as descriptor:
            self._file.open_part(descriptor)[0].close()

    def _reader(self, watch: FrameObserver, opened: OpenRecording, from_s: float) -> RecordingReader:
        def report(kind: EventKind, detail: str) -> None:
            watch.report(CameraEvent.now(self._camera, kind, detail))

        def require(codec: str, size_px: tuple[int, int]) -> None:
            difference = self._expect.difference(codec, size_px) if self._expect is not None else None
            if difference is not None:
                report("mismatched", difference)
                raise MediaError(
                    f"video {self._path}: {difference}; have it authorised as it is, or correct the camera"
                )

        return RecordingReader(
            self._file,
            opened,
            rate_hz=lambda: watch.rate_now_hz,
            any_of_slot=self.is_live,
            from_s=from_s,
            report=report,
            require=require,
        )
