"""Where the parts of an MPEG transport stream begin: recordings that were put one after the other into one file.

FFmpeg opens the decoder for the first part only. Cut here, each part is opened for itself, and none of it is lost.
Layout: ISO/IEC 13818-1, 2.4.3 (packets), 2.4.4.3 (programme association), 2.4.4.8 (programme map).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pylfr.types import Int64, UInt8
from pylfr.video.decoding.continuity import Continuity
from pylfr.video.decoding.pacing import ConstantRate, PictureLengths, TableRhythm, pes_begins

_SYNC = 0x47
_PACKET_BYTES = 188
# Recorders put four bytes of time before each packet (M2TS), broadcasters sixteen of parity behind it.
_LAYOUTS = ((188, 0), (192, 4), (204, 0))
_CHUNK_PACKETS = 50_000

# stream_type of MPEG-1, MPEG-2, MPEG-4, H.264, its SVC and MVC, JPEG 2000, H.265, H.266, AVS: what has pictures.
_VIDEO_TYPES = frozenset((0x01, 0x02, 0x10, 0x1B, 0x1F, 0x20, 0x21, 0x24, 0x33, 0x42))

_CLOCK_HZ = 90_000
# Clocks are sent every tenth of a second; one that is so far ahead, or back, is another one.
_JUMP_S = 10.0
_BACK_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportScan:
    """What the packets say of themselves.

    ``starts``: where every part but the first begins; ``gaps``: between which two bytes packets of which stream are
    missing, int64 [N, 3]; ``short``: where pictures begin of which bytes are missing; ``out_of_step``: where something
    else than packets lies between them.
    """

    starts: list[int]
    gaps: Int64
    short: list[int]
    out_of_step: list[int]


def scan_transport_stream(descriptor: int) -> TransportScan:
    """What the packets of an open file say; nothing where it is no transport stream."""
    layout = _packet_layout(descriptor)
    if layout is None:
        return TransportScan(starts=[], gaps=np.empty((0, 3), np.int64), short=[], out_of_step=[])
    scan, continuity, tables, rate, lengths = _Scan(), Continuity(), TableRhythm(), ConstantRate(), PictureLengths()
    out_of_step: list[int] = []
    expected = 0
    for at_byte, packets in _packets(descriptor, layout):
        if at_byte[0] > expected:
            out_of_step.append(expected)
        expected = int(at_byte[-1]) + layout[0]
        pids = (packets[:, 1].astype(np.int64) & 0x1F) << 8 | packets[:, 2]
        for each in (scan, continuity, tables, rate, lengths):
            each.take(at_byte, pids, packets)
    gaps = np.concatenate([continuity.gaps(), tables.gaps(), rate.gaps()])
    return TransportScan(starts=scan.starts, gaps=gaps, short=lengths.short(scan.starts), out_of_step=out_of_step)


def ends_in_a_packet(descriptor: int, end: int) -> bool:
    """Whether a transport stream ends before its last packet does."""
    layout = _packet_layout(descriptor)
    return layout is not None and end % layout[0] != 0


class _Scan:
    """Follows the tables and clocks of a transport stream."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self._tables_at: int | None = None
        self._maps: dict[int, int] = {}
        self._video: dict[int, frozenset[tuple[int, int]]] = {}
        self._clocks: dict[int, int] = {}
        self._clock_at = 0
        self._counters: dict[int, int] = {}

    def take(self, at_byte: Int64, pids: Int64, packets: UInt8) -> None:
        """Packets, uint8 [N, 188], their streams, and where each begins in the file, int64 [N]."""
        begins = packets[:, 1] & 0x40 != 0
        tables = begins & ((pids == 0) | np.isin(pids, list(self._maps)))
        has_clock = (packets[:, 3] & 0x20 != 0) & (packets[:, 4] >= 7) & (packets[:, 5] & 0x10 != 0)
        # A table that names further tables is met before them, at the start of a file or of a part.
        for place in np.flatnonzero(begins & (pids == 0)):
            self._maps |= dict.fromkeys(_programmes(packets[place]).values(), 0)
        of_maps = np.isin(pids, list(self._maps))
        tables |= begins & of_maps
        maps, pictures, counters = (
            np.flatnonzero(of_maps),
            np.flatnonzero(pes_begins(packets)),
            packets[:, 3] & np.uint8(0x0F),
        )
        for place in np.flatnonzero(tables | has_clock):
            pid, at = int(pids[place]), int(at_byte[place])
            if has_clock[place]:
                self._clock(pid, packets[place], at)
            elif pid == 0:
                self._tables_at = at
                if counters[place] == 0 and self._is_counted_anew(int(place), pids, counters, maps, pictures):
                    self._begin()
            else:
                self._map(pid, packets[place])
        for pid in np.flatnonzero(np.bincount(pids)).tolist():
            self._counters[pid] = int(counters[np.flatnonzero(pids == pid)[-1]])

    def _is_counted_anew(self, place: int, pids: Int64, counters: UInt8, maps: Int64, pictures: Int64) -> bool:
        """Whether the counters of tables and pictures restart at 0 here, as when a multiplexer starts.

        ``place`` is of a programme association whose counter is 0; ``maps`` and ``pictures`` are the places of
        programme maps and of packets in which pictures or sound begin, int64, in order.
        """
        found, first = (each[np.searchsorted(each, place) :][:1] for each in (maps, pictures))
        if not found.size or not first.size or counters[found[0]] or counters[first[0]] or found[0] > first[0]:
            return False
        if np.any(pids[place : first[0]] == pids[first[0]]):
            return False
        before = [self._counter_before(each, pids, counters) for each in (place, int(found[0]), int(first[0]))]
        return any(each not in (None, 15) for each in before)

    def _counter_before(self, place: int, pids: Int64, counters: UInt8) -> int | None:
        earlier = np.flatnonzero(pids[:place] == pids[place])
        return int(counters[earlier[-1]]) if earlier.size else self._counters.get(int(pids[place]))

    def _map(self, pid: int, packet: UInt8) -> None:
        video = _video_streams(packet)
        if video is None:
            return
        if self._video.get(pid, video) != video:
            self._begin()
        self._video[pid] = video

    def _clock(self, pid: int, packet: UInt8, at_byte: int) -> None:
        high = int.from_bytes(packet[6:10].tobytes(), "big")
        ticks = high << 1 | int(packet[10]) >> 7
        before = self._clocks.get(pid)
        if before is not None:
            ahead_s = ((ticks - before + (1 << 32)) % (1 << 33) - (1 << 32)) / _CLOCK_HZ
            if (
                (ahead_s < -_BACK_S or ahead_s > _JUMP_S)
                and self._tables_at is not None
                and self._tables_at > self._clock_at
            ):
                self._begin()
        self._clocks[pid] = ticks
        self._clock_at = at_byte

    def _begin(self) -> None:
        """A part begins at the last tables."""
        at = self._tables_at
        if at is not None and at > (self.starts[-1] if self.starts else 0):
            self.starts.append(at)
        self._clocks.clear()
        self._video.clear()


