"""The programs in training/ are scripts beside each other: they are imported here as they import each other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TRAINING = Path(__file__).parents[2] / "training"


@pytest.fixture(autouse=True)
def training_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where trainings put their files; nothing of them stays imported."""
    for needed in ("cv2", "onnx", "torch", "tqdm"):
        pytest.importorskip(needed, reason=f"{needed} is not installed: training/requirements.txt")
    import torch

    folder = tmp_path / "work"
    monkeypatch.setenv("PYLFR_TRAINING", str(folder))
    monkeypatch.syspath_prepend(str(TRAINING))
    folder.mkdir()
    precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    benchmark, chance = torch.backends.cudnn.benchmark, torch.get_rng_state()
    torch.set_num_threads(1)
    before = set(sys.modules)
    yield folder
    torch.set_float32_matmul_precision(precision)
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = benchmark
    torch.set_rng_state(chance)
    for name in set(sys.modules) - before:
        if str(TRAINING) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]
