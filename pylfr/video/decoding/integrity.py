"""Whether a recording is whole, whatever of it was decoded: what its container announced against what it held."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from pylfr.types import Int64
from pylfr.video.decoding.nal_units import length_bytes_of
from pylfr.video.decoding.overwritten import is_overwritten, torn_jpeg
from pylfr.video.decoding.picture_numbers import PictureNumbers
from pylfr.video.decoding.regular_runs import RegularRuns

# How far a whole recording may end before its announced end: muxers round, and some leave out the last frame's length.
_SLACK_FRAMES = 3
_SLACK_S = 0.2
# A duration that is announced for all streams together is rounded more roughly.
_SHARED_SLACK_S = 2.0
_SHARED_SLACK = 0.05

# Recorders pause while nothing moves, and leave out frames that are as the one before: time without frames is a loss
# where bytes were left unread, or packets of any stream are missing, too. Shorter pauses are not reported.
_PAUSE_S = 1.0

# Packets around a restart, whose continuity is broken by it.
_SEAM_PACKETS = 2

# Bytes between two packets that belong to neither: headers of clusters and blocks are far smaller.
_UNREAD_BYTES = 512
# In the order of decoding a hole shows up to so many packets later.
_REORDERED_PACKETS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What the container says that it holds, None or 0 where it says nothing.

    ``stream_s`` and ``frames`` of the stream itself, ``shared_s`` of all streams together.
    """

    stream_s: float | None
    shared_s: float | None
    frames: int


