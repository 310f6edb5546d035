"""Searches of watchlists: the share of people found, at a share of strangers taken for somebody, with intervals.

Enrolled is the first picture of people with two or more; their other pictures are searched; people with a single
picture are strangers. A watchlist longer than the people with two pictures is filled up with strangers' pictures, who
are then no strangers. Shorter and filled ones are drawn many times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
RESAMPLED = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """The best scores of all searches of all drawn watchlists."""

    strangers: Vectors  # [watchlists, strangers]
    stranger_of: NDArray[np.int64]  # [watchlists, strangers], whose picture
    mated: Vectors  # [searches], -1 where somebody else came first
    mated_of: NDArray[np.int64]  # [searches], whose


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """TPIR at a FPIR with its 95 % interval over people, and the threshold."""

    tpir: float
    low: float
    high: float
    threshold: float

    def __str__(self) -> str:
        return f"{100 * self.tpir:.1f} ({100 * self.low:.1f}-{100 * self.high:.1f}) at {self.threshold:.3f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """TPIR with its 95 % interval over people, and FPIR."""

    tpir: float
    low: float
    high: float
    fpir: float

    def __str__(self) -> str:
        return f"TPIR {100 * self.tpir:.1f} ({100 * self.low:.1f}-{100 * self.high:.1f}), FPIR {100 * self.fpir:.1f}"


def search(
    enrolled: Vectors, searched: Vectors, names: NDArray[np.str_], *, size: int, draws: int, seed: int = 0
) -> Trials:
    """Search watchlists of `size` people; `searched` are the pictures of `enrolled`, perhaps spoilt."""
    rng = np.random.default_rng(seed)
    _, first, whose, count = np.unique(names, return_index=True, return_inverse=True, return_counts=True)
    able, single = np.flatnonzero(count >= 2), np.flatnonzero(count == 1)
    others = np.flatnonzero(np.arange(len(names)) != first[whose])
    strangers, stranger_of, mated, mated_of = [], [], [], []
    for _ in range(draws):
        filling = rng.permutation(single)[: max(0, size - len(able))]
        listed = np.concatenate([rng.permutation(able)[:size], filling])
        outside = np.setdiff1d(single, listed)
        gallery = enrolled[first[listed]].T
        strangers.append((searched[first[outside]] @ gallery).max(1))
        stranger_of.append(outside)
        mine = others[np.isin(whose[others], listed)]
        scores = searched[mine] @ gallery
        mated.append(np.where(listed[scores.argmax(1)] == whose[mine], scores.max(1), -1))
        mated_of.append(whose[mine])
    return Trials(
        strangers=np.stack(strangers),
        stranger_of=np.stack(stranger_of),
        mated=np.concatenate(mated),
        mated_of=np.concatenate(mated_of),
    )


def found_at(trials: Trials, fpir: float, *, seed: int = 0) -> Found:
    """TPIR where that share of strangers is taken for somebody; the interval draws people anew, strangers too."""
    order = np.argsort(-trials.strangers.ravel())
    scores, of = trials.strangers.ravel()[order], trials.stranger_of.ravel()[order]
    people = 1 + max(int(trials.stranger_of.max()), int(trials.mated_of.max()))

    def at(weights: NDArray[np.float64]) -> tuple[float, float]:
        passed = np.cumsum(weights[of])
        threshold = float(scores[min(len(scores) - 1, np.searchsorted(passed, fpir * passed[-1], side="right"))])
        mine = weights[trials.mated_of]
        return float((mine * (trials.mated > threshold)).sum() / mine.sum()), threshold

    tpir, threshold = at(np.ones(people))
    low, high = interval(lambda weights: at(weights)[0], people, seed=seed)
    return Found(tpir=tpir, low=low, high=high, threshold=threshold)


def at_threshold(trials: Trials, threshold: float, *, seed: int = 0) -> Rates:
    """TPIR and FPIR at a threshold set elsewhere; TPIR's interval draws the people anew."""
    found = trials.mated > threshold
    _, of = np.unique(trials.mated_of, return_inverse=True)

    def tpir(weights: NDArray[np.float64]) -> float:
        return float((weights[of] * found).sum() / weights[of].sum())

    low, high = interval(tpir, int(of.max()) + 1, seed=seed)
    fpir = float((trials.strangers > threshold).mean())
    return Rates(tpir=float(found.mean()), low=low, high=high, fpir=fpir)


def interval(rate: Callable[[NDArray[np.float64]], float], people: int, *, seed: int) -> tuple[float, float]:
    """The middle 95 % of a rate by the weights of `people`, who are drawn anew again and again."""
    rng = np.random.default_rng(seed)
    spread = [rate(np.bincount(rng.integers(people, size=people), minlength=people)) for _ in range(RESAMPLED)]
    low, high = np.quantile(spread, (0.025, 0.975))
    return float(low), float(high)
