"""The last layer of an embedding network, separated: it computes the template, in memory that is wiped.

Whatever a runtime computes remains in its own memory until that is reused. With the last layer separated, no runtime
ever computes a template value; its memory retains only the input of that layer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pylfr import ops
from pylfr.models.onnx_tensor import FLOAT32, read_tensor
from pylfr.models.onnx_tensor import NAME as _TENSOR_NAME
from pylfr.models.protobuf import DamagedError, Field, field, fields_of, integers, part, text, texts
from pylfr.types import Float32

# Numbers of fields in onnx.proto3.
_MODEL_GRAPH: Final = 7
_NODE, _INITIALIZER, _OUTPUT, _VALUE_INFO = 1, 5, 12, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 2, 4, 5
_NAME, _FLOAT, _INTEGER, _GRAPH, _INTEGERS, _GRAPHS = 1, 2, 3, 6, 8, 11

# They change only the shape, not the order of the numbers.
_SHAPES: Final = frozenset({"Flatten", "Reshape", "Squeeze", "Identity", "Dropout"})

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LastLayer:
    """The name of its input tensor, and its function: ``features @ weight.T + bias``.

    ``weight`` is float32 [D, F], ``bias`` float32 [D].
    """

    given: str
    weight: Float32
    bias: Float32

    def apply(self, features: Float32, out: Float32) -> None:
        """Write the templates of ``features``, float32 [N, F, ...], to ``out``, float32 [N, D], and nowhere else."""
        # Not by NumPy: a thread of its BLAS keeps a core busy for a while after every product.
        ops.apply_linear(features.reshape(len(features), -1), self.weight, self.bias, out)


def take_off_last_layer(content: bytes) -> tuple[bytes, LastLayer] | None:
    """An ONNX network without its last layer, and that layer; None if the network does not end in a linear one.

    Supported are Gemm, MatMul and a 1x1 Conv, followed by additions, BatchNormalization and changes of shape.
    ``content`` must have been checked (``require_self_contained``).
    """
    try:
        model = list(fields_of(memoryview(content)))
        graphs = [part(value) for number, value in model if number == _MODEL_GRAPH]
        graph = _Graph(list(fields_of(graphs[0]))) if len(graphs) == 1 else None
        found = graph.last_layer() if graph is not None else None
    except (DamagedError, ValueError):
        # Inconsistent shapes: no runtime loads such a file, and it explains why.
        return None
    if graph is None or found is None:
        return None
    layer, sides = found
    cut = graph.until(layer.given, sides)
    return b"".join(field(number, cut if number == _MODEL_GRAPH else value) for number, value in model), layer


class _Graph:
    """The nodes of a network by their outputs, and its weights by name."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = fields
        self._nodes = [list(fields_of(part(value))) for number, value in fields if number == _NODE]
        self._maker = {name: node for node in self._nodes for name in texts(node, _NODE_OUTPUT)}
        self._outputs = [text(fields_of(part(value)), _NAME) for number, value in fields if number == _OUTPUT]
        self._weights = {
            text(fields_of(part(value)), _TENSOR_NAME): part(value)
            for number, value in fields
            if number == _INITIALIZER
        }

    def last_layer(self) -> tuple[LastLayer, int] | None:
        """The layer, and how many axes of length 1 follow its input features."""
        if len(self._outputs) != 1 or any(_holds_graph(node) for node in self._nodes):
            return None
        name, factor, offset = self._outputs[0], np.ones(1), np.zeros(1)
        # At most as many steps as there are nodes: a hostile file may contain a cycle.
        for _ in self._nodes:
            node = self._maker.get(name, ())
            inputs = texts(node, _NODE_INPUT)
            if not inputs:
                return None
            match text(node, _NODE_OPERATOR):
                case operator if operator in _SHAPES:
                    name = inputs[0]
                case "Add" if (added := self._only_weight(inputs)) is not None:
                    name, constant = added
                    offset = offset + factor * constant.ravel()
                case "BatchNormalization" if (steps := self._normalised(node, inputs)) is not None:
                    name = inputs[0]
                    factor, offset = factor * steps[0], offset + factor * steps[1]
                case "Gemm" | "MatMul" | "Conv":
                    return self._linear(node, inputs, factor, offset)
                case _:
                    return None
        return None

    def until(self, name: str, sides: int) -> bytes:
        """The same graph with the named tensor as its only output, reduced to what that needs."""
        needed, waiting = set[str](), [name]
        while waiting:
            each = waiting.pop()
            if each not in needed:
                needed.add(each)
                waiting += texts(self._maker.get(each, ()), _NODE_INPUT)
        written = [field(number, value) for number, value in self._fields if self._is_kept(number, value, needed)]
        return b"".join((*written, field(_OUTPUT, _described(name, sides))))

    def _is_kept(self, number: int, value: int | memoryview, needed: set[str]) -> bool:
        if number == _NODE:
            return not needed.isdisjoint(texts(fields_of(part(value)), _NODE_OUTPUT))
        if number == _INITIALIZER:
            return text(fields_of(part(value)), _TENSOR_NAME) in needed
        return number not in (_OUTPUT, _VALUE_INFO)

    def _linear(
        self, node: Sequence[Field], inputs: Sequence[str], factor: Array, offset: Array
    ) -> tuple[LastLayer, int] | None:
        attributes, operator = _attributes(node), text(node, _NODE_OPERATOR)
        weight = self._array(inputs[1]) if len(inputs) > 1 else None
        bias = self._array(inputs[2]) if len(inputs) > 2 else np.zeros(1)
        if weight is None or bias is None:
            return None
        sides = 0
        if operator == "Conv":
            if weight.ndim != 4 or weight.shape[2:] != (1, 1) or not _is_plain(attributes):
                return None
            weight, sides = weight[:, :, 0, 0].T, 2
        elif operator == "Gemm":
            if attributes.get("transA"):
                return None
            weight = (weight.T if attributes.get("transB") else weight) * attributes.get("alpha", 1.0)
            bias = bias * attributes.get("beta", 1.0)
        if weight.ndim != 2 or not {bias.size, factor.size, offset.size} <= {1, weight.shape[1]}:
            return None
        return LastLayer(
            given=inputs[0],
            weight=np.ascontiguousarray((weight * factor).T, np.float32),
            bias=(bias.ravel() * factor + offset + np.zeros(weight.shape[1])).astype(np.float32),
        ), sides

    def _only_weight(self, inputs: Sequence[str]) -> tuple[str, Array] | None:
        """Of two input tensors, the name of the computed one and the values of the constant one."""
        for computed, constant in (inputs, inputs[::-1]) if len(inputs) == 2 else ():
            numbers = self._array(constant)
            if numbers is not None and computed in self._maker:
                return computed, numbers
        return None

    def _normalised(self, node: Sequence[Field], inputs: Sequence[str]) -> tuple[Array, Array] | None:
        """The factor and the offset of a BatchNormalization."""
        numbers = [self._array(name) for name in inputs[1:5]]
        if len(numbers) != 4 or any(each is None for each in numbers):
            return None
        scale, bias, mean, variance = (each for each in numbers if each is not None)
        factor = scale / np.sqrt(variance + _attributes(node).get("epsilon", 1e-5))
        return factor, bias - mean * factor

    def _array(self, name: str) -> Array | None:
        """The weights of that name, also if the file stores them in float16 with a Cast."""
        cast = self._maker.get(name, ())
        if text(cast, _NODE_OPERATOR) == "Cast":
            name = "".join(texts(cast, _NODE_INPUT))
        if name not in self._weights:
            return None
        found = read_tensor(self._weights[name])
        return None if found is None else found.astype(np.float64)


