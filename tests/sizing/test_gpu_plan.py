"""A plan from measured rates names its weakest part, what it does not know, and never calls itself measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pylfr.errors import ConfigError
from pylfr.sizing.gpu_plan import Demand, plan_for_gpu, read_gpu_rates

DEMAND = Demand(codec="h264", width=1920, height=1080, detect_hz=8.0, embed_hz=1.0, watchlist=10_000, dimension=512)


def results(path: Path, *, device: str = "NVIDIA H200", copy: float = 4000.0) -> Path:
    rates = [
        {"network": "find", "width": 640, "height": 384, "batch": batch, "images_a_second": images}
        for batch, images in ((1, 500.0), (32, 4000.0))
    ]
    rates.append({"network": "find", "width": 1280, "height": 736, "batch": 32, "images_a_second": 9999.0})
    rates.append({"network": "compare", "width": 112, "height": 112, "batch": 64, "images_a_second": 6000.0})
    record = {"results": {"device": device, "copy_gigabytes_a_second": copy, "rates": rates}}
    path.write_text(json.dumps(record))
    return path


def test_the_weakest_part_binds(tmp_path: Path) -> None:
    plan = plan_for_gpu(read_gpu_rates(results(tmp_path / "gpu.json")), DEMAND, detector="find", embedder="compare")
    assert plan.by_part["decode"] == pytest.approx(7 * 771 / 25, abs=0.1)
    assert plan.by_part["detect"] == 500
    assert plan.binds == "decode"
    assert plan.cameras == 215
    assert plan.answer.startswith("Planned, not measured")


def test_what_is_not_known_is_named_and_not_guessed(tmp_path: Path) -> None:
    rates = read_gpu_rates(results(tmp_path / "gpu.json", device="Something New", copy=0.0))
    plan = plan_for_gpu(rates, DEMAND, detector="other", embedder="unheard-of")
    assert plan.cameras is None
    assert "Nothing can be planned" in plan.answer
    assert [reason.split(":")[0] for reason in plan.missing] == ["decode", "detect", "embed"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"results": {"rates": [{}]}}', '{"results": 3}'])
def test_another_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"other\.json must be what"):
        read_gpu_rates(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_gpu_rates(tmp_path / "none.json")
