"""Frames of noise and of smooth colour in every layout, for comparing the core with its reference."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from pylfr.types import ColourMatrix, Frame, Layout, UInt8

NOON = datetime(2026, 1, 11, 12, tzinfo=UTC)
LAYOUTS: tuple[Layout, ...] = ("i420", "nv12", "rgb")
MATRICES: tuple[ColourMatrix, ...] = ("bt601", "bt709", "bt2020")
# One pixel, odd sides, wide, tall, a multiple and a fraction of the network's input.
AWKWARD_SIZES = ((1, 1), (2, 3), (7, 5), (64, 48), (101, 77), (13, 200), (333, 21), (192, 96))


def plane_shapes(layout: Layout, width: int, height: int) -> list[tuple[int, ...]]:
    half = ((height + 1) // 2, (width + 1) // 2)
    by_layout: dict[Layout, list[tuple[int, ...]]] = {
        "i420": [(height, width), half, half],
        "nv12": [(height, width), (*half, 2)],
        "rgb": [(height, width, 3)],
    }
    return by_layout[layout]


def frame_of(planes: list[UInt8], layout: Layout, *, matrix: ColourMatrix = "bt601", full_range: bool = False) -> Frame:
    return Frame(
        camera="north",
        sequence=0,
        captured_at=NOON,
        planes=tuple(planes),
        layout=layout,
        matrix=matrix,
        full_range=full_range,
    )


def noise(
    layout: Layout,
    width: int,
    height: int,
    *,
    seed: int = 0,
    matrix: ColourMatrix = "bt601",
    full_range: bool = False,
    padding: int = 0,
) -> Frame:
    """A frame of random bytes; ``padding`` bytes of other noise follow each row of each plane."""
    draw = np.random.default_rng(seed)
    planes = []
    for shape in plane_shapes(layout, width, height):
        row_bytes = int(np.prod(shape[1:]))
        memory = draw.integers(0, 256, (shape[0], row_bytes + padding), dtype=np.uint8)
        strides = (row_bytes + padding, *(int(np.prod(shape[axis + 1 :])) for axis in range(1, len(shape))))
        planes.append(np.lib.stride_tricks.as_strided(memory, shape, strides))
    return frame_of(planes, layout, matrix=matrix, full_range=full_range)
