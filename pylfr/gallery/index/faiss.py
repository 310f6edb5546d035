"""A gallery that FAISS searches: FAISS finds, the core scores, so the candidates are those of the native gallery."""

from __future__ import annotations

import threading
from typing import Protocol

import numpy as np

from pylfr import ops
from pylfr.errors import CudaError, WatchlistError
from pylfr.gallery.index.ranking import Shortlist, best_entries, require_fitting
from pylfr.gallery.watchlist.snapshot import SnapshotIndex, WatchlistSnapshot
from pylfr.types import Candidates, Float32, Int64, Templates

# From this many probes on FAISS multiplies matrices. Its own default (128,000 since 1.15) keeps to single products,
# which took 32 ms where this takes 8.5 for 64 probes against 10,000 references. It holds for the whole process.
_BLAS_FROM_PROBES = 20

# The most that FAISS selects on a GPU without cuVS; and the fewest that are asked for, because float16 leaves the order
# of close scores open, and who asks for too few has to ask again.
_MOST_ON_GPU = 2048
_LEAST_ON_GPU = 64

# Up to so many of the best cost little more than the scan itself.
_CHEAP = 256


class FlatIndex(Protocol):
    """What is needed of a FAISS index."""

    def search(self, probes: Float32, k: int, /) -> tuple[Float32, Int64]: ...


class OneAtATime:
    """A FAISS index on a GPU whose searches wait for each other, and which keeps no probe.

    FAISS's ``StandardGpuResources`` are not safe for concurrent searches, not even for reading. The temporary memory
    that they hand out is FAISS's own and nothing wipes it: a search for zeros, of the same size, lies over the probes.
    """

    def __init__(self, index: FlatIndex) -> None:
        self._index = index
        self._lock = threading.Lock()

    def search(self, probes: Float32, k: int, /) -> tuple[Float32, Int64]:
        """As FAISS does. Raises ``CudaError`` where the GPU has no room or fails."""
        with self._lock:
            try:
                try:
                    return self._index.search(probes, k)
                finally:
                    self._index.search(np.zeros_like(probes), k)
            except RuntimeError as error:
                raise CudaError(f"FAISS could not search on the GPU: {error}") from error


class FaissGallery(SnapshotIndex):
    """A ``Gallery`` over one snapshot, searched by a FAISS index of its vectors. Safe for concurrent searches.

    ``error`` is how far a score of the index may be off, beyond sums of float32 products in another order. Of an index
    at least ``least`` references are asked, and at most ``most``: beyond them the core scores every reference.
    """

    def __init__(
        self,
        snapshot: WatchlistSnapshot,
        index: FlatIndex,
        *,
        error: float = 0.0,
        least: int = 1,
        most: int | None = None,
    ) -> None:
        super().__init__(snapshot)
        self._index = index
        # Sums of products in another order differ by at most this much (Higham, Accuracy and Stability, 3.1), twice.
        self._error = np.float32(error + 4 * snapshot.dimension * np.finfo(np.float32).eps)
        self._least = least
        self._most = len(snapshot) if most is None else most

    def search(self, probes: Templates, k: int) -> Candidates:
        """The k best entries for each probe; raises as ``Gallery.search`` says."""
        require_fitting(probes, self._snapshot, k)
        vectors = self._snapshot.vectors

        def shortlist(count: int) -> Shortlist:
            if count > self._most:
                scores, rows = ops.search_exact(probes.vectors, vectors, count)
                return Shortlist(scores=scores, rows=rows, bound=scores[:, -1])
            found, rows = self._index.search(probes.vectors, min(max(count, self._least), len(vectors)))
            shared = np.unique(rows[rows >= 0])
            scores, places = ops.search_exact(probes.vectors, vectors[shared], len(shared))
            return Shortlist(
                scores=scores, rows=np.where(places >= 0, shared[places], -1), bound=found[:, -1] + self._error
            )

        return best_entries(len(probes), self._snapshot, k, shortlist, cheap=min(self._most, _CHEAP))


def open_faiss(snapshot: WatchlistSnapshot) -> FaissGallery:
    """The snapshot in an exact inner-product index of FAISS. Raises ``WatchlistError`` where FAISS is not installed."""
    try:
        import faiss  # noqa: TID251 - the one place that talks to FAISS, and only when it is asked for
    except ImportError as error:
        raise WatchlistError(
            'index "faiss" was asked for and FAISS is not installed: pip install "pylfr[faiss]", or use index "native"'
        ) from error
    faiss.cvar.distance_compute_blas_threshold = _BLAS_FROM_PROBES
    index = faiss.IndexFlatIP(snapshot.dimension)
    index.add(snapshot.vectors)
    return FaissGallery(snapshot, index)


def open_faiss_gpu(snapshot: WatchlistSnapshot, *, half: bool) -> FaissGallery:
    """The snapshot on the first GPU that FAISS counts, there in float32 or, with ``half``, in float16.

    The exact float32 references stay on the host too. Raises ``WatchlistError`` where the installed FAISS has no GPU
    functions, ``CudaError`` where it counts no GPU or has no room on it.
    """
    try:
        import faiss  # noqa: TID251 - as above
    except ImportError as error:
        raise WatchlistError(
            'index "faiss-gpu" was asked for and FAISS is not installed: pip install "pylfr[faiss-gpu]" or '
            '"pylfr[faiss-gpu-cuvs]", or use index "native"'
        ) from error
    if not hasattr(faiss, "StandardGpuResources") or not hasattr(faiss, "GpuIndexFlatIP"):
        raise WatchlistError(
            'index "faiss-gpu" was asked for and the installed FAISS has no GPU functions: uninstall faiss-cpu, which '
            'owns the same module, then pip install "pylfr[faiss-gpu]" or "pylfr[faiss-gpu-cuvs]", or use index "faiss"'
        )
    if faiss.get_num_gpus() == 0:
        raise CudaError(
            'index "faiss-gpu" was asked for and FAISS counts no GPU: check the driver and CUDA_VISIBLE_DEVICES, or '
            'use index "native"'
        )
    config = faiss.GpuIndexFlatConfig()
    config.useFloat16 = half
    # FAISS's own kernels: their error is bounded below, and their temporary memory is what ``OneAtATime`` writes over.
    config.use_cuvs = False
    try:
        index = faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), snapshot.dimension, config)
        if len(snapshot):
            index.add(snapshot.vectors)
    except RuntimeError as error:
        raise CudaError(f"FAISS could not bring {len(snapshot):,} references to the GPU: {error}") from error
    return FaissGallery(
        snapshot,
        OneAtATime(index),
        error=_half_error(snapshot.dimension) if half else 0.0,
        least=_LEAST_ON_GPU,
        most=_MOST_ON_GPU,
    )


def _half_error(dimension: int) -> float:
    """How far float16 for both reference and probe, of unit length, moves a score, less the order of the sum."""
    # Rounding to nearest: half a unit in the last place, or of the smallest number where a value lies below the normal.
    each = float(np.finfo(np.float16).eps) / 2 + dimension**0.5 * float(np.finfo(np.float16).smallest_subnormal) / 2
    return float(2 * each + each * each)
