"""Drift is seen where there is some, and not where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from pylfr.errors import ConfigError
from pylfr.evaluation.drift import BINS, compare, compare_scores, false_alert_alarm, histogram_of


def _scores(middle: float, count: int, seed: int) -> tuple[int, ...]:
    return histogram_of(np.random.default_rng(seed).normal(middle, 0.05, count))


def test_the_same_crowd_shows_no_drift() -> None:
    found = compare_scores(_scores(0.3, 20_000, 1), _scores(0.3, 5000, 2), threshold=0.5)
    assert found.shift.stability < 0.01
    assert found.verdict == "no drift is seen in the scores"
    assert found.searches == 5000


def test_a_crowd_that_scores_higher_asks_for_calibration() -> None:
    found = compare_scores(_scores(0.3, 20_000, 1), _scores(0.36, 5000, 2), threshold=0.42)
    assert found.above.low > found.above_certified.high
    assert "calibrate again before the next deployment" in found.verdict
    assert all(now > before for _, before, now in found.quantiles)


def test_a_crowd_that_scores_lower_is_another_crowd_too() -> None:
    found = compare_scores(_scores(0.3, 20_000, 1), _scores(0.2, 5000, 2), threshold=0.5)
    assert "no longer" in found.verdict


def test_counts_at_the_threshold_are_those_of_the_scores() -> None:
    scores = np.array([0.395, 0.405, 0.415, -1.0, 1.0])
    found = compare_scores(histogram_of(scores), histogram_of(scores), threshold=0.40)
    assert found.above.numerator == 3


def test_false_alerts_that_double_are_noticed_and_usual_ones_are_not() -> None:
    draw = np.random.default_rng(6)
    assert false_alert_alarm(draw.poisson(2, 20).tolist(), [2.0] * 20, limit=8) == -1
    assert 0 <= false_alert_alarm([*draw.poisson(2, 10).tolist(), *draw.poisson(6, 10).tolist()], [2.0] * 20) < 20
    assert false_alert_alarm([], []) == -1
    for counts, expected in (([1], [0.0]), ([1], [])):
        with pytest.raises(ValueError, match="above 0"):
            false_alert_alarm(counts, expected)


def test_few_tracks_of_one_crowd_are_no_drift_and_the_limit_of_chance_is_that_of_scipy() -> None:
    found = [compare(_scores(0.3, 2000, 1), _scores(0.3, 60, seed)) for seed in range(200)]
    assert sum(each.stability > 0.25 for each in found) > 10
    assert sum(each.has_moved for each in found) <= 2
    every = compare(_scores(0.3, 2000, 1), _scores(0.3, 60, 1))
    assert every.chance == pytest.approx(chi2.ppf(0.999, 9) * (1 / 2000 + 1 / 60), rel=0.01)


def test_histograms_that_do_not_fit_are_refused() -> None:
    good = _scores(0.3, 100, 1)
    with pytest.raises(ConfigError, match="200 bins"):
        compare_scores(good, good[:-1], threshold=0.4)
    with pytest.raises(ConfigError, match="at least one track"):
        compare_scores(good, [0] * BINS, threshold=0.4)
    with pytest.raises(ConfigError, match="none below zero"):
        compare([1, -1], [1, 1])


def test_one_track_on_each_side_gives_numbers() -> None:
    found = compare([0, 1, 0], [1, 0, 0])
    assert np.isfinite([found.stability, found.chance, found.distance]).all()
    assert not found.has_moved
