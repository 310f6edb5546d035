"""A gallery in parts, for a watchlist that is larger than one device's memory: the same candidates as in one piece.

All parts are in this process: templates of probes are never sent to another machine.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from pylfr import ops
from pylfr.gallery.index.device import open_device_index, reference_bytes
from pylfr.gallery.index.native import NativeGallery
from pylfr.gallery.watchlist.snapshot import SnapshotIndex, WatchlistSnapshot
from pylfr.protocols import DeviceGallery, Gallery
from pylfr.types import Candidates, Float32, Int64, Precision, Templates

log = logging.getLogger(__name__)

# So many probes come from the device to the host at once.
_PROBES_A_COPY = 64

OpenOnDevice = Callable[[WatchlistSnapshot, Precision], DeviceGallery]


class ShardedGallery(SnapshotIndex):
    """A ``Gallery`` of galleries over disjoint entries of one revision."""

    def __init__(self, whole: WatchlistSnapshot, shards: Sequence[Gallery]) -> None:
        super().__init__(whole)
        self._shards = tuple(shards)

    def search(self, probes: Templates, k: int) -> Candidates:
        """The k best entries of all shards, ties to the smaller number; raises as ``Gallery.search`` says."""
        return merge_candidates([shard.search(probes, k) for shard in self._shards], k)


class DeviceAndHostGallery(ShardedGallery):
    """A ``DeviceGallery`` of two parts: one on the device, and the rest on the host.

    Probes that are on the device come to the host in locked memory, which is wiped before ``search_on`` returns.
    """

    def __init__(self, whole: WatchlistSnapshot, *, there: DeviceGallery, here: Gallery) -> None:
        super().__init__(whole, (there, here))
        self._there = there
        self._here = here
        self._turn = threading.Lock()
        self._pool = ops.TemplatePool(_PROBES_A_COPY, whole.dimension)
        if not self._pool.is_locked:
            log.warning("the memory for probes cannot be locked out of swap: raise `ulimit -l`")

    def search_on(self, probes: ops.Tensor, *, model: str, k: int) -> Candidates:
        found = [self._there.search_on(probes, model=model, k=k)]
        if len(probes):
            with self._turn:
                parts = [
                    self._search_here(probes.rows(start, min(start + _PROBES_A_COPY, len(probes))), model, k)
                    for start in range(0, len(probes), _PROBES_A_COPY)
                ]
            found.append(
                Candidates(
                    scores=np.concatenate([each.scores for each in parts]),
                    entry=np.concatenate([each.entry for each in parts]),
                )
            )
        return merge_candidates(found, k)

    def _search_here(self, probes: ops.Tensor, model: str, k: int) -> Candidates:
        copied = self._pool.array[: len(probes)]
        try:
            probes.copy_to(copied, probes.stream)
            return self._here.search(Templates(vectors=copied, model=model), k)
        finally:
            self._pool.wipe()


def merge_candidates(parts: Sequence[Candidates], k: int) -> Candidates:
    """The k best of several lists of candidates for the same probes, whose entries are disjoint; ties to the smaller.

    It is exact where each part holds its k best: whoever is among the k best of all is among those of their part.
    """
    scores: Float32 = np.concatenate([part.scores for part in parts], axis=1)
    entry: Int64 = np.concatenate([part.entry for part in parts], axis=1)
    # Places without a candidate come last, whatever a score of -1 would say.
    order = np.lexsort((entry, -scores, entry < 0), axis=1)[:, :k]
    return Candidates(scores=np.take_along_axis(scores, order, axis=1), entry=np.take_along_axis(entry, order, axis=1))


def split_snapshot(whole: WatchlistSnapshot, rows: Sequence[int]) -> list[WatchlistSnapshot]:
    """The snapshot cut before each of these rows, ascending; they share its memory.

    A row within the references of an entry is moved to the first of them: no entry is in two parts.
    """
    last = len(whole)
    cuts = [0, *(int(np.searchsorted(whole.entry, whole.entry[row])) if row < last else last for row in rows), last]
    return [whole.part(start, stop) for start, stop in pairwise(cuts)]


def open_in_parts(
    whole: WatchlistSnapshot, precision: Precision, *, device_mib: int, open_there: OpenOnDevice = open_device_index
) -> DeviceGallery:
    """As much of the snapshot on the device as ``device_mib`` hold, the rest on the host, searched by the core.

    Raises ``CudaError`` where there is no device, or no room on it for so much.
    """
    room = (device_mib << 20) // reference_bytes(whole.dimension, precision)
    if room >= len(whole):
        return open_there(whole, precision)
    there, here = split_snapshot(whole, [room])
    log.info("%d references are searched on the device, %d on the host", len(there), len(here))
    return DeviceAndHostGallery(whole, there=open_there(there, precision), here=NativeGallery(here))
