"""Long lists, a part at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def in_parts(items: Iterable[Item], most: int) -> Iterator[list[Item]]:
    """At most ``most`` items at a time, from a copy: ``items`` may change meanwhile."""
    rest = list(items)
    for begin in range(0, len(rest), most):
        yield rest[begin : begin + most]
