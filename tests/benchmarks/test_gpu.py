"""The GPU benchmark's program runs whole on the CPU, at small sizes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu_results import CameraLoad, Results
from tests.conftest import why_not_cuda

ROOT = Path(__file__).parents[2]


def test_the_gpu_benchmark_runs_dry_on_the_cpu() -> None:
    written = ROOT / "benchmarks" / "results" / "gpu.json"
    before = written.read_bytes()
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
        "LiveLoad(decoder='CPU', width=160, height=96, cameras=2",
        "pylfr_nano_embed 112x112",
    ):
        assert part in done.stdout, part
    assert written.read_bytes() == before


def test_what_was_measured_before_a_limit_ran_out_is_not_lost(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, time; from pathlib import Path\n"
        "from benchmarks import gpu, measure\n"
        f"measure.RESULTS = Path({str(tmp_path)!r})\n"
        "def part(results, stream, size):\n"
        "    results.leave_out('this was measured')\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
        "gpu.PARTS = {'search': part}\n"
        "sys.argv = ['gpu', '--device', 'cpu', '--quick', '--only', 'search']\n"
        "gpu.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert "this was measured" in (tmp_path / "gpu.json").read_text()


def load(cameras: int, p99_ms: float) -> CameraLoad:
    return CameraLoad(
        cameras=cameras,
        frames_a_second=25.0 * cameras,
        p50_ms=1.0,
        p99_ms=p99_ms,
        is_held=True,
        launches_a_batch=12,
        host_bytes_a_frame=1,
        device_megabytes_a_camera=1,
    )


def test_of_two_measurements_of_the_same_the_newer_one_counts() -> None:
    results = Results(device="a GPU", loads=[load(64, 10), load(128, 20)], left_out=["this"])
    results.update(Results(device="a GPU", loads=[load(128, 15), load(180, 30)], left_out=["this", "that"]))
    assert [(each.cameras, each.p99_ms) for each in results.loads] == [(64, 10), (128, 15), (180, 30)]
    assert results.left_out == ["this", "that"]
    with pytest.raises(ValueError, match="results must be of a GPU, got some of another"):
        results.update(Results(device="another"))


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
