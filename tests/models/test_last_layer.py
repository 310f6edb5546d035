"""A network without its last layer, plus that layer, equals the whole; a network without one stays whole."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from pylfr.models.last_layer import take_off_last_layer
from pylfr.models.store import open_store, read_verified, trunk_of
from pylfr.runtimes.onnx import open_onnx_bytes
from pylfr.types import Float32
from tests.models.test_onnx_file import model, number, part, varint

RNG = np.random.default_rng(20200124)


def numbers(*shape: int) -> Float32:
    return RNG.normal(size=shape).astype(np.float32)


def weights(name: str, array: Float32, *, packed: bool = False) -> bytes:
    """An initializer, float32 or float16; ``packed`` as a list of floats instead of raw bytes."""
    dims = b"".join(number(1, side) for side in array.shape)
    kind = number(2, 1 if array.dtype == np.float32 else 10)
    return part(5, dims + kind + part(8, name) + part(4 if packed else 9, array.tobytes()))


def attribute(name: str, value: float | list[int]) -> bytes:
    if isinstance(value, list):
        written = b"".join(number(8, each) for each in value) + number(20, 7)
    elif isinstance(value, int):
        written = number(3, value) + number(20, 2)
    else:
        written = varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, 1)
    return part(5, part(1, name) + written)


def node(operator: str, inputs: str, output: str, **attributes: float | list[int]) -> bytes:
    names = b"".join(part(1, name) for name in inputs.split())
    given = b"".join(attribute(name, value) for name, value in attributes.items())
    return part(1, names + part(2, output) + part(4, operator) + given)


def tensor(field: int, name: str, *sides: int | str) -> bytes:
    shape = b"".join(part(1, number(1, side) if isinstance(side, int) else part(2, side)) for side in sides)
    return part(field, part(1, name) + part(2, part(1, number(1, 1) + part(2, shape))))


def network(tail: bytes, *, output: tuple[int | str, ...] = ("N", 5), given: tuple[int, ...] = (3, 4, 4)) -> bytes:
    """A Relu, whatever ``tail`` makes of its output ``x``, and ``y`` as what the network gives."""
    graph = node("Relu", "in", "x") + tail + part(2, "made up") + tensor(11, "in", "N", *given)
    return model(graph + tensor(12, "y", *output))


FLAT = node("Flatten", "x", "f", axis=1)
LINEAR: Mapping[str, bytes] = {
    "Gemm": FLAT + weights("w", numbers(48, 5)) + weights("b", numbers(5)) + node("Gemm", "f w b", "y"),
    "Gemm, turned and scaled": FLAT + weights("w", numbers(5, 48)) + weights("b", numbers(1, 5), packed=True)
    + node("Gemm", "f w b", "y", transB=1, alpha=0.5, beta=2.0),
    "Gemm without a bias": FLAT + weights("w", numbers(48, 5), packed=True) + node("Gemm", "f w", "y"),
    "MatMul, Add": FLAT + weights("w", numbers(48, 5)) + weights("b", numbers(1, 5)) + node("MatMul", "f w", "m")
    + node("Add", "b m", "y"),
    "Gemm, BatchNormalization, Identity": FLAT + weights("w", numbers(48, 5)) + node("Gemm", "f w", "m")
    + weights("s", numbers(5)) + weights("o", numbers(5)) + weights("u", numbers(5)) + weights("v", np.abs(numbers(5)))
    + node("BatchNormalization", "m s o u v", "n", epsilon=0.25) + node("Identity", "n", "y"),
    "Conv, Flatten": node("GlobalAveragePool", "x", "p") + weights("w", numbers(5, 3, 1, 1)) + weights("b", numbers(5))
    + node("Conv", "p w b", "c", kernel_shape=[1, 1], pads=[0, 0, 0, 0], strides=[1, 1], group=1)
    + node("Flatten", "c", "y", axis=1),
    "Gemm of float16": FLAT + weights("w16", numbers(48, 5).astype(np.float16)) + node("Cast", "w16", "w", to=1)
    + node("Gemm", "f w", "y"),
}  # fmt: skip


def run(content: bytes, tensor: Float32) -> Float32:
    [result] = open_onnx_bytes(content, name="made up").run(tensor).values()
    return result


def agree(content: bytes, given: Float32) -> None:
    parts = take_off_last_layer(content)
    assert parts is not None
    trunk, layer = parts
    assert len(trunk) < len(content)
    wanted = run(content, given)
    made = np.full_like(wanted, np.nan)
    features = run(trunk, given)
    layer.apply(features, made)
    assert features.size // len(given) == layer.weight.shape[1]
    np.testing.assert_allclose(made, wanted, atol=2e-5)


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("batch", [1, 4])
def test_trunk_and_last_layer_together_equal_the_whole_network(name: str, batch: int) -> None:
    agree(network(LINEAR[name]), numbers(batch, 3, 4, 4))


@pytest.mark.parametrize("name", ["face_reid_0095", "mobilefacenet_y1", "pylfr_nano_embed"])
def test_the_last_layer_of_every_installed_embedder_can_be_separated(name: str, models_dir: object) -> None:
    model = open_store().resolve(name)
    side = model.manifest.embed.side_px if model.manifest.embed is not None else 0
    agree(read_verified(model), RNG.random((2, 3, side, side), np.float32))


NOT_LINEAR: Mapping[str, bytes] = {
    "a Relu last": LINEAR["Gemm"].replace(part(2, "y"), part(2, "z")) + node("Relu", "z", "y"),
    "weights that are computed": FLAT + weights("r", numbers(48, 5)) + node("Relu", "r", "w")
    + node("Gemm", "f w", "y"),
    "a convolution by groups": weights("w", numbers(3, 1, 1, 1)) + node("Conv", "x w", "y", group=3),
    "a convolution with a step": weights("w", numbers(5, 3, 1, 1)) + node("Conv", "x w", "y", strides=[2, 2]),
    "a convolution of 3x3": weights("w", numbers(5, 3, 3, 3)) + node("Conv", "x w", "y"),
    "features turned over": FLAT + weights("w", numbers(48, 5)) + node("Gemm", "f w", "y", transA=1),
    "a branch of its own": LINEAR["Gemm"] + part(1, part(4, "If") + part(5, part(1, "then_branch") + part(6, b""))),
    "a circle": node("Flatten", "z", "y") + node("Flatten", "y", "z"),
    "a node without an input": node("Flatten", "", "y"),
    "a Gemm without weights": node("Gemm", "x", "y"),
    "an Add of one": node("Add", "x", "y"),
    "sides below zero": FLAT + part(5, number(1, 2**64 - 12) + number(1, 2**64 - 20) + number(2, 1) + part(8, "w")
    + part(9, bytes(4 * 240))) + node("Gemm", "f w", "y"),
    "fewer weights than it says": FLAT + part(5, number(1, 48) + number(1, 5) + number(2, 1) + part(8, "w")
    + part(9, bytes(4 * 239))) + node("Gemm", "f w", "y"),
    "a bias of another length": FLAT + weights("w", numbers(48, 5)) + weights("b", numbers(3))
    + node("Gemm", "f w b", "y"),
    "steps that do not fit": LINEAR["Gemm"].replace(part(2, "y"), part(2, "z")) + weights("a", numbers(7))
    + weights("c", numbers(3)) + node("Add", "z a", "t") + node("Add", "t c", "y"),
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_a_network_without_a_linear_last_layer_stays_whole(name: str) -> None:
    assert take_off_last_layer(network(NOT_LINEAR[name])) is None


@pytest.mark.parametrize(("sides", "comes_off"), [((256, 3, 1, 1), True), ((16, 3, 1, 1), False)])
def test_a_layer_that_gives_fewer_numbers_than_a_template_has_stays(
    sides: tuple[int, ...], comes_off: bool, tmp_path: Path
) -> None:
    """Where 16 numbers at each of 4x4 places are a template of 256, the convolution that makes them is left on."""
    whole = open_store().resolve("pylfr_nano_embed")
    content = network(weights("w", numbers(*sides)) + node("Conv", "x w", "c") + node("Flatten", "c", "y"))
    (tmp_path / "whole.onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    parts = trunk_of(dataclasses.replace(whole, path=tmp_path / "whole.onnx", sha256=digest))
    assert (parts is not None) == comes_off


def test_of_two_outputs_neither_is_the_template() -> None:
    two = network(LINEAR["Gemm"] + tensor(12, "x", "N", 3, 4, 4))
    assert take_off_last_layer(two) is None


@pytest.mark.parametrize("length", range(0, 400, 7))
def test_a_truncated_file_stays_whole_and_is_refused_later(length: int) -> None:
    content = network(LINEAR["MatMul, Add"])
    parts = take_off_last_layer(content[:length])
    assert parts is None
