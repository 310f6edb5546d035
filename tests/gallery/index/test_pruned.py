"""A gallery less some entries gives what an index without them gives, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr import ops
from pylfr.gallery.index.device import DeviceIndexGallery
from pylfr.gallery.index.native import NativeGallery
from pylfr.gallery.index.pruned import prune
from pylfr.gallery.watchlist.snapshot import WatchlistSnapshot
from pylfr.protocols import DeviceGallery
from pylfr.types import Templates
from tests.gallery.snapshots import snapshot_of, unit

GONE = frozenset({2, 3, 40})


@pytest.fixture
def snapshot() -> WatchlistSnapshot:
    rows = unit(np.random.default_rng(0).standard_normal((90, 16)).astype(np.float32))
    return snapshot_of([number // 2 for number in range(90)], rows)


def probes_like(snapshot: WatchlistSnapshot, rows: list[int]) -> Templates:
    return Templates(vectors=snapshot.vectors[rows], model=snapshot.model)


@pytest.mark.parametrize("k", [1, 3, 45])
def test_a_pruned_gallery_finds_what_an_index_without_them_finds(snapshot: WatchlistSnapshot, k: int) -> None:
    probes = probes_like(snapshot, [4, 5, 6, 80, 20])
    wanted = NativeGallery(snapshot.without(GONE)).search(probes, k)
    device = DeviceIndexGallery(snapshot, precision="int8", stream=ops.Stream("cpu"))
    for gallery in (NativeGallery(snapshot), device):
        pruned = prune(gallery, snapshot, GONE)
        got = pruned.search(probes, k)
        assert got.entry.tolist() == wanted.entry.tolist()
        assert got.scores.tobytes() == wanted.scores.tobytes()
        assert (len(pruned), pruned.revision, pruned.model) == (84, snapshot.revision, snapshot.model)
        with pytest.raises(KeyError, match="no entry 40 any more"):
            pruned.reference(40)


def test_on_a_device_it_stays_a_gallery_of_the_device(snapshot: WatchlistSnapshot) -> None:
    stream = ops.Stream("cpu")
    pruned = prune(DeviceIndexGallery(snapshot, precision="float32", stream=stream), snapshot, GONE)
    assert isinstance(pruned, DeviceGallery)
    probes = probes_like(snapshot, [4, 81])
    there = ops.Tensor(probes.vectors.shape, "float32", stream)
    there.copy_from(np.ascontiguousarray(probes.vectors), stream)
    wanted = NativeGallery(snapshot.without(GONE)).search(probes, 3)
    assert pruned.search_on(there, model=snapshot.model, k=3).entry.tolist() == wanted.entry.tolist()
    assert not isinstance(prune(NativeGallery(snapshot), snapshot, GONE), DeviceGallery)


def test_without_anybody_gone_it_is_the_gallery_itself(snapshot: WatchlistSnapshot) -> None:
    gallery = NativeGallery(snapshot)
    assert prune(gallery, snapshot, frozenset()) is gallery
