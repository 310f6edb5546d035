"""A network's constants as arrays, read from an ONNX file's fields and written as such."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from pylfr.models.protobuf import field, fields_of, integers, part
from pylfr.types import Float32

# Numbers of fields of a tensor in onnx.proto3.
_DIMS, _DATA_TYPE, _FLOATS, NAME, _RAW = 1, 2, 4, 8, 9
FLOAT32: Final = 1
_KINDS: Final[Mapping[int, np.dtype[np.float32] | np.dtype[np.float16]]] = {1: np.dtype("<f4"), 10: np.dtype("<f2")}


def is_float32(message: memoryview) -> bool:
    """Whether its numbers are float32. Raises ``DamagedError``."""
    return sum(integers(fields_of(message), _DATA_TYPE)) == FLOAT32


def read_tensor(message: memoryview) -> Float32 | None:
    """Its numbers, where they are float32 or float16; None for any other. Raises ``DamagedError``."""
    fields = list(fields_of(message))
    kind = _KINDS.get(sum(integers(fields, _DATA_TYPE)))
    shape = integers(fields, _DIMS)
    raw = b"".join(bytes(part(value)) for number, value in fields if number == _RAW)
    if kind == np.float32 and not raw:
        raw = b"".join(
            value.to_bytes(4, "little") if isinstance(value, int) else bytes(value)
            for number, value in fields
            if number == _FLOATS
        )
    if kind is None or min(shape, default=0) < 0 or len(raw) != kind.itemsize * math.prod(shape):
        return None
    found = np.frombuffer(raw, kind).reshape(shape).astype(np.float32)
    return found if np.isfinite(found).all() else None


def write_tensor(name: str, values: Float32) -> bytes:
    """A message that holds float32 of any shape."""
    dims = b"".join(field(_DIMS, side) for side in values.shape)
    return dims + field(_DATA_TYPE, FLOAT32) + field(NAME, name.encode()) + field(_RAW, values.astype("<f4").tobytes())
