"""Quality ranks faces; the gate refuses what no network can be given, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pylfr.faces.quality import QualityGate, measure_quality
from pylfr.types import Float32
from tests.samples import faces_at, good_quality, sample_frame


def score_of(*, sharpness: float = 300, interocular: float = 40, yaw: float = 0, brightness: float = 0.5) -> float:
    measures: Float32 = np.array([[sharpness, interocular, yaw, 0, 0, brightness, 0.2]], np.float32)
    faces = replace(faces_at([[10, 10, 40, 40]]), measures=measures)
    return float(measure_quality([sample_frame()], faces).score[0])


def test_a_larger_sharper_frontal_lit_face_ranks_higher() -> None:
    best = score_of()
    assert best > score_of(interocular=12) > 0
    assert best > score_of(sharpness=5) > 0
    assert best > score_of(yaw=50) > 0
    assert best > score_of(brightness=0.05) > 0


def test_turned_blurred_and_dark_faces_are_not_refused() -> None:
    quality = replace(
        good_quality(1, score=0.1), yaw=np.array([89], np.float32), sharpness=np.array([0], np.float32),
        brightness=np.array([0.01], np.float32),
    )  # fmt: skip
    refused = QualityGate().refused(faces_at([[10, 10, 40, 40]]), quality)
    assert not any(each.any() for each in refused.values())


def test_a_few_pixels_and_lost_landmarks_are_refused_by_the_first_cause() -> None:
    faces = faces_at([[10, 10, 40, 40]] * 3)
    landmarks = faces.landmarks.copy()
    landmarks[1, 2, 0] = np.nan
    quality = replace(good_quality(3), interocular_px=np.array([3.9, 3.9, 4.0], np.float32))
    refused = QualityGate(interocular_px=4).refused(replace(faces, landmarks=landmarks), quality)
    assert {cause: each.tolist() for cause, each in refused.items()} == {
        "face_without_landmarks": [False, True, False],
        "face_too_small": [True, False, False],
    }
