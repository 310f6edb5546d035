"""Protobuf messages as fields, read and written without building anything from them.

An ONNX file is such a message (onnx.proto3 of the ONNX standard names the fields). The worst that a hostile one causes
is a ``DamagedError``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

# Number and value: an integer (of a fixed width too), or the bytes of a text or of another message.
Field = tuple[int, int | memoryview]

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_WIDTH = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}


class DamagedError(Exception):
    """Why the bytes cannot be read."""


def fields_of(message: memoryview) -> Iterator[Field]:
    """Number and value of each field, in order. Raises ``DamagedError``."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if number == 0 or wire not in (_VARINT, _BYTES, *_WIDTH):
            raise DamagedError(f"its field {number} has the wire type {wire}")
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        length = _WIDTH.get(wire, 0)
        if wire == _BYTES:
            length, at = _varint(message, at)
        if at + length > len(message):
            raise DamagedError("it is cut off")
        content = message[at : at + length]
        yield number, content if wire == _BYTES else int.from_bytes(content, "little")
        at += length


def part(value: int | memoryview) -> memoryview:
    """The bytes of a field that must hold some. Raises ``DamagedError``."""
    if isinstance(value, int):
        raise DamagedError("a number is in the place of a part of the network")
    return value


def text(fields: Iterable[Field], number: int) -> str:
    """The text in that field, the last if it is repeated, as protobuf reads it; empty if it is missing."""
    found = ""
    for each, value in fields:
        if each == number:
            found = bytes(part(value)).decode(errors="replace")
    return found


def texts(fields: Iterable[Field], number: int) -> list[str]:
    """Every text in that field."""
    return [bytes(part(value)).decode(errors="replace") for each, value in fields if each == number]


def integers(fields: Iterable[Field], number: int) -> list[int]:
    """Every integer in that field, packed or not; as int64."""
    found: list[int] = []
    for each, value in fields:
        if each != number:
            continue
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            one, at = _varint(value, at)
            found.append(one)
    return [one - (1 << 64) if one >> 63 else one for one in found]


def field(number: int, value: int | bytes | memoryview) -> bytes:
    """A field as it is written: an integer that is not negative, or bytes."""
    if isinstance(value, int):
        return _written(number << 3 | _VARINT) + _written(value)
    return b"".join((_written(number << 3 | _BYTES), _written(len(value)), value))


def float_field(number: int, value: float) -> bytes:
    """A field that holds a float32."""
    return _written(number << 3 | _FOUR_BYTES) + struct.pack("<f", value)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise DamagedError("it is cut off" if len(message) - at < 10 else "a number in it has no end")


def _written(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
