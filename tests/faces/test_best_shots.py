"""Which faces of a track are recognised: the best few, spaced in time, and none that is unfit."""

from __future__ import annotations

import numpy as np

from pylfr.faces.best_shots import BestShotSelector, RecognitionRules
from pylfr.faces.track import TrackKey
from pylfr.types import FrameBatch, Tracks
from tests.samples import faces_at, good_quality, sample_frame


def seen(
    plan: BestShotSelector, second: float, *, quality: float = 80.0, track: int = 1, interocular_px: float = 40.0
) -> bool:
    """Whether one face of a track is due at that second."""
    batch = FrameBatch(frames=(sample_frame(second=second),))
    tracks = Tracks(
        faces=faces_at([[10, 10, 40, 40]]),
        track_id=np.array([track]),
        quality=good_quality(1, score=quality, interocular_px=interocular_px),
    )
    return len(plan.due(batch, tracks)) == 1


def test_the_first_faces_are_due_at_least_a_gap_apart() -> None:
    plan = BestShotSelector(RecognitionRules(best_k=3, gap_ms=200))
    assert [seen(plan, second) for second in (0, 0.1, 0.25, 0.3, 0.5)] == [True, False, True, False, True]


def test_after_best_k_only_a_better_face_or_a_recheck_is_due() -> None:
    plan = BestShotSelector(RecognitionRules(best_k=2, gap_ms=100, gain=1.2, recheck_ms=3000))
    assert [seen(plan, 0), seen(plan, 0.2)] == [True, True]
    assert not seen(plan, 0.4, quality=90)
    assert seen(plan, 0.6, quality=97)
    assert not seen(plan, 1.0)
    assert seen(plan, 3.7)


def test_an_unfit_face_is_counted_by_its_first_cause_and_is_never_due() -> None:
    plan = BestShotSelector(RecognitionRules())
    assert not seen(plan, 0, interocular_px=5)
    assert plan.refused == {"face_too_small": 1, "face_extreme_pose": 0, "face_too_blurred": 0}
    assert seen(plan, 0.1)


def test_a_face_without_a_track_is_neither_due_nor_counted() -> None:
    plan = BestShotSelector(RecognitionRules())
    assert not seen(plan, 0, track=-1)
    assert not seen(plan, 0, track=-1, interocular_px=5)
    assert sum(plan.refused.values()) == 0


def test_an_ended_track_is_forgotten_and_cameras_do_not_mix() -> None:
    plan = BestShotSelector(RecognitionRules(best_k=1, recheck_ms=60_000))
    assert seen(plan, 0)
    assert not seen(plan, 1)
    plan.forget([TrackKey(camera="south", track_id=1)])
    assert not seen(plan, 2)
    plan.forget([TrackKey(camera="north", track_id=1)])
    assert seen(plan, 3)


def test_no_faces_give_no_rows() -> None:
    plan = BestShotSelector(RecognitionRules())
    tracks = Tracks(faces=faces_at([]), track_id=np.empty(0, np.int64), quality=good_quality(0))
    assert plan.due(FrameBatch(frames=(sample_frame(),)), tracks).shape == (0,)
