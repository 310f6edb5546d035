"""Open-set identification: who is found, and who is falsely found, on a watchlist of N people drawn many times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pylfr.errors import ConfigError
from pylfr.evaluation.images.people import PeopleTemplates
from pylfr.evaluation.statistics.rates import CONFIDENCE, Rate, by_person, needed_trials
from pylfr.types import Float32, Int64

FPIR_TARGETS = (0.1, 0.03, 0.01, 0.003, 0.001)
RANKS = 20
HISTOGRAM_EDGES = np.linspace(-1, 1, 201)

# Below every cosine: the score of a picture without a face.
_NO_FACE = -2.0
_DET_POINTS = 40
_RESAMPLES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """What a target FPIR costs: one threshold (cosine) for all splits.

    ``threshold_low`` and ``threshold_high`` are the least and the greatest that single splits would have chosen.
    """

    target_fpir: float
    threshold: float
    threshold_low: float
    threshold_high: float
    fpir: Rate
    tpir: Rate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Det:
    """The curve of FNIR against FPIR, float64 [points] each, with the 95 % band of FNIR over people."""

    fpir: npt.NDArray[np.float64]
    fnir: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Identification:
    """Searches against watchlists of ``watchlist_size`` people, one reference each, over ``splits`` random draws.

    ``unsupported`` names the targets that the material is too small for, each with the number it would need.
    ``rank_rate[r]`` is the share of mated searches whose person is among the r + 1 best entries, whatever the score.
    ``mated`` and ``non_mated`` count best scores (of the right entry; of any entry) in bins of ``HISTOGRAM_EDGES``.
    """

    watchlist_size: int
    splits: int
    mated_people: int
    non_mated_people: int
    mated_searches: int
    non_mated_searches: int
    points: tuple[OperatingPoint, ...]
    unsupported: tuple[str, ...]
    det: Det
    rank_rate: npt.NDArray[np.float64]
    mated: Int64
    non_mated: Int64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Searches:
    """What one watchlist answered. All scores are float32, -2 where there was no face.

    ``own`` [mated searches] is the score of the right entry, ``rank`` its place from 0, ``mated_person`` who it is;
    ``best`` [non-mated searches] is the highest score of any entry, ``non_mated_person`` who was searched for.
    """

    own: Float32
    rank: Int64
    mated_person: Int64
    best: Float32
    non_mated_person: Int64


def identify(people: PeopleTemplates, watchlist_size: int, *, splits: int = 10, seed: int = 0) -> Identification:
    """Open-set identification at one size of watchlist.

    Each split enrols one picture of ``watchlist_size`` people, those with several pictures first; their other pictures
    are the mated searches, all pictures of everybody else the non-mated ones. Raises ``ConfigError`` where that leaves
    nobody to search for on one side.
    """
    if splits < 1:
        raise ConfigError(f"splits must be at least 1, got {splits}")
    draw = np.random.default_rng(seed)
    tried = [search_once(people, watchlist_size, draw) for _ in range(splits)]
    least = min(len(each.best) for each in tried)
    usable = [target for target in FPIR_TARGETS if int(target * least) >= 1]
    curve = np.geomspace(1 / least, 0.3, _DET_POINTS) if least > 3 else np.array([0.3])
    targets = np.array([*usable, *curve])
    threshold = thresholds_at(np.concatenate([each.best for each in tried]), targets)
    ranges = np.array([thresholds_at(each.best, targets) for each in tried])
    count = len(people.names)
    hits, false = np.zeros((count, len(targets))), np.zeros((count, len(targets)))
    mated, non_mated = np.zeros(count), np.zeros(count)
    for each in tried:
        found = (each.own[:, np.newaxis] >= threshold) & (each.rank == 0)[:, np.newaxis]
        hits += _by_person(each.mated_person, found, count)
        false += _by_person(each.non_mated_person, each.best[:, np.newaxis] >= threshold, count)
        mated += np.bincount(each.mated_person, minlength=count)
        non_mated += np.bincount(each.non_mated_person, minlength=count)
    low, high = _band(tried, targets, count, seed)
    tpir = hits.sum(axis=0) / mated.sum()
    low, high = np.minimum(low, tpir), np.maximum(high, tpir)
    points = tuple(
        OperatingPoint(
            target_fpir=target,
            threshold=float(threshold[place]),
            threshold_low=float(ranges[:, place].min()),
            threshold_high=float(ranges[:, place].max()),
            fpir=by_person(false[:, place], non_mated, seed=seed),
            tpir=Rate(
                value=float(tpir[place]),
                numerator=int(hits[:, place].sum()),
                denominator=int(mated.sum()),
                low=float(low[place]),
                high=float(high[place]),
                method="cluster-bootstrap",
            )
            if 0 < tpir[place] < 1
            else by_person(hits[:, place], mated, seed=seed),
        )
        for place, target in enumerate(usable)
    )
    curved = slice(len(usable), None)
    ranks = np.concatenate([each.rank for each in tried])
    return Identification(
        watchlist_size=watchlist_size,
        splits=splits,
        mated_people=int(np.count_nonzero(mated)),
        non_mated_people=int(np.count_nonzero(non_mated)),
        mated_searches=int(mated.sum()),
        non_mated_searches=int(non_mated.sum()),
        points=points,
        unsupported=tuple(
            f"FPIR {target:g} needs {needed_trials(target, errors=1):,} non-mated searches or more, there are {least:,}"
            for target in FPIR_TARGETS
            if target not in usable
        ),
        det=Det(
            fpir=false[:, curved].sum(axis=0) / non_mated.sum(),
            fnir=1 - tpir[curved],
            low=1 - high[curved],
            high=1 - low[curved],
        ),
        rank_rate=np.array([np.mean(ranks <= rank) for rank in range(min(RANKS, watchlist_size))]),
        mated=_histogram([each.own for each in tried]),
        non_mated=_histogram([each.best for each in tried]),
    )


def _band(
    tried: Sequence[Searches], targets: npt.NDArray[np.float64], count: int, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The 95 % band of TPIR at each target FPIR, [targets] low and high, with people resampled.

    Each resample chooses its own thresholds, so that the band carries how unsure the threshold is, too.
    """
    draw = np.random.default_rng(seed)
    best, falsely = _descending([each.best for each in tried], [each.non_mated_person for each in tried])
    first = [np.where(each.rank == 0, each.own, np.float32(_NO_FACE)) for each in tried]
    own, rightly = _descending(first, [each.mated_person for each in tried])
    rates = []
    for _ in range(_RESAMPLES):
        weight = draw.multinomial(count, np.full(count, 1 / count))
        alerts, finds = np.cumsum(weight[falsely]), np.append(0, np.cumsum(weight[rightly]))
        if not alerts[-1] or not finds[-1]:
            continue
        edge = np.searchsorted(alerts, targets * alerts[-1], side="right").clip(0, len(best) - 1)
        rates.append(finds[np.searchsorted(-own, -best[edge], side="left")] / finds[-1])
    if not rates:
        return np.zeros(len(targets)), np.ones(len(targets))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.array(rates), [tail, 1 - tail], axis=0)
    return low, high


