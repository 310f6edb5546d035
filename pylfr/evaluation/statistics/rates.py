"""A rate is a fraction with what it was counted from and a 95 % interval; a fraction of nothing has no value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pylfr.evaluation.statistics.distributions import beta_quantile, normal_quantile

Method = Literal["clopper-pearson", "wilson", "cluster-bootstrap"]
Counts = npt.NDArray[np.float64]

CONFIDENCE = 0.95
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """``value`` is ``numerator / denominator``, None where the denominator is zero; then nothing is known: 0 to 1.

    ``low`` and ``high`` are a 95 % interval made by ``method``.
    """

    value: float | None
    numerator: int
    denominator: int
    low: float
    high: float
    method: Method

    def __post_init__(self) -> None:
        if not 0 <= self.numerator <= self.denominator:
            raise ValueError(f"a rate counts 0 to {self.denominator} of {self.denominator}, got {self.numerator}")
        if not 0 <= self.low <= self.high <= 1:
            raise ValueError(f"an interval lies in 0 to 1, got {self.low} to {self.high}")

    def __str__(self) -> str:
        if self.value is None:
            return "no data (0 of 0)"
        return (
            f"{percent(self.value)} ({percent(self.low)} to {percent(self.high)}; "
            f"{self.numerator:,} of {self.denominator:,})"
        )

    @property
    def complement(self) -> Rate:
        """The rate of the others: FNIR of TPIR."""
        return Rate(
            value=None if self.value is None else 1 - self.value,
            numerator=self.denominator - self.numerator,
            denominator=self.denominator,
            low=1 - self.high,
            high=1 - self.low,
            method=self.method,
        )

    def as_json(self) -> dict[str, float | int | str | None]:
        """The fields, ready for JSON."""
        return {
            "value": self.value,
            "numerator": self.numerator,
            "denominator": self.denominator,
            "low": self.low,
            "high": self.high,
            "method": self.method,
        }


def percent(share: float) -> str:
    """A share in per cent, with three digits that count, or two behind the point; none where it is nothing or all."""
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    return f"{100 * share:#.3g} %" if share < 0.1 else f"{100 * share:.2f} %"


def clopper_pearson(numerator: int, denominator: int, *, confidence: float = CONFIDENCE) -> Rate:
    """A rate with the exact interval (Clopper and Pearson 1934), which never promises too much: for rare events."""
    _check_counts(numerator, denominator)
    tail = (1 - confidence) / 2
    misses = denominator - numerator
    low = beta_quantile(tail, numerator, misses + 1) if numerator else 0.0
    high = beta_quantile(1 - tail, numerator + 1, misses) if misses else 1.0
    return _rate(numerator, denominator, low, high, "clopper-pearson")


def wilson(numerator: int, denominator: int, *, confidence: float = CONFIDENCE) -> Rate:
    """A rate with the score interval (Wilson 1927): for common events, of independent trials."""
    _check_counts(numerator, denominator)
    if denominator == 0:
        return _rate(0, 0, 0.0, 1.0, "wilson")
    z = normal_quantile(1 - (1 - confidence) / 2)
    share = numerator / denominator
    spread = 1 + z * z / denominator
    middle = (share + z * z / (2 * denominator)) / spread
    half = z / spread * np.sqrt(share * (1 - share) / denominator + z * z / (4 * denominator**2))
    low = 0.0 if numerator == 0 else max(0.0, float(middle - half))
    high = 1.0 if numerator == denominator else min(1.0, float(middle + half))
    return _rate(numerator, denominator, low, high, "wilson")


def by_person(hits: npt.ArrayLike, trials: npt.ArrayLike, *, seed: int = 0, confidence: float = CONFIDENCE) -> Rate:
    """The pooled rate of people who were tried more than once, [people] each, with an interval over people.

    The trials of one person are alike, so people are resampled, not trials. Where all people agree (no error at all)
    resampling shows nothing; then the exact interval counts each person once.
    """
    hit, tried = _clusters(hits, trials)
    numerator, denominator = int(hit.sum()), int(tried.sum())
    people = int(np.count_nonzero(tried))
    if numerator in (0, denominator):
        exact = clopper_pearson(people if numerator else 0, people, confidence=confidence)
        return _rate(numerator, denominator, exact.low, exact.high, "clopper-pearson")
    low, high = bootstrap_band(hit[:, np.newaxis], tried[:, np.newaxis], seed=seed, confidence=confidence)
    value = numerator / denominator
    return _rate(numerator, denominator, min(float(low[0]), value), max(float(high[0]), value), "cluster-bootstrap")


def bootstrap_band(
    hits: Counts, trials: Counts, *, seed: int = 0, resamples: int = _RESAMPLES, confidence: float = CONFIDENCE
) -> tuple[Counts, Counts]:
    """Percentile intervals, low and high [columns], of pooled rates ``hits / trials``, both [clusters, columns].

    Clusters are resampled with replacement (Efron and Tibshirani 1993); a resample without trials is left out.
    """
    clusters, columns = hits.shape
    draw = np.random.default_rng(seed)
    weights = draw.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples).astype(np.float64)
    tried = weights @ np.broadcast_to(trials, hits.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = np.where(tried > 0, (weights @ hits) / tried, np.nan)
    tail = (1 - confidence) / 2
    low, high = np.zeros(columns), np.ones(columns)
    known = ~np.isnan(rates).all(axis=0)
    if known.any():
        low[known], high[known] = np.nanquantile(rates[:, known], [tail, 1 - tail], axis=0)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def needed_trials(rate: float, *, errors: int = 3) -> int:
    """Trials that show a rate: it is below ``rate`` if none of ``3 / rate`` is wrong; 30 errors measure it."""
    if not 0 < rate < 1:
        raise ValueError(f"a rate to show lies between 0 and 1, got {rate}")
    return int(np.ceil(errors / rate))


def _clusters(hits: npt.ArrayLike, trials: npt.ArrayLike) -> tuple[Counts, Counts]:
    hit, tried = np.asarray(hits, np.float64), np.asarray(trials, np.float64)
    if hit.ndim != 1 or hit.shape != tried.shape:
        raise ValueError(f"hits and trials must be [people] both, got {list(hit.shape)} and {list(tried.shape)}")
    if (hit > tried).any() or (hit < 0).any():
        raise ValueError("nobody can have more hits than trials, or fewer than none")
    return hit, tried


def _check_counts(numerator: int, denominator: int) -> None:
    if not 0 <= numerator <= denominator:
        raise ValueError(f"a rate counts 0 to {denominator} of {denominator}, got {numerator}")


def _rate(numerator: int, denominator: int, low: float, high: float, method: Method) -> Rate:
    value = numerator / denominator if denominator else None
    return Rate(value=value, numerator=numerator, denominator=denominator, low=low, high=high, method=method)
