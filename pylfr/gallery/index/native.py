"""A gallery that the core searches exhaustively: nothing to build, nothing to install."""

from __future__ import annotations

from pylfr import ops
from pylfr.gallery.index.ranking import require_fitting
from pylfr.gallery.watchlist.snapshot import SnapshotIndex, WatchlistSnapshot
from pylfr.types import Candidates, Templates


class NativeGallery(SnapshotIndex):
    """A ``Gallery`` over one snapshot, by the core's exact search. Safe for concurrent searches."""

    def __init__(self, snapshot: WatchlistSnapshot) -> None:
        super().__init__(snapshot)
        self._entry = ops.EntryNumbers(snapshot.entry)

    def search(self, probes: Templates, k: int) -> Candidates:
        """The k best entries for each probe; raises as ``Gallery.search`` says."""
        require_fitting(probes, self._snapshot, k)
        scores, entry = ops.search_entries(probes.vectors, self._snapshot.vectors, self._entry, k)
        return Candidates(scores=scores, entry=entry)
