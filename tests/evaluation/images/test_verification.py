"""Pairs, folds and the ROC; pair lists that do not fit are refused by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pylfr.errors import ConfigError
from pylfr.evaluation.images.verification import Pairs, draw_pairs, pair_scores, read_pairs, roc, ten_fold
from tests.evaluation.crowds import people


def test_no_person_is_in_two_folds_and_no_pair_twice() -> None:
    crowd = people(100)
    pairs = draw_pairs(crowd)
    folds: dict[int, set[int]] = {}
    for row, fold in zip([*pairs.left, *pairs.right], [*pairs.fold, *pairs.fold], strict=True):
        folds.setdefault(int(crowd.person[row]), set()).add(int(fold))
    assert all(len(each) == 1 for each in folds.values())
    assert len(set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))) == len(pairs.left)
    assert np.array_equal(crowd.person[pairs.left] == crowd.person[pairs.right], pairs.mated)


def test_ten_folds_choose_their_threshold_on_the_other_nine() -> None:
    fold = np.repeat(np.arange(10), 2)
    mated = np.tile([True, False], 10)
    scores = np.where(mated, 0.8, 0.2).astype(np.float32)
    scores[0] = 0.1
    pairs = Pairs(left=np.zeros(20, np.int64), right=np.zeros(20, np.int64), mated=mated, fold=fold)
    result = ten_fold(scores, pairs)
    assert (result.accuracy.numerator, result.accuracy.denominator) == (19, 20)
    assert result.threshold == pytest.approx(0.8)


def test_the_roc_counts_what_a_plain_loop_counts() -> None:
    crowd = people(60, scatter=1.6, dimension=24)
    points = roc(crowd, targets=(0.1, 0.01))
    scores = crowd.vectors @ crowd.vectors.T
    one, other = np.triu_indices(len(crowd), 1)
    same = crowd.person[one] == crowd.person[other]
    for point in points:
        wrong = np.count_nonzero(scores[one, other][~same] >= np.float32(point.threshold))
        missed = np.count_nonzero(scores[one, other][same] < np.float32(point.threshold))
        assert abs(point.fmr.numerator - wrong) <= 1
        assert point.fnmr.numerator == missed
        assert point.fmr.low <= (point.fmr.value or 0) <= point.fmr.high


def test_an_roc_shows_no_rate_that_its_pairs_cannot() -> None:
    assert roc(people(5)) == ()
    assert roc(people(200, pictures=1)) == ()


def test_too_few_people_for_ten_folds_is_said() -> None:
    with pytest.raises(ConfigError, match="ten folds"):
        draw_pairs(people(12))


def test_a_pair_list_is_read_as_lfw_writes_it(tmp_path: Path) -> None:
    crowd = people(4)
    listed = tmp_path / "pairs.txt"
    listed.write_text("2\t1\nP0\t1\t2\nP0\t1\tP1\t3\nP2\t1\t3\nP2\t1\tP3\t2\n")
    pairs = read_pairs(listed, crowd)
    assert pairs.mated.tolist() == [True, False, True, False]
    assert pairs.fold.tolist() == [0, 0, 1, 1]
    assert pairs.right.tolist() == [1, 5, 8, 10]
    assert pair_scores(crowd, pairs).shape == (4,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1 must say"),
        ("P0 1 2\n", "line 1 must say"),
        ("1 1\nP0 1\n", "line 2 must be"),
        ("1 1\nP0 1 9\n", "P0/P0_0009 is no readable picture"),
        ("1 1\nP0 1 2\n", "mated and non-mated"),
    ],
)
def test_a_pair_list_that_does_not_fit_is_refused_by_line(tmp_path: Path, text: str, said: str) -> None:
    listed = tmp_path / "pairs.txt"
    listed.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_pairs(listed, people(4))
