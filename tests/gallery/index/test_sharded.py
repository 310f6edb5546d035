"""A gallery in parts finds what one index finds, to the bit, wherever it is cut; probes leave nothing on the host."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pylfr import ops
from pylfr.errors import CudaError, WatchlistError
from pylfr.gallery.index import build, reloading
from pylfr.gallery.index.build import build_gallery
from pylfr.gallery.index.device import DeviceIndexGallery, reference_bytes
from pylfr.gallery.index.native import NativeGallery
from pylfr.gallery.index.reloading import LiveGallery, open_gallery
from pylfr.gallery.index.sharded import DeviceAndHostGallery, ShardedGallery, open_in_parts, split_snapshot
from pylfr.gallery.watchlist import snapshot as snapshots
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.snapshot import WatchlistSnapshot
from pylfr.gallery.watchlist.watchlist import create_watchlist, open_watchlist
from pylfr.protocols import DeviceGallery
from pylfr.types import Candidates, Float32, Precision, Templates
from tests.gallery.index.test_ranking import cases, probes_of
from tests.gallery.index.test_reloading import enrol
from tests.gallery.snapshots import snapshot_of, unit
from tests.gallery.stand_ins import MODEL, StandInEmbedder, probe_of

PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")
# A snapshot, probes, how many candidates, and where it is cut.
Cut = tuple[WatchlistSnapshot, Float32, int, list[int]]


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    """Cut anywhere, also within an entry, at the ends, and more than once at the same place."""
    snapshot, probes, k = draw(cases())
    rows = draw(st.lists(st.integers(0, len(snapshot)), max_size=6).map(sorted))
    return snapshot, probes, k, rows


def on_host(snapshot: WatchlistSnapshot, precision: Precision) -> DeviceIndexGallery:
    """The index of a device, with the device's schedule, in the memory of the host."""
    return DeviceIndexGallery(snapshot, precision=precision, stream=ops.Stream("cpu"))


def split_over(snapshot: WatchlistSnapshot, row: int, precision: Precision) -> DeviceAndHostGallery:
    there, here = split_snapshot(snapshot, [row])
    return DeviceAndHostGallery(snapshot, there=on_host(there, precision), here=NativeGallery(here))


def on_device(vectors: Float32) -> ops.Tensor:
    stream = ops.Stream("cpu")
    tensor = ops.Tensor(vectors.shape, "float32", stream)
    tensor.copy_from(vectors, stream)
    return tensor


def require_same(found: Candidates, wanted: Candidates) -> None:
    np.testing.assert_array_equal(found.entry, wanted.entry)
    np.testing.assert_array_equal(found.scores, wanted.scores)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cuts())
def test_several_indexes_give_the_candidates_of_one_wherever_they_are_cut(case: Cut) -> None:
    snapshot, vectors, k, rows = case
    parts = split_snapshot(snapshot, rows)
    assert np.array_equal(np.concatenate([part.entry for part in parts]), snapshot.entry)
    assert all(set(one.entry).isdisjoint(other.entry) for one, other in pairwise(parts))
    gallery = ShardedGallery(snapshot, [NativeGallery(part) for part in parts])
    require_same(gallery.search(probes_of(vectors), k), NativeGallery(snapshot).search(probes_of(vectors), k))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cuts(), st.sampled_from(PRECISIONS))
def test_a_device_and_the_host_give_the_candidates_of_one_index_wherever_it_is_cut(
    case: Cut, precision: Precision
) -> None:
    snapshot, vectors, k, rows = case
    gallery = split_over(snapshot, rows[0] if rows else 0, precision)
    wanted = NativeGallery(snapshot).search(probes_of(vectors), k)
    require_same(gallery.search(probes_of(vectors), k), wanted)
    if len(vectors):
        require_same(gallery.search_on(on_device(vectors), model="m", k=k), wanted)


