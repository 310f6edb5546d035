"""Every gallery against a plain reference: the same candidates, to the bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylfr import ops
from pylfr.errors import WatchlistError
from pylfr.gallery.index.device import DeviceIndexGallery
from pylfr.gallery.index.faiss import open_faiss
from pylfr.gallery.index.native import NativeGallery
from pylfr.gallery.watchlist.snapshot import WatchlistSnapshot
from pylfr.protocols import Gallery
from pylfr.types import Candidates, Float32, Int64, Precision, Templates
from tests.gallery.snapshots import snapshot_of, unit


def probes_of(vectors: Float32) -> Templates:
    return Templates(vectors=vectors, model="m")


def plainly(probes: Float32, snapshot: WatchlistSnapshot, k: int) -> Candidates:
    """The best score of each entry by every product there is, then sorted: higher first, then the smaller number."""
    scores = np.full((len(probes), k), -1, np.float32)
    entries = np.full((len(probes), k), -1, np.int64)
    for n, probe in enumerate(probes):
        best: dict[int, float] = {}
        for number, vector in zip(snapshot.entry.tolist(), snapshot.vectors, strict=True):
            score = float(ops.search_exact(probe[None], vector[None], 1)[0][0, 0])
            best[number] = max(score, best.get(number, -2.0))
        ranked = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
        for place, (number, score) in enumerate(ranked):
            scores[n, place], entries[n, place] = score, number
    return Candidates(scores=scores, entry=entries)


def galleries(snapshot: WatchlistSnapshot) -> list[Gallery]:
    """Every gallery that runs here; the device's schedule runs on the CPU too."""
    home = ops.Stream("cpu")
    precisions: tuple[Precision, ...] = ("float32", "float16", "int8")
    on_device = [DeviceIndexGallery(snapshot, precision=each, stream=home) for each in precisions]
    return [NativeGallery(snapshot), open_faiss(snapshot), *on_device]


@st.composite
def cases(draw: st.DrawFn) -> tuple[WatchlistSnapshot, Float32, int]:
    """Few directions, so that references coincide and entries tie; entries with one to many references."""
    dimension = draw(st.sampled_from([2, 8, 19]))
    directions = draw(st.integers(1, 6))
    seed = draw(st.integers(0, 2**16))
    grid = np.random.default_rng(seed).integers(-2, 3, (directions, dimension)).astype(np.float32)
    grid[:, 0] += 5
    grid = unit(grid)
    entry = sorted(draw(st.lists(st.integers(1, 12), max_size=40)))
    rows = draw(st.lists(st.integers(0, directions - 1), min_size=len(entry), max_size=len(entry)))
    probes = draw(st.lists(st.integers(0, directions - 1), max_size=25))
    vectors = grid[rows] if rows else np.empty((0, dimension), np.float32)
    chosen = grid[probes] if probes else np.empty((0, dimension), np.float32)
    return snapshot_of(entry, np.ascontiguousarray(vectors)), np.ascontiguousarray(chosen), draw(st.integers(1, 15))


@settings(max_examples=150, deadline=None)
@given(cases())
def test_both_galleries_give_the_candidates_of_the_plain_reference(
    case: tuple[WatchlistSnapshot, Float32, int],
) -> None:
    snapshot, vectors, k = case
    wanted = plainly(vectors, snapshot, k)
    for gallery in galleries(snapshot):
        found = gallery.search(probes_of(vectors), k)
        np.testing.assert_array_equal(found.entry, wanted.entry)
        np.testing.assert_array_equal(found.scores, wanted.scores)


@pytest.mark.parametrize("count", [1, 19, 64])
def test_both_galleries_agree_on_real_sizes(count: int) -> None:
    rng = np.random.default_rng(count)
    entry = sorted(rng.integers(1, 800, 3000).tolist())
    snapshot = snapshot_of(entry, unit(rng.normal(size=(3000, 256)).astype(np.float32)))
    probes = probes_of(unit(rng.normal(size=(count, 256)).astype(np.float32)))
    native, faiss = NativeGallery(snapshot).search(probes, 5), open_faiss(snapshot).search(probes, 5)
    np.testing.assert_array_equal(native.entry, faiss.entry)
    np.testing.assert_array_equal(native.scores, faiss.scores)
    assert (np.diff(native.scores, axis=1) <= 0).all()
    every = snapshot.vectors @ probes.vectors.T
    np.testing.assert_allclose(native.scores[:, 0], every.max(axis=0), atol=1e-6)


