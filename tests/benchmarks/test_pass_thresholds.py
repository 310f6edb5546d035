"""Thresholds by pass and by the watchlist's length, on scores that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.pass_thresholds import pass_scores, thresholds_of
from benchmarks.recorded import Recording
from pylfr.engine.alert_policy import AlertRules
from pylfr.evaluation.video.passes import SubjectPass

_PEOPLE = tuple(f"{number:04d}" for number in range(60))


def walk(subject: str, *, is_mated: bool) -> SubjectPass:
    return SubjectPass(camera="c", subject=subject, is_mated=is_mated, starts_s=0, ends_s=1)


def test_a_longer_watchlist_needs_a_higher_threshold_and_ones_own_entry_is_never_a_false_alert() -> None:
    truth = [walk(name, is_mated=place % 2 == 0) for place, name in enumerate(_PEOPLE)]
    best = np.random.default_rng(0).uniform(0, 0.5, (len(truth), len(_PEOPLE)))
    np.fill_diagonal(best, 0.9)
    made = thresholds_of(best, truth, _PEOPLE)
    assert [each.watchlist for each in made] == [1, 1, 10, 10, 50, 50]
    at_5 = [each.threshold for each in made if each.fpir == 0.05]
    assert at_5 == sorted(at_5)
    assert 0.46 < at_5[0] < 0.49  # one comparison: the upper twentieth of 0 to 0.5
    assert at_5[1] > 0.495
    assert all(each.threshold <= 0.501 and each.tpir == 1.0 for each in made)
    assert all(each.low <= each.threshold + 1e-9 and each.threshold <= each.high + 1e-9 for each in made)


def recording_of(similarity: list[list[float]]) -> Recording:
    """One face eight times a second, in one place, with these scores for two entries."""
    count = len(similarity)
    scores = np.array(similarity, np.float32)
    order = np.argsort(-scores, axis=1, kind="stable").astype(np.int64)
    return Recording(
        high_score=0.5,
        low_score=0.35,
        cameras=("c",),
        people=("own", "other"),
        camera=np.zeros(count, np.int32),
        at_s=np.arange(count) / 8,
        thumbnails=np.full((count, 18, 32), 128, np.uint8),
        frame=np.arange(count, dtype=np.int32),
        boxes=np.tile(np.array([100, 100, 180, 180], np.float32), (count, 1)),
        scores=np.full(count, 0.9, np.float32),
        measures=np.tile(np.array([40, 100, 50, 200, 0, 0, 0], np.float32), (count, 1)),
        entry=order,
        similarity=np.take_along_axis(scores, order, axis=1),
    )


def test_a_pass_has_the_mean_of_its_two_best_scores_for_every_entry() -> None:
    recording = recording_of([[0.8, 0.2], [0.8, 0.4], [0.7, 0.1], [0.8, 0.3]])
    path = tuple((number / 8, 100.0, 100.0, 180.0, 180.0) for number in range(4))
    truth = [replace(walk("own", is_mated=True), path=path)]
    best = pass_scores(recording, truth, AlertRules(threshold=0.95))
    assert best[0] == pytest.approx([0.8, max((0.4 + 0.3) / 2, 0.4 - 0.01)], abs=1e-6)


def test_a_track_that_goes_over_to_somebody_else_does_not_count_their_neighbours_scores_as_theirs() -> None:
    recording = recording_of([[0.9, 0.1], [0.9, 0.1], [0.1, 0.8], [0.2, 0.8]])
    paths = [tuple((number / 8, 100.0, 100.0, 180.0, 180.0) for number in numbers) for numbers in ((0, 1), (2, 3))]
    # As if they met nobody: who is in view at the same time is left out, which is another rule.
    truth = [
        replace(walk(name, is_mated=True), starts_s=start, ends_s=start, path=path)
        for name, start, path in zip(("own", "other"), (0.0, 9.0), paths, strict=True)
    ]
    best = pass_scores(recording, truth, AlertRules(threshold=0.95))
    assert best[0, 0] == pytest.approx(0.9, abs=1e-6)
    assert best[1, 1] == pytest.approx(0.8, abs=1e-6)
    assert best[1, 0] == -1.0


def test_somebody_who_is_in_view_at_the_same_time_is_no_false_alert() -> None:
    recording = recording_of([[0.9, 0.8], [0.9, 0.8]])
    path = tuple((number / 8, 100.0, 100.0, 180.0, 180.0) for number in (0, 1))
    truth = [replace(walk("own", is_mated=True), path=path), walk("other", is_mated=True)]
    assert pass_scores(recording, truth, AlertRules(threshold=0.95))[0].tolist() == pytest.approx([0.9, -1.0])
