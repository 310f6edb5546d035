"""A recording's file, opened once for all passes over it. A file with an index is rewound.

Opening one takes as long as decoding a dozen pictures: a camera that loops would pause for it on every pass.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pylfr.errors import MediaError
from pylfr.video.decoding.backend import Decoding
from pylfr.video.decoding.container import check_stream, choose_stream, is_raw, open_container, open_descriptor
from pylfr.video.decoding.file_layout import Layout, Ranges, damage_of_packets, layout_of
from pylfr.video.decoding.picture_options import PictureOptions

# FFmpeg's own assumption where an elementary stream does not name its rate.
_ASSUMED_HZ = 25.0

# Formats whose index leads back to the very first packet.
_INDEXED = "mov,mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFile:
    """How a recording is read. ``descriptor`` is an open file of the caller's; without one ``path`` is opened."""

    path: Path
    camera: str
    decoding: Decoding
    options: PictureOptions
    threads: int
    descriptor: int | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """The open file."""
        descriptor = open_descriptor(self.path) if self.descriptor is None else self.descriptor
        try:
            yield descriptor
        finally:
            if self.descriptor is None:
                os.close(descriptor)

    def open_part(self, descriptor: int, part: Ranges | None = None) -> tuple[InputContainer, VideoStream]:
        """The container in the file, or in a part of its bytes, and its stream. Raises ``MediaError``."""
        name = str(self.path)
        container = open_container(descriptor, name=name, camera=self.camera, decoding=self.decoding, part=part)
        try:
            stream = choose_stream(container, name=name, wanted=self.options.stream)
            check_stream(stream, name=name, camera=self.camera, decoding=self.decoding)
        except MediaError:
            container.close()
            raise
        stream.codec_context.options = {**stream.codec_context.options, **self.options.decoder_settings}
        stream.codec_context.thread_count = self.threads
        if self.threads != 1:
            stream.thread_type = "AUTO"
        return container, stream

    def rate_of(self, container: InputContainer, stream: VideoStream) -> float | None:
        """Frames a second where the recording carries no times, or somebody knows better; None where it does."""
        if self.options.rate_hz is not None:
            return self.options.rate_hz
        if not is_raw(container):
            return None
        return float(stream.codec_context.framerate or _ASSUMED_HZ)


class OpenRecording:
    """A context manager. ``layout`` is that of the file when it was opened."""

    def __init__(self, file: RecordingFile) -> None:
        self._file = file
        self._held = ExitStack()
        self._wound_back: tuple[InputContainer, VideoStream] | None = None
        self._descriptor = -1
        self._damage: list[str] | None = None
        self.layout: Layout

    def __enter__(self) -> OpenRecording:
        with ExitStack() as held:
            self._descriptor = held.enter_context(self._file.opened())
            self.layout = layout_of(self._descriptor)
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._held:
            if self._wound_back is not None:
                self._wound_back[0].close()

    def damage(self) -> list[str]:
        """What is wrong with the file itself, in words. The first call may read all of it: ask at the end."""
        if self._damage is None:
            self._damage = [*self.layout.damage, *damage_of_packets(self._descriptor)]
        return self._damage

    @contextmanager
    def part(self, number: int) -> Iterator[tuple[InputContainer, VideoStream]]:
        """One container in the file, from its beginning, and its stream. Raises ``MediaError``."""
        found, self._wound_back = self._wound_back, None
        if found is None:
            ranges = self.layout.parts[number].ranges
            found = self._file.open_part(self._descriptor, None if self.layout.is_whole else ranges)
        container, stream = found
        with ExitStack() as held:
            held.enter_context(container)
            yield container, stream
            if self.layout.is_whole and container.format.name.startswith(_INDEXED) and _wind_back(container, stream):
                self._wound_back = found
                held.pop_all()


def _wind_back(container: InputContainer, stream: VideoStream) -> bool:
    """Rewind the container and reset the decoder; False where the container cannot be rewound."""
    try:
        container.seek(0)
    except av.error.FFmpegError:
        return False
    stream.codec_context.flush_buffers()
    return True
