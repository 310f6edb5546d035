"""The GPU benchmark's program runs whole on the CPU, at small sizes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import why_not_cuda

ROOT = Path(__file__).parents[2]


def test_the_gpu_benchmark_runs_dry_on_the_cpu() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--quick", "--dry-run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for part in (
        "letterbox 64x32",
        "search device-int8 1,000 x 512",
        "decode hevc 160x96 by cpu, 2 at once",
        "CameraLoad(cameras=2",
        "pylfr_nano_embed 112x112",
    ):
        assert part in done.stdout, part
    assert not (ROOT / "benchmarks" / "results" / "gpu.json").exists()


@pytest.mark.skipif(why_not_cuda() is None, reason="a CUDA device is here: it would be measured")
def test_without_a_device_nothing_is_measured_and_the_reason_said() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--quick", "--dry-run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "nothing was measured: device " in done.stderr
    assert "Traceback" not in done.stderr
