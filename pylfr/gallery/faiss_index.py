"""A gallery that FAISS searches: FAISS finds, the core scores, so the candidates are those of the native gallery."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pylfr import ops
from pylfr.errors import WatchlistError
from pylfr.gallery.ranking import Shortlist, best_entries, require_fitting
from pylfr.gallery.snapshot import OverSnapshot, WatchlistSnapshot
from pylfr.types import Candidates, Float32, Int64, Templates

# From this many probes on FAISS multiplies matrices. Its own default (128,000 since 1.15) keeps to single products,
# which took 32 ms where this takes 8.5 for 64 probes against 10,000 references. It holds for the whole process.
_BLAS_FROM_PROBES = 20


class FlatIndex(Protocol):
    """What is needed of a FAISS index."""

    def search(self, probes: Float32, k: int, /) -> tuple[Float32, Int64]: ...


class FaissGallery(OverSnapshot):
    """A ``Gallery`` over one snapshot, searched by a FAISS index of its vectors. Safe for concurrent searches."""

    def __init__(self, snapshot: WatchlistSnapshot, index: FlatIndex) -> None:
        super().__init__(snapshot)
        self._index = index

    def search(self, probes: Templates, k: int) -> Candidates:
        """The k best entries for each probe; raises as ``Gallery.search`` says."""
        require_fitting(probes, self._snapshot, k)
        vectors = self._snapshot.vectors
        # Sums of products in another order differ by at most this much (Higham, Accuracy and Stability, 3.1), twice.
        rounding = np.float32(4 * probes.dimension * np.finfo(np.float32).eps)

        def shortlist(count: int) -> Shortlist:
            found, rows = self._index.search(probes.vectors, count)
            shared = np.unique(rows[rows >= 0])
            scores, places = ops.search_exact(probes.vectors, vectors[shared], len(shared))
            return Shortlist(
                scores=scores, rows=np.where(places >= 0, shared[places], -1), bound=found[:, -1] + rounding
            )

        return best_entries(len(probes), self._snapshot, k, shortlist)


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
