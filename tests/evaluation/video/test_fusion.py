"""Fusion rules: each is its own sum, and all are compared at the same number of false alerts."""

from __future__ import annotations

import pytest

from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.engine.alert_policy import AlertRules
from pylfr.errors import ConfigError
from pylfr.evaluation.video.fusion import (
    ENGINES_RULE,
    RULES,
    best_of,
    best_or_mean,
    compare_rules,
    consistent,
    first_face,
    mean_of_best,
    weighted,
)
from pylfr.evaluation.video.passes import Compared, SubjectPass

ALL = [True, True, True]


def test_each_rule_gives_its_own_number() -> None:
    scores, qualities = [0.2, 0.8, 0.5], [10.0, 90.0, 50.0]
    assert first_face()(scores, qualities, ALL) == 0.5
    assert best_of(1)(scores, qualities, ALL) == 0.8
    assert best_of(2)(scores, qualities, ALL) == pytest.approx(0.65)
    assert mean_of_best(2, among=3, least=2)(scores, qualities, ALL) == pytest.approx(0.65)
    assert mean_of_best(2, among=2, least=2)([0.9, 0.8, 0.5], qualities, ALL) == pytest.approx(0.65)
    assert weighted()(scores, qualities, ALL) == pytest.approx((2 + 72 + 25) / 150)
    assert consistent(2)(scores, qualities, ALL) == 0.5


def test_the_engines_rule_takes_the_best_scores_or_one_by_a_margin_and_only_of_faces_that_name_the_entry() -> None:
    rule = best_or_mean(AlertRules(threshold=0, best_scores=2, lone_margin=0.05))
    assert rule([0.8, 0.76, 0.1], [1, 2, 3], ALL) == pytest.approx(0.78)
    assert rule([0.8, 0.2, 0.1], [1, 2, 3], ALL) == pytest.approx(0.75)
    assert rule([0.8, 0.79, 0.1], [1, 2, 3], [True, False, True]) == pytest.approx(0.75)
    assert rule([0.8], [1], [False]) is None


def test_a_rule_waits_until_it_has_enough_faces() -> None:
    assert best_of(5, least=2)([0.9], [50], [True]) is None
    assert weighted(least=2)([0.9], [50], [True]) is None
    assert mean_of_best(2, among=5, least=2)([0.9], [50], [True]) is None
    assert consistent(3)([0.9, 0.9], [50, 50], [True, True]) is None


def test_the_engines_rule_is_the_one_that_was_compared() -> None:
    rules, section = AlertRules(threshold=0), RecognitionSection()
    assert (rules.best_scores, rules.lone_margin) == (section.best_scores, section.lone_margin)
    assert ENGINES_RULE in RULES


def _walk(index: int, scores: list[float], *, mated: bool) -> tuple[SubjectPass, list[Compared]]:
    start = 10.0 * index
    name = f"P{index}"
    passed = SubjectPass(camera="gate", subject=name, is_mated=mated, starts_s=start, ends_s=start + 2)
    faces = [
        Compared(
            camera="gate",
            track_id=index,
            at_s=start + 0.2 * place,
            box=(0, 0, 50, 50),
            quality=50,
            interocular_px=20,
            sharpness=50,
            brightness=0.5,
            turn_deg=5,
            candidates=((name if mated else "P0", score),),
            is_full=False,
        )
        for place, score in enumerate(scores)
    ]
    return passed, faces


def test_steady_scores_beat_a_lucky_face_once_they_are_fused() -> None:
    walks = [_walk(index, [0.5, 0.52, 0.48, 0.5], mated=True) for index in range(10)]
    walks += [_walk(index, [0.2, 0.7 if index % 2 else 0.2, 0.1, 0.1], mated=False) for index in range(10, 30)]
    truth, faces = [each for each, _ in walks], [face for _, part in walks for face in part]
    results = {each.rule: each for each in compare_rules(truth, faces, target_fpir=0.1)}
    assert results.keys() == RULES.keys()
    assert all((each.rates.fpir.value or 0) <= 0.1 for each in results.values())
    assert results["any single face (first above, maximum)"].rates.tpir.value == 0
    assert results["mean of best 5, at least 2"].rates.tpir.value == 1
    assert results["3 faces above"].rates.tpir.value == 1
    assert results["mean of best 5, at least 2"].alerts_per_alerted_pass == 1


def test_a_target_that_no_pass_may_fail_is_refused() -> None:
    walks = [_walk(index, [0.5], mated=index == 0) for index in range(10)]
    with pytest.raises(ConfigError, match="needs 100 non-mated passes, got 9"):
        compare_rules([each for each, _ in walks], [], target_fpir=0.01)
