"""Where the picture of a camera changes to another one: a recording that was cut, a camera that was turned."""

from __future__ import annotations

import numpy as np

from pylfr.types import Float32

_BINS = 16

# Measured on five recordings at 8 Hz: frames of one shot correlate by 0.58 or more and share 0.9 of their histogram,
# also where a head fills most of the picture; the two cuts correlate by 0.29 and 0.35 and share 0.3 and 0.2.
_LEAST_CORRELATION = 0.4
_DOUBTFUL_CORRELATION = 0.75
_LEAST_SHARED = 0.7


def is_cut_between(before: Float32, after: Float32) -> bool:
    """Whether two scenes (``ops.measure_scenes``) of a camera, one analysed frame after the other, are different ones.

    Another structure is another scene; so is a somewhat different structure in different light. Light alone is not.
    """
    one, other = before - before.mean(), after - after.mean()
    spread = float(np.sqrt((one * one).sum() * (other * other).sum()))
    if spread < before.size:
        # One of the two is even: nothing to correlate. Two even pictures differ only in light.
        return bool((one * one).mean() > before.size or (other * other).mean() > before.size)
    correlation = float((one * other).sum()) / spread
    if correlation < _LEAST_CORRELATION:
        return True
    return correlation < _DOUBTFUL_CORRELATION and _shared(before, after) < _LEAST_SHARED


def _shared(before: Float32, after: Float32) -> float:
    """The share of the two histograms that overlaps, 0 to 1."""
    counts = [np.histogram(each, _BINS, (0, 256))[0] for each in (before, after)]
    return float(np.minimum(*counts).sum() / before.size)


class CutDetector:
    """Remembers the scene of each camera's last analysed frame on its coarse grid, and no more."""

    def __init__(self) -> None:
        self._last: dict[str, Float32] = {}

    def is_cut(self, camera: str, scene: Float32) -> bool:
        """Whether the picture has changed to another since the camera's last frame."""
        before = self._last.get(camera)
        self._last[camera] = scene.copy()  # of one camera, not the whole batch
        return before is not None and is_cut_between(before, scene)
