"""The decoding process: decodes files of unknown origin and can do nothing else. ``decoder_process.py`` starts it.

It is given one socket. The first message over it says what to decode and carries the open file; then the program
locks itself in and answers. What it says is only numbers and short texts, in JSON, and the other side believes none of
it: pictures go into memory that the other side measured.
"""

from __future__ import annotations

import importlib
import json
import logging
import mmap
import os
import pkgutil
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np

from pylfr.errors import MediaError
from pylfr.types import Frame, UInt8
from pylfr.video.decoding.decoder_log import hear_decoders
from pylfr.video.decoding.expected_stream import ExpectedStream
from pylfr.video.decoding.frame_sampler import Sampler
from pylfr.video.decoding.image_io import decode_image, load_formats
from pylfr.video.decoding.picture_options import PictureOptions
from pylfr.video.isolation.sandbox import HELD, confine, die_with
from pylfr.video.isolation.wire import MESSAGE_BYTES, TEXT_LENGTH
from pylfr.video.sources.file import FileSource
from pylfr.video.sources.observer import CameraEvent

# Beyond what the program needs when it starts: some 50 megapixels in three forms; some 40 frames of 4K and a decoder's.
_IMAGE_MB, _VIDEO_MB = 1_500, 4_000
_IMAGE_CPU_S = 30

# Any time will do: the other side counts from its own.
_BEGAN = datetime(2000, 1, 1, tzinfo=UTC)


class Channel:
    """Messages in JSON over a socket that keeps their bounds, and descriptors with them."""

    def __init__(self, own: socket.socket) -> None:
        self._own = own

    def say(self, **message: object) -> None:
        self._own.send(json.dumps(message).encode())

    def hear(self) -> tuple[Mapping[str, Any], list[int]]:
        """The next message and the descriptors that came with it. Raises ``EOFError`` when nobody speaks any more."""
        content, descriptors, _, _ = socket.recv_fds(self._own, MESSAGE_BYTES, 1)
        if not content:
            raise EOFError
        return json.loads(content), descriptors


class _AskingWatch:
    """A watch in another process."""

    def __init__(self, channel: Channel, rate_hz: float | None) -> None:
        self._channel = channel
        self.rate_hz = self.rate_now_hz = rate_hz
        self.due = None
        self._sampler = Sampler(rate_hz)
        self._skipped = 0

    def skipped(self, count: int) -> None:
        self._skipped += count

    def told(self) -> None:
        """Say how many frames were skipped since this was last said."""
        if self._skipped:
            self._channel.say(asks="skipped", count=self._skipped)
            self._skipped = 0

    def is_due(self, captured_at: datetime) -> bool:
        # The other side would say no, as it counts in the same way: asking costs both a turn of the processor.
        if not self._sampler.is_due(captured_at):
            self._skipped += 1
            return False
        self.told()
        self._channel.say(asks="due", at_us=round((captured_at - _BEGAN) / timedelta(microseconds=1)))
        answer, _ = self._channel.hear()
        return bool(answer["due"])

    def report(self, event: CameraEvent) -> None:
        self._channel.say(asks="event", kind=event.kind, detail=event.detail[:TEXT_LENGTH])

    def lost(self, cause: str, count: int) -> None:
        raise AssertionError(f"a recording leaves nothing out, got {count} frames: {cause}")


class _Log(logging.Handler):
    """What is logged here is logged by the other side."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(logging.WARNING)
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        self._channel.say(asks="log", text=record.getMessage()[:TEXT_LENGTH])


class _Slots:
    """Memory of the other side that pictures are written into."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._known: dict[int, mmap.mmap] = {}

    def put(self, planes: Sequence[UInt8], **shape: object) -> None:
        """Ask for room for a picture of that shape, and write its planes one after the other, without padding."""
        self._channel.say(asks="room", **shape)
        answer, descriptors = self._channel.hear()
        for number in answer["dropped"]:
            self._known.pop(number).close()
        if descriptors:
            self._known[answer["slot"]] = mmap.mmap(descriptors[0], answer["bytes"])
            os.close(descriptors[0])
        room = np.frombuffer(self._known[answer["slot"]], np.uint8)
        start = 0
        for plane in planes:
            room[start : start + plane.size].reshape(plane.shape)[...] = plane
            start += plane.size
        self._channel.say(asks="taken")


def main(own: socket.socket, *, parent: int) -> None:
    """Do the one job that comes over ``own``."""
    die_with(parent)
    channel = Channel(own)
    job, (descriptor,) = channel.hear()
    is_image = job["kind"] in ("image", "images")
    if is_image:
        load_formats()
    else:
        # PyAV imports some parts only when a stream of their kind is met, which is too late.
        for module in pkgutil.walk_packages(av.__path__, "av."):
            if not module.name.startswith("av.__"):
                importlib.import_module(module.name)
        hear_decoders()
    logging.getLogger().addHandler(_Log(channel))
    try:
        confine(memory_mb=_IMAGE_MB if is_image else _VIDEO_MB, cpu_s=_IMAGE_CPU_S if job["kind"] == "image" else None)
    except OSError as error:
        channel.say(asks="open", why=str(error)[:TEXT_LENGTH])
        return
    channel.say(asks="held", how=HELD)
    try:
        if is_image:
            slots = _Slots(channel)
            _decode_image(slots, descriptor, job)
            while job["kind"] == "images":
                channel.say(asks="end")
                job, (descriptor,) = channel.hear()
                _decode_image(slots, descriptor, job)
        else:
            _decode_video(channel, descriptor, job)
        channel.say(asks="end")
    except MediaError as error:
        channel.say(asks="refuse", why=str(error)[:TEXT_LENGTH])
    except MemoryError:
        channel.say(asks="refuse", why=f"{job['name']} needs more memory to decode than a picture of its kind may")


def _decode_image(slots: _Slots, descriptor: int, job: Mapping[str, Any]) -> None:
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        content = file.readall()
    rgb = decode_image(content, name=job["name"])
    slots.put([rgb], layout="rgb", width=rgb.shape[1], height=rgb.shape[0], matrix="bt601", full_range=False)


def _decode_video(channel: Channel, descriptor: int, job: Mapping[str, Any]) -> None:
    source = FileSource(
        Path(job["name"]),
        camera=job["camera"],
        started_at=_BEGAN,
        pace="as-fast-as-possible",
        loop=job["loop"],
        threads=job["threads"],
        descriptor=descriptor,
        options=PictureOptions.from_json(job["picture"]),
        expect=ExpectedStream.parse(job["expect"]) if job["expect"] else None,
    )
    if job["kind"] == "check":
        source.check()
        return
    slots = _Slots(channel)
    watch = _AskingWatch(channel, job["rate_hz"])
    try:
        for frame in source.watched(watch):
            slots.put(frame.planes, **_shape_of(frame))
    finally:
        watch.told()


def _shape_of(frame: Frame) -> dict[str, object]:
    return {
        "layout": frame.layout,
        "width": frame.width,
        "height": frame.height,
        "matrix": frame.matrix,
        "full_range": frame.full_range,
    }
