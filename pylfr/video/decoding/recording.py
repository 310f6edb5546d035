"""Reads a recording to its very end: every part of it, whatever its time stamps, codecs and damage."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pylfr.errors import MediaError
from pylfr.types import Int64
from pylfr.video.decoding.container import (
    are_bytes_in_order,
    clock_may_jump,
    describe_streams,
    has_presentation_times,
    is_byte_stream,
    is_raw,
    stream_duration_s,
)
from pylfr.video.decoding.decoder_log import complaint
from pylfr.video.decoding.expected_stream import codec_of
from pylfr.video.decoding.file_layout import Layout
from pylfr.video.decoding.frame_builder import reason_of
from pylfr.video.decoding.frame_skipping import FrameSkipper
from pylfr.video.decoding.geometry import SQUARE, aspect_of
from pylfr.video.decoding.integrity import Announcement, IntegrityCheck
from pylfr.video.decoding.picture_numbers import PictureNumbers
from pylfr.video.decoding.recording_file import OpenRecording, RecordingFile
from pylfr.video.decoding.timeline import RESTART_PAUSE_S, Timeline
from pylfr.video.sources.observer import EventKind

log = logging.getLogger(__name__)

# At the start of a stream a decoder may drop up to this many pictures, which refer to earlier ones.
_HELD_BACK = 3

# Each packet gives one picture, whatever came before it.
_ONE_BY_ONE = frozenset(("av1", "mjpeg"))
# No packet of these is one that is not shown.
_NUMBERED = frozenset(("h264", "hevc"))

MAX_DURATION_S = 31 * 86_400

Report = Callable[[EventKind, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedPicture:
    """A picture at ``at_s`` seconds from the first one, or none where frames were skipped at the end of a part.

    ``skipped`` frames were not decoded between the picture before and this one; it lasts ``length_s``.
    """

    picture: VideoFrame | None
    at_s: float
    length_s: float
    skipped: int
    sample_aspect: Fraction = SQUARE


class RecordingReader:
    """Reads one recording once. ``report`` is called with an event's kind and its words."""

    def __init__(
        self,
        file: RecordingFile,
        opened: OpenRecording,
        *,
        rate_hz: Callable[[], float | None],
        any_of_slot: bool,
        from_s: float,
        report: Report,
        require: Callable[[str, tuple[int, int]], None],
    ) -> None:
        self._file = file
        self._opened = opened
        self._rate_hz = rate_hz
        self._any_of_slot = any_of_slot
        self._from_s = from_s
        self._report = report
        self._require = require
        self._damage: list[str] = []
        self._expected: list[str] = []
        self._base_s = 0.0
        self._frames = 0
        self._span_s = 0.0

    def pictures(self) -> Iterator[DecodedPicture]:
        """Every picture to the end of the file. Raises ``MediaError`` after the last one of a damaged recording."""
        layout = self._opened.layout
        for number in range(len(layout.parts)):
            yield from self._part(number, layout)
        self._damage += self._opened.damage()
        if self._damage:
            expected = " and ".join(dict.fromkeys(self._expected))
            raise MediaError(
                f"video {self._file.path} must hold {expected}, got {self._frames} frames ({self._span_s:.1f} s): "
                f"{'; '.join(self._damage)}: it is cut off or damaged; copy it again, or go on with what it held"
            )

    def _part(self, number: int, layout: Layout) -> Iterator[DecodedPicture]:
        """The pictures of one container in the file."""
        where = layout.parts[number]
        with contextlib.ExitStack() as held:
            try:
                container, stream = held.enter_context(self._opened.part(number))
            except MediaError as error:
                if not number:
                    raise
                self._damage.append(f"part {number + 1} cannot be read ({error})")
                return
            codec = codec_of(stream.codec_context)
            self._require(codec, (stream.width, stream.height))
            self._announce(container, stream, number)
            part = _Part(
                container,
                stream,
                self._file,
                rate_hz=self._rate_hz,
                any_of_slot=self._any_of_slot,
                from_s=self._from_s + self._base_s,
                gaps=where.gaps,
            )
            for decoded in part.pictures(self._report):
                if decoded.picture is not None:
                    self._require(codec, (decoded.picture.width, decoded.picture.height))
                at_s = self._base_s + decoded.at_s
                if not abs(at_s) + abs(decoded.length_s) <= MAX_DURATION_S:
                    raise MediaError(
                        f"video {self._file.path} must last {MAX_DURATION_S // 86_400} days at most, got a picture at "
                        f"{at_s:.0f} s that lasts {decoded.length_s:.0f} s: cut it"
                    )
                yield replace(decoded, at_s=at_s)
            if part.integrity.pauses:
                self._report("noted", part.integrity.pauses)
            if number + 1 < len(layout.parts) and clock_may_jump(container):
                part.integrity.forgive_seam()
            verdict = part.integrity.verdict()
            self._expected.append(part.integrity.announced)
            self._damage += [verdict] if verdict is not None else []
            self._frames += part.frames
            self._span_s += part.integrity.span_s
            self._base_s += part.end_s + RESTART_PAUSE_S

    def _announce(self, container: InputContainer, stream: VideoStream, number: int) -> None:
        """Report what begins, and what a person should know about it."""
        if number:
            codec = codec_of(stream.codec_context)
            self._report("restarted", f"part {number + 1} begins: {codec} {stream.width}x{stream.height}")
            return
        self._report("opened", str(self._file.path))
        if len(container.streams.video) > 1:
            self._report(
                "noted",
                f"{len(container.streams.video)} video streams: {describe_streams(container)}; stream {stream.index} "
                "is analysed; stream = N chooses another",
            )
        if is_raw(container):
            self._report(
                "noted",
                f"it carries no times: {self._file.rate_of(container, stream):g} frames a second are assumed; "
                "frame_rate = N sets another rate",
            )