class IntegrityCheck:
    """Told of every packet, error and picture; says at the end what is missing.

    ``gaps``: between which two bytes packets of which stream are missing, int64 [N, 3]. ``numbers`` follows the
    pictures' own numbers, where they are read. ``has_times``: without times a number that is missing is enough.
    """

    def __init__(
        self,
        stream: VideoStream,
        announced: Announcement,
        *,
        are_bytes_in_order: bool,
        gaps: Int64,
        numbers: PictureNumbers | None,
        has_times: bool,
    ) -> None:
        self._stream = stream
        self._announced = announced
        self._gaps = gaps
        self._numbers = numbers
        self._runs = RegularRuns()
        self._has_times = has_times
        self._lost: list[tuple[int, float]] = []
        self._has_hole = self.has_hole = False
        self._are_bytes_in_order = are_bytes_in_order
        self._tick = stream.time_base or Fraction(1, 1_000_000)
        self._codec = stream.codec_context.name
        self._length_bytes = length_bytes_of(self._codec, stream.codec_context.extradata)
        self._interval_s = 1.0 / float(stream.average_rate) if stream.average_rate else 0.04
        self._dts: tuple[int, int, int | None] | None = None
        self._byte: int | None = None
        self._byte_before: int | None = None
        self._unread_until = 0
        self._has_unread = False
        self._first_s: float | None = None
        self._end_s = self._parts_s = self._shared_end_s = 0.0
        self._holes: list[tuple[float, float]] = []
        self._pauses: list[tuple[float, float]] = []
        self._corrupt: list[tuple[int, float]] = []
        self._torn: list[tuple[float, str]] = []
        self._complaints: list[tuple[int, str]] = []
        self._errors = 0
        self._reason = ""
        self._has_restarted = False
        self.packets = self.frames = 0

    def packet(self, packet: Packet[Stream]) -> None:
        """Take note of a packet of any stream, with the time stamps that the file gives it."""
        if self._are_bytes_in_order and packet.pos is not None:
            unread = 0 if self._byte is None else packet.pos - self._byte
            if unread > _UNREAD_BYTES:
                self._has_unread = True
                self._unread_until = self.packets + _REORDERED_PACKETS
            self._byte = max(self._byte or 0, packet.pos + packet.size)
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is not None and packet.time_base is not None:
            end_s = float((max(stamp, packet.pts or stamp) + (packet.duration or 0)) * packet.time_base)
            self._shared_end_s = max(self._shared_end_s, end_s)
        if packet.stream_index == self._stream.index:
            self._picture_packet(packet)

    def part_begins(self) -> None:
        """Time stamps start again."""
        self._parts_s += self._part_s
        self._first_s, self._end_s, self._dts = None, 0.0, None
        self._has_restarted = True
        self._follow_runs()
        self.forgive_seam()

    def forgive_seam(self) -> None:
        """Another recording follows directly: corruption in the last packets is due to the seam."""
        first = self.packets - _SEAM_PACKETS
        self._corrupt = [(number, at_s) for number, at_s in self._corrupt if number < first]
        self._complaints = [(number, words) for number, words in self._complaints if number < first]

    def error(self, reason: str, count: int = 1) -> None:
        """Packets that could not be decoded, or the end of what could be read."""
        self._errors += count
        self._reason = self._reason or reason

    def complaint(self, words: str) -> None:
        """The decoder logged damage without flagging the picture."""
        self._complaints.append((self.packets, f"at about {self._end_s:.1f} s: {words}"))

    def corrupt_picture(self, at_s: float) -> None:
        self._corrupt.append((self.packets, at_s))

    def verdict(self) -> str | None:
        """What is missing, in words; None where the recording is whole."""
        if self._numbers is not None:
            self._note_lost(self._numbers.end())
            self._follow_runs()
        found = [*self._missing_end(), *self._missing_middle(), *self._undecodable()]
        if not self.frames:
            found = found or ["nothing could be decoded"]
        return "; ".join(found) or None

    @property
    def pauses(self) -> str:
        """Where there are no frames although nothing is missing, in words; empty where there are always some."""
        if not self._pauses:
            return ""
        return (
            f"{_total(self._pauses)} without frames after {_places(self._pauses)}: the recorder paused, or its rate "
            "changes; nothing in the file says that any are lost"
        )

    @property
    def announced(self) -> str:
        """What should be there, in words."""
        duration_s = self._announced.stream_s if self._announced.stream_s is not None else self._announced.shared_s
        words = [] if duration_s is None else [f"{duration_s:.1f} s"]
        if self._announced.frames:
            words.append(f"({self._announced.frames} frames)" if words else f"{self._announced.frames} frames")
        return " ".join(words) or "all that was recorded"

    @property
    def span_s(self) -> float:
        """Seconds of footage that were read."""
        return self._parts_s + self._part_s

    @property
    def _part_s(self) -> float:
        return 0.0 if self._first_s is None else self._end_s - self._first_s

    def _picture_packet(self, packet: Packet[Stream]) -> None:
        self.packets += 1
        stamp = packet.dts if packet.dts is not None else packet.pts
        length = packet.duration or 0
        if packet.pts is not None or stamp is not None:
            shown = packet.pts if packet.pts is not None else stamp
            assert shown is not None
            at_s = float(shown * self._tick)
            self._first_s = at_s if self._first_s is None else min(self._first_s, at_s)
            self._end_s = max(self._end_s, at_s + (float(length * self._tick) or self._interval_s))
        before_byte = self._byte_before
        self._byte_before = packet.pos
        if packet.is_corrupt or self._is_gap_between(before_byte, packet.pos, of=self._stream.id):
            self._corrupt.append((self.packets, self._end_s))
        self._follow_time(packet)
        content = bytes(packet)
        if self._numbers is not None:
            self._note_lost(self._numbers.take(memoryview(content)))
        self._look_at(content)

    def _look_at(self, content: bytes) -> None:
        """Note what no encoder writes, whether or not the picture is decoded."""
        if is_overwritten(self._codec, content, length_bytes=self._length_bytes):
            self._torn.append((self._end_s, "zeros lie in it"))
        elif self._codec == "mjpeg" and (wrong := torn_jpeg(content)) is not None:
            self._torn.append((self._end_s, wrong))

    def _follow_time(self, packet: Packet[Stream]) -> None:
        """Note where time passes without packets, in the order of decoding."""
        length, missing = packet.duration or 0, 0.0
        if packet.dts is None:
            return
        if self._dts is not None and length:
            before, before_length, before_byte = self._dts
            step_s = float((packet.dts - before) * self._tick)
            hole_s = step_s - float(before_length * self._tick)
            where = float(before * self._tick), hole_s
            missing = hole_s / self._interval_s if hole_s > 0.5 * self._interval_s else 0.0
            self._has_hole |= hole_s > 0.5 * self._interval_s
            self.has_hole |= self._has_hole
            if hole_s > 0.5 * self._interval_s and (
                self.packets <= self._unread_until or self._is_gap_between(before_byte, packet.pos)
            ):
                self._holes.append(where)
            elif hole_s > _PAUSE_S:
                self._pauses.append(where)
        self._runs.picture(is_key=packet.is_keyframe, missing=missing, at_s=float(packet.dts * self._tick))
        self._dts = packet.dts, length, packet.pos

    def _note_lost(self, count: int) -> None:
        """Pictures are missing by their numbers, and time is missing too: numbers alone may be a coder's own way."""
        if count > 0 and (self._has_hole or not self._has_times):
            self._lost.append((count, self._end_s))
        self._has_hole &= count <= 0

    def _follow_runs(self) -> None:
        """Note the pictures missing from the runs between key frames, and start again.

        Only where the packets lie as they were sent.
        """
        if self._numbers is not None and self._has_times and not self._lost:
            self._lost += self._runs.lost()
        self._runs = RegularRuns()

    def _is_gap_between(self, first: int | None, last: int | None, *, of: int | None = None) -> bool:
        """Whether packets are missing between two bytes; with ``of`` only where they are of that stream."""
        if first is None or last is None or not len(self._gaps):
            return False
        inside = (self._gaps[:, 0] < last) & (self._gaps[:, 1] > first)
        return bool(np.any(inside if of is None else inside & (self._gaps[:, 2] == of)))

    def _missing_end(self) -> list[str]:
        announced = self._announced
        if self._has_restarted:
            return []
        found = []
        reached_s = max(self._end_s, self._part_s)
        if announced.stream_s is not None:
            slack_s = max(_SLACK_FRAMES * self._interval_s, _SLACK_S)
            expected_s = announced.stream_s
        elif announced.shared_s is not None:
            # Sound may outlast the picture: whichever stream was read longest counts.
            reached_s = max(reached_s, self._shared_end_s)
            slack_s = max(_SHARED_SLACK_S, _SHARED_SLACK * announced.shared_s)
            expected_s = announced.shared_s
        else:
            expected_s = slack_s = 0.0
        is_cut = reached_s < expected_s - slack_s
        # Some recorders miscount by a few, and AVI counts frames of no bytes, which repeat the one before and reach
        # no reader: whoever reads contiguous bytes to the end has everything.
        is_counted = announced.frames and self.packets < announced.frames - (0 if self._has_unread else _SLACK_FRAMES)
        if is_counted and (is_cut or self._has_unread or not self._are_bytes_in_order):
            found.append(f"{announced.frames - self.packets} of {announced.frames} frames are missing")
        if is_cut:
            found.append(f"it is cut off {expected_s - reached_s:.1f} s before its end")
        return found

    def _missing_middle(self) -> list[str]:
        found = []
        if self._holes:
            found.append(f"{_total(self._holes)} are missing after {_places(self._holes)}")
        if self._lost:
            count, before_s = sum(count for count, _ in self._lost), self._lost[0][1]
            found.append(f"{count} pictures are missing by their own numbers, the first before {before_s:.1f} s")
        return found

    def _undecodable(self) -> list[str]:
        found = []
        if self._errors:
            found.append(f"{self._errors} packets could not be decoded ({self._reason})")
        if self._corrupt:
            found.append(f"{len(self._corrupt)} pictures are damaged, the first at {self._corrupt[0][1]:.1f} s")
        if self._torn:
            at_s, wrong = self._torn[0]
            found.append(f"{len(self._torn)} pictures were overwritten or cut, the first at {at_s:.1f} s: {wrong}")
        if self._complaints and not found:
            found.append(
                f"the decoder met damage in {len(self._complaints)} places, the first {self._complaints[0][1]}"
            )
        return found


def _total(holes: list[tuple[float, float]]) -> str:
    return f"{sum(length_s for _, length_s in holes):.1f} s"


def _places(holes: list[tuple[float, float]]) -> str:
    return ", ".join(f"{at_s:.1f} s" for at_s, _ in holes[:3]) + (", ..." if len(holes) > 3 else "")
