"""PyTorch on the CPU agrees with onnxruntime on every network; unsupported operators are refused by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pylfr.errors import CudaError, ModelError
from pylfr.models.store import Model, open_store, read_verified
from pylfr.ops import Stream, Tensor
from pylfr.protocols import Runtime
from pylfr.runtimes.onnx import open_onnx
from pylfr.runtimes.registry import open_runtime

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make torch")
onnx = pytest.importorskip("onnx", reason="onnx is not installed: make torch")

from pylfr.runtimes.torch import runtime as torch_runtime  # noqa: E402 - not before it is known that PyTorch is there
from pylfr.runtimes.torch.runtime import TorchRuntime  # noqa: E402 - not before it is known that PyTorch is there

NETWORKS = {
    "yunet_n": (96, 160),
    "scrfd_500m_kps": (96, 160),
    "face_reid_0095": (128, 128),
    "mobilefacenet_y1": (112, 112),
}
SHIPPED = {"pylfr_nano_detect": (128, 128), "pylfr_nano_embed": (112, 112)}
# Both add in float32, in different orders.
TOLERANCE = 1e-4


def crops(batch: int, size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(batch).uniform(0, 255, (batch, 3, *size)).astype(np.float32)


def assert_agrees(model: Model, size: tuple[int, int]) -> None:
    plain, runtime = open_onnx(model), open_runtime(model, runtime="torch")
    assert list(runtime.outputs) == list(plain.outputs)
    for batch in (1, 3):
        wanted, got = plain.run(crops(batch, size)), runtime.run(crops(batch, size))
        for name, expected in wanted.items():
            assert got[name].shape == expected.shape
            error = np.linalg.norm(got[name] - expected) / np.linalg.norm(expected)
            assert error < TOLERANCE, f"{name} differs by {error}"


@pytest.mark.usefixtures("models_dir")
@pytest.mark.parametrize("name", NETWORKS)
def test_torch_agrees_with_onnxruntime(name: str) -> None:
    assert_agrees(open_store().resolve(name), NETWORKS[name])


@pytest.mark.usefixtures("models_dir")
@pytest.mark.parametrize("name", [*NETWORKS, *SHIPPED])
def test_no_value_is_read_from_the_device_while_a_network_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not be while a CUDA graph is recorded. Tensors without any numbers stand for those of the device."""
    monkeypatch.setattr(torch_runtime, "_on_cuda", lambda tensor: tensor.to("meta", torch.float16))
    proto = onnx.load_from_string(read_verified(open_store().resolve(name)))
    network = torch_runtime._read(proto, "cuda")
    given = torch.zeros((2, 3, *(NETWORKS | SHIPPED)[name]), dtype=torch.float16, device="meta")
    answers = network.run(given)
    assert len(answers) == len(network.outputs)
    assert {each.device.type for each in answers} == {"meta"}


@pytest.mark.parametrize("name", SHIPPED)
def test_torch_agrees_with_onnxruntime_on_the_shipped_networks(name: str) -> None:
    model = open_store().resolve(name)
    fixed = model.manifest.detect.fixed_size if model.manifest.detect is not None else None
    side = model.manifest.embed.side_px if model.manifest.embed is not None else 0
    assert_agrees(model, (fixed[1], fixed[0]) if fixed else (side, side) if side else SHIPPED[name])


@pytest.fixture
def embedder(models_dir: Path) -> Runtime:
    return open_runtime(open_store().resolve("face_reid_0095"), runtime="torch")


def test_a_template_is_written_into_the_memory_that_was_given(embedder: Runtime) -> None:
    out = np.full((3, 256), np.nan, np.float32)
    tensor = crops(2, (128, 128))
    embedder.run_into(tensor, "embedding", out[:2])
    assert np.array_equal(out[:2], embedder.run(tensor)["embedding"])
    assert np.isnan(out[2]).all()


def test_tensors_are_exchanged_without_the_host(embedder: Runtime) -> None:
    assert isinstance(embedder, TorchRuntime)
    given, stream = crops(3, (128, 128)), Stream("cpu")
    out = Tensor(embedder.output_shapes(given.shape)["embedding"], "float32", stream)
    embedder.run_on(stream, Tensor.borrow(given, stream), {"embedding": out})
    assert np.array_equal(np.from_dlpack(out), embedder.run(given)["embedding"])


def test_pictures_may_be_halves_with_their_colours_side_by_side(embedder: Runtime) -> None:
    assert isinstance(embedder, TorchRuntime)
    given, stream = crops(3, (128, 128)), Stream("cpu")
    halves = np.ascontiguousarray(given.transpose(0, 2, 3, 1).astype(np.float16))
    out = Tensor(embedder.output_shapes(given.shape)["embedding"], "float32", stream)
    embedder.run_on(stream, Tensor.borrow(halves, stream), {"embedding": out})
    rounded = np.ascontiguousarray(halves.astype(np.float32).transpose(0, 3, 1, 2))
    wanted = embedder.run(rounded)["embedding"]
    np.testing.assert_allclose(np.from_dlpack(out), wanted, atol=1e-4 * np.abs(wanted).max())
    assert not embedder.takes_halves, "a float32 network gains nothing by it"


def test_tensors_of_torch_and_of_the_core_are_the_same_memory() -> None:
    stream = Stream("cpu")
    theirs = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    ours = Tensor.borrow(theirs, stream)
    assert ours.pointer == theirs.data_ptr()
    back = torch.from_dlpack(ours)
    back[1, 2] = 42
    assert theirs[1, 2] == 42
    assert back.data_ptr() == theirs.data_ptr()


def test_output_memory_of_the_wrong_shape_is_refused(embedder: Runtime) -> None:
    with pytest.raises(ValueError, match="out must be float32"):
        embedder.run_into(crops(2, (128, 128)), "embedding", np.empty((3, 256), np.float32))
    with pytest.raises(TypeError, match="C-contiguous float32"):
        embedder.run_into(crops(2, (128, 128)), "embedding", np.empty((2, 256), np.float64))


@pytest.mark.usefixtures("models_dir")
def test_an_altered_network_is_refused() -> None:
    model = dataclasses.replace(open_store().resolve("yunet_n"), sha256="0" * 64)
    with pytest.raises(ModelError, match="it was altered"):
        open_runtime(model, runtime="torch")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
@pytest.mark.usefixtures("models_dir")
def test_cuda_without_a_device_is_refused_with_the_reason() -> None:
    with pytest.raises(CudaError, match="check the driver"):
        open_runtime(open_store().resolve("yunet_n"), runtime="torch", device="cuda")
