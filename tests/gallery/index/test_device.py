"""Galleries of the device where its coarse scores cannot tell references apart: the native gallery's candidates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pylfr import ops
from pylfr.gallery.index.device import DeviceIndexGallery
from pylfr.gallery.index.native import NativeGallery
from pylfr.types import Device, Float32, Precision, Templates
from tests.devices import DEVICES
from tests.gallery.snapshots import snapshot_of, unit

DIMENSION = 64


def one_crowd(draw: np.random.Generator, count: int) -> Float32:
    """Templates that differ by less than a half, or a byte, shows of them."""
    centre = draw.standard_normal(DIMENSION)
    return unit((centre + 1e-4 * draw.standard_normal((count, DIMENSION))).astype(np.float32))


def a_few_crowds(draw: np.random.Generator, count: int) -> Float32:
    """Eight such crowds: the best hundred are one of them, and what comes after is far away."""
    return np.concatenate([one_crowd(draw, count // 8) for _ in range(8)])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
@pytest.mark.parametrize("probes", [3, 12, 40])
@pytest.mark.parametrize("crowd", [one_crowd, a_few_crowds])
def test_references_that_a_scan_cannot_tell_apart_are_ranked_by_their_exact_scores(
    device: Device, precision: Precision, probes: int, crowd: Callable[[np.random.Generator, int], Float32]
) -> None:
    draw = np.random.default_rng(probes)
    vectors = crowd(draw, 320)
    sought = unit((vectors[draw.integers(0, 320, probes)] + 1e-3).astype(np.float32))
    snapshot = snapshot_of(list(range(1, 321)), vectors)
    templates = Templates(vectors=sought, model="m")
    wanted = NativeGallery(snapshot).search(templates, 5)
    gallery = DeviceIndexGallery(snapshot, precision=precision, stream=ops.Stream(device))
    found = gallery.search(templates, 5)
    assert found.entry.tolist() == wanted.entry.tolist()
    assert found.scores.tobytes() == wanted.scores.tobytes()
