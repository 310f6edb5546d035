"""The mean luma of cells: what NumPy says it is, for every layout, size and padding."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr import ops
from pylfr.types import Frame, Layout, UInt8
from tests.native.pictures import AWKWARD_SIZES, LAYOUTS, noise


def reference(frame: Frame, cell_px: int) -> UInt8:
    luma = frame.planes[0][:, :, 1] if frame.layout == "rgb" else frame.planes[0]
    rows, columns = (-(-side // cell_px) for side in luma.shape)
    means = np.empty((rows, columns), np.uint8)
    for row in range(rows):
        for column in range(columns):
            cell = luma[row * cell_px : (row + 1) * cell_px : 2, column * cell_px : (column + 1) * cell_px]
            means[row, column] = (int(cell.sum()) + cell.size // 2) // cell.size
    return means


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", AWKWARD_SIZES)
@pytest.mark.parametrize("cell_px", [1, 3, 8, 64])
def test_coarse_luma_is_the_mean_of_every_second_row_of_each_cell(
    layout: Layout, size: tuple[int, int], cell_px: int
) -> None:
    frame = noise(layout, *size, seed=cell_px, padding=5)
    assert np.array_equal(ops.coarse_luma(frame, cell_px=cell_px), reference(frame, cell_px))


def test_the_brightest_picture_does_not_overflow() -> None:
    frame = Frame.still(np.full((130, 130, 3), 255, np.uint8))
    assert (ops.coarse_luma(frame, cell_px=64) == 255).all()


@pytest.mark.parametrize("cell_px", [0, -1, 65])
def test_cells_of_no_size_or_beyond_the_sum_are_refused(cell_px: int) -> None:
    with pytest.raises(ValueError, match=f"cell_px must be 1 to 64, got {cell_px}"):
        ops.coarse_luma(noise("i420", 8, 8), cell_px=cell_px)
