"""What is marked ``cuda`` skips without a device, and fails where a device was promised."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pylfr import ops
from pylfr.models.store import open_store
from pylfr.runtimes.registry import open_runtime
from tests.conftest import why_not_cuda
from tests.devices import needs_a_gpu

HERE = Path(__file__)
# A template, and no score of a detector, moves by more than this between float32 and fp16.
FP16_TOLERANCE = 2e-2

without_a_device = pytest.mark.skipif(why_not_cuda() is None, reason="this machine has a CUDA device")


def outcome(*, required: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", str(HERE), "-q", "-p", "no:cacheprovider", "-k", "a_device_is_there"],
        env={**os.environ, "PYLFR_REQUIRE_CUDA": required},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.cuda
def test_a_device_is_there() -> None:
    assert ops.cuda_device_count() > 0


@needs_a_gpu
@pytest.mark.cuda
@pytest.mark.parametrize("name", ["pylfr_nano_embed"])
def test_torch_on_the_device_agrees_with_onnxruntime(name: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    model = open_store().resolve(name)
    assert model.manifest.embed is not None
    side = model.manifest.embed.side_px
    tensor = np.random.default_rng(0).uniform(0, 255, (3, 3, side, side)).astype(np.float32)
    plain, runtime = open_runtime(model), open_runtime(model, runtime="torch", device="cuda")
    for name, expected in plain.run(tensor).items():
        got = runtime.run(tensor)[name]
        assert np.linalg.norm(got - expected) / np.linalg.norm(expected) < FP16_TOLERANCE


@without_a_device
def test_without_a_device_such_tests_skip_with_the_reason() -> None:
    run = outcome(required="0")
    assert run.returncode == 0, run.stdout
    assert "1 skipped" in run.stdout
    assert "CUDA" in run.stdout


@without_a_device
def test_where_a_device_was_promised_such_tests_fail() -> None:
    run = outcome(required="1")
    assert run.returncode == 1, run.stdout
    assert "PYLFR_REQUIRE_CUDA=1, but" in run.stdout
