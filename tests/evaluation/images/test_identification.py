"""Open-set identification: known answers on synthetic people, and a clear message where there are too few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pylfr.errors import ConfigError
from pylfr.evaluation.images.identification import identify, search_once, thresholds_at
from tests.evaluation.crowds import people


def test_people_who_are_far_apart_are_all_found_without_a_false_alert_too_many() -> None:
    result = identify(people(60, scatter=0.1), 20, splits=3)
    assert result.mated_searches == 3 * 20 * 2
    assert result.non_mated_searches == 3 * 40 * 3
    assert result.rank_rate[0] == 1
    for point in result.points:
        assert point.tpir.value == 1
        assert point.fpir.value is not None
        assert point.fpir.value <= point.target_fpir
    assert "FPIR 0.001 needs 1,000 non-mated searches or more, there are 120" in result.unsupported


def test_a_search_agrees_with_a_plain_loop() -> None:
    crowd = people(30, pictures=2, scatter=1.5, dimension=16)
    searches = search_once(crowd, 10, np.random.default_rng(5))
    again = np.random.default_rng(5)
    assert len(searches.own) == 10
    assert len(searches.best) == 40
    repeated = search_once(crowd, 10, again)
    assert np.array_equal(searches.own, repeated.own)
    enrolled = np.unique(searches.mated_person)
    for person, own, rank in zip(searches.mated_person, searches.own, searches.rank, strict=True):
        first, second = crowd.vectors[crowd.person == person]
        assert own == pytest.approx(float(first @ second), abs=1e-6)
        assert 0 <= rank < 10
    assert not set(enrolled.tolist()) & set(searches.non_mated_person.tolist())


def test_a_threshold_keeps_its_target_also_among_equal_scores() -> None:
    best = np.array([0.9, 0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], np.float32)
    for target, allowed in ((0.1, 1), (0.2, 1), (0.3, 1), (0.4, 4)):
        threshold = thresholds_at(best, np.array([target]))[0]
        assert np.count_nonzero(best >= threshold) == allowed


def test_a_picture_without_a_face_is_a_miss_and_never_an_alert() -> None:
    crowd = people(40, scatter=0.1)
    blind = np.arange(len(crowd)) % 3 == 2
    vectors = crowd.vectors.copy()
    vectors[blind] = 0
    result = identify(replace(crowd, vectors=vectors, acquired=~blind), 10, splits=4)
    assert result.points[0].tpir.value == pytest.approx(0.5)
    assert result.rank_rate[-1] == pytest.approx(0.5)


def test_what_cannot_be_measured_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="second picture"):
        identify(people(20, pictures=1), 5)
    with pytest.raises(ConfigError, match="leaves no non-mated people among 20"):
        identify(people(20), 20)
    with pytest.raises(ConfigError, match="a watchlist of 21 needs as many people"):
        identify(people(20), 21)
    with pytest.raises(ConfigError, match="at least 1 person"):
        identify(people(20), 0)
    with pytest.raises(ConfigError, match="splits must be at least 1"):
        identify(people(20), 5, splits=0)


def test_a_tiny_folder_gives_numbers_without_nan_and_says_what_it_cannot_show() -> None:
    result = identify(people(3, pictures=2), 1, splits=2)
    assert len(result.unsupported) == 5
    assert result.points == ()
    for curve in (result.det.fpir, result.det.fnir, result.det.low, result.det.high, result.rank_rate):
        assert np.isfinite(curve).all()
