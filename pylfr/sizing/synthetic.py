"""A synthetic watchlist of any size: random directions, nobody's. Search costs the same whoever is on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pylfr import ops
from pylfr.evaluation.images.people import central_faces
from pylfr.faces.detect import FaceDetector
from pylfr.faces.embed import FaceEmbedder
from pylfr.gallery.index.build import IndexName, build_gallery
from pylfr.gallery.index.reloading import FixedGallery
from pylfr.gallery.watchlist.portrait import encode_jpeg
from pylfr.gallery.watchlist.snapshot import ListedEntry, WatchlistSnapshot
from pylfr.types import Float32, UInt8, as_frames

_AT_ONCE = 100_000


class _AllAlike(Mapping[int, ListedEntry]):
    """Entries 0 to ``count`` - 1, all shown alike: a million of them take no memory."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._shown = ListedEntry(
            name="synthetic", expires_at=None, picture=encode_jpeg(np.full((64, 64, 3), 128, np.uint8))
        )

    def __getitem__(self, number: int) -> ListedEntry:
        if not 0 <= number < self._count:
            raise KeyError(number)
        return self._shown

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._count))

    def __len__(self) -> int:
        return self._count


def random_templates(count: int, dimension: int, *, seed: int = 0) -> Float32:
    """Unit vectors in random directions, float32 [count, dimension]."""
    draw = np.random.default_rng(seed)
    vectors = np.empty((count, dimension), np.float32)
    for start in range(0, count, _AT_ONCE):
        part = vectors[start : start + _AT_ONCE]
        draw.standard_normal(out=part, dtype=np.float32)
        ops.normalise(part)
    return vectors


def walkers_templates(pictures: Sequence[UInt8], detector: FaceDetector, embedder: FaceEmbedder) -> Float32:
    """Templates of the pictures that show a face, float32 [M, D]; pictures without a face are left out."""
    if not pictures:
        return np.empty((0, embedder.dimension), np.float32)
    faces = detector.detect(pictures)
    rows = central_faces(pictures, faces)
    found = rows >= 0
    chosen = faces.select(rows[found])
    if not len(chosen):
        return np.empty((0, embedder.dimension), np.float32)
    return embedder.embed(embedder.align(as_frames(pictures), chosen)).vectors


def synthetic_watchlist(
    size: int, embedder: FaceEmbedder, *, enrolled: Float32 | None = None, index: IndexName = "native"
) -> FixedGallery:
    """A watchlist of ``size`` random templates, the last of them replaced by ``enrolled``, float32 [M, D].

    Raises ``ValueError`` for a size below 1.
    """
    if size < 1:
        raise ValueError(f"a watchlist must have 1 entry or more, got {size}")
    vectors = random_templates(size, embedder.dimension)
    if enrolled is not None and len(enrolled):
        kept = min(size, len(enrolled))
        vectors[size - kept :] = enrolled[:kept]
    snapshot = WatchlistSnapshot(
        identity="synthetic",
        embedder=embedder.manifest.name,
        model=embedder.model,
        revision=1,
        entry=np.arange(size, dtype=np.int64),
        vectors=vectors,
        listed=_AllAlike(size),
    )
    return FixedGallery(build_gallery(snapshot, index))
