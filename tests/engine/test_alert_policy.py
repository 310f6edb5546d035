"""When scores become an alert: fused over the track, once a track and entry, cooled down in a camera."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr.engine.alert_policy import AlertPolicy, AlertRules, PossibleMatch
from pylfr.faces.track import TrackKey
from pylfr.types import Candidates, FrameBatch, Tracks
from tests.samples import faces_at, good_quality, sample_frame


def compare(
    desk: AlertPolicy,
    scores: dict[int, float],
    *,
    second: float,
    track: int = 1,
    camera: str = "north",
    quality: float = 80.0,
    k: int = 3,
    uncertain: bool = False,
) -> list[PossibleMatch]:
    """Hand the desk one recognised face with these candidates."""
    ranked = sorted(scores.items(), key=lambda item: -item[1])[:k]
    entry, score = np.full((1, k), -1, np.int64), np.full((1, k), -1, np.float32)
    for place, (number, value) in enumerate(ranked):
        entry[0, place], score[0, place] = number, value
    tracks = Tracks(
        faces=faces_at([[10, 10, 40, 40]]),
        track_id=np.array([track]),
        quality=good_quality(1, score=quality),
        uncertain=np.array([uncertain]),
    )
    batch = FrameBatch(frames=(sample_frame(camera=camera, second=second),))
    return desk.decide(batch, tracks, np.array([0]), Candidates(scores=score, entry=entry))


def test_one_alert_for_a_track_however_often_it_is_compared() -> None:
    desk = AlertPolicy(AlertRules(threshold=0.5, lone_margin=1))
    alerts = [compare(desk, {4: 0.7}, second=second) for second in range(5)]
    assert [len(each) for each in alerts] == [0, 1, 0, 0, 0]
    assert alerts[1][0].key == TrackKey(camera="north", track_id=1)
    assert alerts[1][0].entry == 4
    assert alerts[1][0].score == pytest.approx(0.7)


def test_one_high_score_among_low_ones_must_be_higher_by_the_margin() -> None:
    desk = AlertPolicy(AlertRules(threshold=0.5, lone_margin=0.25))
    assert compare(desk, {4: 0.2}, second=0) == []
    assert compare(desk, {4: 0.7}, second=1) == []
    assert len(compare(desk, {4: 0.7}, second=2)) == 1


def test_somebody_who_is_compared_once_alerts_by_the_margin() -> None:
    desk = AlertPolicy(AlertRules(threshold=0.5, lone_margin=0.05))
    assert compare(desk, {4: 0.54}, second=0, track=1) == []
    [match] = compare(desk, {5: 0.56}, second=0, track=2)
    assert match.entry == 5
    assert match.score == pytest.approx(0.51)


def test_one_best_score_needs_no_margin() -> None:
    desk = AlertPolicy(AlertRules(threshold=0.5, best_scores=1, lone_margin=0.3))
    [match] = compare(desk, {4: 0.7}, second=0)
    assert match.score == pytest.approx(0.7)


def test_the_score_is_the_mean_of_the_best_scores_and_a_covered_face_does_not_pull_it_down() -> None:
    desk = AlertPolicy(AlertRules(threshold=0.64, best_scores=2, lone_margin=0.1))
    compare(desk, {4: 0.7}, second=0, quality=60)
    assert compare(desk, {4: 0.1}, second=1, quality=95) == []
    [match] = compare(desk, {4: 0.6}, second=2, quality=70)
    assert match.score == pytest.approx(0.65)


def test_evidence_counts_however_poor_the_face_and_is_not_pushed_out() -> None:
    """Somebody well lit is compared a hundred times before and after a darker person passes in the same track."""
    desk = AlertPolicy(AlertRules(threshold=0.5, lone_margin=1))
    for second in range(100):
        compare(desk, {1: 0.9, 2: 0.1}, second=second, quality=95)
    assert compare(desk, {2: 0.6, 1: 0.1}, second=100, quality=5) == []
    for second in range(101, 200):
        compare(desk, {1: 0.9, 2: 0.1}, second=second, quality=95)
    [match] = compare(desk, {2: 0.5, 1: 0.1}, second=200, quality=5)
    assert match.entry == 2
    assert match.score == pytest.approx(0.55)


def test_evidence_begins_anew_where_a_track_may_have_changed_its_person() -> None:
    desk = AlertPolicy(AlertRules(threshold=0.5, lone_margin=1))
    compare(desk, {4: 0.9}, second=0)
    assert compare(desk, {4: 0.9}, second=1, uncertain=True) == []
    assert len(compare(desk, {4: 0.9}, second=2)) == 1
    compare(desk, {4: 0.9}, second=3, uncertain=True)
    assert compare(desk, {4: 0.9}, second=4) == [], "once a track and entry, whoever it is"


def test_a_track_remembers_a_bounded_number_of_entries_and_never_drops_the_most_similar() -> None:
    desk = AlertPolicy(AlertRules(threshold=0.5, lone_margin=1))
    compare(desk, {0: 0.6}, second=0)
    for number in range(1000):
        compare(desk, {3 * number + 1: 0.3, 3 * number + 2: 0.3, 3 * number + 3: 0.3}, second=1)
    assert max(len(each.scores) for each in desk._tracks.values()) <= 64
    assert [match.entry for match in compare(desk, {0: 0.5}, second=2)] == [0]


def test_a_track_leaves_its_best_score_behind() -> None:
    desk = AlertPolicy(AlertRules(threshold=0.65, best_scores=2, lone_margin=1))
    compare(desk, {4: 0.4}, second=1)
    compare(desk, {4: 0.8}, second=2)
    key = TrackKey(camera="north", track_id=1)
    [ended] = desk.forget([key])
    assert ended.best_score == pytest.approx(0.6)
    assert (ended.key, ended.best_entry, ended.has_alerted) == (key, 4, False)
    assert desk.forget([key]) == []


def test_a_second_track_of_the_same_entry_is_suppressed_inside_the_cool_down_and_counted() -> None:
    desk = AlertPolicy(AlertRules(threshold=0.5, best_scores=1, cooldown_s=60))
    assert len(compare(desk, {4: 0.7}, second=0, track=1)) == 1
    assert compare(desk, {4: 0.7}, second=30, track=2) == []
    assert desk.suppressed == 1
    assert len(compare(desk, {4: 0.7}, second=30, track=1, camera="south")) == 1
    assert len(compare(desk, {4: 0.7}, second=100, track=3)) == 1


def test_an_entry_removed_since_an_earlier_comparison_cannot_alert() -> None:
    desk = AlertPolicy(AlertRules(threshold=0.5))
    compare(desk, {4: 0.9}, second=0)
    assert compare(desk, {5: 0.2}, second=1) == []


def test_a_track_can_alert_for_two_entries_and_an_ended_one_is_forgotten() -> None:
    desk = AlertPolicy(AlertRules(threshold=0.5, best_scores=1, cooldown_s=0))
    assert len(compare(desk, {4: 0.7, 5: 0.6}, second=0)) == 2
    assert compare(desk, {4: 0.7}, second=1) == []
    desk.forget([TrackKey(camera="north", track_id=1)])
    assert len(compare(desk, {4: 0.7}, second=2)) == 1


def test_no_candidates_give_no_alert() -> None:
    desk = AlertPolicy(AlertRules(threshold=-1.0, best_scores=1))
    assert compare(desk, {}, second=0) == []


@pytest.mark.parametrize("threshold", [64.0, -2.0])
def test_a_threshold_on_another_scale_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="cosine from -1 to 1"):
        AlertRules(threshold=threshold)
    with pytest.raises(ValueError, match="best_scores must be at least 1"):
        AlertRules(threshold=0.5, best_scores=0)
    with pytest.raises(ValueError, match="lone_margin must be 0 or more"):
        AlertRules(threshold=0.5, lone_margin=-0.1)