def _descending(scores: Sequence[Float32], person: Sequence[Int64]) -> tuple[Float32, Int64]:
    """Scores, highest first, and whose they are."""
    every, who = np.concatenate(scores), np.concatenate(person)
    order = np.argsort(-every, kind="stable")
    return every[order], who[order]


def search_once(people: PeopleTemplates, watchlist_size: int, draw: np.random.Generator) -> Searches:
    """Enrol ``watchlist_size`` people drawn at random, and search every picture that is left."""
    enrolled, references = _draw_watchlist(people, watchlist_size, draw)
    place_of = np.full(len(people.names), -1, np.int64)
    place_of[enrolled] = np.arange(len(enrolled))
    probes = np.setdiff1d(np.arange(len(people)), references, assume_unique=True)
    place = place_of[people.person[probes]]
    mated, non_mated = probes[place >= 0], probes[place < 0]
    if not len(mated):
        raise ConfigError("nobody who is enrolled has a second picture: mated searches need people with two or more")
    if not len(non_mated):
        raise ConfigError(
            f"a watchlist of {watchlist_size} leaves no non-mated people among {len(people.names)}: make it smaller"
        )
    against = people.vectors[references]
    scores = people.vectors[mated] @ against.T
    own = scores[np.arange(len(mated)), place[place >= 0]]
    # A right entry that ties with another does not come first: what cannot be told apart is not found.
    rank = (scores >= own[:, np.newaxis]).sum(axis=1) - 1
    seen = people.acquired[mated]
    best = (people.vectors[non_mated] @ against.T).max(axis=1)
    return Searches(
        own=np.where(seen, own, _NO_FACE).astype(np.float32),
        rank=np.where(seen, rank, watchlist_size).astype(np.int64),
        mated_person=people.person[mated],
        best=np.where(people.acquired[non_mated], best, _NO_FACE).astype(np.float32),
        non_mated_person=people.person[non_mated],
    )


def thresholds_at(best: Float32, targets: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The lowest threshold at which no more than each target's share of non-mated searches reaches it.

    Where scores tie at the edge it is just above them, so that the target holds.
    """
    ordered = np.sort(best)[::-1]
    allowed = np.floor(targets * len(best) + 1e-9).astype(np.int64).clip(0, len(best) - 1)
    just_above: npt.NDArray[np.float64] = np.nextafter(ordered[allowed], np.float32(2)).astype(np.float64)
    return just_above


def _draw_watchlist(people: PeopleTemplates, size: int, draw: np.random.Generator) -> tuple[Int64, Int64]:
    """The people who are enrolled, those with several pictures first, and the row of each one's reference."""
    if size < 1:
        raise ConfigError(f"a watchlist holds at least 1 person, got {size}")
    pictures = np.bincount(people.person, minlength=len(people.names))
    usable = np.bincount(people.person, weights=people.acquired, minlength=len(people.names)) > 0
    several = draw.permutation(np.flatnonzero(usable & (pictures > 1)))
    single = draw.permutation(np.flatnonzero(usable & (pictures == 1)))
    enrolled = np.concatenate([several, single])[:size]
    if len(enrolled) < size:
        raise ConfigError(f"a watchlist of {size} needs as many people with a face, there are {len(enrolled)}")
    # The first row of each person in a random order of the rows is a random picture of that person.
    rows = draw.permutation(np.flatnonzero(people.acquired))
    who, first = np.unique(people.person[rows], return_index=True)
    reference = np.full(len(people.names), -1, np.int64)
    reference[who] = rows[first]
    return enrolled, reference[enrolled]


def _by_person(person: Int64, outcome: npt.NDArray[np.bool_], count: int) -> npt.NDArray[np.float64]:
    """How often each outcome, bool [searches, columns], held for each person: float64 [count, columns]."""
    return np.stack([np.bincount(person, weights=column, minlength=count) for column in outcome.T], axis=1)


def _histogram(parts: list[Float32]) -> Int64:
    scores = np.concatenate(parts)
    return np.histogram(scores[scores >= -1], HISTOGRAM_EDGES)[0].astype(np.int64)
