"""One-to-one comparison: ten-fold accuracy on pairs, and FNMR against FMR over every pair that a folder holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pylfr._internal.regular_file import read_file
from pylfr.errors import ConfigError
from pylfr.evaluation.images.people import PeopleTemplates
from pylfr.evaluation.statistics.rates import CONFIDENCE, Rate, by_person, clopper_pearson, wilson
from pylfr.types import Float32, Int64

Bools = npt.NDArray[np.bool_]

FMR_TARGETS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
# What int() takes, and no more digits than a count may have.
_NUMBER = re.compile("[0-9]{1,9}")
_FOLDS = 10
_PAIRS_A_FOLD = 300
_RESAMPLES = 200
# Fewer wrong pairs than this say nothing useful about an error rate (the rule of 30 asks for three times as many).
_LEAST_ERRORS = 10
# The score of a pair one of whose pictures shows no face: below every cosine that a face could get.
_NO_FACE = -1.0
# A threshold of the ROC is one of these: steps of 1e-4. Memory is bounded by them and by the pairs of one block.
_EDGES = np.linspace(-1.01, 1.01, 20_201, dtype=np.float32)
_PAIRS_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """Pairs of rows of a ``PeopleTemplates``; all [P]: ``left`` and ``right`` rows, ``mated``, ``fold`` from 0."""

    left: Int64
    right: Int64
    mated: Bools
    fold: Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class TenFold:
    """Accuracy where the threshold is chosen on nine folds and tried on the tenth; the threshold is their mean."""

    accuracy: Rate
    fold_deviation: float
    threshold: float
    mated_pairs: int
    non_mated_pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RocPoint:
    """What a threshold (cosine) does to pairs."""

    threshold: float
    fmr: Rate
    fnmr: Rate


def draw_pairs(people: PeopleTemplates, *, seed: int = 0) -> Pairs:
    """Up to 300 mated and as many non-mated pairs in each of ten folds; no person is in two folds.

    Raises ``ConfigError`` where the folder holds too few people or nobody with two pictures.
    """
    draw = np.random.default_rng(seed)
    fold_of = draw.permutation(len(people.names)) % _FOLDS
    left, right, mated, fold = [], [], [], []
    for number in range(_FOLDS):
        rows = np.flatnonzero(fold_of[people.person] == number)
        one, other = np.triu_indices(len(rows), 1)
        same = people.person[rows[one]] == people.person[rows[other]]
        count = min(_PAIRS_A_FOLD, int(same.sum()), int((~same).sum()))
        for kind in (True, False):
            chosen = draw.choice(np.flatnonzero(same == kind), count, replace=False)
            left.append(rows[one[chosen]])
            right.append(rows[other[chosen]])
            mated.append(np.full(count, kind))
            fold.append(np.full(count, number))
    pairs = Pairs(
        left=np.concatenate(left), right=np.concatenate(right), mated=np.concatenate(mated), fold=np.concatenate(fold)
    )
    if len(np.unique(pairs.fold)) < _FOLDS:
        raise ConfigError(
            f"ten-fold verification needs ten folds with a person of two pictures and another person in each; "
            f"{len(people.names)} people with {len(people)} pictures do not fill them"
        )
    return pairs


def read_pairs(path: Path, people: PeopleTemplates) -> Pairs:
    """The pairs of a file in LFW's format: a line of folds and pairs, then ``name i j`` or ``name i other j``.

    Raises ``ConfigError`` naming the line that does not fit it or names a picture that is not in the folder.
    """
    row_of = {(file.parent.name, file.stem): row for row, file in enumerate(people.paths)}

    def row(name: str, number: str, line: int) -> int:
        stem = f"{name}_{int(number):04d}" if _NUMBER.fullmatch(number) else number
        if (name, stem) not in row_of:
            raise ConfigError(f"{path}, line {line}: {name}/{stem} is no readable picture of the folder")
        return row_of[name, stem]

    try:
        lines = [line.split() for line in read_file(path).decode().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"pair list {path} cannot be read: {error}") from error
    if not lines or not all(_NUMBER.fullmatch(word) for word in lines[0]) or not 1 <= len(lines[0]) <= 2:
        raise ConfigError(f"{path}, line 1 must say the number of folds and of pairs of each kind, such as '10 300'")
    folds, count = (int(lines[0][0]), int(lines[0][1])) if len(lines[0]) == 2 else (1, int(lines[0][0]))
    left, right, mated = [], [], []
    for line, words in enumerate(lines[1:], start=2):
        if not words:
            continue
        if len(words) not in (3, 4):
            raise ConfigError(f"{path}, line {line} must be 'name i j' or 'name i other j', got {' '.join(words)!r}")
        left.append(row(words[0], words[1], line))
        right.append(row(words[0] if len(words) == 3 else words[2], words[-1], line))
        mated.append(len(words) == 3)
    if not any(mated) or all(mated):
        raise ConfigError(f"{path} must hold mated and non-mated pairs, got {sum(mated)} mated of {len(mated)}")
    return Pairs(
        left=np.array(left, np.int64),
        right=np.array(right, np.int64),
        mated=np.array(mated),
        fold=np.minimum(np.arange(len(mated)) // max(2 * count, 1), folds - 1),
    )


def pair_scores(people: PeopleTemplates, pairs: Pairs) -> Float32:
    """Comparison scores, float32 [P]; -1 where one of the two shows no face."""
    scores = np.einsum("ij,ij->i", people.vectors[pairs.left], people.vectors[pairs.right])
    both = people.acquired[pairs.left] & people.acquired[pairs.right]
    return np.where(both, scores, _NO_FACE).astype(np.float32)


def ten_fold(scores: Float32, pairs: Pairs) -> TenFold:
    """Accuracy over the folds; with a single fold its threshold is chosen and tried on the same pairs."""
    folds = np.unique(pairs.fold)
    rights, thresholds, shares = 0, [], []
    for fold in folds:
        held = pairs.fold == fold
        learn = ~held if len(folds) > 1 else held
        threshold = _best_threshold(scores[learn], pairs.mated[learn])
        right = (scores[held] >= threshold) == pairs.mated[held]
        rights += int(right.sum())
        thresholds.append(threshold)
        shares.append(float(right.mean()))
    return TenFold(
        accuracy=wilson(rights, len(scores)),
        fold_deviation=float(np.std(shares)),
        threshold=float(np.mean(thresholds)),
        mated_pairs=int(pairs.mated.sum()),
        non_mated_pairs=int((~pairs.mated).sum()),
    )


def roc(people: PeopleTemplates, *, targets: tuple[float, ...] = FMR_TARGETS, seed: int = 0) -> tuple[RocPoint, ...]:
    """FNMR at each target FMR that the folder's pairs can show (ten wrong pairs or more), over all of its pairs.

    Pictures without a face make no comparison: they are failures to acquire. The interval of FMR resamples people on
    both sides of a pair, because one person who resembles many spoils many pairs.
    """
    rows = np.flatnonzero(people.acquired)
    rows = rows[np.argsort(people.person[rows], kind="stable")]
    person, vectors = people.person[rows], people.vectors[rows]
    count = len(people.names)
    histogram = np.zeros(len(_EDGES), np.int64)
    mated_scores: list[Float32] = [np.empty(0, np.float32)]
    mated_person: list[Int64] = [np.empty(0, np.int64)]
    for block in _pairs_of(vectors, person):
        # Scores are binned by comparison with the edges, exactly as a threshold would compare them.
        bins = np.searchsorted(_EDGES, block.scores[~block.same], side="right") - 1
        histogram += np.bincount(bins, minlength=len(_EDGES))
        mated_scores.append(block.scores[block.same])
        mated_person.append(person[block.one[block.same]])
    non_mated = int(histogram.sum())
    usable = [target for target in targets if target * non_mated >= _LEAST_ERRORS]
    mated, whose = np.concatenate(mated_scores), np.concatenate(mated_person)
    if not usable or not len(mated):
        return ()
    # The lowest threshold whose wrong pairs are no more than the target allows.
    reached = np.cumsum(histogram[::-1])[::-1]
    edges = [int(np.argmax(reached <= np.floor(target * non_mated + 1e-9))) for target in usable]
    thresholds = _EDGES[edges]
    lows, highs = _both_sides(vectors, person, thresholds, count, seed)
    points = []
    for place, threshold in enumerate(thresholds.tolist()):
        errors = int(reached[edges[place]])
        value = errors / non_mated
        fmr = Rate(
            value=value,
            numerator=errors,
            denominator=non_mated,
            low=min(float(lows[place]), value),
            high=max(float(highs[place]), value),
            method="cluster-bootstrap",
        )
        missed = np.bincount(whose, weights=mated < thresholds[place], minlength=count)
        tried = np.bincount(whose, minlength=count)
        points.append(RocPoint(threshold=threshold, fmr=fmr, fnmr=by_person(missed, tried, seed=seed)))
    return tuple(points)


def acquisition(people: PeopleTemplates) -> Rate:
    """FTA: pictures in which no face was found, over all that could be read."""
    return clopper_pearson(int((~people.acquired).sum()), len(people))


def _best_threshold(scores: Float32, mated: Bools) -> float:
    """The score that, as a threshold, is right most often."""
    order = np.argsort(-scores, kind="stable")
    rights = np.cumsum(np.where(mated[order], 1, -1))
    # Equal scores fall on one side together: only the last of each run can be a threshold.
    last = np.append(np.diff(scores[order]) != 0, True)
    return float(scores[order][np.argmax(np.where(last, rights, -len(scores) - 1))])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Block:
    """Some of the pairs, [P]: rows ``one`` and ``other``, their scores, and whether both are one person."""

    one: Int64
    other: Int64
    scores: Float32
    same: Bools


def _pairs_of(vectors: Float32, person: Int64) -> Iterator[_Block]:
    """Every pair of rows once, no more than ``_PAIRS_AT_ONCE`` in memory however many rows there are."""
    count = len(vectors)
    step = max(1, _PAIRS_AT_ONCE // max(count, 1))
    for start in range(0, count, step):
        stop = min(start + step, count)
        scores = vectors[start:stop] @ vectors[start:].T
        one, other = np.nonzero(np.arange(start, count) > np.arange(start, stop)[:, np.newaxis])
        yield _Block(
            one=one + start,
            other=other + start,
            scores=scores[one, other],
            same=person[one + start] == person[other + start],
        )


def _both_sides(
    vectors: Float32, person: Int64, thresholds: Float32, people: int, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The interval of FMR at each threshold, with people resampled on both sides of every pair."""
    draw = np.random.default_rng(seed)
    weight = draw.multinomial(people, np.full(people, 1 / people), size=_RESAMPLES).astype(np.float64)
    weighted = weight * np.bincount(person, minlength=people)
    pairs = (weighted.sum(axis=1) ** 2 - (weighted**2).sum(axis=1)) / 2
    ascending = np.sort(thresholds)
    wrong = np.zeros((_RESAMPLES, len(thresholds)))
    for block in _pairs_of(vectors, person):
        near = ~block.same & (block.scores >= ascending[0])
        one, other = person[block.one[near]], person[block.other[near]]
        step = np.searchsorted(ascending, block.scores[near], side="right") - 1
        for draws, mine in zip(wrong, weight, strict=True):
            draws += np.bincount(step, weights=mine[one] * mine[other], minlength=len(thresholds))
    # What reaches a threshold has reached every lower one.
    wrong = np.cumsum(wrong[:, ::-1], axis=1)[:, ::-1][:, np.searchsorted(ascending, thresholds)]
    rates = np.divide(wrong, pairs[:, np.newaxis], out=np.zeros_like(wrong), where=pairs[:, np.newaxis] > 0)
    tail = (1 - CONFIDENCE) / 2
    lows, highs = np.quantile(rates, [tail, 1 - tail], axis=0)
    return np.clip(lows, 0, 1), np.clip(highs, 0, 1)
