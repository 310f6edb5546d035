"""A cut is another scene: not another light, not noise, not somebody who walks through the picture."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from pylfr.faces.cuts import COLUMNS, ROWS, CutDetector, thumbnail
from pylfr.types import Frame, UInt8


def picture(seed: int, *, gain: float = 1.0) -> UInt8:
    """A scene of light and dark areas, uint8 [270, 480]."""
    coarse = np.random.default_rng(seed).integers(30, 220, (9, 16)).astype(np.float32)
    luma: UInt8 = np.clip(np.kron(coarse, np.ones((30, 30))) * gain, 0, 255).astype(np.uint8)
    return luma


def frame(luma: UInt8, *, camera: str = "north") -> Frame:
    half = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 128, np.uint8)
    return Frame(
        camera=camera, sequence=0, captured_at=datetime(2026, 1, 1, tzinfo=UTC), planes=(luma, half, half),
        layout="i420",
    )  # fmt: skip


def test_another_scene_is_a_cut_once() -> None:
    cuts = CutDetector()
    assert [cuts.is_cut(frame(picture(seed))) for seed in (1, 1, 2, 2, 1)] == [False, False, True, False, True]


@pytest.mark.parametrize("gain", [0.5, 0.8, 1.3])
def test_another_light_is_not_a_cut(gain: float) -> None:
    cuts = CutDetector()
    cuts.is_cut(frame(picture(1)))
    assert not cuts.is_cut(frame(picture(1, gain=gain)))


def test_noise_and_somebody_walking_through_are_not_cuts() -> None:
    draw, cuts = np.random.default_rng(0), CutDetector()
    for step in range(20):
        luma = np.clip(picture(1) + draw.normal(0, 12, (270, 480)), 0, 255).astype(np.uint8)
        luma[40:, 20 * step : 20 * step + 120] = 40
        assert not cuts.is_cut(frame(luma))


def test_from_an_even_picture_to_a_scene_is_a_cut_and_between_even_ones_is_none() -> None:
    cuts = CutDetector()
    black, grey = np.zeros((270, 480), np.uint8), np.full((270, 480), 128, np.uint8)
    assert [cuts.is_cut(frame(each)) for each in (black, grey, picture(1), black)] == [False, False, True, True]


def test_cameras_do_not_mix() -> None:
    cuts = CutDetector()
    for _ in range(3):
        assert not cuts.is_cut(frame(picture(1), camera="north"))
        assert not cuts.is_cut(frame(picture(2), camera="south"))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (18, 32), (17, 31), (1080, 1920)])
def test_a_thumbnail_has_the_same_size_whatever_the_frame(height: int, width: int) -> None:
    luma = np.full((height, width), 77, np.uint8)
    rgb = Frame.still(np.repeat(luma[:, :, None], 3, axis=2))
    assert thumbnail(rgb).shape == (ROWS, COLUMNS)
    assert np.all(thumbnail(rgb) == 77)


def test_the_thumbnail_of_a_thumbnail_is_itself() -> None:
    small = np.random.default_rng(0).integers(0, 255, (ROWS, COLUMNS)).astype(np.uint8)
    assert np.array_equal(thumbnail(frame(small)), small.astype(np.float32))
