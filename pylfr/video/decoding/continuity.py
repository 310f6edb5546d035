"""Where packets of an MPEG transport stream are missing, by the counter that each of its streams has.

FFmpeg looks at the counter of the pictures alone, which goes to 15: of 16 lost packets it says nothing. Whatever
else was sent meanwhile, tables and sound, was lost too. Layout: ISO/IEC 13818-1, 2.4.3.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pylfr.types import Int64, UInt8

Bool = npt.NDArray[np.bool_]

_NULL = 0x1FFF
# Where more of a stream's counters than this are wrong, its multiplexer does not maintain them.
_MOST_WRONG = 0.2
_LEAST_PACKETS = 4


class Continuity:
    """Follows every counter of a transport stream."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, int]] = {}
        self._counts: dict[int, int] = {}
        self._breaks: dict[int, list[tuple[int, int]]] = {}

    def take(self, at_byte: Int64, pids: Int64, packets: UInt8) -> None:
        """Packets, uint8 [N, 188], their streams, and where each begins in the file, int64 [N]."""
        carries = packets[:, 3] & 0x10 != 0
        announced = (packets[:, 3] & 0x20 != 0) & (packets[:, 4] > 0) & (packets[:, 5] & 0x80 != 0)
        for pid in np.flatnonzero(np.bincount(pids)).tolist():
            if pid != _NULL:
                places = np.flatnonzero(pids == pid)
                self._follow(pid, at_byte[places], packets[places, 3] & 0x0F, carries[places], announced[places])

    def gaps(self) -> Int64:
        """Between which two bytes packets of which stream are missing: int64 [N, 3], in order."""
        kept = [
            (*gap, pid)
            for pid, gaps in self._breaks.items()
            if self._counts[pid] >= _LEAST_PACKETS and len(gaps) <= max(1, _MOST_WRONG * self._counts[pid])
            for gap in gaps
        ]
        return np.array(sorted(kept), np.int64).reshape(-1, 3)

    def _follow(self, pid: int, at_byte: Int64, counters: UInt8, carries: Bool, announced: Bool) -> None:
        self._counts[pid] = self._counts.get(pid, 0) + len(counters)
        before = self._last.get(pid, (int(counters[0]), int(at_byte[0])))
        previous = np.concatenate([[before[0]], counters[:-1]])
        # A packet may come twice; one without a payload has the number of the one before.
        is_right = announced | (counters == previous) | (carries & (counters == (previous + 1) % 16))
        places = np.concatenate([[before[1]], at_byte[:-1]])
        for place in np.flatnonzero(~is_right).tolist():
            self._breaks.setdefault(pid, []).append((int(places[place]), int(at_byte[place])))
        self._last[pid] = int(counters[-1]), int(at_byte[-1])
