"""OpenVINO agrees with onnxruntime in float32, and nearly so in bfloat16; what it cannot run is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pylfr.errors import ConfigError, ModelError
from pylfr.models.store import Model, open_store
from pylfr.runtimes import registry
from pylfr.runtimes.onnx import open_onnx
from pylfr.runtimes.registry import choose_runtime, open_runtime

pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install openvino")

from pylfr.runtimes import openvino as openvino_runtime
from pylfr.runtimes.openvino import bf16_is_native, open_openvino

NETWORKS = {
    "yunet_n": (96, 160),
    "scrfd_500m_kps": (96, 160),
    "face_reid_0095": (128, 128),
    "mobilefacenet_y1": (112, 112),
}
# Both add in float32, in different orders.
TOLERANCE = 1e-4
# bfloat16 keeps eight bits of each number; of a template's direction this much may turn.
LEAST_COSINE = 0.995


@pytest.fixture
def embedder() -> Model:
    return open_store().resolve("pylfr_nano_embed")


def crops(batch: int, size: tuple[int, int] = (112, 112)) -> np.ndarray:
    return np.random.default_rng(batch).uniform(-1, 1, (batch, 3, *size)).astype(np.float32)


@pytest.mark.usefixtures("models_dir")
@pytest.mark.parametrize("name", NETWORKS)
def test_float32_agrees_with_onnxruntime_whatever_the_batch(name: str) -> None:
    model = open_store().resolve(name)
    plain, runtime = open_runtime(model), open_runtime(model, runtime="openvino")
    assert list(runtime.outputs) == list(plain.outputs)
    for batch in (1, 3, 17):
        tensor = 128 * crops(batch, NETWORKS[name]) + 128
        wanted, got = plain.run(tensor), runtime.run(tensor)
        for output, expected in wanted.items():
            assert got[output].shape == expected.shape
            assert np.linalg.norm(got[output] - expected) / np.linalg.norm(expected) < TOLERANCE


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("batch", [0, 1, 2, 5, 40])
def test_parallel_parts_are_returned_in_order(embedder: Model, threads: int, batch: int) -> None:
    tensor = crops(batch)
    (alone,) = open_openvino(embedder, precision="f32").outputs
    runtime = open_runtime(embedder, runtime="openvino", threads=threads)
    one_by_one = [runtime.run(tensor[place : place + 1])[alone] for place in range(batch)]
    got = runtime.run(tensor)[alone]
    assert len(got) == batch
    for row, (expected,) in zip(got, one_by_one, strict=True):
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not bf16_is_native(), reason="this processor has no bfloat16")
@pytest.mark.usefixtures("models_dir")
@pytest.mark.parametrize("name", ["face_reid_0095", "mobilefacenet_y1"])
def test_templates_in_bfloat16_point_the_same_way(name: str) -> None:
    model = open_store().resolve(name)
    tensor = 128 * crops(5, NETWORKS[name]) + 128
    (wanted,) = open_runtime(model).run(tensor).values()
    (got,) = open_runtime(model, runtime="openvino-bf16").run(tensor).values()
    cosine = (wanted * got).sum(1) / np.linalg.norm(wanted, axis=1) / np.linalg.norm(got, axis=1)
    assert cosine.min() > LEAST_COSINE
    assert not np.array_equal(wanted, got)


@pytest.mark.parametrize("batch", [0, 1, 2, 17])
def test_templates_are_written_straight_into_the_callers_memory(embedder: Model, batch: int) -> None:
    runtime = open_openvino(embedder, precision="f32")
    (name, shape), *_ = runtime.outputs.items()
    assert shape[-1] is not None
    out = np.full((batch + 1, shape[-1]), 7.0, np.float32)
    runtime.run_into(crops(batch), name, out[:batch])
    assert (out[batch] == 7.0).all()
    expected = np.empty_like(out[:batch])
    if batch:
        open_onnx(embedder).run_into(crops(batch), name, expected)
        np.testing.assert_allclose(out[:batch], expected, rtol=1e-2, atol=1e-3 * np.abs(expected).max())
    out[:] = 0
    runtime.run(crops(3))
    assert not out.any()


def test_memory_of_the_wrong_kind_or_size_is_refused(embedder: Model) -> None:
    runtime = open_openvino(embedder, precision="f32")
    (name, shape), *_ = runtime.outputs.items()
    assert shape[-1] is not None
    with pytest.raises(TypeError, match="float32, got float64"):
        runtime.run_into(crops(1), name, np.empty((1, shape[-1])))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="out must be float32"):
        runtime.run_into(crops(2), name, np.empty((1, shape[-1]), np.float32))


def test_an_altered_network_is_refused(embedder: Model, tmp_path: Path) -> None:
    altered = tmp_path / "altered.onnx"
    altered.write_bytes(embedder.path.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="altered"):
        open_openvino(dataclasses.replace(embedder, path=altered), precision="f32")


def test_bytes_that_are_not_a_network_are_refused(embedder: Model, tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.onnx"
    rubbish.write_bytes(b"not a network")
    digest = hashlib.sha256(rubbish.read_bytes()).hexdigest()
    with pytest.raises(ModelError, match="is not a complete ONNX file"):
        open_openvino(dataclasses.replace(embedder, path=rubbish, sha256=digest), precision="f32")


def test_bfloat16_is_refused_where_the_processor_has_none(embedder: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_runtime, "bf16_is_native", lambda: False)
    with pytest.raises(ConfigError, match="needs a processor with bfloat16"):
        open_openvino(embedder, precision="bf16")


@pytest.mark.parametrize(("native", "chosen"), [(True, "openvino-bf16"), (False, "onnx")])
def test_auto_takes_the_fastest_arithmetic_of_this_processor_with_the_reason(
    native: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_bf16_is_native", lambda: native)
    choice = choose_runtime("auto")
    assert choice.name == chosen
    assert "bfloat16" in choice.reason


def test_a_network_that_openvino_cannot_build_is_refused(embedder: Model, tmp_path: Path) -> None:
    # A whole file: one node, no inputs, and an operator that nobody knows.
    strange = tmp_path / "strange.onnx"
    strange.write_bytes(b"\x08\x08\x42\x02\x10\x11\x3a\x0a\x0a\x08\x22\x06NoSuch")
    digest = hashlib.sha256(strange.read_bytes()).hexdigest()
    with pytest.raises(ModelError, match=r"strange\.onnx (cannot be run by OpenVINO|must take one tensor)"):
        open_openvino(dataclasses.replace(embedder, path=strange, sha256=digest), precision="f32")


FIRST_OF_TWO_THREADS = """
import sys, threading
import numpy as np
from pylfr.models.store import open_store
from pylfr.runtimes.registry import open_runtime

