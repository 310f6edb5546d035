"""onnxruntime works on the caller's tensors, and never falls back from CUDA to the CPU."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort  # noqa: TID251
import pytest

from pylfr import ops
from pylfr.errors import CudaError
from pylfr.models.store import open_store
from pylfr.ops import Stream, Tensor
from pylfr.protocols import DeviceRuntime
from pylfr.runtimes import onnx as onnx_runtime
from pylfr.runtimes.onnx import open_onnx

NAME = "pylfr_nano_embed"


@pytest.mark.parametrize("batch", [1, 3])
def test_a_network_reads_and_writes_tensors_in_place(batch: int) -> None:
    runtime: DeviceRuntime = open_onnx(open_store().resolve(NAME))
    plain = open_onnx(open_store().resolve(NAME))
    given = np.random.default_rng(batch).uniform(-1, 1, (batch, 3, 112, 112)).astype(np.float32)
    stream = Stream("cpu")
    shapes = runtime.output_shapes(given.shape)
    outputs = {name: Tensor(shape, "float32", stream) for name, shape in shapes.items()}
    runtime.run_on(stream, Tensor.borrow(given, stream), outputs)
    for name, expected in plain.run(given).items():
        assert shapes[name] == expected.shape
        assert np.allclose(np.from_dlpack(outputs[name]), expected, rtol=1e-4, atol=1e-6)


def test_input_shapes_that_are_not_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be \[B, 3, H, W\]"):
        open_onnx(open_store().resolve(NAME)).output_shapes((0, 3, 112, 112))


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="this onnxruntime has CUDA")
def test_a_build_without_cuda_is_refused_with_what_it_offers() -> None:
    with pytest.raises(CudaError, match=r"offers only .*CPUExecutionProvider.*pylfr\[onnx-gpu\]"):
        open_onnx(open_store().resolve(NAME), device="cuda")


def test_a_session_that_fell_back_to_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    session = ort.InferenceSession

    def fell_back(content: bytes, options: ort.SessionOptions, providers: object) -> object:
        return session(content, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", fell_back)
    monkeypatch.setattr(ops, "require_device", lambda _: None)
    monkeypatch.setattr(onnx_runtime, "Stream", lambda _: Stream("cpu"))
    with pytest.raises(CudaError, match="could not start CUDA"):
        open_onnx(open_store().resolve(NAME), device="cuda")
