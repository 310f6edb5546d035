"""Drift: does a deployment still see the crowd that its threshold was measured on? From aggregate histograms alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pylfr.errors import ConfigError
from pylfr.evaluation.statistics.distributions import normal_quantile
from pylfr.evaluation.statistics.rates import Rate, clopper_pearson

Counts = npt.NDArray[np.int64]

BINS = 200
# Customary in credit scoring: below 0.1 a population has not moved, from 0.25 on it has.
MOVED, UNMOVED = 0.25, 0.1
_QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How far one histogram is from another of the same bins.

    - ``stability``: population stability index over tenths of the first; 0 where they are alike
    - ``chance``: what that index exceeds once in a thousand times between samples of these sizes from one crowd
    - ``distance``: the greatest distance between the two distributions (Kolmogorov), 0 to 1
    - ``medians``: of the first and of the second, as numbers of bins
    """

    stability: float
    chance: float
    distance: float
    medians: tuple[int, int]

    @property
    def has_moved(self) -> bool:
        return self.stability >= max(MOVED, self.chance)

    @property
    def may_have_moved(self) -> bool:
        return self.stability >= max(UNMOVED, self.chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A deployment's best non-mated scores beside those of its certificate.

    - ``quantiles``: (share, certificate, deployment), scores
    - ``above``: share of the deployment's scores that reach the threshold; ``above_certified`` the certificate's
    """

    searches: int
    shift: Shift
    quantiles: tuple[tuple[float, float, float], ...]
    above: Rate
    above_certified: Rate

    @property
    def calls_for_calibration(self) -> bool:
        return self.above.low > self.above_certified.high or self.shift.has_moved

    @property
    def verdict(self) -> str:
        """One sentence: whether to calibrate again."""
        if self.above.low > self.above_certified.high:
            return "more searches reach the threshold than was certified: calibrate again before the next deployment"
        if self.shift.has_moved:
            return "the scores are no longer those that the threshold was measured on: calibrate again"
        if self.shift.may_have_moved:
            return "the scores have moved somewhat: watch them, and calibrate again if they go on"
        return "no drift is seen in the scores"


def compare_scores(certified: Sequence[int], deployed: Sequence[int], *, threshold: float) -> Drift:
    """Compare two histograms of best non-mated scores, ``BINS`` equal bins from -1 to 1, at a threshold (cosine).

    Raises ``ConfigError`` where one of them has other bins or is empty.
    """
    before = _histogram("the certificate's histogram of scores", certified, BINS)
    now = _histogram("the deployment's histogram of scores", deployed, BINS)
    edges = np.linspace(-1, 1, BINS + 1)
    before_share, now_share = np.cumsum(before) / before.sum(), np.cumsum(now) / now.sum()
    reached = int(np.ceil((threshold + 1) / 2 * BINS - 1e-9))
    return Drift(
        searches=int(now.sum()),
        shift=compare(before, now),
        quantiles=tuple(
            (
                share,
                float(edges[np.searchsorted(before_share, share) + 1]),
                float(edges[np.searchsorted(now_share, share) + 1]),
            )
            for share in _QUANTILES
        ),
        above=clopper_pearson(int(now[reached:].sum()), int(now.sum())),
        above_certified=clopper_pearson(int(before[reached:].sum()), int(before.sum())),
    )


def compare(before: Sequence[int] | Counts, now: Sequence[int] | Counts) -> Shift:
    """How far ``now`` is from ``before``, histograms of the same bins. Raises ``ConfigError`` for an empty one."""
    first = _histogram("the first histogram", before, len(before))
    second = _histogram("the second histogram", now, len(before))
    bins = len(first)
    first_share, second_share = np.cumsum(first) / first.sum(), np.cumsum(second) / second.sum()
    cuts = np.unique(np.searchsorted(first_share, np.arange(1, 10) / 10 - 1e-12))
    starts = np.concatenate([[0], cuts[cuts < bins - 1] + 1])
    # Half a track in every part, so that an empty one counts as rare and not as impossible.
    expected, found = (np.add.reduceat(counts, starts) + 0.5 for counts in (first, second))
    expected, found = expected / expected.sum(), found / found.sum()
    return Shift(
        stability=float(((found - expected) * np.log(found / expected)).sum()),
        chance=_chance(len(starts) - 1) * (1 / float(first.sum()) + 1 / float(second.sum())),
        distance=float(np.abs(first_share - second_share).max()),
        medians=(int(np.searchsorted(first_share, 0.5)), int(np.searchsorted(second_share, 0.5))),
    )


def _chance(freedom: int) -> float:
    """What chi-square of ``freedom`` exceeds once in a thousand times (Wilson and Hilferty 1931).

    Between samples of one crowd the index is nearly chi-square over (1 / n + 1 / m) (Yurdakul 2018).
    """
    if freedom < 1:
        return 0.0
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + normal_quantile(0.999) * np.sqrt(part)) ** 3)


def false_alert_alarm(
    false_alerts: Sequence[int], expected: Sequence[float], *, ratio: float = 2.0, limit: float = 4.0
) -> int:
    """The first period, from 0, in which adjudicated false alerts have clearly risen; -1 where they have not.

    A CUSUM of Poisson counts (Lucas 1985) tuned to find a rise to ``ratio`` times what is ``expected`` of each period;
    ``limit`` is how much evidence it waits for, in units of the reference value's excess. Raises ``ValueError`` for no
    expectation, or as many periods on one side as not on the other.
    """
    if len(false_alerts) != len(expected) or any(each <= 0 for each in expected) or ratio <= 1:
        raise ValueError(f"expected must be above 0 for each period and ratio above 1, got {expected} and {ratio}")
    excess = 0.0
    for period, (count, usual) in enumerate(zip(false_alerts, expected, strict=True)):
        reference = usual * (ratio - 1) / np.log(ratio)
        excess = max(0.0, excess + count - reference)
        if excess > limit * max(reference - usual, 1.0):
            return period
    return -1


def histogram_of(scores: npt.NDArray[np.float64]) -> tuple[int, ...]:
    """Scores (cosine) counted in ``BINS`` equal bins from -1 to 1."""
    counts, _ = np.histogram(np.clip(scores, -1, 1), np.linspace(-1, 1, BINS + 1))
    return tuple(int(count) for count in counts)


def _histogram(name: str, counts: Sequence[int] | Counts, bins: int) -> Counts:
    histogram = np.asarray(counts, np.int64)
    if histogram.shape != (bins,):
        raise ConfigError(f"{name} must have {bins} bins, got {len(counts)}")
    if (histogram < 0).any() or not histogram.any():
        raise ConfigError(f"{name} must count at least one track, and none below zero")
    return histogram
