"""Faces tied into tracks: a cut ends them, another look makes them uncertain, and whoever is in no track is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pylfr.faces.track import FaceTracker, TrackRules
from pylfr.types import Faces, Frame, FrameBatch, Tracks, UInt8
from tests.samples import faces_at, sample_frame

RULES = TrackRules(high_score=0.5, low_score=0.25, max_tracks_per_camera=2)


def measured(faces: Faces, *, brightness: float = 0.5) -> Faces:
    """Faces whose picture was measured: sharp, frontal, 40 pixels between the eyes."""
    values = np.array([200, 40, 0, 0, 0, brightness, 0.2], np.float32)
    return replace(faces, measures=np.tile(values, (len(faces), 1)))


def scene(seed: int) -> UInt8:
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8), dtype=np.uint8)
    return np.repeat(np.kron(coarse, np.ones((8, 8), np.uint8))[:, :, None], 3, axis=2)


def step(tracker: FaceTracker, second: float, faces: Faces, picture: UInt8 | None = None) -> Tracks:
    frame: Frame = sample_frame(second=second)
    if picture is not None:
        frame = replace(frame, planes=(picture,))
    return tracker.update(FrameBatch(frames=(frame,)), faces)


def test_a_face_keeps_its_track_until_the_picture_cuts() -> None:
    tracker = FaceTracker(RULES)
    faces = measured(faces_at([[10, 10, 30, 35]]))
    seen = [
        step(tracker, 0.1 * number, faces, scene(shot)).track_id.tolist() for number, shot in enumerate((1, 1, 2, 2))
    ]
    assert seen == [[1], [1], [2], [2]]
    assert [key.track_id for key in tracker.ended()] == [1]


def test_a_face_in_another_light_is_uncertain_once() -> None:
    tracker = FaceTracker(RULES)
    doubts = []
    for number, brightness in enumerate((0.6, 0.6, 0.3, 0.3, 0.3, 0.3)):
        tracks = step(tracker, 0.1 * number, measured(faces_at([[10, 10, 30, 35]]), brightness=brightness))
        assert tracks.track_id.tolist() == [1]
        doubts.append(tracks.is_uncertain(0))
    assert doubts[:3] == [False, False, True]
    assert not doubts[-1]


def test_faces_of_no_track_are_counted_by_cause() -> None:
    tracker = FaceTracker(RULES)
    three = measured(faces_at([[0, 10, 10, 22], [20, 10, 30, 22], [40, 10, 50, 22]]))
    assert step(tracker, 0, three).track_id.tolist() == [1, 2, -1]
    weak = measured(faces_at([[0, 30, 10, 42]], score=0.3))
    assert step(tracker, 0.1, weak).track_id.tolist() == [-1]
    assert tracker.unfollowed == {"weak_detection": 1, "face_over_track_cap": 1}