class _Part:
    """One container: its packets in order, onto one timeline, through one decoder."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        file: RecordingFile,
        *,
        rate_hz: Callable[[], float | None],
        any_of_slot: bool,
        from_s: float,
        gaps: Int64,
    ) -> None:
        self._container = container
        self._stream = stream
        self._decoding = file.decoding
        self._camera = file.camera
        rate = file.rate_of(container, stream)
        has_times = self._has_times = rate is None and has_presentation_times(container)
        self._timeline = Timeline(
            stream, clock_may_jump=clock_may_jump(container), presentation_times=has_times, rate_hz=rate
        )
        # Without times of presentation nobody knows which picture a packet makes before it is decoded.
        self._skipper = FrameSkipper(
            stream, rate_hz=rate_hz if has_times else lambda: None, from_s=from_s, any_of_slot=any_of_slot
        )
        self.integrity = IntegrityCheck(
            stream,
            Announcement(
                stream_s=stream_duration_s(container, stream),
                shared_s=None
                if clock_may_jump(container) or container.duration is None
                else container.duration / av.time_base,
                frames=stream.frames,
            ),
            are_bytes_in_order=are_bytes_in_order(container),
            gaps=gaps,
            numbers=PictureNumbers(stream.codec_context.name) if is_byte_stream(container) else None,
            has_times=has_times,
        )
        self.frames = 0
        self.end_s = 0.0
        self._has_picture = False
        self._has_fields = False
        self._packets_before = 0

    def pictures(self, report: Report) -> Iterator[DecodedPicture]:
        for packet in self._packets():
            if packet is None:
                yield from self._drain()
                self._note_silent()
                return
            restart = self._timeline.place(packet)
            if restart is not None:
                yield from self._drain()
                self._stream.codec_context.flush_buffers()
                self.integrity.part_begins()
                self._has_picture = False
                report("restarted", str(restart))
            self._skipper.before(packet)
            yield from self._decode(packet)

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """The packets of the stream, and None at the end."""
        try:
            for packet in self._container.demux():
                if not packet.size:
                    continue
                self.integrity.packet(packet)
                if packet.stream_index == self._stream.index:
                    yield cast("Packet[VideoStream]", packet)
        except av.error.FFmpegError as error:
            self.integrity.error(reason_of(error))
        yield None

    def _decode(self, packet: Packet[VideoStream] | None) -> Iterator[DecodedPicture]:
        try:
            with contextlib.nullcontext() if self.frames else self._decoding.refusing(self._camera):
                pictures = self._stream.decode(packet)
        except EOFError:
            return
        except av.error.FFmpegError as error:
            # What lies before the first key frame of a cut stream cannot be decoded, and is no damage.
            if packet is None or self._has_picture or packet.is_keyframe:
                self.integrity.error(reason_of(error))
            return
        said = complaint()
        if said is not None and self._has_picture:
            self.integrity.complaint(said)
        for picture in pictures:
            yield self._take(picture)

    def _take(self, picture: VideoFrame) -> DecodedPicture:
        skipped = self._skipper.skipped_before(picture)
        at_s = self._timeline.time_of(picture)
        length_s = float((picture.duration or 0) * self._timeline.tick_s) or self._timeline.interval_s
        self._has_fields |= picture.interlaced_frame
        if not self.frames:
            self._packets_before = self.integrity.packets
        if picture.is_corrupt and self._has_picture:
            self.integrity.corrupt_picture(at_s)
        self._has_picture = True
        self.frames += 1 + skipped
        self.integrity.frames = self.frames
        self.end_s = max(self.end_s, at_s + length_s)
        return DecodedPicture(
            picture=picture, at_s=at_s, length_s=length_s, skipped=skipped, sample_aspect=aspect_of(self._stream)
        )

    def _note_silent(self) -> None:
        """Report packets that gave neither a picture nor an error: damaged AV1 and JPEG, and what refers to a lost one.

        Nothing can be decoded before the first picture, and two fields in two packets give one picture.
        """
        silent, codec = self.integrity.packets - self.frames, codec_of(self._stream.codec_context)
        if codec not in _ONE_BY_ONE:
            silent -= self._packets_before + _HELD_BACK
            may_be_lost = self.integrity.has_hole or (codec in _NUMBERED and not self._has_times)
            silent *= may_be_lost and not self._has_fields
        if silent > 0:
            self.integrity.error("no picture came of them", silent)

    def _drain(self) -> Iterator[DecodedPicture]:
        """The pictures that the decoder still holds, and the count of those that were skipped after them."""
        yield from self._decode(None)
        skipped = self._skipper.skipped_at_the_end()
        if skipped:
            self.frames += skipped
            self.integrity.frames = self.frames
            interval_s = self._timeline.interval_s
            self.end_s += skipped * interval_s
            yield DecodedPicture(picture=None, at_s=self.end_s - interval_s, length_s=interval_s, skipped=skipped)
