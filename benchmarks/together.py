"""Several processes that measure at the same time, and wait for each other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier


class Together:
    """In each of the processes: where all of them meet."""

    barrier: Barrier

    @classmethod
    def join(cls, barrier: Barrier) -> None:
        cls.barrier = barrier


@contextmanager
def processes_together(count: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes, each of which finds the others at ``Together.barrier``."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, initializer=Together.join, initargs=(context.Barrier(count),)) as pool:
        yield pool
