"""How many cores each kind of thread uses, sampled while a load runs: what is left is idle, or used by others."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import numpy.typing as npt

from pylfr.sizing.stopwatch import DECODE_THREADS, NETWORK_THREADS, thread_cpu_s

# Rows of threads by what their names begin with; what is of no Python thread is a library's, for the networks.
_KINDS = {
    DECODE_THREADS: "decode",
    "pylfr-detect": "detection",
    "pylfr-engine": "recognition",
    NETWORK_THREADS: "networks",
}
_EVERY_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSample:
    """Cores in use from ``since_s`` to ``until_s`` on the monotonic clock, by kind of thread."""

    since_s: float
    until_s: float
    cores: Mapping[str, float]

    @property
    def busy(self) -> float:
        return sum(self.cores.values())


class CoreMeter:
    """Samples this process on a thread of its own while it is entered, a hundred times a second at most."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="pylfr-core-meter", daemon=True)
        self._samples: list[CoreSample] = []

    @property
    def samples(self) -> tuple[CoreSample, ...]:
        return tuple(self._samples)

    def __enter__(self) -> CoreMeter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        since_s, before, whole_before = time.monotonic(), _by_thread(), time.process_time()
        while not self._over.wait(_EVERY_S):
            until_s, after, whole = time.monotonic(), _by_thread(), time.process_time()
            used = dict.fromkeys((*_KINDS.values(), "Python"), 0.0)
            for thread, cpu_s in after.items():
                used[_kind(thread.name)] += max(0.0, cpu_s - before.get(thread, 0.0))
            used["networks"] += max(0.0, whole - whole_before - sum(used.values()))
            long_s = until_s - since_s
            self._samples.append(
                CoreSample(since_s=since_s, until_s=until_s, cores={kind: each / long_s for kind, each in used.items()})
            )
            since_s, before, whole_before = until_s, after, whole


def idle_cores(
    samples: Sequence[CoreSample], since_s: npt.NDArray[np.float64], until_s: npt.NDArray[np.float64], *, cores: int
) -> npt.NDArray[np.float64]:
    """How many of ``cores`` this process left idle from each moment to the other, in the mean: float64 [N].

    nan where nothing was sampled.
    """
    if not samples:
        return np.full(len(since_s), np.nan)
    ends = np.array([samples[0].since_s, *(each.until_s for each in samples)])
    idle_s = [max(0.0, cores - each.busy) * (each.until_s - each.since_s) for each in samples]
    summed = np.concatenate([[0.0], np.cumsum(idle_s)])
    spans_s = np.maximum(np.minimum(until_s, ends[-1]) - np.maximum(since_s, ends[0]), 1e-9)
    return np.asarray((np.interp(until_s, ends, summed) - np.interp(since_s, ends, summed)) / spans_s, np.float64)


def _by_thread() -> dict[threading.Thread, float]:
    return {each: thread_cpu_s(each.native_id) for each in threading.enumerate() if each.native_id is not None}


def _kind(name: str) -> str:
    return next((kind for prefix, kind in _KINDS.items() if name.startswith(prefix)), "Python")
