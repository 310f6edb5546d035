"""An engine runs on the caller's memory and stream; mismatched tensors are refused. No device is needed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from pylfr.errors import ConfigError, CudaError, ModelError
from pylfr.models.store import Model, open_store
from pylfr.ops import Stream, Tensor
from pylfr.protocols import DeviceRuntime
from pylfr.runtimes.registry import open_runtime
from pylfr.runtimes.tensorrt import build
from pylfr.runtimes.tensorrt import runtime as tensorrt_runtime
from pylfr.runtimes.tensorrt.device import current_gpu
from pylfr.runtimes.tensorrt.runtime import TensorRtRuntime
from tests.conftest import why_not_cuda
from tests.devices import HostedRuntime, on_device, on_host
from tests.runtimes.tensorrt.fake_trt import Engine, made_up_trt


@pytest.fixture
def engine() -> Engine:
    return Engine("float32")


@pytest.fixture
def runtime(engine: Engine) -> TensorRtRuntime:
    return TensorRtRuntime(made_up_trt(engine), b"engine", device="cpu")


def pictures(batch: int) -> np.ndarray:
    return np.random.default_rng(batch).uniform(0, 1, (batch, 3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_engine_reads_and_writes_the_callers_memory_on_the_callers_stream(batch: int, engine: Engine) -> None:
    runtime = TensorRtRuntime(made_up_trt(engine), b"engine", device="cpu", graphs=False)
    stream = Stream("cpu")
    given = pictures(batch)
    tensor = Tensor.borrow(given, stream)
    out = Tensor((batch, 2), "float32", stream)
    runtime.run_on(stream, tensor, {"sum": out})
    assert engine.context.addresses["input"] == tensor.pointer == given.ctypes.data
    assert engine.context.addresses["sum"] == out.pointer
    assert engine.context.streams == [stream.handle]
    assert np.allclose(np.from_dlpack(out)[:, 0], given.sum(axis=(1, 2, 3)))


def test_an_engine_also_runs_on_arrays_of_the_host(runtime: TensorRtRuntime) -> None:
    given = pictures(2)
    results = runtime.run(given)
    assert list(results) == list(runtime.outputs) == ["sum", "twice"]
    out = np.empty((2, 2), np.float32)
    runtime.run_into(given, "twice", out)
    assert np.allclose(out, 2 * results["sum"][:, :1])


def test_an_input_that_the_engine_was_not_built_for_is_refused(runtime: TensorRtRuntime) -> None:
    with pytest.raises(ValueError, match=r"between \[1, 3, 1, 1\] and \[4, 3, 8, 8\], got \[5, 3, 4, 5\]"):
        runtime.run(pictures(5))


def test_outputs_that_do_not_fit_are_refused(runtime: TensorRtRuntime) -> None:
    stream = Stream("cpu")
    tensor = Tensor.borrow(pictures(2), stream)
    with pytest.raises(ValueError, match="must be among sum, twice"):
        runtime.run_on(stream, tensor, {"other": Tensor((2, 2), "float32", stream)})
    with pytest.raises(ValueError, match=r"must be \[2, 2\], got \[3, 2\]"):
        runtime.run_on(stream, tensor, {"sum": Tensor((3, 2), "float32", stream)})
    with pytest.raises(ValueError, match="must be float32 on cpu, got float16"):
        runtime.run_on(stream, tensor, {"sum": Tensor((2, 2), "float16", stream)})
    frozen = np.zeros((2, 2), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="must be writeable"):
        runtime.run_on(stream, tensor, {"sum": Tensor.borrow(frozen, stream)})


def test_a_failure_of_the_library_is_an_error(runtime: TensorRtRuntime, engine: Engine) -> None:
    engine.fails = True
    with pytest.raises(CudaError, match="could not queue"):
        runtime.run(pictures(1))


def test_an_engine_that_cannot_be_loaded_or_is_not_float32_is_refused(engine: Engine) -> None:
    with pytest.raises(ModelError, match="cannot load this engine here"):
        TensorRtRuntime(made_up_trt(engine), b"another", device="cpu")
    with pytest.raises(ModelError, match="inputs and outputs must be float32"):
        TensorRtRuntime(made_up_trt(Engine("float16")), b"engine", device="cpu")


@pytest.mark.parametrize(("name", "extra"), [("tensorrt", "tensorrt"), ("tensorrt-rtx", "rtx")])
def test_a_library_that_is_not_installed_is_refused_with_its_extra(
    name: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=rf"install pylfr\[{extra}\]"):
        open_runtime(open_store().resolve("pylfr_nano_embed"), runtime=name, device="cuda")


@pytest.mark.parametrize("library", ["tensorrt", "tensorrt-rtx"])
def test_more_pictures_than_an_engines_maximum_run_in_parts(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = open_store().resolve("pylfr_nano_embed"), []

    class Counting(HostedRuntime):
        def run_on(self, stream: Stream, tensor: Tensor, outputs: Mapping[str, Tensor]) -> None:
            asked.append(len(tensor))
            super().run_on(stream, tensor, outputs)

    def open_made_up(_: Model, *, most: int, **__: object) -> Counting:
        assert most == 32
        return Counting(open_runtime(model), "cpu")

    monkeypatch.setattr(tensorrt_runtime, "open_tensorrt", open_made_up)
    runtime = open_runtime(model, runtime=library, device="cuda")
    assert isinstance(runtime, DeviceRuntime)
    stream = Stream("cpu")
    crops = np.random.default_rng(0).uniform(-1, 1, (70, 3, 112, 112)).astype(np.float32)
    (name,) = runtime.outputs
    out = Tensor((70, 256), "float32", stream)
    runtime.run_on(stream, on_device(crops, stream), {name: out})
    assert asked == [32, 32, 6]
    (wanted,) = open_runtime(model).run(crops).values()
    np.testing.assert_allclose(on_host(out, stream), wanted, atol=1e-5)


def test_tensorrt_on_the_cpu_is_refused() -> None:
    with pytest.raises(ConfigError, match="device 'cuda' alone"):
        open_runtime(open_store().resolve("pylfr_nano_embed"), runtime="tensorrt")


@pytest.mark.skipif(why_not_cuda() is None, reason="this machine has a CUDA device")
def test_without_a_driver_no_gpu_is_reported() -> None:
    with pytest.raises(CudaError, match=r"driver"):
        current_gpu()


@pytest.mark.cuda
@pytest.mark.parametrize("library", ["tensorrt", "tensorrt-rtx"])
def test_an_engine_on_the_device_agrees_with_onnxruntime(library: str) -> None:
    pytest.importorskip(library.replace("-", "_"), reason=f"{library} is not installed")
    model = open_store().resolve("pylfr_nano_embed")
    assert model.manifest.embed is not None
    side = model.manifest.embed.side_px
    tensor = np.random.default_rng(0).uniform(0, 255, (3, 3, side, side)).astype(np.float32)
    plain = open_runtime(model)
    there = open_runtime(model, runtime=library, device="cuda")
    for name, expected in plain.run(tensor).items():
        error = np.linalg.norm(there.run(tensor)[name] - expected) / np.linalg.norm(expected)
        assert error < 2e-2
