"""Snapshots of a watchlist without a file."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from pylfr import ops
from pylfr.gallery.watchlist.snapshot import ListedEntry, WatchlistSnapshot
from pylfr.types import Float32


def snapshot_of(entry: list[int], vectors: Float32, *, revision: int = 1, model: str = "m") -> WatchlistSnapshot:
    listed = {number: ListedEntry(name=f"entry {number}", expires_at=None, picture=b"") for number in set(entry)}
    return WatchlistSnapshot(
        identity="one",
        embedder="stand-in",
        model=model,
        revision=revision,
        entry=np.array(entry, np.int64),
        vectors=vectors,
        listed=MappingProxyType(listed),
    )


def unit(vectors: Float32) -> Float32:
    ops.normalise(vectors)
    return vectors
