"""Where probe templates live, and how long: fixed memory, wiped when its batch has been searched."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from pylfr import ops
from pylfr.types import Templates

# Dwell times are counted in bins 5 % wide from 1 microsecond up, so that a run of any length takes the same memory.
_BIN_RATIO = 1.05
_BINS = 400
_FIRST_MS = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Dwell:
    """How long probe templates existed, in milliseconds; p50 and p99 are upper edges of bins 5 % wide, max is exact."""

    count: int
    p50: float
    p99: float
    max: float


class ProbePool:
    """Lends memory for probe templates and wipes it when it comes back, also when an error ends the loan."""

    def __init__(self, *, rows: int, dimension: int) -> None:
        self._pool = ops.TemplatePool(rows, dimension)
        self._bins = np.zeros(_BINS, np.int64)
        self._max_ms = 0.0
        self._is_lent = False

    @property
    def rows(self) -> int:
        return int(self._pool.array.shape[0])

    @property
    def is_locked(self) -> bool:
        """Whether the system agreed to keep this memory out of swap."""
        return self._pool.is_locked

    @contextmanager
    def borrow(self, count: int, *, model: str) -> Iterator[Templates]:
        """Room for ``count`` templates of ``model``, which reads as zeros after the ``with`` block.

        Raises ``ValueError`` for more rows than the pool has and ``RuntimeError`` while it is lent already.
        """
        if not 0 <= count <= self.rows:
            raise ValueError(f"the pool lends 0 to {self.rows} templates, {count} were asked for: search in parts")
        if self._is_lent:
            raise RuntimeError("the pool is lent already: give it back first")
        self._is_lent = True
        began = time.perf_counter()
        try:
            yield Templates(vectors=self._pool.array[:count], model=model)
        finally:
            self._pool.wipe()
            self._is_lent = False
            self._note((time.perf_counter() - began) * 1000, count)

    def dwell(self) -> Dwell:
        """How long the templates lent so far existed; all zero where there were none."""
        total = int(self._bins.sum())
        if not total:
            return Dwell(count=0, p50=0.0, p99=0.0, max=0.0)
        reached = np.cumsum(self._bins)

        def quantile(share: float) -> float:
            edge = _FIRST_MS * _BIN_RATIO ** (int(np.searchsorted(reached, share * total)) + 1)
            return round(min(edge, self._max_ms), 4)

        return Dwell(count=total, p50=quantile(0.5), p99=quantile(0.99), max=round(self._max_ms, 4))

    def _note(self, took_ms: float, count: int) -> None:
        if count:
            place = int(np.log(max(took_ms, _FIRST_MS) / _FIRST_MS) / np.log(_BIN_RATIO))
            self._bins[min(place, _BINS - 1)] += count
            self._max_ms = max(self._max_ms, took_ms)