def random_snapshot(references: int, dimension: int = 32) -> WatchlistSnapshot:
    rng = np.random.default_rng(16)
    entry = sorted(rng.integers(1, references // 2, references).tolist())
    return snapshot_of(entry, unit(rng.standard_normal((references, dimension)).astype(np.float32)))


def test_more_probes_than_come_to_the_host_at_once_are_all_searched() -> None:
    snapshot = random_snapshot(300)
    vectors = snapshot.vectors[:150].copy()
    gallery = split_over(snapshot, 100, "int8")
    require_same(
        gallery.search_on(on_device(vectors), model="m", k=4), NativeGallery(snapshot).search(probes_of(vectors), 4)
    )
    assert gallery.search_on(on_device(vectors[:0]), model="m", k=4).entry.shape == (0, 4)


class Failing(NativeGallery):
    """A part that fails once it has its probes, and says what it had."""

    seen = 0

    def search(self, probes: Templates, k: int) -> Candidates:
        self.seen = int(np.count_nonzero(probes.vectors))
        raise MemoryError("there is none left")


@pytest.mark.parametrize("fails", [False, True])
def test_no_probe_is_left_on_the_host_also_where_its_search_fails(fails: bool) -> None:
    snapshot = random_snapshot(100)
    there, here = split_snapshot(snapshot, [40])
    rest = Failing(here) if fails else NativeGallery(here)
    gallery = DeviceAndHostGallery(snapshot, there=on_host(there, "float32"), here=rest)
    probes = on_device(snapshot.vectors[:70].copy())
    if isinstance(rest, Failing):
        with pytest.raises(MemoryError):
            gallery.search_on(probes, model="m", k=1)
        assert rest.seen > 60 * 32
    else:
        gallery.search_on(probes, model="m", k=1)
    assert not gallery._pool.array.any()


def test_the_parts_take_no_memory_of_their_own_on_the_host() -> None:
    snapshot = random_snapshot(100)
    there, here = split_snapshot(snapshot, [40])
    assert np.shares_memory(there.vectors, snapshot.vectors)
    assert np.shares_memory(here.vectors, snapshot.vectors)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_as_much_is_on_the_device_as_its_share_holds(precision: Precision) -> None:
    snapshot = snapshot_of(list(range(3000)), unit(np.random.default_rng(1).standard_normal((3000, 512), np.float32)))
    sizes = []

    def open_there(part: WatchlistSnapshot, precision: Precision) -> DeviceIndexGallery:
        sizes.append(len(part))
        gallery = on_host(part, precision)
        assert gallery.nbytes <= 2 << 20
        assert gallery.nbytes + reference_bytes(512, precision) > 2 << 20
        return gallery

    gallery = open_in_parts(snapshot, precision, device_mib=2, open_there=open_there)
    assert isinstance(gallery, DeviceAndHostGallery)
    assert isinstance(gallery, DeviceGallery), "the engine searches where its probes are"
    assert (len(gallery), sizes) == (3000, [(2 << 20) // reference_bytes(512, precision)])


def test_what_fits_on_the_device_is_one_index_there() -> None:
    whole = open_in_parts(random_snapshot(100), "int8", device_mib=1, open_there=on_host)
    assert isinstance(whole, DeviceIndexGallery)


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], LiveGallery]:
    """Opens a gallery of six people of whom two fit on the device; it follows its file."""
    monkeypatch.setattr("pylfr.gallery.index.sharded.reference_bytes", lambda *_: 1 << 19)
    monkeypatch.setattr(build, "open_in_parts", partial(open_in_parts, open_there=on_host))
    with create_watchlist(tmp_path / "people.watchlist", StandInEmbedder()) as watchlist:
        for person in range(1, 7):
            enrol(watchlist, person)
    return lambda: open_gallery(
        tmp_path / "people.watchlist", model=MODEL, index="device-int8", device_mib=1, poll_ms=0
    )


def found(gallery: LiveGallery, person: int) -> str | None:
    """Whom a probe of that person finds, on the device and on the host alike."""
    now = gallery.snapshot()
    assert isinstance(now, DeviceGallery)
    probe = probe_of(person)
    candidates = now.search_on(on_device(probe.vectors), model=MODEL, k=1)
    require_same(now.search(probe, 1), candidates)
    if candidates.scores[0, 0] < 0.5:
        return None
    return now.reference(int(candidates.entry[0, 0])).name


def test_who_is_withdrawn_or_enrolled_counts_at_once_in_whatever_part_they_are(
    tmp_path: Path, live: Callable[[], LiveGallery]
) -> None:
    gallery = live()
    assert isinstance(gallery.snapshot(), DeviceAndHostGallery)
    assert [found(gallery, person) for person in (1, 2, 3, 6)] == [f"person {each}" for each in (1, 2, 3, 6)]
    with open_watchlist(tmp_path / "people.watchlist") as watchlist:
        before = gallery.revision
        # One of those on the device, whose place another takes, and one of those on the host.
        for person in (1, 5):
            watchlist.remove(f"person {person}")
            assert found(gallery, person) is None
        enrol(watchlist, 7)
        assert [found(gallery, person) for person in (2, 3, 4, 6, 7)] == [f"person {each}" for each in (2, 3, 4, 6, 7)]
        assert (gallery.revision, len(gallery)) == (before + 3, 5)
        for person in (2, 3, 4, 6):
            watchlist.remove(f"person {person}")
        assert not isinstance(gallery.snapshot(), DeviceAndHostGallery), "the rest fits on the device"
        assert found(gallery, 7) == "person 7"


def test_who_is_taken_off_while_the_next_revision_is_prepared_is_found_in_no_part(
    tmp_path: Path, live: Callable[[], LiveGallery], monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = live()
    monkeypatch.setattr(reloading, "_LARGE", 1)
    monkeypatch.setattr(reloading, "_aside", lambda _: None)
    with open_watchlist(tmp_path / "people.watchlist") as watchlist:
        watchlist.remove("person 2")
        watchlist.remove("person 6")
    assert [found(gallery, person) for person in (1, 2, 3, 6)] == ["person 1", None, "person 3", None]


def test_who_expires_is_found_in_no_part(
    tmp_path: Path, live: Callable[[], LiveGallery], monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    with open_watchlist(tmp_path / "people.watchlist") as watchlist:
        watchlist.remove("person 1")
        enrol(watchlist, 8, expires_at=soon)
    gallery = live()
    assert found(gallery, 8) == "person 8"
    monkeypatch.setattr(sqlite_file, "now", lambda: soon)
    assert [found(gallery, person) for person in (2, 6, 8)] == ["person 2", "person 6", None]


def test_a_share_of_the_device_is_refused_for_an_index_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="device_mib, 1 or more, is for device-float32"):
        build_gallery(random_snapshot(10), "native", device_mib=100)
    with pytest.raises(ValueError, match="got 0 for 'device-int8'"):
        open_gallery(tmp_path / "none", model=MODEL, index="device-int8", device_mib=0)


@pytest.mark.skipif(ops.cuda_device_count() > 0, reason="a device is there")
def test_without_a_device_its_share_is_refused() -> None:
    with pytest.raises(CudaError):
        build_gallery(random_snapshot(100, 512), "device-int8", device_mib=1)


def test_a_list_that_this_machine_cannot_hold_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "people.watchlist"
    with create_watchlist(path, StandInEmbedder()) as watchlist:
        enrol(watchlist, 1)
        enrol(watchlist, 2)
    monkeypatch.setattr(snapshots, "_LARGE_BYTES", 0)
    monkeypatch.setattr(snapshots, "free_memory_bytes", lambda: 1023)
    with pytest.raises(WatchlistError, match=r"2 references of 128 numbers.*probes are never sent to another machine"):
        open_gallery(path, model=MODEL)
    monkeypatch.setattr(snapshots, "free_memory_bytes", lambda: 1024)
    assert len(open_gallery(path, model=MODEL)) == 2