def _attributes(node: Sequence[Field]) -> Mapping[str, float]:
    """A node's numeric attributes by name; of a list the largest absolute value."""
    found: dict[str, float] = {}
    for number, value in node:
        if number == _NODE_ATTRIBUTE:
            fields = list(fields_of(part(value)))
            for kind, given in fields:
                if kind == _FLOAT and isinstance(given, int):
                    found[text(fields, _NAME)] = struct.unpack("<f", given.to_bytes(4, "little"))[0]
                elif kind == _INTEGER and isinstance(given, int):
                    found[text(fields, _NAME)] = given
            if lists := integers(fields, _INTEGERS):
                found[text(fields, _NAME)] = max(map(abs, lists))
    return found


def _is_plain(attributes: Mapping[str, float]) -> bool:
    """Whether a 1x1 convolution is ungrouped, unstrided and unpadded."""
    return attributes.get("group", 1) == 1 and attributes.get("strides", 1) == 1 and not attributes.get("pads", 0)


def _holds_graph(node: Sequence[Field]) -> bool:
    """Whether a node has a subgraph, which may use any tensor of this graph."""
    return any(
        number == _NODE_ATTRIBUTE and any(kind in (_GRAPH, _GRAPHS) for kind, _ in fields_of(part(value)))
        for number, value in node
    )


def _described(name: str, sides: int) -> bytes:
    """An output's declaration in the graph: float32 [N, F, 1, ...], with symbolic N and F."""
    shape = b"".join(_sides(sides))
    return field(1, name.encode()) + field(2, field(1, field(1, FLOAT32) + field(2, shape)))


def _sides(ones: int) -> Iterator[bytes]:
    for name in (b"N", b"F"):
        yield field(1, field(2, name))
    for _ in range(ones):
        yield field(1, field(1, 1))
