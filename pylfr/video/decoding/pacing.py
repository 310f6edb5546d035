"""Where packets of an MPEG transport stream are missing that no counter shows: by tables, by clocks and by lengths.

Counters go to 15: of sixteen lost packets of one stream they say nothing. Layout: ISO/IEC 13818-1, 2.4.3.4 (clock),
2.4.3.6 (lengths), 2.4.4 (tables).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pylfr.types import Int64, UInt8

Bool = npt.NDArray[np.bool_]

# Tables are sent by multiplexers that have packets to send: between two packets of the only stream there is one of
# each. Where there are more everywhere, they are sent by the clock and say nothing.
_MOST_TABLES = 1
_MOST_PLACES = 0.02

# A multiplexer of constant rate counts packets exactly; half a packet is rounding.
_CLOCK_HZ = 27_000_000
_CLOCK_WRAP = (1 << 33) * 300
_CONSTANT_SHARE = 0.95
_ROUNDED_PACKETS = 2.0
_LEAST_LOST = 8
_LEAST_CLOCKS = 10

_NO_GAPS: Int64 = np.empty((0, 3), np.int64)
# Of no stream in particular.
_ANY = -1
_PAYLOAD_BYTES = 184


class TableRhythm:
    """Counts the tables between two packets of a stream that is alone with them."""

    def __init__(self) -> None:
        self._streams: set[int] = set()
        self._last: int | None = None
        self._waiting = 0
        self._packets = 0
        self._places: list[tuple[int, int, int]] = []

    def take(self, at_byte: Int64, pids: Int64, packets: UInt8) -> None:
        """Packets, uint8 [N, 188], their streams, and where each begins in the file, int64 [N]."""
        begins = pes_begins(packets)
        self._streams.update(_different(pids[begins]))
        if len(self._streams) != 1:
            return
        own = np.flatnonzero(pids == next(iter(self._streams)))
        tables = np.flatnonzero(pids == 0)
        before = np.searchsorted(tables, own)
        counts = np.diff(before, prepend=0)
        if len(own):
            counts[0] += self._waiting
            places = np.concatenate([[-1 if self._last is None else self._last], at_byte[own[:-1]]])
            for place in np.flatnonzero(counts > _MOST_TABLES).tolist():
                if places[place] >= 0:
                    self._places.append((int(places[place]), int(at_byte[own[place]]), _ANY))
            self._last, self._packets, self._waiting = int(at_byte[own[-1]]), self._packets + len(own), 0
        self._waiting += len(tables) - (int(before[-1]) if len(own) else 0)

    def gaps(self) -> Int64:
        """Between which two bytes packets of which stream are missing (-1: of one of them): int64 [N, 3], in order."""
        if len(self._streams) != 1 or len(self._places) > max(1, _MOST_PLACES * self._packets):
            return _NO_GAPS
        return np.array(self._places, np.int64).reshape(-1, 3)


class ConstantRate:
    """Compares the packets between two clocks with the time between them, where a multiplexer keeps one rate."""

    def __init__(self) -> None:
        self._packets = 0
        self._clocks: list[Int64] = []

    def take(self, at_byte: Int64, pids: Int64, packets: UInt8) -> None:
        """As ``TableRhythm.take``."""
        places = np.flatnonzero((packets[:, 3] & 0x20 != 0) & (packets[:, 4] >= 7) & (packets[:, 5] & 0x10 != 0))
        fields = packets[places, 6:12].astype(np.int64)
        base = fields[:, 0] << 25 | fields[:, 1] << 17 | fields[:, 2] << 9 | fields[:, 3] << 1 | fields[:, 4] >> 7
        ticks = 300 * base + ((fields[:, 4] & 1) << 8 | fields[:, 5])
        self._clocks.append(np.stack([pids[places], self._packets + places, ticks, at_byte[places]], axis=1))
        self._packets += len(packets)

    def gaps(self) -> Int64:
        """As ``TableRhythm.gaps``."""
        if not self._clocks:
            return _NO_GAPS
        every = np.concatenate(self._clocks)
        found = [_constant_rate_gaps(every[every[:, 0] == pid]) for pid in _different(every[:, 0])]
        return np.concatenate([_NO_GAPS, *found])


def _constant_rate_gaps(clocks: Int64) -> Int64:
    if len(clocks) < _LEAST_CLOCKS:
        return _NO_GAPS
    sent = np.diff(clocks[:, 1]).astype(float)
    passed = (np.diff(clocks[:, 2]) % _CLOCK_WRAP).astype(float)
    usual = passed > 0
    # The median, for which NumPy imports more than a confined process can.
    rates = np.sort(sent[usual] / passed[usual])
    rate = float(rates[len(rates) // 2]) if len(rates) else 0.0
    missing = rate * passed - sent
    if not rate or np.mean(np.abs(missing) <= _ROUNDED_PACKETS) < _CONSTANT_SHARE:
        return _NO_GAPS
    # A clock that was set is no loss, nor is a recorder's pause.
    places = np.flatnonzero((missing >= _LEAST_LOST) & (passed < _CLOCK_HZ))
    return np.stack([clocks[places, 3], clocks[places + 1, 3], clocks[places, 0]], axis=1)


class PictureLengths:
    """Compares what each packet of pictures (PES) announces, where it does, with what came of it."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[int, int, int]] = {}
        self._wrong: list[tuple[int, int]] = []

    def take(self, at_byte: Int64, pids: Int64, packets: UInt8) -> None:
        """As ``TableRhythm.take``."""
        begins = pes_begins(packets)
        pictures = {*_different(pids[begins]), *self._open}
        control = packets[:, 3] & 0x30
        carried = np.where(control == 0x10, _PAYLOAD_BYTES, 0)
        carried = np.where(control == 0x30, np.maximum(0, _PAYLOAD_BYTES - 1 - packets[:, 4].astype(np.int64)), carried)
        for pid in pictures:
            own = np.flatnonzero(pids == pid)
            starts = own[begins[own]]
            sums = np.concatenate([[0], np.cumsum(carried[own])])
            at = np.searchsorted(own, starts)
            self._add(pid, int(sums[at[0]] if len(at) else sums[-1]))
            for number, (place, first) in enumerate(zip(at.tolist(), starts.tolist(), strict=True)):
                self._close(pid, int(at_byte[first]))
                last = at[number + 1] if number + 1 < len(at) else len(own)
                announced = _announced(packets[first])
                if announced:
                    self._open[pid] = int(at_byte[first]), announced, int(sums[last] - sums[place])

    def short(self, seams: Sequence[int]) -> list[int]:
        """Where those begin that have not the bytes that they announce; the last before a seam may be cut off."""
        return [start for start, end in self._wrong if not any(start < seam <= end for seam in seams)]

    def _add(self, pid: int, count: int) -> None:
        if pid in self._open:
            start, announced, got = self._open[pid]
            self._open[pid] = start, announced, got + count

    def _close(self, pid: int, at_byte: int) -> None:
        """Another one begins at that byte: the one before has all its bytes, or it never gets them."""
        if pid in self._open:
            start, announced, got = self._open.pop(pid)
            if not announced <= got < announced + _PAYLOAD_BYTES:
                self._wrong.append((start, at_byte))


