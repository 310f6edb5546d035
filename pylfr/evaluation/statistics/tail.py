"""The far end of a distribution: a generalised Pareto tail over the highest scores, and how unsure it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Pickands (1975), Balkema and de Haan (1974): excesses over a high level follow this law whatever the rest does.
# Outside these shapes the weighted moments below are no estimate (the mean is infinite from 1 on).
_SHAPES = (-0.9, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Above ``start`` the share of scores over x is ``share * (1 + shape * (x - start) / scale) ** (-1 / shape)``."""

    start: float
    scale: float
    shape: float
    share: float

    def exceedance(self, score: float) -> float:
        """The share of scores that reach ``score``; it must not lie below ``start``."""
        reach = 1 + self.shape * (score - self.start) / self.scale
        if reach <= 0:
            return 0.0
        return float(self.share * (np.exp(-(score - self.start) / self.scale) if abs(self.shape) < 1e-6 else
                                   reach ** (-1 / self.shape)))  # fmt: skip

    def quantile(self, share: float) -> float:
        """The score that ``share`` of all scores reach; ``share`` must not be above that of the tail."""
        if not 0 < share <= self.share:
            raise ValueError(f"the tail holds shares above 0 up to {self.share}, got {share}")
        ratio = self.share / share
        if abs(self.shape) < 1e-6:
            return float(self.start + self.scale * np.log(ratio))
        return float(self.start + self.scale / self.shape * (ratio**self.shape - 1))


def fit_tail(descending: Array, weights: Array, total: float, share: float) -> Tail:
    """The tail over the top ``share`` of a weight of ``total``; ``descending`` scores, highest first, [M] with weights.

    By probability-weighted moments (Hosking and Wallis 1987), which are steadier than maximum likelihood in samples of
    a few dozen. Raises ``ValueError`` where the scores given do not reach down to that share.
    """
    reached = np.cumsum(weights)
    count = int(np.searchsorted(reached, share * total))
    if count >= len(descending) or count < 2:
        raise ValueError(f"the top {share:g} of {total:g} must be among the {len(descending)} scores given, and be two")
    start = float(descending[count])
    excess, weight = descending[:count] - start, weights[:count]
    mass = float(weight.sum())
    mean = float((weight * excess).sum()) / mass
    if mean <= 0:
        return Tail(start=start, scale=1e-9, shape=0.0, share=share)
    # The weighted plotting position from above: the share of the excesses that lie higher.
    higher = (np.cumsum(weight) - weight / 2) / mass
    moment = float((weight * higher * excess).sum()) / mass
    gap = mean - 2 * moment
    shape = 2 - mean / gap if gap > 0 else _SHAPES[1]
    shape = float(np.clip(shape, *_SHAPES))
    return Tail(start=start, scale=mean * (1 - shape), shape=shape, share=share)
