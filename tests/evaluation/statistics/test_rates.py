"""Rates and their intervals, against an independent implementation and against published examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylfr.evaluation.statistics.rates import bootstrap_band, by_person, clopper_pearson, needed_trials, wilson

statsmodels = pytest.importorskip("statsmodels.stats.proportion")


@settings(deadline=None)
@given(st.integers(1, 5000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_intervals_agree_with_statsmodels(counts: tuple[int, int]) -> None:
    hits, trials = counts
    for rate, method in ((clopper_pearson(hits, trials), "beta"), (wilson(hits, trials), "wilson")):
        low, high = statsmodels.proportion_confint(hits, trials, alpha=0.05, method=method)
        assert rate.low == pytest.approx(low, abs=1e-9)
        assert rate.high == pytest.approx(high, abs=1e-9)


@pytest.mark.parametrize(
    ("hits", "trials", "exact", "score"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I: Clopper-Pearson and Wilson without continuity correction.
        (81, 263, (0.2527, 0.3676), (0.2553, 0.3662)),
        (15, 148, (0.0578, 0.1617), (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1684), (0.0, 0.1611)),
        (1, 29, (0.0009, 0.1776), (0.0061, 0.1718)),
    ],
)
def test_intervals_are_those_of_newcombe_1998(
    hits: int, trials: int, exact: tuple[float, float], score: tuple[float, float]
) -> None:
    for rate, (low, high) in ((clopper_pearson(hits, trials), exact), (wilson(hits, trials), score)):
        assert rate.low == pytest.approx(low, abs=6e-5)
        assert rate.high == pytest.approx(high, abs=6e-5)


def test_a_rate_of_nothing_has_no_value_and_says_so() -> None:
    for rate in (clopper_pearson(0, 0), wilson(0, 0), by_person([], []), by_person([0, 0], [0, 0])):
        assert rate.value is None
        assert (rate.low, rate.high) == (0.0, 1.0)
        assert str(rate) == "no data (0 of 0)"
        assert rate.complement.value is None


def test_no_error_at_all_still_has_an_upper_end_by_people_not_by_pictures() -> None:
    rate = by_person([0] * 40, [25] * 40)
    assert (rate.numerator, rate.denominator, rate.method) == (0, 1000, "clopper-pearson")
    assert rate.high == pytest.approx(clopper_pearson(0, 40).high)


def test_the_interval_over_people_is_wider_where_one_persons_pictures_fail_together() -> None:
    hits, trials = np.array([20] * 5 + [0] * 95), np.full(100, 20)
    together = by_person(hits, trials)
    alone = wilson(int(hits.sum()), int(trials.sum()))
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_the_interval_over_people_covers_the_truth_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(3)
    covered = 0
    for repeat in range(200):
        hits = draw.binomial(5, draw.beta(2, 8, size=150))
        rate = by_person(hits, np.full(150, 5), seed=repeat)
        covered += rate.low <= 0.2 <= rate.high
    assert 180 <= covered <= 199


def test_one_person_alone_gives_an_interval_without_nan() -> None:
    rate = by_person([1], [2])
    assert rate.value == 0.5
    assert 0 <= rate.low <= 0.5 <= rate.high <= 1
    low, high = bootstrap_band(np.zeros((1, 2)), np.zeros((1, 2)))
    assert low.tolist() == [0, 0]
    assert high.tolist() == [1, 1]


def test_impossible_counts_are_refused() -> None:
    for hits, trials in ((3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="a rate counts"):
            clopper_pearson(hits, trials)
        with pytest.raises(ValueError, match="a rate counts"):
            wilson(hits, trials)
    with pytest.raises(ValueError, match="more hits than trials"):
        by_person([2], [1])


def test_the_rule_of_three_counts_trials() -> None:
    assert needed_trials(1e-3) == 3000
    assert clopper_pearson(0, needed_trials(1e-3), confidence=0.90).high < 1e-3
    assert needed_trials(1e-3, errors=30) == 30_000
    with pytest.raises(ValueError, match="between 0 and 1"):
        needed_trials(0)


def test_no_error_in_n_bounds_the_rate_by_three_over_n() -> None:
    # Hanley and Lippman-Hand, JAMA 249 (1983): 95 % one-sided, so 90 % between two ends.
    for trials in (100, 300, 3000):
        assert clopper_pearson(0, trials, confidence=0.9).high == pytest.approx(3 / trials, rel=0.02)


def test_thirty_errors_measure_a_rate_to_within_thirty_per_cent_at_90_per_cent() -> None:
    # Doddington's rule of 30: 1.645 / sqrt(30) = 0.300.
    rate = wilson(30, 100_000, confidence=0.9)
    assert (rate.high - rate.low) / 2 == pytest.approx(0.3 * 3e-4, rel=0.02)