sys.setswitchinterval(1e-6)
runtime = open_runtime(open_store().resolve("pylfr_nano_embed"), runtime="openvino", threads=2)
runtime.run(np.zeros((2, 3, 112, 112), np.float32))
"""


def test_two_threads_may_pass_a_new_process_its_first_arrays_at_once() -> None:
    """Without what is made when the module is imported, half of such processes never ended."""
    for _ in range(6):
        subprocess.run([sys.executable, "-c", FIRST_OF_TWO_THREADS], check=True, timeout=60)


def test_a_small_embedder_is_compiled_for_each_number_of_crops_up_to_a_few_and_gives_the_same(embedder: Model) -> None:
    by_shape = open_openvino(embedder, precision="f32", shapes=4)
    once = open_openvino(embedder, precision="f32")
    for batch in (1, 2, 3, 4, 5, 2, 1):
        given = crops(batch)
        (name, wanted), *_ = once.run(given).items()
        np.testing.assert_allclose(by_shape.run(given)[name], wanted, rtol=TOLERANCE, atol=TOLERANCE)
        out = np.empty_like(wanted)
        by_shape.run_into(given, name, out)
        np.testing.assert_allclose(out, wanted, rtol=TOLERANCE, atol=TOLERANCE)
    assert [shape[0] for shape in by_shape._by_shape] == [1, 2, 3, 4]
    assert once._by_shape == {}


def test_a_detector_is_compiled_for_each_size_of_its_input_and_gives_the_same() -> None:
    detector = open_store().resolve("pylfr_nano_detect")
    by_shape = open_openvino(detector, precision="f32", shapes=2)
    once = open_openvino(detector, precision="f32")
    for height, width in ((128, 192), (64, 64), (128, 192), (96, 64)):
        given = 255 * np.random.default_rng(height).random((1, 3, height, width), np.float32)
        wanted = once.run(given)
        for name, found in by_shape.run(given).items():
            np.testing.assert_allclose(found, wanted[name], rtol=TOLERANCE, atol=TOLERANCE)
    assert list(by_shape._by_shape) == [(1, 3, 128, 192), (1, 3, 64, 64)]


def test_a_large_network_is_compiled_once_for_every_shape(embedder: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_runtime, "_LARGEST_BYTES", 1000)
    opened = open_openvino(embedder, precision="f32", shapes=4)
    opened.run(crops(2))
    assert opened._by_shape == {}
