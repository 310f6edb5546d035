from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pylfr.gallery.watchlist.quality_gate import EnrolmentGate, NearestEntry, ReferenceQuality

GOOD = ReferenceQuality(sharpness=500, interocular_px=60, yaw=0, pitch=-5, roll=3, brightness=0.5, contrast=0.2)


def test_a_good_image_has_no_reasons_against_it() -> None:
    assert EnrolmentGate().check([GOOD], None) == ()
    assert EnrolmentGate().check([GOOD], NearestEntry(name="Ada", score=0.3)) == ()


@pytest.mark.parametrize(
    ("face", "said"),
    [
        (replace(GOOD, interocular_px=10), "too small: 10 px between the eyes, at least 24"),
        (replace(GOOD, sharpness=3), "blurred: sharpness 3.0, at least 40"),
        (replace(GOOD, yaw=-60), "yaw -60 degrees, at most 40"),
        (replace(GOOD, pitch=50), "pitch 50 degrees, at most 35"),
        (replace(GOOD, brightness=0.02), "too dark: brightness 0.02, at least 0.1"),
        (replace(GOOD, brightness=0.97), "too bright: brightness 0.97, at most 0.92"),
        (replace(GOOD, contrast=0.01), "flat: contrast 0.010, at least 0.05"),
    ],
)
def test_each_fault_is_a_reason_with_its_number_and_its_limit(face: ReferenceQuality, said: str) -> None:
    (reason,) = EnrolmentGate().check([face], None)
    assert said in reason


def test_all_reasons_are_given_at_once() -> None:
    poor = replace(GOOD, interocular_px=10, sharpness=1, yaw=70)
    assert len(EnrolmentGate().check([poor], NearestEntry(name="Ada", score=0.8))) == 4


def test_no_face_and_several_faces_are_reasons() -> None:
    assert "no face was found" in EnrolmentGate().check([], None)[0]
    assert EnrolmentGate().check([GOOD, GOOD], None)[0].startswith("2 faces were found")


def test_a_duplicate_is_named_with_its_score() -> None:
    (reason,) = EnrolmentGate().check([GOOD], NearestEntry(name="Ada", score=0.5))
    assert "'Ada': comparison score 0.500" in reason


def test_the_gate_of_rehearsals_asks_for_one_face_only() -> None:
    gate = EnrolmentGate.one_face()
    awful = replace(GOOD, interocular_px=5, sharpness=0, yaw=89, brightness=0, contrast=0)
    assert gate.check([awful], NearestEntry(name="Ada", score=1.0)) == ()
    assert gate.check([], None)
    assert gate.check([GOOD, GOOD], None)


def test_quality_comes_from_a_row_of_the_core() -> None:
    quality = ReferenceQuality.of(np.array([1, 2, 3, 4, 5, 6, 7], np.float32))
    assert (quality.sharpness, quality.interocular_px, quality.contrast) == (1, 2, 7)
