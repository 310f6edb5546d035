"""A message with the large parts that go with it, as bytes: what a session seals, and what it opens."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeVar

from pylfr._internal.toml_model import ConfigModel

Message = TypeVar("Message", bound=ConfigModel)

# How long the message is, and each part.
_LENGTH = struct.Struct(">I")


def put_in(message: ConfigModel, parts: Sequence[bytes] = ()) -> bytes:
    """The message as JSON, then each part as it is, each with its length before it."""
    return b"".join(
        piece for each in (message.model_dump_json().encode(), *parts) for piece in (_LENGTH.pack(len(each)), each)
    )


def take_out(kind: type[Message], content: bytes) -> tuple[Message, tuple[bytes, ...]]:
    """The message and its parts. Raises ``ValueError`` for anything else."""
    pieces = []
    place = 0
    while place < len(content):
        if place + _LENGTH.size > len(content):
            raise ValueError("a message of the cluster ends within a length")
        (length,) = _LENGTH.unpack_from(content, place)
        place += _LENGTH.size
        if place + length > len(content):
            raise ValueError(f"a message of the cluster lacks {place + length - len(content)} bytes at its end")
        pieces.append(content[place : place + length])
        place += length
    if not pieces:
        raise ValueError("a message of the cluster is empty")
    return kind.model_validate_json(pieces[0]), tuple(pieces[1:])
