"""All builds of the hot loops give the same bits; each runs in a process of its own, where PYLFR_SIMD picks it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib
import numpy as np
from pylfr import ops
from tests.native.pictures import AWKWARD_SIZES, LAYOUTS, noise

digest = hashlib.sha256()
for layout in LAYOUTS:
    for seed, (width, height) in enumerate((*AWKWARD_SIZES, (1280, 720))):
        frame = noise(layout, width, height, seed=seed, matrix="bt709", padding=3)
        for side in (32, 65, 640):
            tensor, _ = ops.letterbox(
                [frame], width=side, height=side, bgr=True, mean=(104, 117, 123), scale=(1, 0.5, 0.0078125)
            )
            digest.update(tensor.tobytes())
        maps = np.array([[[1.7, 0.3, -9.0], [-0.3, 1.7, 4.0]], [[0.2, 0, 1], [0, 0.2, 2]]], np.float32)
        crops = ops.warp(
            [frame], np.zeros(2, np.int32), maps, side_px=70, bgr=True, mean=(104, 117, 123), scale=(1, 0.5, 0.25)
        )
        digest.update(crops.tobytes())
draw = np.random.default_rng(0)
for dimension in (1, 7, 8, 100, 512):
    rows = draw.standard_normal((301, dimension)).astype(np.float32)
    digest.update(ops.normalise(rows).tobytes() + rows.tobytes())
    for array in ops.search_exact(rows[:13], rows, 9):
        digest.update(array.tobytes())
print(ops.simd_level(), digest.hexdigest())
"""


def run_with(level: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYLFR_SIMD": level},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_instruction_set_gives_the_same_bits() -> None:
    runs = [run_with(level) for level in ("plain", "avx2", "avx512")]
    for done in runs:
        assert done.returncode == 0, done.stderr
    levels, digests = zip(*(done.stdout.split() for done in runs), strict=True)
    assert levels[0] == "plain"
    assert len(set(digests)) == 1, dict(zip(levels, digests, strict=True))
    if len(set(levels)) == 1:
        pytest.skip("this processor runs the plain loops only: nothing to compare")


def test_an_unknown_instruction_set_is_refused_by_name() -> None:
    done = run_with("sse9")
    assert done.returncode != 0
    assert "PYLFR_SIMD must be avx512, avx2 or plain, got sse9" in done.stderr
