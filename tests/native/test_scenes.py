"""The coarse grid by which scenes are told apart."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr import ops
from pylfr.types import Frame, Layout
from tests.native.pictures import AWKWARD_SIZES, LAYOUTS, frame_of, noise

ROWS, COLUMNS, SAMPLES = 18, 32, 4


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("width", "height"), [*AWKWARD_SIZES, (1920, 1080)])
def test_a_grid_point_is_the_mean_of_its_samples(layout: Layout, width: int, height: int) -> None:
    frame = noise(layout, width, height)
    luma = frame.planes[0][:, :, 1] if layout == "rgb" else frame.planes[0]
    rows = (np.arange(ROWS * SAMPLES) * 2 + 1) * height // (2 * ROWS * SAMPLES)
    columns = (np.arange(COLUMNS * SAMPLES) * 2 + 1) * width // (2 * COLUMNS * SAMPLES)
    sampled = luma[np.ix_(rows, columns)].reshape(ROWS, SAMPLES, COLUMNS, SAMPLES)
    wanted = sampled.mean(axis=(1, 3), dtype=np.float32)
    assert ops.measure_scenes([frame]).tobytes() == wanted.tobytes()


def test_each_picture_has_its_own_scene_and_none_has_none() -> None:
    frames = [Frame.still(np.full((9, 7, 3), value, np.uint8)) for value in (0, 77, 255)]
    assert ops.measure_scenes(frames).tolist() == [[[value] * COLUMNS] * ROWS for value in (0, 77, 255)]
    assert ops.measure_scenes([]).shape == (0, ROWS, COLUMNS)


def test_the_scene_of_a_scene_is_itself() -> None:
    """So a recording may keep scenes instead of pictures."""
    small = np.random.default_rng(0).integers(0, 255, (ROWS, COLUMNS)).astype(np.uint8)
    half = np.full((ROWS // 2, COLUMNS // 2), 128, np.uint8)
    assert np.array_equal(ops.measure_scenes([frame_of([small, half, half], "i420")])[0], small.astype(np.float32))
