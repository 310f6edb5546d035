"""Which faces are compared: all of them, and of more than there is room for those that may change a decision."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from pylfr.faces.best_shots import BestShotSelector, Selection, SelectionRules
from pylfr.faces.quality import QualityGate
from pylfr.faces.track import TrackKey
from pylfr.types import Candidates, FrameBatch, Tracks
from tests.samples import faces_at, good_quality, sample_frame


def select(
    selector: BestShotSelector,
    second: float,
    *,
    tracks: tuple[int, ...] = (1,),
    quality: tuple[float, ...] = (80.0,),
    yaw: tuple[float, ...] = (0.0,),
    uncertain: tuple[bool, ...] = (False,),
    interocular_px: float = 40.0,
    camera: str = "north",
    live: bool = False,
) -> Selection:
    """What is chosen of one frame with a face of each track; a value applies to every face or is given for each."""
    count = len(tracks)
    measured = replace(
        good_quality(count, interocular_px=interocular_px),
        score=np.array(quality * (count // len(quality)), np.float32),
        yaw=np.array(yaw * (count // len(yaw)), np.float32),
    )
    batch = FrameBatch(frames=(sample_frame(camera=camera, second=second),))
    seen = Tracks(
        faces=faces_at([[10, 10, 40, 40]] * count),
        track_id=np.array(tracks),
        quality=measured,
        uncertain=np.array(uncertain * (count // len(uncertain))),
    )
    return selector.due(batch, seen, live=frozenset({camera} if live else ()))


def chosen(selector: BestShotSelector, second: float, **given: object) -> list[int]:
    """The tracks of the faces that are chosen."""
    selection = select(selector, second, **given)  # type: ignore[arg-type]
    return [int(track_id) for track_id in selection.tracks.track_id[selection.rows]]


def test_every_face_is_compared_while_there_is_room() -> None:
    selector = BestShotSelector(SelectionRules())
    for step in range(100):
        assert chosen(selector, step / 8, tracks=(1, 2, 3), quality=(90.0, 0.1, 40.0)) == [1, 2, 3]
    assert selector.refused["not_compared_budget"] == 0


@pytest.mark.parametrize("yaw", [60.0, -85.0])
def test_a_face_turned_far_away_and_blurred_is_compared_too(yaw: float) -> None:
    assert chosen(BestShotSelector(SelectionRules()), 0, quality=(0.0,), yaw=(yaw,)) == [1]


def test_what_the_network_cannot_be_given_is_refused_and_counted() -> None:
    selector = BestShotSelector(SelectionRules(gate=QualityGate(interocular_px=4)))
    assert chosen(selector, 0, interocular_px=3) == []
    assert chosen(selector, 0, interocular_px=0) == []
    assert chosen(selector, 0, interocular_px=5) == [1]
    assert selector.refused == {"face_too_small": 1, "face_without_landmarks": 1, "not_compared_budget": 0}


def test_a_recording_spends_its_budget_and_what_is_shed_is_counted() -> None:
    selector = BestShotSelector(SelectionRules(comparisons_hz=8, burst_s=1))
    compared = sum(len(chosen(selector, step / 8, tracks=(1, 2, 3, 4))) for step in range(80))
    assert 70 <= compared <= 8 + 80
    assert selector.refused["not_compared_budget"] == 320 - compared


def test_under_a_budget_a_new_person_is_compared_before_a_known_one() -> None:
    selector = BestShotSelector(SelectionRules(comparisons_hz=8, burst_s=1))
    for step in range(40):
        select(selector, step / 8, tracks=(1, 2, 3, 4))
    assert 9 in chosen(selector, 5, tracks=(1, 2, 3, 4, 9))
    assert 2 in chosen(selector, 5.125, tracks=(1, 2, 3, 4), uncertain=(False, True, False, False))


def test_under_a_budget_a_better_or_turned_face_is_compared_before_the_same_again() -> None:
    for change in ({"quality": (80.0, 80.0, 80.0, 104.0)}, {"yaw": (0.0, 0.0, 0.0, 25.0)}):
        selector = BestShotSelector(SelectionRules(comparisons_hz=8, burst_s=1))
        for step in range(40):
            select(selector, step / 8, tracks=(1, 2, 3, 4))
        assert chosen(selector, 5, tracks=(1, 2, 3, 4), **change)[-1:] == [4]


def test_nobody_waits_for_long_under_a_budget() -> None:
    selector = BestShotSelector(SelectionRules(comparisons_hz=8, burst_s=1))
    last = dict.fromkeys(range(1, 9), 0.0)
    for step in range(160):
        for track in chosen(selector, step / 8, tracks=tuple(last)):
            assert step / 8 - last[track] <= 2.5
            last[track] = step / 8
    assert min(last.values()) > 17


def test_a_recording_is_judged_by_itself_alone() -> None:
    """The same frames give the same choice, whatever scores and times were noted, and whichever camera runs beside."""
    rules = SelectionRules(comparisons_hz=8, burst_s=1)
    alone, beside = BestShotSelector(rules), BestShotSelector(rules)
    for step in range(60):
        other = select(beside, step / 8, tracks=tuple(range(1, 30)), camera="south")
        batch = FrameBatch(frames=(sample_frame(camera="south", second=step / 8),))
        scores = np.full((len(other.rows), 2), 0.4, np.float32)
        found = Candidates(scores=scores, entry=np.zeros(scores.shape, np.int64))
        beside.note(batch, other.tracks, other.rows, found, threshold=0.5, seconds=9.0)
        given = {"tracks": (1, 2, 3, 4), "quality": (10.0, 90.0, 50.0 + step, 30.0)}
        assert chosen(alone, step / 8, **given) == chosen(beside, step / 8, **given)


def test_live_cameras_share_what_can_be_compared_in_time() -> None:
    selector = BestShotSelector(SelectionRules(live_ms=10, comparisons_hz=1))
    first = select(selector, 0, tracks=(1, 2, 3, 4, 5, 6), live=True)
    assert len(first.rows) == 6, "until something was measured there is room"
    batch = FrameBatch(frames=(sample_frame(second=0),))
    found = Candidates(scores=np.zeros((6, 0), np.float32), entry=np.zeros((6, 0), np.int64))
    selector.note(batch, first.tracks, first.rows, found, threshold=0.5, seconds=0.030)
    assert len(select(selector, 0.125, tracks=(1, 2, 3, 4, 5, 6), live=True).rows) == 2
    assert 7 in chosen(selector, 0.25, tracks=(1, 2, 3, 4, 5, 6, 7), live=True)


@pytest.mark.parametrize(
    ("age_ms", "compared"),
    [(0, 10), (50, 10), (90, 6), (125, 2), (149, 2), (9_000, 2), (-400, 10), (3_600_000, 10)],
)
def test_a_late_live_batch_compares_fewer_faces_but_some_and_one_stamped_by_another_clock_all(
    age_ms: float, compared: int
) -> None:
    captured_at = sample_frame(second=1).captured_at
    now = captured_at + timedelta(milliseconds=age_ms)
    selector = BestShotSelector(SelectionRules(live_ms=100, decided_ms=150), now=lambda: now)
    selector._ms_a_face = 10
    assert len(select(selector, 1, tracks=tuple(range(12)), live=True).rows) == compared
    assert selector.refused["not_compared_budget"] == 12 - compared
    assert len(select(selector, 1, tracks=tuple(range(12))).rows) == 12, "a recording has all the time"


def test_of_live_faces_one_near_the_threshold_comes_before_one_far_below_and_one_that_is_decided() -> None:
    selector = BestShotSelector(SelectionRules(live_ms=10))
    found = np.array([[0.1], [0.45], [0.9]], np.float32)
    for step in range(4):
        selection = select(selector, step / 8, tracks=(1, 2, 3), live=True)
        batch = FrameBatch(frames=(sample_frame(second=step / 8),))
        candidates = Candidates(scores=found[: len(selection.rows)], entry=np.zeros((len(selection.rows), 1), np.int64))
        selector.note(batch, selection.tracks, selection.rows, candidates, threshold=0.5, seconds=0.001)
    selector._ms_a_face = 10
    assert chosen(selector, 0.5, tracks=(1, 2, 3), live=True) == [2]


def test_the_first_face_compared_after_a_doubt_begins_evidence_anew() -> None:
    selector = BestShotSelector(SelectionRules())
    assert select(selector, 0).tracks.uncertain.tolist() == [False]  # type: ignore[union-attr]
    # Too small to be compared: the doubt is handed on.
    select(selector, 0.125, uncertain=(True,), interocular_px=1)
    assert select(selector, 0.25).tracks.uncertain.tolist() == [True]  # type: ignore[union-attr]
    assert select(selector, 0.375).tracks.uncertain.tolist() == [False]  # type: ignore[union-attr]


def test_a_face_without_a_track_is_not_compared() -> None:
    selector = BestShotSelector(SelectionRules())
    assert chosen(selector, 0, tracks=(-1,)) == []
    assert sum(selector.refused.values()) == 0


def test_an_ended_track_is_forgotten_and_cameras_do_not_mix() -> None:
    selector = BestShotSelector(SelectionRules())
    for camera in ("north", "south"):
        select(selector, 0, camera=camera)
    selector.forget([TrackKey(camera="south", track_id=1)])
    assert set(selector._seen) == {TrackKey(camera="north", track_id=1)}


def test_no_faces_give_no_rows() -> None:
    tracks = Tracks(faces=faces_at([]), track_id=np.empty(0, np.int64), quality=good_quality(0))
    selection = BestShotSelector(SelectionRules()).due(FrameBatch(frames=(sample_frame(),)), tracks)
    assert (selection.rows.shape, len(selection.tracks)) == ((0,), 0)


def test_budgets_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="comparisons_hz must be more than 0"):
        SelectionRules(comparisons_hz=0)
    with pytest.raises(ValueError, match="live_ms must be more than 0"):
        SelectionRules(live_ms=0)
    with pytest.raises(ValueError, match="decided_ms must be more than 0"):
        SelectionRules(decided_ms=0)
