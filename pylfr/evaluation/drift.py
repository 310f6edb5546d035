"""Drift: does a deployment still see the crowd that its threshold was measured on? From aggregate histograms alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pylfr.errors import ConfigError
from pylfr.evaluation.rates import Rate, clopper_pearson

Counts = npt.NDArray[np.int64]

BINS = 200
# Customary in credit scoring: below 0.1 a population has not moved, from 0.25 on it has.
MOVED, UNMOVED = 0.25, 0.1
_QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A deployment's best non-mated scores beside those of its certificate.

    - ``stability``: population stability index over tenths of the certificate's scores; 0 where they are alike
    - ``distance``: the greatest distance between the two distributions (Kolmogorov), 0 to 1
    - ``quantiles``: (share, certificate, deployment), scores
    - ``above``: share of the deployment's scores that reach the threshold; ``above_certified`` the certificate's
    """

    searches: int
    stability: float
    distance: float
    quantiles: tuple[tuple[float, float, float], ...]
    above: Rate
    above_certified: Rate

    @property
    def verdict(self) -> str:
        """One sentence: whether to calibrate again."""
        if self.above.low > self.above_certified.high:
            return "more searches reach the threshold than was certified: calibrate again before the next deployment"
        if self.stability >= MOVED:
            return "the scores are no longer those that the threshold was measured on: calibrate again"
        if self.stability >= UNMOVED:
            return "the scores have moved somewhat: watch them, and calibrate again if they go on"
        return "no drift is seen"


def compare_scores(certified: Sequence[int], deployed: Sequence[int], *, threshold: float) -> Drift:
    """Compare two histograms of best non-mated scores, ``BINS`` equal bins from -1 to 1, at a threshold (cosine).

    Raises ``ConfigError`` where one of them has other bins or is empty.
    """
    before, now = _histogram("the certificate's histogram", certified), _histogram("the deployment's", deployed)
    edges = np.linspace(-1, 1, BINS + 1)
    before_share, now_share = np.cumsum(before) / before.sum(), np.cumsum(now) / now.sum()
    cuts = np.unique(np.searchsorted(before_share, np.arange(1, 10) / 10))
    # Half a search in every tenth, so that an empty one counts as rare and not as impossible.
    expected, found = (
        (np.add.reduceat(counts, np.concatenate([[0], cuts[cuts < BINS - 1] + 1])) + 0.5) for counts in (before, now)
    )
    expected, found = expected / expected.sum(), found / found.sum()
    reached = int(np.ceil((threshold + 1) / 2 * BINS - 1e-9))
    return Drift(
        searches=int(now.sum()),
        stability=float(((found - expected) * np.log(found / expected)).sum()),
        distance=float(np.abs(before_share - now_share).max()),
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


def false_alert_alarm(false_alerts: Sequence[int], expected: float, *, ratio: float = 2.0, limit: float = 4.0) -> int:
    """The first period, from 0, in which adjudicated false alerts have clearly risen; -1 where they have not.

    A CUSUM of Poisson counts (Lucas 1985) tuned to find a rise to ``ratio`` times ``expected`` a period; ``limit`` is
    how much evidence it waits for, in units of the reference value's excess. Raises ``ValueError`` for no expectation.
    """
    if expected <= 0 or ratio <= 1:
        raise ValueError(f"expected must be above 0 and ratio above 1, got {expected} and {ratio}")
    reference = expected * (ratio - 1) / np.log(ratio)
    excess = 0.0
    for period, count in enumerate(false_alerts):
        excess = max(0.0, excess + count - reference)
        if excess > limit * max(reference - expected, 1.0):
            return period
    return -1


def histogram_of(scores: npt.NDArray[np.float64]) -> tuple[int, ...]:
    """Scores (cosine) counted in ``BINS`` equal bins from -1 to 1."""
    counts, _ = np.histogram(np.clip(scores, -1, 1), np.linspace(-1, 1, BINS + 1))
    return tuple(int(count) for count in counts)


def read_scores(path: Path) -> tuple[int, ...]:
    """A deployment's histogram from JSON: ``{"non_mated_best": [counts]}``. Raises ``ConfigError`` where it is none."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        counts = fields["non_mated_best"]
        return tuple(int(count) for count in counts)
    except OSError as error:
        raise ConfigError(f"scores {path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f'scores {path} must be JSON of the form {{"non_mated_best": [{BINS} counts from cosine -1 to 1]}}'
        ) from error


def _histogram(name: str, counts: Sequence[int]) -> Counts:
    histogram = np.asarray(counts, np.int64)
    if histogram.shape != (BINS,):
        raise ConfigError(f"{name} must have {BINS} bins from cosine -1 to 1, got {len(counts)}")
    if (histogram < 0).any() or not histogram.any():
        raise ConfigError(f"{name} must count at least one search, and none below zero")
    return histogram
