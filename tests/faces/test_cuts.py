"""A cut is another scene: not another light, not noise, not somebody who walks through the picture."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr import ops
from pylfr.faces.cuts import CutDetector
from pylfr.types import Float32, UInt8
from tests.native.pictures import frame_of


def picture(seed: int, *, gain: float = 1.0) -> UInt8:
    """A scene of light and dark areas, uint8 [270, 480]."""
    coarse = np.random.default_rng(seed).integers(30, 220, (9, 16)).astype(np.float32)
    luma: UInt8 = np.clip(np.kron(coarse, np.ones((30, 30))) * gain, 0, 255).astype(np.uint8)
    return luma


def scene(luma: UInt8) -> Float32:
    """Of one picture, float32 [18, 32]."""
    half = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 128, np.uint8)
    measured: Float32 = ops.measure_scenes([frame_of([luma, half, half], "i420")])[0]
    return measured


def is_cut(cuts: CutDetector, camera: str, luma: UInt8) -> bool:
    return bool(cuts.are_cuts([camera], scene(luma)[None])[0])


def test_another_scene_is_a_cut_once() -> None:
    cuts = CutDetector()
    assert [is_cut(cuts, "north", picture(seed)) for seed in (1, 1, 2, 2, 1)] == [False, False, True, False, True]


def test_frames_of_one_camera_in_one_batch_are_compared_with_each_other() -> None:
    scenes = np.stack([scene(picture(seed)) for seed in (1, 7, 1, 2, 7)])
    cameras = ["north", "south", "north", "north", "south"]
    assert CutDetector().are_cuts(cameras, scenes).tolist() == [False, False, False, True, False]


def test_many_cameras_that_come_one_after_the_other_are_each_compared_with_themselves() -> None:
    cuts, seen = CutDetector(), {seed: scene(picture(seed)) for seed in range(1, 8)}
    for turn in range(1, 8):
        # A further camera in every turn; each shows its own scene, and the first is cut in the last turn.
        cameras = [f"camera {number}" for number in range(turn)]
        shown = [7 if turn == 7 and number == 0 else number + 1 for number in range(turn)]
        found = cuts.are_cuts(cameras, np.stack([seen[each] for each in shown]))
        assert found.tolist() == [turn == 7 and number == 0 for number in range(turn)]


def test_a_batch_of_no_frames_has_no_cut() -> None:
    assert len(CutDetector().are_cuts([], np.empty((0, 18, 32), np.float32))) == 0


@pytest.mark.parametrize("gain", [0.5, 0.8, 1.3])
def test_another_light_is_not_a_cut(gain: float) -> None:
    cuts = CutDetector()
    is_cut(cuts, "north", picture(1))
    assert not is_cut(cuts, "north", picture(1, gain=gain))


def test_noise_and_somebody_walking_through_are_not_cuts() -> None:
    draw, cuts = np.random.default_rng(0), CutDetector()
    for step in range(20):
        luma = np.clip(picture(1) + draw.normal(0, 12, (270, 480)), 0, 255).astype(np.uint8)
        luma[40:, 20 * step : 20 * step + 120] = 40
        assert not is_cut(cuts, "north", luma)


def test_from_an_even_picture_to_a_scene_is_a_cut_and_between_even_ones_is_none() -> None:
    cuts = CutDetector()
    black, grey = np.zeros((270, 480), np.uint8), np.full((270, 480), 128, np.uint8)
    seen = (black, grey, picture(1), black)
    assert [is_cut(cuts, "north", each) for each in seen] == [False, False, True, True]


def test_cameras_do_not_mix() -> None:
    cuts = CutDetector()
    for _ in range(3):
        assert not is_cut(cuts, "north", picture(1))
        assert not is_cut(cuts, "south", picture(2))
