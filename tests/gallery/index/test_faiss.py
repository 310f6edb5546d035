"""FAISS on a GPU: with a simulated GPU the candidates of the native gallery, with the real FAISS the refusals."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from pylfr.errors import CudaError, WatchlistError
from pylfr.gallery.index.build import IndexName, build_gallery
from pylfr.gallery.index.faiss import FaissGallery, open_faiss_gpu
from pylfr.gallery.index.native import NativeGallery
from pylfr.gallery.index.reloading import open_gallery
from pylfr.gallery.watchlist.snapshot import WatchlistSnapshot
from pylfr.gallery.watchlist.watchlist import create_watchlist, open_watchlist
from pylfr.protocols import DeviceGallery
from pylfr.types import Candidates, Float32
from tests.gallery.faiss_with_a_gpu import GpuIndexFlatIP, faiss_with
from tests.gallery.index.test_ranking import cases, probes_of
from tests.gallery.snapshots import snapshot_of, unit
from tests.gallery.stand_ins import MODEL, StandInDetector, StandInEmbedder, image_of, probe_of

NAMES: tuple[IndexName, ...] = ("faiss-gpu", "faiss-gpu-float16")


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "faiss", faiss_with(gpus=1))
    yield
    GpuIndexFlatIP.made.clear()


def random_snapshot(references: int, dimension: int = 64) -> WatchlistSnapshot:
    rng = np.random.default_rng(references)
    entry = sorted(rng.integers(1, max(2, references // 3), references).tolist())
    return snapshot_of(entry, unit(rng.normal(size=(references, dimension)).astype(np.float32)))


def assert_same(found: Candidates, wanted: Candidates) -> None:
    np.testing.assert_array_equal(found.entry, wanted.entry)
    np.testing.assert_array_equal(found.scores, wanted.scores)


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("half", [False, True])
@settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_its_candidates_are_those_of_the_native_gallery_ties_too(
    half: bool, case: tuple[WatchlistSnapshot, Float32, int]
) -> None:
    snapshot, vectors, k = case
    probes = probes_of(vectors)
    assert_same(open_faiss_gpu(snapshot, half=half).search(probes, k), NativeGallery(snapshot).search(probes, k))


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("references", "k"), [(1, 1), (3000, 5), (6000, 700)])
def test_they_agree_on_real_sizes_and_beyond_what_a_gpu_selects(half: bool, references: int, k: int) -> None:
    snapshot = random_snapshot(references)
    probes = probes_of(np.ascontiguousarray(snapshot.vectors[:7]))
    assert_same(open_faiss_gpu(snapshot, half=half).search(probes, k), NativeGallery(snapshot).search(probes, k))


@pytest.mark.usefixtures("a_gpu")
def test_references_that_float16_cannot_tell_apart_are_ranked_by_their_exact_scores() -> None:
    angles = np.linspace(0, 1e-3, 3000)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    snapshot = snapshot_of(list(range(1, 3001)), vectors)
    probes = probes_of(np.array([[1, 0], [np.cos(1e-3), np.sin(1e-3)]], np.float32))
    assert_same(open_faiss_gpu(snapshot, half=True).search(probes, 5), NativeGallery(snapshot).search(probes, 5))


@pytest.mark.usefixtures("a_gpu")
def test_the_best_reference_is_found_though_float16_ranks_many_before_it() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        centre = rng.normal(size=8)
        vectors = unit((centre / np.linalg.norm(centre) + rng.normal(0, 0.02, (3000, 8))).astype(np.float32))
        snapshot = snapshot_of(list(range(1, 3001)), vectors)
        probes = probes_of(unit((vectors[:40] + rng.normal(0, 0.02, (40, 8))).astype(np.float32)))
        assert_same(open_faiss_gpu(snapshot, half=True).search(probes, 5), NativeGallery(snapshot).search(probes, 5))


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("references", [0, 5])
def test_no_probes_and_no_references_are_answered_without_a_search(references: int) -> None:
    snapshot = random_snapshot(references) if references else snapshot_of([], np.empty((0, 64), np.float32))
    gallery = open_faiss_gpu(snapshot, half=False)
    assert gallery.search(probes_of(np.empty((0, 64), np.float32)), 2).entry.shape == (0, 2)
    if not references:
        assert gallery.search(probes_of(unit(np.ones((1, 64), np.float32))), 2).entry.tolist() == [[-1, -1]]


@pytest.mark.usefixtures("a_gpu")
def test_searches_of_many_threads_wait_for_each_other() -> None:
    snapshot = random_snapshot(2000)
    gallery, native = open_faiss_gpu(snapshot, half=False), NativeGallery(snapshot)
    probes = [probes_of(np.ascontiguousarray(snapshot.vectors[n : n + 4])) for n in range(40)]
    with ThreadPoolExecutor(8) as threads:
        for found, probe in zip(threads.map(lambda each: gallery.search(each, 3), probes), probes, strict=True):
            assert_same(found, native.search(probe, 3))


@pytest.mark.usefixtures("a_gpu")
def test_no_probe_is_left_in_the_temporary_memory() -> None:
    snapshot = random_snapshot(100)
    open_faiss_gpu(snapshot, half=False).search(probes_of(np.ascontiguousarray(snapshot.vectors[:3])), 2)
    left = GpuIndexFlatIP.made[0].resources.left_behind
    assert left.shape == (3, 64)
    assert not left.any()


@pytest.mark.usefixtures("a_gpu")
def test_a_search_that_fails_says_that_it_was_the_gpu_and_leaves_no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = random_snapshot(100)
    gallery = open_faiss_gpu(snapshot, half=False)
    plain = GpuIndexFlatIP.search

    def failing(index: GpuIndexFlatIP, probes: Float32, k: int) -> object:
        found = plain(index, probes, k)
        if probes.any():
            raise RuntimeError("out of memory")
        return found

    monkeypatch.setattr(GpuIndexFlatIP, "search", failing)
    with pytest.raises(CudaError, match="on the GPU: out of memory"):
        gallery.search(probes_of(np.ascontiguousarray(snapshot.vectors[:3])), 2)
    assert not GpuIndexFlatIP.made[0].resources.left_behind.any()


@pytest.mark.usefixtures("a_gpu")
def test_references_that_find_no_room_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(index: GpuIndexFlatIP, vectors: Float32) -> None:
        raise RuntimeError("cudaMalloc error")

    monkeypatch.setattr(GpuIndexFlatIP, "add", full)
    with pytest.raises(CudaError, match="100 references to the GPU: cudaMalloc error"):
        open_faiss_gpu(random_snapshot(100), half=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "people.watchlist"
    create_watchlist(path, StandInEmbedder()).close()
    enrol(path, 1)
    return path


def enrol(path: Path, person: int) -> None:
    with open_watchlist(path) as watchlist:
        watchlist.enrol(f"person {person}", image_of(person), detector=StandInDetector(), embedder=StandInEmbedder())


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("name", NAMES)
def test_it_is_chosen_by_name_and_stores_what_the_name_says(path: Path, name: IndexName) -> None:
    gallery = open_gallery(path, model=MODEL, index=name).snapshot()
    assert isinstance(gallery, FaissGallery)
    assert not isinstance(gallery, DeviceGallery)
    config = GpuIndexFlatIP.made[0].config
    assert (config.useFloat16, config.use_cuvs) == (name == "faiss-gpu-float16", False)


@pytest.mark.usefixtures("a_gpu")
def test_a_search_under_way_keeps_the_old_snapshot_which_then_leaves_the_gpu(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = open_gallery(path, model=MODEL, index="faiss-gpu", poll_ms=0)
    old = weakref.ref(GpuIndexFlatIP.made.pop())
    plain, begun, go_on = GpuIndexFlatIP.search, threading.Event(), threading.Event()

    def slow(index: GpuIndexFlatIP, probes: Float32, k: int) -> object:
        begun.set()
        assert go_on.wait(30)
        return plain(index, probes, k)

    with ThreadPoolExecutor(1) as thread:
        with monkeypatch.context() as patched:
            patched.setattr(GpuIndexFlatIP, "search", slow)
            under_way = thread.submit(gallery.search, probe_of(1), 2)
            assert begun.wait(30)
        enrol(path, 2)
        assert gallery.search(probe_of(2), 1).entry.tolist() == [[2]]
        assert old() is not None
        go_on.set()
        assert under_way.result(30).entry.tolist() == [[1, -1]]
    del under_way
    gc.collect()
    assert old() is None


@pytest.mark.usefixtures("a_gpu")
def test_who_is_removed_is_not_on_the_gpu_any_more(path: Path) -> None:
    gallery = open_gallery(path, model=MODEL, index="faiss-gpu", poll_ms=0)
    enrol(path, 2)
    with open_watchlist(path) as watchlist:
        watchlist.remove("person 1")
    assert gallery.search(probe_of(1), 2).entry.tolist() == [[2, -1]]


@pytest.mark.parametrize("name", NAMES)
def test_the_faiss_of_the_cpu_is_refused_with_what_to_install(path: Path, name: IndexName) -> None:
    import faiss  # noqa: TID251 - which of the packages is here

    if hasattr(faiss, "StandardGpuResources"):
        pytest.skip("the FAISS that is installed has GPU functions: nothing to refuse")
    with pytest.raises(WatchlistError, match=r"uninstall faiss-cpu.*pylfr\[faiss-gpu\]"):
        open_gallery(path, model=MODEL, index=name)


def test_a_faiss_that_counts_no_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", faiss_with(gpus=0))
    with pytest.raises(CudaError, match="counts no GPU: check the driver"):
        build_gallery(random_snapshot(3), "faiss-gpu")


def test_without_any_faiss_both_extras_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(WatchlistError, match=r"pylfr\[faiss-gpu\].*pylfr\[faiss-gpu-cuvs\]"):
        build_gallery(random_snapshot(3), "faiss-gpu")


@pytest.mark.cuda
@pytest.mark.parametrize("half", [False, True])
def test_on_a_device_the_real_faiss_agrees_with_the_native_gallery(half: bool) -> None:
    faiss = pytest.importorskip("faiss", reason="FAISS is not installed")
    if not hasattr(faiss, "StandardGpuResources"):
        pytest.skip("the FAISS that is installed has no GPU functions")
    snapshot = random_snapshot(20_000, 512)
    probes = probes_of(np.ascontiguousarray(snapshot.vectors[:9]))
    assert_same(open_faiss_gpu(snapshot, half=half).search(probes, 5), NativeGallery(snapshot).search(probes, 5))
