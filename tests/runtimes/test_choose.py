"""A runtime is chosen by name or refused with the reason."""

from __future__ import annotations

import pytest

from pylfr import ops
from pylfr.errors import ConfigError, CudaError
from pylfr.models.store import open_store
from pylfr.runtimes import choose
from pylfr.runtimes.choose import open_runtime


def test_an_unknown_runtime_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match="one of auto, onnx, openvino, openvino-bf16, tensorrt, tensorrt-rtx, torch"):
        open_runtime(open_store().resolve("pylfr_nano_embed"), runtime="onyx")


def test_a_runtime_that_is_not_installed_is_refused_and_nothing_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choose, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"install pylfr\[torch\]"):
        open_runtime(open_store().resolve("pylfr_nano_embed"), runtime="torch")


def test_auto_without_openvino_is_onnxruntime_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "find_spec", lambda _: None)
    choice = choose.choose_runtime("auto")
    assert choice.name == "onnx"
    assert "OpenVINO is not installed" in choice.reason


@pytest.mark.parametrize(("found", "chosen"), [(object(), "torch"), (None, "onnx")])
def test_auto_on_cuda_is_torch_where_that_is_installed(
    found: object, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "require_device", lambda _: None)
    monkeypatch.setattr(choose, "find_spec", lambda _: found)
    choice = choose.choose_runtime("auto", device="cuda")
    assert choice.name == chosen
    assert "PyTorch is" in choice.reason


@pytest.mark.skipif(ops.cuda_device_count() > 0, reason="there is a CUDA device")
def test_auto_on_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(CudaError, match="cuda"):
        choose.choose_runtime("auto", device="cuda")


def test_onnxruntime_refuses_cuda() -> None:
    with pytest.raises(CudaError, match="cuda"):
        open_runtime(open_store().resolve("pylfr_nano_embed"), runtime="onnx", device="cuda")
