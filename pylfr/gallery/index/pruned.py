"""A gallery less some of its entries, at once: until an index without them is built, they are not found."""

from __future__ import annotations

import numpy as np

from pylfr.gallery.index.wrapped import WrappedGallery
from pylfr.gallery.watchlist.snapshot import WatchlistSnapshot
from pylfr.ops import Tensor
from pylfr.protocols import DeviceGallery, Gallery
from pylfr.types import Candidates, Reference, Templates


class PrunedGallery(WrappedGallery):
    """A ``Gallery`` over the index of ``gallery``, which was built from ``snapshot``, without the entries ``gone``.

    Their templates stay in memory as long as that index does. Every search asks for as many more candidates.
    """

    def __init__(self, gallery: Gallery, snapshot: WatchlistSnapshot, gone: frozenset[int]) -> None:
        super().__init__(gallery)
        self._gone = gone
        self._numbers = np.array(sorted(gone), np.int64)
        first, last = (np.searchsorted(snapshot.entry, self._numbers, side=side) for side in ("left", "right"))
        self._references = len(gallery) - int((last - first).sum())

    def __len__(self) -> int:
        return self._references

    def search(self, probes: Templates, k: int) -> Candidates:
        return self._pruned(self._gallery.search(probes, k + len(self._gone)), k)

    def reference(self, entry: int) -> Reference:
        if entry in self._gone:
            raise KeyError(f"the watchlist has no entry {entry} any more")
        return super().reference(entry)

    def _pruned(self, found: Candidates, k: int) -> Candidates:
        is_here = (found.entry >= 0) & ~np.isin(found.entry, self._numbers)
        # Those that stay come first, in their order.
        order = np.argsort(~is_here, axis=1, kind="stable")[:, :k]
        stays = np.take_along_axis(is_here, order, axis=1)
        return Candidates(
            scores=np.where(stays, np.take_along_axis(found.scores, order, axis=1), np.float32(-1)),
            entry=np.where(stays, np.take_along_axis(found.entry, order, axis=1), -1),
        )


class PrunedDeviceGallery(PrunedGallery):
    """The same of a ``DeviceGallery``."""

    def __init__(self, gallery: DeviceGallery, snapshot: WatchlistSnapshot, gone: frozenset[int]) -> None:
        super().__init__(gallery, snapshot, gone)
        self._there = gallery

    def search_on(self, probes: Tensor, *, model: str, k: int) -> Candidates:
        return self._pruned(self._there.search_on(probes, model=model, k=k + len(self._gone)), k)


def prune(gallery: Gallery, snapshot: WatchlistSnapshot, gone: frozenset[int]) -> Gallery:
    """``gallery``, which was built from ``snapshot``, without the entries ``gone``; itself where there are none."""
    if not gone:
        return gallery
    if isinstance(gallery, DeviceGallery):
        return PrunedDeviceGallery(gallery, snapshot, gone)
    return PrunedGallery(gallery, snapshot, gone)