def _packets(descriptor: int, layout: tuple[int, int]) -> Iterator[tuple[Int64, UInt8]]:
    """All whole packets, uint8 [N, 188], with their places in the file; what is damaged is left out."""
    size = os.fstat(descriptor).st_size
    step, first = layout
    at = 0
    while at + step <= size:
        content = np.frombuffer(
            os.pread(descriptor, min(step * _CHUNK_PACKETS, (size - at) // step * step), at), np.uint8
        )
        rows = content[: content.size // step * step].reshape(-1, step)
        if not len(rows):
            return
        wrong = np.flatnonzero(rows[:, first] != _SYNC)
        whole = int(wrong[0]) if wrong.size else len(rows)
        if whole:
            yield at + step * np.arange(whole, dtype=np.int64), rows[:whole, first : first + _PACKET_BYTES]
            at += step * whole
        else:
            at = _next_sync(content, step, first, at)


def end_of_packets(descriptor: int, size: int) -> int:
    """Where a transport stream ends in a file that was made larger beforehand and is filled with zeros."""
    layout, end = _packet_layout(descriptor), size
    while layout is not None and end > 0:
        start = max(0, end - _CHUNK_PACKETS * layout[0])
        content = os.pread(descriptor, end - start, start).rstrip(b"\0")
        end = start + len(content)
        if content:
            return min(size, -(-end // layout[0]) * layout[0])
    return size


def _next_sync(content: UInt8, step: int, first: int, at: int) -> int:
    """Where packets go on after damage, no earlier than the next byte."""
    marks = content[first + 1 :] == _SYNC
    if marks.size > 2 * step:
        found = np.flatnonzero(marks[: -2 * step] & marks[step:-step] & marks[2 * step :])
        if found.size:
            return at + 1 + int(found[0])
    return at + max(step, content.size - 3 * step)


def _packet_layout(descriptor: int) -> tuple[int, int] | None:
    content = os.pread(descriptor, 4 * max(step for step, _ in _LAYOUTS), 0)
    for step, first in _LAYOUTS:
        if content[first::step][:3] == bytes([_SYNC]) * 3:
            return step, first
    return None


def _section(packet: UInt8, table: int) -> bytes | None:
    """The table that begins in a packet, without its header of eight bytes and its check; None where another does."""
    content = packet.tobytes()
    start = 4 + (1 + content[4] if content[3] & 0x20 else 0)
    if start >= _PACKET_BYTES:
        return None
    start += 1 + content[start]
    if start + 8 > _PACKET_BYTES or content[start] != table:
        return None
    length = (content[start + 1] & 0x0F) << 8 | content[start + 2]
    return content[start + 8 : min(start + 3 + length - 4, _PACKET_BYTES)]


def _programmes(packet: UInt8) -> dict[int, int]:
    """Programme numbers and where their maps are, of a programme association."""
    section = _section(packet, 0) or b""
    entries = (section[place : place + 4] for place in range(0, len(section) - 3, 4))
    return {
        entry[0] << 8 | entry[1]: (entry[2] & 0x1F) << 8 | entry[3] for entry in entries if entry[0] << 8 | entry[1]
    }


def _video_streams(packet: UInt8) -> frozenset[tuple[int, int]] | None:
    """Place and type of every video stream in a programme map."""
    section = _section(packet, 2)
    if section is None or len(section) < 4:
        return None
    place = 4 + ((section[2] & 0x0F) << 8 | section[3])
    found = set()
    while place + 5 <= len(section):
        if section[place] in _VIDEO_TYPES:
            found.add(((section[place + 1] & 0x1F) << 8 | section[place + 2], section[place]))
        place += 5 + ((section[place + 3] & 0x0F) << 8 | section[place + 4])
    return frozenset(found)
