"""A threshold for a target FPIR at a watchlist size that holds on other people, or a refusal with its reason."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pylfr.errors import ConfigError
from pylfr.evaluation.images.people import PeopleTemplates
from pylfr.evaluation.statistics.rates import needed_trials
from pylfr.evaluation.statistics.tail import Tail, fit_tail
from pylfr.types import Int64

Array = npt.NDArray[np.float64]

DRAWS = 10
# The share of searches in the tail; more where 5 % would be too few people to fit anything to.
_TAIL_SHARE = 0.05
_TAIL_PEOPLE = 50
_LARGEST_SHARE = 0.25
# The threshold is the upper end of a two-sided 95 % interval.
_LEVELS = (0.025, 0.975)
_RESAMPLES = 400
# A tail may be followed to where one non-mated person is expected: beyond, the hold-out trial broke its promise.
_LEAST_EXPECTED = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NonMated:
    """Best scores of people against watchlists on which they are not, [M], in no order.

    ``best`` is the highest score of any of a person's pictures, float64; ``person`` who was searched for and ``entry``
    who resembled them most, int64, both below ``people``. Every watchlist held ``watchlist_size`` people and was
    searched for ``searched`` others.
    """

    best: Array
    person: Int64
    entry: Int64
    people: int
    searched: int
    watchlist_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A threshold (cosine) that keeps FPIR at or below ``target_fpir`` with a confidence of 97.5 %.

    - ``fpir``, ``low``, ``high``: the FPIR that is expected at ``value`` and ``watchlist_size``, and its 95 % interval,
      whose upper end is the target
    - ``best_guess``: the threshold without that margin; ``empirical``: the plain quantile of the scores
    - ``searched_people``: non-mated people behind it in each draw; of all ``searches``, ``alerts`` reached ``value``
    - ``material_size``: how many people the watchlists of the material held; another than ``watchlist_size`` is an
      extrapolation, by FPIR(N) = 1 - (1 - FPIR(M)) ** (N / M)
    - ``tail``: the fitted tail; ``misfit``: its greatest distance from the scores, as a share of the tail
    """

    value: float
    target_fpir: float
    watchlist_size: int
    fpir: float
    low: float
    high: float
    best_guess: float
    empirical: float
    searched_people: int
    searches: int
    alerts: int
    material_size: int
    tail: Tail
    misfit: float
    warnings: tuple[str, ...]

    @classmethod
    def from_fpir(cls, people: PeopleTemplates, target_fpir: float, *, watchlist_size: int, seed: int = 0) -> Threshold:
        """The threshold that keeps ``target_fpir`` at ``watchlist_size``, from templates of people.

        Raises ``ConfigError`` with the numbers that it would need where the people are too few.
        """
        size = min(watchlist_size, len(people.names) // 2)
        return calibrate(
            search_non_mated(people, size, seed=seed), target_fpir, watchlist_size=watchlist_size, seed=seed
        )


def search_non_mated(people: PeopleTemplates, watchlist_size: int, *, draws: int = DRAWS, seed: int = 0) -> NonMated:
    """Search everybody who is not enrolled, ``draws`` times, each time with other people on the watchlist.

    Raises ``ConfigError`` where the watchlist takes more than the people there are, or leaves nobody.
    """
    draw = np.random.default_rng(seed)
    rows = np.flatnonzero(people.acquired)
    rows = rows[np.argsort(people.person[rows], kind="stable")]
    known, first, counts = np.unique(people.person[rows], return_index=True, return_counts=True)
    if not 1 <= watchlist_size < len(known):
        raise ConfigError(
            f"a watchlist of {watchlist_size} must leave non-mated people among the {len(known)} with a face"
        )
    best, person, entry = [], [], []
    for _ in range(draws):
        place = draw.permutation(len(known))
        enrolled, others = place[:watchlist_size], np.sort(place[watchlist_size:])
        references = rows[first[enrolled] + draw.integers(0, counts[enrolled])]
        probes = np.concatenate([rows[first[each] : first[each] + counts[each]] for each in others])
        scores = people.vectors[probes] @ people.vectors[references].T
        nearest, reached = scores.argmax(axis=1), scores.max(axis=1).astype(np.float64)
        # Of each person's pictures the one that came nearest: sorted by score last, the last of each run counts.
        who = people.person[probes]
        order = np.lexsort((reached, who))
        last = np.append(np.diff(who[order]) != 0, True)
        best.append(reached[order][last])
        person.append(who[order][last])
        entry.append(known[enrolled[nearest[order][last]]])
    return NonMated(
        best=np.concatenate(best),
        person=np.concatenate(person),
        entry=np.concatenate(entry),
        people=len(people.names),
        searched=len(known) - watchlist_size,
        watchlist_size=watchlist_size,
    )


def calibrate(non_mated: NonMated, target_fpir: float, *, watchlist_size: int, seed: int = 0) -> Threshold:
    """The threshold that keeps ``target_fpir`` at ``watchlist_size``, by a tail fitted to the best non-mated scores.

    The uncertainty resamples people on both sides, as those searched for and as those on the watchlist. Raises
    ``ConfigError`` with the numbers that it would need where the material cannot support the target.
    """
    if not 0 < target_fpir < 1:
        raise ConfigError(f"a target FPIR lies between 0 and 1, got {target_fpir:g}: one in a thousand is 1e-3")
    if watchlist_size < 1:
        raise ConfigError(f"a watchlist holds at least 1 person, got {watchlist_size}")
    searched = non_mated.searched
    wanted = share_at(target_fpir, watchlist_size, non_mated.watchlist_size)
    _require_support(searched, wanted, target_fpir, watchlist_size, non_mated)
    share = max(min(max(_TAIL_SHARE, _TAIL_PEOPLE / searched), _LARGEST_SHARE), wanted)
    order = np.argsort(-non_mated.best, kind="stable")
    scores, person, entry = non_mated.best[order], non_mated.person[order], non_mated.entry[order]
    total = float(len(scores))
    tail = fit_tail(scores, np.ones(len(scores)), total, share)
    draw = np.random.default_rng(seed)
    # Three tails are enough to choose from in every resample, whose tail starts elsewhere.
    top = min(len(scores), int(3 * share * total) + 10)
    fits = []
    for _ in range(_RESAMPLES):
        weight = draw.multinomial(non_mated.people, np.full(non_mated.people, 1 / non_mated.people)).astype(np.float64)
        searched_weight = float(weight[person].sum())
        if searched_weight and float((weight[person[:top]] * weight[entry[:top]]).sum()) > share * searched_weight:
            fits.append(fit_tail(scores[:top], weight[person[:top]] * weight[entry[:top]], searched_weight, share))
    value = float(np.quantile([fit.quantile(wanted) for fit in fits], _LEVELS[1]))
    value = float(np.clip(value, tail.start, 1.0))
    shares = [fit.exceedance(value) if value >= fit.start else share for fit in fits]
    low, high = (
        share_at(float(np.quantile(shares, level)), non_mated.watchlist_size, watchlist_size) for level in _LEVELS
    )
    expected = share_at(tail.exceedance(value), non_mated.watchlist_size, watchlist_size)
    misfit = _misfit(tail, scores[: int(share * total)])
    return Threshold(
        value=value,
        target_fpir=target_fpir,
        watchlist_size=watchlist_size,
        fpir=expected,
        low=min(low, expected),
        high=max(high, expected),
        best_guess=tail.quantile(wanted),
        empirical=float(np.quantile(non_mated.best, 1 - wanted)),
        searched_people=searched,
        searches=len(scores),
        alerts=int(np.count_nonzero(scores >= value)),
        material_size=non_mated.watchlist_size,
        tail=tail,
        misfit=misfit,
        warnings=tuple(_warnings(searched, wanted, watchlist_size, non_mated.watchlist_size, misfit, tail)),
    )


def share_at(fpir: float, size: int, other_size: int) -> float:
    """An FPIR at ``size`` as it would be at ``other_size``: 1 - (1 - FPIR) ** (other_size / size)."""
    return float(-np.expm1(other_size / size * np.log1p(-min(fpir, 1 - 1e-12))))


def _require_support(searched: int, wanted: float, target: float, watchlist_size: int, non_mated: NonMated) -> None:
    fewest = int(np.ceil(_TAIL_PEOPLE / _LARGEST_SHARE))
    needed = max(fewest, int(np.ceil(_LEAST_EXPECTED / wanted)))
    if searched >= needed:
        return
    shown, measured = needed_trials(target), needed_trials(target, errors=30)
    size = non_mated.watchlist_size
    at = "" if size == watchlist_size else f" on a watchlist of {size:,}, the largest that this material fills,"
    raise ConfigError(
        f"{searched:,} non-mated people cannot support FPIR {target:g} at {watchlist_size:,} on the watchlist:{at} it "
        f"needs {needed:,} or more; to show it without a fit at the true size, {shown:,} (rule of 3), to measure it, "
        f"{measured:,} (rule of 30), besides {watchlist_size:,} fillers"
    )


def _misfit(tail: Tail, scores: Array) -> float:
    """Kolmogorov's distance between the tail and the scores in it, as a share of the tail."""
    count = len(scores)
    fitted = np.array([tail.exceedance(max(score, tail.start)) for score in scores.tolist()]) / tail.share
    place = np.arange(1, count + 1)
    return float(np.max(np.maximum(np.abs(fitted - place / count), np.abs(fitted - (place - 1) / count))))


def _warnings(
    searched: int, wanted: float, watchlist_size: int, material_size: int, misfit: float, tail: Tail
) -> list[str]:
    said = []
    if watchlist_size != material_size:
        said.append(
            f"extrapolated from watchlists of {material_size:,} to {watchlist_size:,}: measure at the true size, "
            "with fillers, before you rely on it"
        )
    if searched * wanted < 3:
        said.append(
            f"only {searched * wanted:.1f} non-mated people are expected above it: it rests on the tail's shape"
        )
    if misfit > 1.63 / np.sqrt(max(searched * tail.share, 1)):
        said.append(f"the tail fits badly (distance {misfit:.2f}): look for one person under two names in the material")
    return said
