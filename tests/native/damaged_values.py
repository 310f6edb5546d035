"""What a call of the core is handed: mostly what it asks for, and now and then something wild instead.

One seeded stream of numbers decides, so that a seed and the number of a call name it for good.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
AnyArray = npt.NDArray[Any]

_WILD_FLOATS = (
    float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1e-45, -1e-38, 3.4e38, -3.4e38,
    2.0**31, -(2.0**31), 2.0**63, 1e9, -1e9, 0.5,
)  # fmt: skip
_WILD_NUMBERS = (0, 1, -1, 2, 7, 255, 256, 2**15, -(2**31), 2**31 - 1, 2**31, -(2**63), 2**63 - 1, 2**64)
_OTHER_TYPES = (
    "float64",
    "float16",
    "int8",
    "uint16",
    "int64",
    ">f4",
    ">i4",
    "?",
    "complex64",
    "V4",
    "S4",
    "M8[s]",
    "O",
)


class Chance:
    """Draws arguments. ``wildness`` is how likely each of them is damaged."""

    def __init__(self, seed: str, wildness: float) -> None:
        self.random = random.Random(seed)
        self._values = np.random.default_rng(self.random.getrandbits(63))
        self._wildness = wildness

    def is_wild(self) -> bool:
        return self.random.random() < self._wildness

    def choice(self, values: Sequence[T]) -> T:
        return self.random.choice(values)

    def length(self, most: int = 6) -> int:
        """The length of an axis; often none or one."""
        return self.random.choice((0, 1, 1, 2, 3, most))

    def number(self, *good: int) -> int:
        return self.random.choice(_WILD_NUMBERS) if self.is_wild() else self.random.choice(good)

    def real(self, *good: float) -> float:
        return self.random.choice(_WILD_FLOATS) if self.is_wild() else self.random.choice(good)

    def name(self, *good: str) -> str:
        return self.random.choice(("", "no such", "\0", "ü" * 300)) if self.is_wild() else self.random.choice(good)

    def floats(self, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> AnyArray:
        """Float32 from low to high; a damaged one has wild values in it, or another form."""
        array = self._values.uniform(low, high, shape).astype(np.float32)
        if array.size and self.is_wild():
            for _ in range(self.random.randint(1, 4)):
                array.flat[self.random.randrange(array.size)] = self.random.choice(_WILD_FLOATS)
        return self._formed(array)

    def bytes(self, shape: tuple[int, ...]) -> AnyArray:
        return self._formed(self._values.integers(0, 256, shape, dtype=np.uint8))

    def flags(self, shape: tuple[int, ...]) -> AnyArray:
        return self._formed(self._values.integers(0, 2, shape, dtype=np.uint8))

    def int32s(self, shape: tuple[int, ...], below: int) -> AnyArray:
        return self._formed(self._wild_in(self._values.integers(0, max(1, below), shape, dtype=np.int32)))

    def int64s(self, shape: tuple[int, ...], below: int, is_sorted: bool = False) -> AnyArray:
        array = self._values.integers(0, max(1, below), shape, dtype=np.int64)
        return self._formed(self._wild_in(np.sort(array) if is_sorted else array))

    def some(self, values: list[T]) -> list[T]:
        """The list; a damaged one lacks an element or has one twice."""
        if not values or not self.is_wild():
            return values
        place = self.random.randrange(len(values))
        return values[:place] + values[place + 1 :] if self.random.random() < 0.5 else [*values, values[place]]

    def _wild_in(self, array: AnyArray) -> AnyArray:
        if array.size and self.is_wild():
            info = np.iinfo(array.dtype)
            array.flat[self.random.randrange(array.size)] = self.random.choice((info.min, info.max, -1, 10**6))
        return array

    def _formed(self, array: AnyArray) -> AnyArray:
        return self.random.choice(_DAMAGE)(self, array) if self.is_wild() else array


def _misaligned(chance: Chance, array: AnyArray) -> AnyArray:
    room = np.zeros(array.nbytes + 16, np.uint8)
    start = chance.random.randint(1, 7)
    view = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def _padded(chance: Chance, array: AnyArray) -> AnyArray:
    if array.ndim == 0:
        return array
    wide = np.zeros((*array.shape[:-1], array.shape[-1] + chance.random.randint(1, 3)), array.dtype)
    wide[..., : array.shape[-1]] = array
    return wide[..., : array.shape[-1]]


def _turned(chance: Chance, array: AnyArray) -> AnyArray:
    return array[::-1] if array.ndim and chance.random.random() < 0.5 else array.T


def _spread(chance: Chance, array: AnyArray) -> AnyArray:
    """One value seen everywhere, in as many places as no memory holds."""
    one = array.flat[:1].reshape((1,) * array.ndim) if array.size else np.zeros((1,) * array.ndim, array.dtype)
    shape = array.shape if chance.random.random() < 0.5 or not array.ndim else (2**40, *array.shape[1:])
    return np.broadcast_to(one, shape)


def _other_shape(chance: Chance, array: AnyArray) -> AnyArray:
    lengths = [chance.random.choice((0, 1, 2, 3, 5, 10)) for _ in range(chance.random.randint(0, 5))]
    return np.zeros(lengths, array.dtype)


def _without_rows(chance: Chance, array: AnyArray) -> AnyArray:
    """Nothing, in a shape that overflows where it is multiplied carelessly."""
    shape = chance.random.choice(((0, 2**62), (2**15, 0), (0,) * max(1, array.ndim), (0, 2**31, 2**31)))
    return np.zeros(shape, array.dtype)


def _one_longer(_chance: Chance, array: AnyArray) -> AnyArray:
    return np.concatenate([array, array[:1]]) if array.ndim and len(array) else array


def _other_type(chance: Chance, array: AnyArray) -> AnyArray:
    return np.zeros(array.shape, chance.random.choice(_OTHER_TYPES))


def _read_only(_chance: Chance, array: AnyArray) -> AnyArray:
    array.flags.writeable = False
    return array


_DAMAGE = (_misaligned, _padded, _turned, _spread, _other_shape, _without_rows, _one_longer, _other_type, _read_only)
