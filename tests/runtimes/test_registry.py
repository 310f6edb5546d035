"""A runtime is chosen by name or refused with the reason."""

from __future__ import annotations

from typing import get_args

import pytest

from pylfr import ops
from pylfr.errors import ConfigError, CudaError
from pylfr.models.store import open_store
from pylfr.runtimes import registry
from pylfr.runtimes.registry import open_runtime


def test_an_unknown_runtime_is_refused_with_the_known_names() -> None:
    with pytest.raises(ConfigError, match="one of auto, onnx, openvino, openvino-bf16, tensorrt, tensorrt-rtx, torch"):
        open_runtime(open_store().resolve("pylfr_nano_embed"), runtime="onyx")


def test_a_runtime_that_is_not_installed_is_refused_without_a_fallback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"install pylfr\[torch\]"):
        open_runtime(open_store().resolve("pylfr_nano_embed"), runtime="torch")


def test_auto_without_openvino_is_onnxruntime_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda _: None)
    choice = registry.choose_runtime("auto")
    assert choice.name == "onnx"
    assert "OpenVINO is not installed" in choice.reason


def test_every_runtime_states_its_arithmetic() -> None:
    assert {name: registry.arithmetic_of(name) for name in get_args(registry.RuntimeName)} == {
        "onnx": "float32",
        "openvino": "float32",
        "openvino-bf16": "bfloat16",
        "tensorrt": "float16",
        "tensorrt-rtx": "float16",
        "torch": "float32",
    }
    assert registry.arithmetic_of("auto") is None


def test_auto_follows_the_arithmetic_of_a_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda _: object())
    monkeypatch.setattr(registry, "_bf16_is_native", lambda: True)
    assert registry.choose_runtime("auto").name == "openvino-bf16"
    assert registry.choose_runtime("auto", arithmetic="bfloat16").name == "openvino-bf16"
    kept = registry.choose_runtime("auto", arithmetic="float32")
    assert (kept.name, kept.arithmetic) == ("onnx", "float32")
    assert "the calibration certificate is for float32, not openvino-bf16" in kept.reason


def test_auto_refuses_a_certificate_in_an_arithmetic_that_no_runtime_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"is for bfloat16; the default here .* is onnx in float32 .* calibrate"):
        registry.choose_runtime("auto", arithmetic="bfloat16")


@pytest.mark.parametrize(("found", "chosen"), [(object(), "torch"), (None, "onnx")])
def test_auto_on_cuda_is_torch_if_that_is_installed(
    found: object, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "require_device", lambda _: None)
    monkeypatch.setattr(registry, "find_spec", lambda _: found)
    choice = registry.choose_runtime("auto", device="cuda")
    assert choice.name == chosen
    assert "PyTorch is" in choice.reason


@pytest.mark.skipif(ops.cuda_device_count() > 0, reason="there is a CUDA device")
def test_auto_on_a_missing_device_is_refused() -> None:
    with pytest.raises(CudaError, match="cuda"):
        registry.choose_runtime("auto", device="cuda")


def test_onnxruntime_refuses_cuda() -> None:
    with pytest.raises(CudaError, match="cuda"):
        open_runtime(open_store().resolve("pylfr_nano_embed"), runtime="onnx", device="cuda")
