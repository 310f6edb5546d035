"""What an ONNX file asks for beyond itself: other files, and operators that a runtime would have to be extended for.

The file is walked as protobuf fields (onnx.proto3 of the ONNX standard), without building anything from it, so that a
hostile file is refused before a runtime reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pylfr.errors import ModelError

Kind = Literal["model", "training", "graph", "function", "node", "attribute", "sparse", "tensor"]

# Where messages that matter stand: the numbers of their fields in onnx.proto3.
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

# Operators of the standard, and those that are compiled into onnxruntime: neither loads code.
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
# One of onnxruntime's own that reads a file, which the network names.
_READS_A_FILE = ("com.microsoft", "EPContext")

_Field = tuple[int, int | memoryview]


class _DamagedError(Exception):
    """Why the bytes cannot be read."""


def require_self_contained(content: bytes, *, name: str) -> None:
    """Refuse a network that is more than its own bytes; ``name`` is for messages.

    Raises ``ModelError`` for weights in other files (wherever those are), for operators of another domain than
    ONNX's and onnxruntime's own unless the file defines them itself as functions, and for bytes that are no ONNX file.
    """
    try:
        _check(memoryview(content), name)
    except _DamagedError as error:
        raise ModelError(f"{name} is no whole ONNX file ({error}): get it again") from None


def _check(content: memoryview, name: str) -> None:
    if not any(number == _GRAPH for number, _ in _fields(content)):
        raise _DamagedError("it holds no network")
    used: list[tuple[str, str, str]] = []
    defined: set[tuple[str, str]] = set()
    waiting: list[tuple[Kind, memoryview]] = [("model", content)]
    while waiting:
        kind, message = waiting.pop()
        fields = list(_fields(message))
        match kind:
            case "tensor" if any(number == _TENSOR_ENTRY or (number == _TENSOR_LOCATION and v) for number, v in fields):
                raise ModelError(
                    f"{name} keeps the weights {_text(fields, _TENSOR_NAME)!r} in another file, which no sha256 "
                    "vouches for: save the network as one file, with its weights in it"
                )
            case "node":
                used.append((_text(fields, _NODE_DOMAIN), _text(fields, _NODE_OPERATOR), _text(fields, _NODE_NAME)))
            case "function":
                defined.add((_text(fields, _FUNCTION_DOMAIN), _text(fields, _FUNCTION_NAME)))
        for number, value in fields:
            part = _PARTS[kind].get(number)
            if part is not None:
                waiting.append((part, _bytes(value)))
    for domain, operator, node in used:
        if (domain, operator) == _READS_A_FILE or (domain not in _DOMAINS and (domain, operator) not in defined):
            raise ModelError(
                f"{name} uses the operator {operator!r} of {domain!r} (node {node!r}), which is not ONNX's own: "
                "export the network with standard operators"
            )


def _fields(message: memoryview) -> Iterator[_Field]:
    """Number and value of each field: an integer, or bytes. Values of a fixed width do not matter here: they are 0."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if number == 0 or wire not in (0, 1, 2, 5):
            raise _DamagedError(f"its field {number} has the wire type {wire}")
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        length = {1: 8, 5: 4}.get(wire, 0)
        if wire == 2:
            length, at = _varint(message, at)
        if at + length > len(message):
            raise _DamagedError("it is cut off")
        yield number, message[at : at + length] if wire == 2 else 0
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise _DamagedError("it is cut off" if len(message) - at < 10 else "a number in it has no end")


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _DamagedError("a number stands where a part of the network should")
    return value


def _text(fields: list[_Field], number: int) -> str:
    """The text in that field, the last one where it stands there twice, as protobuf reads it."""
    for each, value in reversed(fields):
        if each == number:
            return bytes(_bytes(value)).decode(errors="replace")
    return ""
