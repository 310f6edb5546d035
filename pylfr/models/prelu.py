"""PRelu out of other operators: onnxruntime computes it number by number, and converts the tensor's layout for it.

In MobileFaceNet and similar networks that takes two thirds of an embedder's time. The same function out of operators
that stay in the layout of convolutions takes a tenth of it: ``LeakyRelu`` for one slope, and for one slope a channel

    PRelu(x) = a * x + (1 - a) * Relu(x)

as two convolutions of one number a channel. Results differ by rounding, as between any two of a runtime's kernels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from pylfr.models.onnx_tensor import NAME as _TENSOR_NAME
from pylfr.models.onnx_tensor import is_float32, read_tensor, write_tensor
from pylfr.models.protobuf import DamagedError, Field, field, fields_of, float_field, part, text, texts
from pylfr.types import Float32

# Numbers of fields in onnx.proto3.
_MODEL_GRAPH: Final = 7
_NODE, _INITIALIZER = 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 3, 4, 5, 7
_NAME, _FLOAT, _INTEGER, _TYPE = 1, 2, 3, 20
_FLOAT_KIND, _INTEGER_KIND = 1, 2


def spell_out_prelu(content: bytes) -> bytes:
    """The same ONNX network without PRelu wherever its slopes are one number, or one a channel, and known.

    ``content`` must have been checked (``require_self_contained``); what cannot be read is given back as it is.
    """
    try:
        model = list(fields_of(memoryview(content)))
        written = [
            field(number, _rewritten(part(value)) if number == _MODEL_GRAPH else value) for number, value in model
        ]
    except DamagedError:
        # No runtime loads such a file, and it explains why.
        return content
    return b"".join(written)


def _rewritten(graph: memoryview) -> bytes:
    fields = list(fields_of(graph))
    weights = {
        text(fields_of(part(value)), _TENSOR_NAME): part(value) for number, value in fields if number == _INITIALIZER
    }
    written: list[bytes] = []
    for number, value in fields:
        node = list(fields_of(part(value))) if number == _NODE else []
        slopes = _slopes(node, weights)
        written += [field(number, value)] if slopes is None else _spelled_out(node, slopes)
    return b"".join(written)


def _slopes(node: Sequence[Field], weights: dict[str, memoryview]) -> Float32 | None:
    """The slopes of a PRelu, float32 [1] or one a channel [C]; None for any other node."""
    if text(node, _NODE_OPERATOR) != "PRelu" or text(node, _NODE_DOMAIN) not in ("", "ai.onnx"):
        return None
    inputs, outputs = texts(node, _NODE_INPUT), texts(node, _NODE_OUTPUT)
    # A name that is no text cannot be written again.
    if len(inputs) != 2 or len(outputs) != 1 or any(not name or "\ufffd" in name for name in (*inputs, *outputs)):
        return None
    weight = weights.get(inputs[1])
    given = read_tensor(weight) if weight is not None and is_float32(weight) else None
    if given is None or not given.size:
        return None
    is_by_channel = given.ndim in (3, 4) and given.shape[-3] == given.size
    return given.ravel() if given.size == 1 or is_by_channel else None


def _spelled_out(node: Sequence[Field], slopes: Float32) -> Iterator[bytes]:
    """The nodes, and their weights, that compute the same in its place: fields of the graph."""
    (given, _), (wanted,) = texts(node, _NODE_INPUT), texts(node, _NODE_OUTPUT)
    name = text(node, _NODE_NAME) or wanted
    if len(slopes) == 1:
        alpha = field(_NAME, b"alpha") + float_field(_FLOAT, float(slopes[0])) + field(_TYPE, _FLOAT_KIND)
        yield _node("LeakyRelu", name, [given], wanted, alpha)
        return
    # No name of another tensor ends so.
    own = f"{wanted}/pylfr-prelu"
    group = field(_NAME, b"group") + field(_INTEGER, len(slopes)) + field(_TYPE, _INTEGER_KIND)
    by_channel = slopes.reshape(-1, 1, 1, 1)
    yield field(_INITIALIZER, write_tensor(f"{own}-slopes", by_channel))
    yield field(_INITIALIZER, write_tensor(f"{own}-rest", np.float32(1) - by_channel))
    yield _node("Relu", f"{name}-relu", [given], f"{own}-relu")
    yield _node("Conv", f"{name}-above", [f"{own}-relu", f"{own}-rest"], f"{own}-above", group)
    yield _node("Conv", f"{name}-all", [given, f"{own}-slopes"], f"{own}-all", group)
    yield _node("Add", name, [f"{own}-all", f"{own}-above"], wanted)


def _node(operator: str, name: str, inputs: Sequence[str], output: str, *attributes: bytes) -> bytes:
    return field(
        _NODE,
        b"".join(
            (
                *(field(_NODE_INPUT, each.encode()) for each in inputs),
                field(_NODE_OUTPUT, output.encode()),
                field(_NODE_NAME, name.encode()),
                field(_NODE_OPERATOR, operator.encode()),
                *(field(_NODE_ATTRIBUTE, each) for each in attributes),
            )
        ),
    )
