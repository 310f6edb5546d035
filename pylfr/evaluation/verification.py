"""One-to-one comparison: ten-fold accuracy on pairs, and FNMR against FMR over every pair that a folder holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pylfr.errors import ConfigError
from pylfr.evaluation.people import PeopleTemplates
from pylfr.evaluation.rates import CONFIDENCE, Rate, by_person, clopper_pearson, wilson
from pylfr.types import Float32, Int64

Bools = npt.NDArray[np.bool_]

FMR_TARGETS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_FOLDS = 10
_PAIRS_A_FOLD = 300
_RESAMPLES = 200
# Fewer wrong pairs than this say nothing useful about an error rate (the rule of 30 asks for three times as many).
_LEAST_ERRORS = 10
# The score of a pair one of whose pictures shows no face: below every cosine that a face could get.
_NO_FACE = -1.0


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
    """Up to 300 mated and as many non-mated pairs in each of ten folds; no person stands in two folds.

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
        stem = f"{name}_{int(number):04d}" if number.isdigit() else number
        if (name, stem) not in row_of:
            raise ConfigError(f"{path}, line {line}: {name}/{stem} is no readable picture of the folder")
        return row_of[name, stem]

    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"pair list {path} cannot be read: {error}") from error
    if not lines or not all(word.isdigit() for word in lines[0]) or not 1 <= len(lines[0]) <= 2:
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
    person, vectors = people.person[rows], people.vectors[rows]
    scores = vectors @ vectors.T
    upper = np.triu(np.ones(scores.shape, bool), 1)
    same = person[:, np.newaxis] == person
    mated_one, mated_other = np.nonzero(upper & same)
    non_mated = int((upper & ~same).sum())
    usable = [target for target in targets if target * non_mated >= _LEAST_ERRORS]
    if not usable or not len(mated_one):
        return ()
    mated_scores, mated_person = scores[mated_one, mated_other], person[mated_one]
    scores[~upper | same] = -2.0
    count = int(np.floor(max(usable) * non_mated))
    flat = np.argpartition(scores, scores.size - count, axis=None)[-count:]
    flat = flat[np.argsort(-scores.flat[flat], kind="stable")]
    ends = np.array([int(np.floor(target * non_mated)) for target in usable])
    thresholds = scores.flat[flat][ends - 1]
    one, other = person[flat // len(rows)], person[flat % len(rows)]
    lows, highs = _both_sides(one, other, ends, np.bincount(person, minlength=len(people.names)), seed)
    points = []
    for place, threshold in enumerate(thresholds.tolist()):
        errors = int(ends[place])
        value = errors / non_mated
        fmr = Rate(
            value=value,
            numerator=errors,
            denominator=non_mated,
            low=min(float(lows[place]), value),
            high=max(float(highs[place]), value),
            method="cluster-bootstrap",
        )
        missed = np.bincount(mated_person, weights=mated_scores < threshold, minlength=len(people.names))
        tried = np.bincount(mated_person, minlength=len(people.names))
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


def _both_sides(
    one: Int64, other: Int64, ends: Int64, pictures: Int64, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The interval of FMR at each of ``ends`` of the wrong pairs, highest first, with people resampled."""
    draw = np.random.default_rng(seed)
    people = len(pictures)
    rates = []
    for _ in range(_RESAMPLES):
        weight = draw.multinomial(people, np.full(people, 1 / people)).astype(np.float64)
        weighted = weight * pictures
        pairs = (weighted.sum() ** 2 - (weighted**2).sum()) / 2
        rates.append(np.cumsum(weight[one] * weight[other])[ends - 1] / pairs if pairs else np.zeros(len(ends)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.array(rates), [tail, 1 - tail], axis=0)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)
