"""The memory of probe templates: fixed, wiped as soon as their batch has been searched, its dwell time measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from pylfr import ops
from pylfr.types import Templates

# Dwell times are counted in bins 5 % wide from 1 microsecond, so that memory does not grow with the run.
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


class WipedPool:
    """One loan at a time, wiped when it ends, also by an error; and how long loans took.

    Threads that share a pool take turns.
    """

    def __init__(self, rows: int, wipe: Callable[[], None]) -> None:
        self._rows = rows
        self._wipe = wipe
        self._bins = np.zeros(_BINS, np.int64)
        self._max_ms = 0.0
        self._turn = threading.Lock()
        self._borrower: int | None = None

    @property
    def rows(self) -> int:
        return self._rows

    @contextmanager
    def loan(self, count: int) -> Iterator[None]:
        """Wait until no other thread borrows. Raises ``ValueError`` for more rows than there are.

        Raises ``RuntimeError`` where this very thread has not returned its last loan: it would wait for itself.
        """
        if not 0 <= count <= self._rows:
            raise ValueError(f"a pool of {self._rows} templates cannot lend {count}: search in parts")
        if self._borrower == threading.get_ident():
            raise RuntimeError("this thread has borrowed the pool already: return it first")
        with self._turn:
            self._borrower = threading.get_ident()
            began = time.perf_counter()
            try:
                yield
            finally:
                self._wipe()
                self._borrower = None
                self._note((time.perf_counter() - began) * 1000, count)

    def dwell(self) -> Dwell:
        """How long the templates of past loans existed; all zero if there were none."""
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


class ProbePool(WipedPool):
    """Locked memory for probe templates, wiped at the end of each loan, also when an error ends it."""

    def __init__(self, *, rows: int, dimension: int) -> None:
        self._pool = ops.TemplatePool(rows, dimension)
        super().__init__(rows, self._pool.wipe)

    @property
    def is_locked(self) -> bool:
        """Whether the system locked this memory out of swap."""
        return self._pool.is_locked

    @contextmanager
    def borrow(self, count: int, *, model: str) -> Iterator[Templates]:
        """Memory for ``count`` templates of ``model``; zeros after the ``with`` block. Raises as ``loan``."""
        with self.loan(count):
            yield Templates(vectors=self._pool.array[:count], model=model)


class DeviceProbePool(WipedPool):
    """A ``ProbePool`` on a device. The wipe is waited for: after the ``with`` block no template remains."""

    def __init__(self, *, rows: int, dimension: int, stream: ops.Stream) -> None:
        if rows < 1 or dimension < 1:
            raise ValueError(f"a pool must have 1 row and 1 dimension or more, got {rows}x{dimension}")
        self._stream = stream
        self._memory = ops.Tensor((rows, dimension), "float32", stream, pooled=False)
        super().__init__(rows, self._wipe_memory)
        self._wipe_memory()

    @property
    def is_locked(self) -> bool:
        """Device memory is never swapped."""
        return True

    @contextmanager
    def borrow(self, count: int) -> Iterator[ops.Tensor]:
        """Memory for ``count`` templates, float32 [count, D] on the device. Raises as ``loan``."""
        with self.loan(count):
            yield self._memory.rows(0, count)

    def _wipe_memory(self) -> None:
        self._memory.wipe(self._stream)
        self._stream.synchronise()
