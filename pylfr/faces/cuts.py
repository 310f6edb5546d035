"""Where the picture of a camera changes to another one: a recording that was cut, a camera that was turned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pylfr.types import Float32

Bool = npt.NDArray[np.bool_]

_BINS = 16

# Measured on five recordings at 8 Hz: frames of one shot correlate by 0.58 or more and share 0.9 of their histogram,
# also where a head fills most of the picture; the two cuts correlate by 0.29 and 0.35 and share 0.3 and 0.2.
_LEAST_CORRELATION = 0.4
_DOUBTFUL_CORRELATION = 0.75
_LEAST_SHARED = 0.7


def are_cuts_between(before: Float32, after: Float32) -> Bool:
    """Whether scenes (``ops.measure_scenes``) of analysed frames are others than those of the frames before them.

    Both are float32 [N, cells], the answer is bool [N]. Another structure is another scene; so is a somewhat different
    structure in different light. Light alone is not.
    """
    cells = before.shape[1]
    one, other = (each - each.mean(axis=1, keepdims=True) for each in (before, after))
    squares = np.stack([(one * one).sum(axis=1), (other * other).sum(axis=1)])
    spread = np.sqrt(squares[0] * squares[1])
    # Where one of the two is even there is nothing to correlate. Two even pictures differ only in light.
    is_even = spread < cells
    correlation = (one * other).sum(axis=1) / np.where(is_even, 1, spread)
    cuts: Bool = np.where(is_even, squares.max(axis=0) > cells * cells, correlation < _LEAST_CORRELATION)
    for row in np.flatnonzero(~is_even & ~cuts & (correlation < _DOUBTFUL_CORRELATION)).tolist():
        cuts[row] = _shared(before[row], after[row]) < _LEAST_SHARED
    return cuts


def _shared(before: Float32, after: Float32) -> float:
    """The share of the two histograms that overlaps, 0 to 1."""
    counts = [np.histogram(each, _BINS, (0, 256))[0] for each in (before, after)]
    return float(np.minimum(*counts).sum() / before.size)


class CutDetector:
    """Remembers the scene of each camera's last analysed frame on its coarse grid, and no more.

    All of them lie in one array, and are read and written a batch at a time: NumPy lets go of Python's lock for every
    copy, and the threads of many cameras wait for it.
    """

    def __init__(self) -> None:
        self._last = np.empty((0, 0), np.float32)
        self._places: dict[str, int] = {}

    def are_cuts(self, cameras: Sequence[str], scenes: Float32) -> Bool:
        """Whether pictures have changed to others since their cameras' last frames: bool [N], of the first one not.

        ``scenes`` is float32 [N, rows, columns], one for each of ``cameras``; those of one camera in order of time.
        """
        flat = scenes.reshape(len(scenes), scenes.shape[1] * scenes.shape[2])
        if not len(flat):
            return np.zeros(0, np.bool_)
        known = len(self._places)
        places = [self._places.setdefault(camera, len(self._places)) for camera in cameras]
        self._grow(flat.shape[1])
        # A camera's scenes are those of an earlier batch, or of this one; its first is its own predecessor.
        latest: dict[int, int] = {}
        remembered: list[int] = []
        predecessor = np.arange(len(flat))
        for row, place in enumerate(places):
            if place in latest:
                predecessor[row] = latest[place]
            elif place < known:
                remembered.append(row)
            latest[place] = row
        before = flat[predecessor]
        before[remembered] = self._last[[places[row] for row in remembered]]
        self._last[list(latest)] = flat[list(latest.values())]
        return are_cuts_between(before, flat)

    def _grow(self, cells: int) -> None:
        """Make room for every camera that has a place."""
        if len(self._places) > len(self._last):
            room = np.empty((2 * len(self._places), cells), np.float32)
            if len(self._last):
                room[: len(self._last)] = self._last
            self._last = room