def test_an_entry_counts_once_by_its_best_reference() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [0.8, 0.6], [0, 1]], np.float32)
    found = NativeGallery(snapshot_of([4, 4, 4, 9], vectors)).search(probes_of(vectors[:1].copy()), 3)
    assert found.entry.tolist() == [[4, 9, -1]]
    assert found.scores.tolist() == [[1, 0, -1]]


def test_ties_go_to_the_smaller_number_however_many_there_are() -> None:
    vectors = np.ones((500, 1), np.float32)
    snapshot = snapshot_of(list(range(1, 501)), vectors)
    for gallery in galleries(snapshot):
        assert gallery.search(probes_of(vectors[:2].copy()), 3).entry.tolist() == [[1, 2, 3], [1, 2, 3]]


def test_no_probes_give_no_rows() -> None:
    snapshot = snapshot_of([1], np.ones((1, 1), np.float32))
    for gallery in galleries(snapshot):
        assert gallery.search(probes_of(np.empty((0, 1), np.float32)), 4).entry.shape == (0, 4)


def test_another_dimension_is_refused_naming_both() -> None:
    gallery = NativeGallery(snapshot_of([1], np.ones((1, 1), np.float32)))
    with pytest.raises(ValueError, match="dimension 1, got 3"):
        gallery.search(probes_of(np.ones((1, 3), np.float32)), 1)
    with pytest.raises(WatchlistError, match="stand-in"):
        gallery.search(Templates(vectors=np.ones((1, 1), np.float32), model="x"), 1)


def test_one_entry_with_many_references_hides_nobody() -> None:
    rng = np.random.default_rng(3)
    face = rng.normal(size=(1, 32)).astype(np.float32)
    many = face + 0.01 * rng.normal(size=(400, 32)).astype(np.float32)
    others = rng.normal(size=(600, 32)).astype(np.float32)
    snapshot = snapshot_of([1] * 400 + list(range(2, 602)), unit(np.concatenate([many, others])))
    assert snapshot.most_references == 400
    wanted = plainly(unit(face), snapshot, 5)
    for each in galleries(snapshot):
        np.testing.assert_array_equal(each.search(probes_of(face), 5).entry, wanted.entry)


def test_one_entry_with_many_references_costs_the_others_no_second_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its references fill the shortlist of its own probe alone, which is then asked for more."""
    rng = np.random.default_rng(4)
    vectors = unit(rng.normal(size=(1000, 32)).astype(np.float32))
    vectors[:400] = vectors[0]
    gallery = open_faiss(snapshot_of([1] * 400 + list(range(2, 602)), vectors))
    asked: list[int] = []
    search = gallery._index.search
    monkeypatch.setattr(gallery, "_index", Counted(search, asked))
    gallery.search(probes_of(unit(rng.normal(size=(3, 32)).astype(np.float32))), 5)
    assert asked == [256]
    gallery.search(probes_of(vectors[:1].copy()), 5)
    assert asked == [256, 256, 1000]


class Counted:
    """An index that notes for how many it is asked."""

    def __init__(self, search: Callable[[Float32, int], tuple[Float32, Int64]], asked: list[int]) -> None:
        self._search = search
        self._asked = asked

    def search(self, probes: Float32, count: int) -> tuple[Float32, Int64]:
        self._asked.append(count)
        return self._search(probes, count)


@pytest.mark.parametrize(("entry", "most"), [([], 0), ([7], 1), ([1, 1, 2], 2), ([1, 2, 2, 2, 9], 3), ([3, 3], 2)])
def test_the_most_references_of_an_entry_are_counted(entry: list[int], most: int) -> None:
    assert snapshot_of(entry, np.ones((len(entry), 1), np.float32)).most_references == most
