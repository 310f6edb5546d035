"""What an ONNX file requires beyond itself: external weights, and operators that need code outside the runtime.

The file is walked as protobuf fields (onnx.proto3 of the ONNX standard), without building anything from it, so that a
hostile file is refused before a runtime reads it.
"""

from __future__ import annotations

from typing import Literal

from pylfr.errors import ModelError
from pylfr.models.protobuf import DamagedError, fields_of, part, text

Kind = Literal["model", "training", "graph", "function", "node", "attribute", "sparse", "tensor"]

# The field numbers of the relevant messages in onnx.proto3.
_PARTS: dict[Kind, dict[int, Kind]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_GRAPH = 7
_NODE_NAME, _NODE_OPERATOR, _NODE_DOMAIN = 3, 4, 7
_FUNCTION_NAME, _FUNCTION_DOMAIN = 1, 10
_TENSOR_NAME, _TENSOR_ENTRY, _TENSOR_LOCATION = 8, 13, 14

# Operators of the standard, and those compiled into onnxruntime: neither loads code.
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
# One of onnxruntime's own that reads a file named by the network.
_READS_A_FILE = ("com.microsoft", "EPContext")


def require_self_contained(content: bytes, *, name: str) -> None:
    """Refuse a network that needs more than its own bytes; ``name`` is for messages.

    Raises ``ModelError`` for weights in other files, for operators outside ONNX's and onnxruntime's domains unless the
    file defines them as functions, and for bytes that are not an ONNX file.
    """
    try:
        _check(memoryview(content), name)
    except DamagedError as error:
        raise ModelError(f"{name} is not a complete ONNX file ({error}): get it again") from None


def _check(content: memoryview, name: str) -> None:
    if not any(number == _GRAPH for number, _ in fields_of(content)):
        raise DamagedError("it contains no network")
    used: list[tuple[str, str, str]] = []
    defined: set[tuple[str, str]] = set()
    waiting: list[tuple[Kind, memoryview]] = [("model", content)]
    while waiting:
        kind, message = waiting.pop()
        fields = list(fields_of(message))
        match kind:
            case "tensor" if any(number == _TENSOR_ENTRY or (number == _TENSOR_LOCATION and v) for number, v in fields):
                raise ModelError(
                    f"{name} stores the weights {text(fields, _TENSOR_NAME)!r} in another file, which no sha256 "
                    "covers: save the network as one file that includes its weights"
                )
            case "node":
                used.append((text(fields, _NODE_DOMAIN), text(fields, _NODE_OPERATOR), text(fields, _NODE_NAME)))
            case "function":
                defined.add((text(fields, _FUNCTION_DOMAIN), text(fields, _FUNCTION_NAME)))
        for number, value in fields:
            inner = _PARTS[kind].get(number)
            if inner is not None:
                waiting.append((inner, part(value)))
    for domain, operator, node in used:
        if (domain, operator) == _READS_A_FILE or (domain not in _DOMAINS and (domain, operator) not in defined):
            raise ModelError(
                f"{name} uses the operator {operator!r} of {domain!r} (node {node!r}), which is not ONNX's own: "
                "export the network with standard operators"
            )
