"""A gallery in parts, for a watchlist that is larger than one device's memory: the same candidates as in one piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pylfr.gallery.watchlist.snapshot import SnapshotIndex, WatchlistSnapshot
from pylfr.protocols import Gallery
from pylfr.types import Candidates, Float32, Int64, Templates


class ShardedGallery(SnapshotIndex):
    """A ``Gallery`` of galleries over disjoint entries of one revision. All of them are in this process.

    Probes are never sent to another machine.
    """

    def __init__(self, whole: WatchlistSnapshot, shards: Sequence[Gallery]) -> None:
        super().__init__(whole)
        self._shards = tuple(shards)

    def search(self, probes: Templates, k: int) -> Candidates:
        """The k best entries of all shards, ties to the smaller number; raises as ``Gallery.search`` says."""
        return merge_candidates([shard.search(probes, k) for shard in self._shards], k)


def merge_candidates(parts: Sequence[Candidates], k: int) -> Candidates:
    """The k best of several lists of candidates for the same probes, whose entries are disjoint; ties to the smaller.

    It is exact where each part holds its k best: whoever is among the k best of all is among those of their part.
    """
    scores: Float32 = np.concatenate([part.scores for part in parts], axis=1)
    entry: Int64 = np.concatenate([part.entry for part in parts], axis=1)
    # Places without a candidate come last, whatever a score of -1 would say.
    order = np.lexsort((entry, -scores, entry < 0), axis=1)[:, :k]
    return Candidates(scores=np.take_along_axis(scores, order, axis=1), entry=np.take_along_axis(entry, order, axis=1))


def shard_snapshot(whole: WatchlistSnapshot, count: int) -> list[WatchlistSnapshot]:
    """The snapshot in ``count`` parts of nearly equal size, all references of an entry in the same part."""
    if count < 1:
        raise ValueError(f"count must be 1 or more, got {count}")
    entries = np.unique(whole.entry)
    return [
        whole.without(frozenset(entries.tolist()) - frozenset(part.tolist())) for part in np.array_split(entries, count)
    ]


def build_sharded(
    whole: WatchlistSnapshot, count: int, build: Callable[[WatchlistSnapshot, int], Gallery]
) -> ShardedGallery:
    """A gallery in ``count`` parts; ``build`` makes the gallery of one part, given its number from 0: its device."""
    return ShardedGallery(whole, [build(part, number) for number, part in enumerate(shard_snapshot(whole, count))])
