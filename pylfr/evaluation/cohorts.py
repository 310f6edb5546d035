"""Groups of people at the deployed threshold: rates, tests, ratios, and how small a difference could be seen at all.

Groups are the labels that the user gives; none is ever guessed from a face.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pylfr._internal.csv_table import read_csv
from pylfr._internal.printable import excerpt
from pylfr.errors import ConfigError
from pylfr.evaluation.images.people import PeopleTemplates
from pylfr.evaluation.statistics.distributions import fisher_exact, normal_quantile
from pylfr.evaluation.statistics.rates import CONFIDENCE, Rate, clopper_pearson, wilson

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Bools = npt.NDArray[np.bool_]

# Below this many people a group's rate says next to nothing, whatever it is: zero of 30 still allows one in ten.
LEAST_PEOPLE = 30
_POWER = 0.8
_SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRates:
    """One group: each person counts once in each rate. ``caution`` says what the group is too small for, or nothing."""

    group: str
    fpir: Rate
    tpir: Rate
    caution: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTest:
    """Whether two groups differ: Fisher's exact p, and the same corrected for all pairs together (Holm 1979)."""

    measure: str
    groups: tuple[str, str]
    p: float
    p_holm: float

    @property
    def is_significant(self) -> bool:
        return self.p_holm < _SIGNIFICANT


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The greatest rate over the least, of groups of ``LEAST_PEOPLE`` or more, with a 95 % interval.

    The interval is that of the log ratio with half an error added to each count.

    ``detectable`` is the least ratio that groups of these sizes would have shown with a power of 80 %, None where not
    even certainty in one of them would show: "not significant" is no pass without it.
    """

    measure: str
    greatest: str
    least: str
    value: float
    low: float
    high: float
    detectable: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortReport:
    """All groups at one threshold (cosine) and watchlist size. ``unlabelled`` people were left out, and counted."""

    threshold: float
    watchlist_size: int
    groups: tuple[GroupRates, ...]
    tests: tuple[GroupTest, ...]
    ratios: tuple[Ratio, ...]
    unlabelled: int

    def as_json(self) -> dict[str, Json]:
        """The report, ready for JSON."""
        return {
            "threshold": self.threshold,
            "watchlist_size": self.watchlist_size,
            "unlabelled": self.unlabelled,
            "groups": {
                each.group: {
                    "fpir": dict(each.fpir.as_json()),
                    "tpir": dict(each.tpir.as_json()),
                    "caution": each.caution,
                }
                for each in self.groups
            },
            "tests": [
                {"measure": each.measure, "groups": list(each.groups), "p": each.p, "p_holm": each.p_holm}
                for each in self.tests
            ],
            "ratios": [
                {
                    "measure": each.measure,
                    "greatest": each.greatest,
                    "least": each.least,
                    "value": each.value,
                    "low": each.low,
                    "high": each.high,
                    "minimum_detectable_ratio": each.detectable,
                }
                for each in self.ratios
            ],
        }


def read_groups(path: Path) -> dict[str, str]:
    """The group of each person from a CSV with the columns ``person`` and ``group``.

    Raises ``ConfigError`` where it cannot be read, lacks a column, or gives somebody two groups.
    """
    table = read_csv(path, ConfigError, what="groups")
    if not {"person", "group"} <= set(table.columns):
        got = excerpt(", ".join(table.columns)) or "none"
        raise ConfigError(f"{path} must have the columns person and group, got {got}")
    groups: dict[str, str] = {}
    for row in table.rows:
        person, group = row.cells["person"], row.cells["group"]
        if not person or not group:
            raise ConfigError(f"{path}, line {row.line}: person and group must both be filled in")
        if groups.setdefault(person, group) != group:
            raise ConfigError(
                f"{path}, line {row.line}: {excerpt(person)} is in {excerpt(repr(groups[person]))} and in "
                f"{excerpt(repr(group))}"
            )
    if len(set(groups.values())) < 2:
        raise ConfigError(f"{path} must name at least two groups to compare, got {len(set(groups.values()))}")
    return groups


def compare_groups(
    people: PeopleTemplates, group_of: Mapping[str, str], *, threshold: float, watchlist_size: int, seed: int = 0
) -> CohortReport:
    """FPIR and TPIR of each group at ``threshold`` (cosine), each person counted once in each.

    Everybody is searched for once against ``watchlist_size`` other people drawn at random (non-mated: any of the
    person's pictures reaching the threshold is a false alert), and everybody with two pictures once against a
    watchlist on which they stand. So trials are independent people, as the tests need. Raises ``ConfigError`` where
    fewer than two groups have a person, or the watchlist is larger than the people allow.
    """
    labels = [group_of.get(name, "") for name in people.names]
    names = sorted({label for label in labels if label})
    if len(names) < 2:
        raise ConfigError(f"at least two groups must have people in the folder, got {', '.join(names) or 'none'}")
    alerted, tried, found, mated = _search_each_once(people, threshold, watchlist_size, seed)
    label = np.array(labels)
    groups = []
    for name in names:
        here = label == name
        fpir = clopper_pearson(int((alerted & here).sum()), int((tried & here).sum()))
        tpir = wilson(int((found & here).sum()), int((mated & here).sum()))
        groups.append(GroupRates(group=name, fpir=fpir, tpir=tpir, caution=_caution(fpir, tpir)))
    return CohortReport(
        threshold=threshold,
        watchlist_size=watchlist_size,
        groups=tuple(groups),
        tests=(*holm_tests("fpir", _counts(groups, "fpir")), *holm_tests("fnir", _counts(groups, "fnir"))),
        ratios=(*_ratio("fpir", _counts(groups, "fpir")), *_ratio("fnir", _counts(groups, "fnir"))),
        unlabelled=labels.count(""),
    )


def holm_tests(measure: str, counts: Mapping[str, tuple[int, int]]) -> tuple[GroupTest, ...]:
    """Fisher's test of every pair of groups, counts as (errors, trials), corrected for all of them together."""
    pairs = [
        (one, other, fisher_exact(*counts[one], *counts[other]))
        for one, other in combinations([name for name, count in counts.items() if count[1]], 2)
    ]
    corrected = holm([p for *_, p in pairs])
    return tuple(
        GroupTest(measure=measure, groups=(one, other), p=p, p_holm=p_holm)
        for (one, other, p), p_holm in zip(pairs, corrected, strict=True)
    )


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979) of p values, in their order."""
    order = sorted(range(len(p)), key=lambda index: p[index])
    corrected, so_far = [0.0] * len(p), 0.0
    for place, index in enumerate(order):
        so_far = max(so_far, min(1.0, (len(p) - place) * p[index]))
        corrected[index] = so_far
    return corrected


def detectable_ratio(base: float, trials: int, other_trials: int, *, comparisons: int = 1) -> float | None:
    """The least ratio to ``base`` that two groups would show with a power of 80 %, None where none would.

    From the normal approximation of two proportions, two-sided at 5 % shared among ``comparisons`` (Fleiss et al.).
    """
    if not 0 < base < 1 or not trials or not other_trials:
        return None
    alpha = normal_quantile(1 - _SIGNIFICANT / (2 * comparisons))
    beta = normal_quantile(_POWER)

    def is_seen(rate: float) -> bool:
        pooled = (base * trials + rate * other_trials) / (trials + other_trials)
        under_none = alpha * np.sqrt(pooled * (1 - pooled) * (1 / trials + 1 / other_trials))
        under_true = beta * np.sqrt(base * (1 - base) / trials + rate * (1 - rate) / other_trials)
        return bool(rate - base >= under_none + under_true)

    if not is_seen(1.0):
        return None
    low, high = base, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if is_seen(middle) else (middle, high)
    return high / base


def _search_each_once(
    people: PeopleTemplates, threshold: float, size: int, seed: int
) -> tuple[Bools, Bools, Bools, Bools]:
    """Of each person: whether a non-mated search alerted, was made; whether a mated one found them, was made."""
    draw = np.random.default_rng(seed)
    count = len(people.names)
    rows = draw.permutation(np.flatnonzero(people.acquired))
    enrolable, first = np.unique(people.person[rows], return_index=True)
    reference = rows[first]
    if not 1 <= size < len(enrolable):
        raise ConfigError(
            f"a watchlist of {size} must leave somebody out of the {len(enrolable)} people with a face: make it smaller"
        )
    alerted, tried, found, mated = (np.zeros(count, bool) for _ in range(4))
    for person in range(count):
        mine = np.flatnonzero(people.person == person)
        others = draw.choice(np.flatnonzero(enrolable != person), size, replace=False)
        own = np.flatnonzero(enrolable == person)
        scores = people.vectors[mine] @ people.vectors[reference[others]].T
        tried[person] = True
        alerted[person] = bool((scores[people.acquired[mine]] >= threshold).any())
        if len(own) and len(mine) > 1:
            probe = draw.choice(mine[mine != reference[own[0]]])
            score = float(people.vectors[probe] @ people.vectors[reference[own[0]]])
            beside = people.vectors[reference[others[1:]]] @ people.vectors[probe]
            mated[person] = True
            found[person] = bool(people.acquired[probe]) and score >= threshold and not (beside >= score).any()
    return alerted, tried, found, mated


def _counts(groups: Sequence[GroupRates], measure: str) -> dict[str, tuple[int, int]]:
    rates = {each.group: each.fpir if measure == "fpir" else each.tpir.complement for each in groups}
    return {name: (rate.numerator, rate.denominator) for name, rate in rates.items()}


def _ratio(measure: str, counts: Mapping[str, tuple[int, int]]) -> tuple[Ratio, ...]:
    known = {name: count for name, count in counts.items() if count[1] >= LEAST_PEOPLE}
    if len(known) < 2:
        return ()
    share = {name: (errors + 0.5) / (trials + 0.5) for name, (errors, trials) in known.items()}
    greatest, least = max(share, key=lambda name: share[name]), min(share, key=lambda name: share[name])
    (top, top_trials), (bottom, bottom_trials) = known[greatest], known[least]
    log_ratio = np.log(share[greatest] / share[least])
    variance = 1 / (top + 0.5) - 1 / (top_trials + 0.5) + 1 / (bottom + 0.5) - 1 / (bottom_trials + 0.5)
    half = normal_quantile(1 - (1 - CONFIDENCE) / 2) * np.sqrt(max(float(variance), 0.0))
    pooled = sum(errors for errors, _ in known.values()) / sum(trials for _, trials in known.values())
    comparisons = len(known) * (len(known) - 1) // 2
    return (
        Ratio(
            measure=measure,
            greatest=greatest,
            least=least,
            value=float(np.exp(log_ratio)),
            low=float(np.exp(log_ratio - half)),
            high=float(np.exp(log_ratio + half)),
            detectable=detectable_ratio(pooled, top_trials, bottom_trials, comparisons=comparisons),
        ),
    )


def _caution(fpir: Rate, tpir: Rate) -> str:
    few = [
        f"{name} rests on {rate.denominator} {'person' if rate.denominator == 1 else 'people'}"
        for name, rate in (("FPIR", fpir), ("TPIR", tpir))
        if rate.denominator < LEAST_PEOPLE
    ]
    return f"{' and '.join(few)}: too few to conclude anything" if few else ""