def _different(pids: Int64) -> list[int]:
    """As ``np.unique``, which imports more of NumPy than a confined process can."""
    found: list[int] = np.flatnonzero(np.bincount(pids)).tolist()
    return found


def pes_begins(packets: UInt8) -> Bool:
    """Whether a PES packet of pictures or sound begins in each packet, uint8 [N, 188]: bool [N]."""
    found: Bool = np.zeros(len(packets), bool)
    places = np.flatnonzero((packets[:, 1] & 0x40 != 0) & (packets[:, 3] & 0x10 != 0))
    starts = 4 + np.where(packets[places, 3] & 0x20 != 0, 1 + packets[places, 4].astype(np.int64), 0)
    fits = starts <= 188 - 9
    places, starts = places[fits], starts[fits]
    found[places] = (
        (packets[places, starts] == 0) & (packets[places, starts + 1] == 0) & (packets[places, starts + 2] == 1)
        & (packets[places, starts + 3] >= 0xC0)
    )  # fmt: skip
    return found


def _announced(packet: UInt8) -> int:
    """The bytes of the PES packet of pictures that begins here, with its head of six; 0 where it names none."""
    start = 4 + (1 + int(packet[4]) if packet[3] & 0x20 else 0)
    length = int(packet[start + 4]) << 8 | int(packet[start + 5])
    return 6 + length if length and 0xE0 <= packet[start + 3] <= 0xEF else 0
