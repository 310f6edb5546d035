"""Networks in fp16 agree with float32, or are refused."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr.errors import ConfigError, ModelError
from pylfr.models.store import Model, open_store
from pylfr.runtimes import fp16
from pylfr.runtimes.fp16 import require_agreement, synthetic_pictures, to_half
from pylfr.runtimes.onnx import OnnxRuntime, open_onnx, open_onnx_bytes
from pylfr.types import Device, Float32

REAL = {
    "yunet_n": (192, 320),
    "scrfd_500m_kps": (192, 320),
    "face_reid_0095": (128, 128),
    "mobilefacenet_y1": (112, 112),
}
SHIPPED = {"pylfr_nano_detect": (192, 320), "pylfr_nano_embed": (112, 112)}


@pytest.fixture
def onnx() -> None:
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'pylfr[rtx]'")


def halved(model: Model) -> OnnxRuntime:
    return open_onnx_bytes(to_half(model.path.read_bytes()), name=model.manifest.name)


def assert_agrees(name: str, size: tuple[int, int]) -> None:
    model = open_store().resolve(name)
    pictures = synthetic_pictures(model.manifest, height=size[0], width=size[1])
    require_agreement(model, open_onnx(model), halved(model), pictures, what="fp16")
    assert len(to_half(model.path.read_bytes())) <= 1.02 * model.path.stat().st_size


@pytest.mark.usefixtures("models_dir", "onnx")
@pytest.mark.parametrize("name", REAL)
def test_fp16_agrees_with_float32(name: str) -> None:
    assert_agrees(name, REAL[name])


@pytest.mark.usefixtures("onnx")
@pytest.mark.parametrize("name", SHIPPED)
def test_fp16_of_the_shipped_networks_agrees_with_float32(name: str) -> None:
    assert_agrees(name, SHIPPED[name])


class Spoilt:
    """A runtime whose answers are another's, changed."""

    device: Device = "cpu"

    def __init__(self, runtime: OnnxRuntime, spoil: float) -> None:
        self._runtime = runtime
        self._spoil = spoil
        self.outputs = runtime.outputs

    def run(self, tensor: Float32) -> dict[str, Float32]:
        noise = np.random.default_rng(1)
        return {
            name: (each + self._spoil * each.std() * noise.normal(size=each.shape)).astype(np.float32)
            for name, each in self._runtime.run(tensor).items()
        }

    def run_into(self, tensor: Float32, output: str, out: Float32) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize(
    ("spoil", "words"), [(0.3, "must agree with float32"), (float("nan"), "gives NaN or infinity")]
)
def test_a_network_whose_outputs_disagree_is_refused(name: str, spoil: float, words: str) -> None:
    model = open_store().resolve(name)
    height, width = SHIPPED[name]
    pictures = synthetic_pictures(model.manifest, height=height, width=width)
    plain = open_onnx(model)
    with pytest.raises(ModelError, match=words):
        require_agreement(model, plain, Spoilt(plain, spoil), pictures, what="the engine")
    require_agreement(model, plain, Spoilt(plain, 0.0), pictures, what="the engine")


def test_without_onnx_fp16_is_refused_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fp16, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"install pylfr\[tensorrt\]"):
        to_half(b"")


@pytest.mark.usefixtures("onnx")
def test_bytes_that_are_not_a_network_cannot_be_converted() -> None:
    with pytest.raises(ModelError, match="cannot be converted to fp16"):
        to_half(b"this is no network")
