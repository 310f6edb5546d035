"""Who is undecided: whoever is new or close to the threshold, until that is settled or they are out of view."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr.engine.alert_policy import AlertRules
from pylfr.engine.undecided import Undecided
from pylfr.types import Faces, FrameBatch, Tracks
from tests.samples import faces_at, good_quality, sample_frame

RULES = AlertRules(threshold=0.5, lone_margin=0.02)


def judge(
    undecided: Undecided,
    seconds: list[float],
    scores: list[float | None],
    *,
    track: int = 1,
    camera: str = "north",
    uncertain: bool = False,
) -> tuple[bool, ...]:
    """One face a frame, all in one batch; None: no face."""
    with_face = [place for place, score in enumerate(scores) if score is not None]
    one = faces_at([[10, 10, 40, 40]] * len(with_face))
    faces = Faces(
        frame_index=np.array(with_face, np.int32), boxes=one.boxes, scores=one.scores, landmarks=one.landmarks
    )
    tracks = Tracks(
        faces=faces,
        track_id=np.full(len(with_face), track),
        quality=good_quality(len(with_face)),
        uncertain=np.full(len(with_face), uncertain),
    )
    batch = FrameBatch(frames=tuple(sample_frame(camera=camera, second=second) for second in seconds))
    return undecided.judge(batch, tracks, np.array([scores[place] for place in with_face], np.float32), RULES)


def test_somebody_new_is_undecided_until_two_faces_were_seen() -> None:
    assert judge(Undecided(), [0.0, 0.1, 0.2, 0.3], [0.1, 0.2, 0.1, 0.2]) == (True, False, False, False)


def test_whoever_nearly_reaches_the_threshold_stays_undecided_and_whoever_has_reached_it_does_not() -> None:
    assert judge(Undecided(), [0.0, 0.1, 0.2], [0.1, 0.45, 0.1]) == (True, True, True)
    assert judge(Undecided(), [0.0, 0.1, 0.2], [0.1, 0.53, 0.1]) == (True, False, False)


def test_a_lone_score_that_does_not_alert_yet_is_undecided() -> None:
    assert judge(Undecided(), [0.0, 0.1, 0.2], [0.1, 0.51, 0.1]) == (True, True, True)


def test_whoever_is_out_of_view_is_not_waited_for() -> None:
    undecided = Undecided()
    assert judge(undecided, [0.0, 0.2, 0.4, 0.6], [0.45, None, None, None]) == (True, True, False, False)


def test_whoever_may_be_another_person_is_new() -> None:
    undecided = Undecided()
    judge(undecided, [0.0, 0.1, 0.2], [0.1, 0.1, 0.1])
    assert judge(undecided, [0.3], [0.1], uncertain=True) == (True,)


def test_cameras_do_not_share_what_they_know() -> None:
    undecided = Undecided()
    judge(undecided, [0.0, 0.1], [0.1, 0.1], camera="north")
    assert judge(undecided, [0.2], [0.1], camera="south") == (True,)


@pytest.mark.parametrize("sizes", [(1,) * 12, (12,), (5, 7), (1, 10, 1)])
def test_what_belongs_to_one_batch_makes_no_difference(sizes: tuple[int, ...]) -> None:
    seconds = [number / 8 for number in range(12)]
    scores = [0.1, 0.1, 0.2, 0.44, 0.3, None, None, None, None, 0.1, 0.51, 0.6]
    undecided = Undecided()
    verdicts: list[bool] = []
    for start, size in zip(np.cumsum((0, *sizes[:-1])).tolist(), sizes, strict=True):
        verdicts += judge(undecided, seconds[start : start + size], scores[start : start + size])
    assert verdicts == list(judge(Undecided(), seconds, scores))
    assert {True, False} == set(verdicts)


def test_nothing_is_remembered_of_whoever_has_left() -> None:
    undecided = Undecided()
    for number in range(200):
        judge(undecided, [number / 8], [0.1], track=number)
    assert len(undecided._cameras["north"]) < 5
