"""A module ``faiss`` with the names of its GPU half, which stand on the CPU: its limits and rules, not its speed."""

from __future__ import annotations

import threading
from types import ModuleType

import faiss as on_cpu  # noqa: TID251 - the arithmetic below the simulated GPU
import numpy as np

from pylfr.types import Float32, Int64

MOST_SELECTED = 2048


class StandardGpuResources:
    """Temporary memory: holds the probes of the last search, as FAISS leaves them there."""

    def __init__(self) -> None:
        self.left_behind = np.empty((0, 0), np.float32)
        self.in_use = threading.Lock()


class GpuIndexFlatConfig:
    def __init__(self) -> None:
        self.device = 0
        self.useFloat16 = False
        self.use_cuvs = True


class GpuIndexFlatIP:
    """Refuses what FAISS refuses, and two searches at once, which FAISS gets wrong."""

    made: list[GpuIndexFlatIP] = []  # noqa: RUF012 - what a test made, in order

    def __init__(self, resources: StandardGpuResources, dimension: int, config: GpuIndexFlatConfig) -> None:
        self.resources = resources
        self.config = config
        self._index = on_cpu.IndexFlatIP(dimension)
        GpuIndexFlatIP.made.append(self)

    def add(self, vectors: Float32) -> None:
        assert len(vectors), "nothing is added"
        self._index.add(self._rounded(vectors))

    def search(self, probes: Float32, k: int) -> tuple[Float32, Int64]:
        if not 0 < k <= MOST_SELECTED:
            raise RuntimeError(f"GPU index only supports min/max-K selection up to {MOST_SELECTED} (requested {k})")
        assert self.resources.in_use.acquire(blocking=False), "two searches at once"
        try:
            self.resources.left_behind = probes.copy()
            scores, rows = self._index.search(self._rounded(probes), k)
            return scores, rows
        finally:
            self.resources.in_use.release()

    def _rounded(self, vectors: Float32) -> Float32:
        return vectors.astype(np.float16).astype(np.float32) if self.config.useFloat16 else vectors


def faiss_with(gpus: int) -> ModuleType:
    """The module, counting that many GPUs."""
    GpuIndexFlatIP.made.clear()
    module = ModuleType("faiss")
    for name, value in {
        "StandardGpuResources": StandardGpuResources,
        "GpuIndexFlatConfig": GpuIndexFlatConfig,
        "GpuIndexFlatIP": GpuIndexFlatIP,
        "get_num_gpus": lambda: gpus,
    }.items():
        setattr(module, name, value)
    return module
