"""Thresholds that hold on people who were not used, and are refused with numbers where that cannot be shown."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr.errors import ConfigError
from pylfr.evaluation.calibration import NonMated, Threshold, calibrate, search_non_mated, share_at
from tests.evaluation.crowds import people


def test_the_guarantee_holds_on_people_who_were_not_used() -> None:
    crowd = people(1600, pictures=1, dimension=48)
    kept = 0
    for split in range(10):
        order = np.random.default_rng(split).permutation(1600)
        threshold = Threshold.from_fpir(crowd.of_people(order[:800]), 0.01, watchlist_size=100, seed=split)
        held = search_non_mated(crowd.of_people(order[800:]), 100, draws=20, seed=split)
        kept += int(np.mean(held.best >= threshold.value) <= 0.01)
    assert kept >= 9


def test_the_threshold_is_above_the_best_guess_and_its_interval_ends_at_the_target() -> None:
    threshold = Threshold.from_fpir(people(600, pictures=1), 0.01, watchlist_size=100)
    assert threshold.value > threshold.best_guess
    assert threshold.low <= threshold.fpir <= threshold.high
    assert threshold.high == pytest.approx(0.01, rel=0.15)
    assert threshold.searched_people == 500
    assert threshold.alerts <= 0.01 * threshold.searches


def test_a_best_score_is_the_highest_of_all_pictures_against_all_of_the_watchlist() -> None:
    crowd = people(20, pictures=3)
    found = search_non_mated(crowd, 5, draws=1, seed=3)
    assert len(found.best) == found.searched == 15
    for best, person, entry in zip(found.best, found.person, found.entry, strict=True):
        assert person != entry
        of_pair = crowd.vectors[crowd.person == person] @ crowd.vectors[crowd.person == entry].T
        assert np.isclose(of_pair, best, atol=1e-6).any()


def test_what_the_material_cannot_support_is_refused_with_what_it_would_need() -> None:
    crowd = people(400, pictures=1)
    with pytest.raises(
        ConfigError, match=r"300 non-mated people cannot support FPIR 0\.001 at 100.*needs 1,000 or more"
    ):
        Threshold.from_fpir(crowd, 1e-3, watchlist_size=100)
    with pytest.raises(ConfigError, match=r"3,000 \(rule of 3\).*30,000 \(rule of 30\), besides 10,000 fillers"):
        Threshold.from_fpir(crowd, 1e-3, watchlist_size=10_000)
    with pytest.raises(ConfigError, match="needs 200 or more"):
        Threshold.from_fpir(people(60, pictures=1), 0.1, watchlist_size=10)


def test_another_size_than_the_materials_is_an_extrapolation_and_says_so() -> None:
    crowd = people(1000, pictures=1)
    same = Threshold.from_fpir(crowd, 0.05, watchlist_size=400)
    larger = Threshold.from_fpir(crowd, 0.05, watchlist_size=1000)
    assert not any("extrapolated" in each for each in same.warnings)
    assert any("extrapolated from watchlists of 500 to 1,000" in each for each in larger.warnings)
    assert larger.value > same.value


def test_fpir_scales_with_the_watchlist_and_back() -> None:
    assert share_at(1.7e-8, 1, 10_000) == pytest.approx(1.7e-4, rel=1e-3)
    assert share_at(share_at(0.01, 100, 1000), 1000, 100) == pytest.approx(0.01)
    assert share_at(1.0, 100, 10) <= 1


def test_targets_that_are_no_rate_are_refused() -> None:
    found = search_non_mated(people(300, pictures=1), 50, draws=2)
    for target in (0.0, 1.0, -1.0):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            calibrate(found, target, watchlist_size=50)
    with pytest.raises(ConfigError, match="at least 1 person"):
        calibrate(found, 0.1, watchlist_size=0)


def test_a_watchlist_of_everybody_leaves_nobody_to_search_for() -> None:
    for size in (0, 30):
        with pytest.raises(ConfigError, match="must leave non-mated people among the 30"):
            search_non_mated(people(30), size)


def test_one_person_under_two_names_is_warned_of() -> None:
    draw = np.random.default_rng(1)
    best = np.concatenate([draw.normal(0.2, 0.02, 1990), np.full(10, 0.99)])
    found = NonMated(
        best=best,
        person=np.arange(2000),
        entry=draw.integers(2000, 2100, 2000),
        people=2100,
        searched=2000,
        watchlist_size=100,
    )
    threshold = calibrate(found, 0.01, watchlist_size=100)
    assert threshold.value <= 1.0
    assert any("two names" in each for each in threshold.warnings)
