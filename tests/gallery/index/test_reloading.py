from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from pylfr.errors import CudaError, WatchlistError
from pylfr.gallery.index import build, reloading
from pylfr.gallery.index.build import IndexName
from pylfr.gallery.index.native import NativeGallery
from pylfr.gallery.index.reloading import LiveGallery, open_gallery
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.snapshot import WatchlistSnapshot, read_snapshot
from pylfr.gallery.watchlist.watchlist import Watchlist, create_watchlist, open_watchlist
from pylfr.protocols import Gallery
from tests.gallery.stand_ins import MODEL, OTHER_MODEL, StandInDetector, StandInEmbedder, image_of, probe_of

REPOSITORY = Path(__file__).parents[3]
INDICES: tuple[IndexName, ...] = ("native", "faiss")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "people.watchlist"
    create_watchlist(path, StandInEmbedder()).close()
    return path


def enrol(watchlist: Watchlist, person: int, *, view: int = 0, expires_at: datetime | None = None) -> None:
    watchlist.enrol(
        f"person {person}",
        image_of(person, view=view),
        detector=StandInDetector(),
        embedder=StandInEmbedder(),
        expires_at=expires_at,
    )


@pytest.mark.parametrize("index", INDICES)
def test_an_empty_watchlist_gives_no_candidates(path: Path, index: IndexName) -> None:
    gallery = open_gallery(path, model=MODEL, index=index)
    candidates = gallery.search(probe_of(1), 3)
    assert candidates.entry.tolist() == [[-1, -1, -1]]
    assert candidates.scores.tolist() == [[-1, -1, -1]]
    assert len(gallery) == 0


@pytest.mark.parametrize("index", INDICES)
def test_whoever_is_enrolled_or_removed_counts_without_a_restart(path: Path, index: IndexName) -> None:
    gallery = open_gallery(path, model=MODEL, index=index, poll_ms=0)
    with open_watchlist(path) as watchlist:
        enrol(watchlist, 1)
        candidates = gallery.search(probe_of(1), 1)
        assert gallery.reference(int(candidates.entry[0, 0])).name == "person 1"
        assert candidates.scores[0, 0] > 0.7
        enrol(watchlist, 1, view=1)
        assert (gallery.revision, len(gallery)) == (2, 2)
        watchlist.remove("person 1")
        assert gallery.search(probe_of(1), 1).entry.tolist() == [[-1]]
        with pytest.raises(KeyError, match="has no entry 1"):
            gallery.reference(1)


def test_a_snapshot_stays_as_it_is(path: Path) -> None:
    gallery = open_gallery(path, model=MODEL, poll_ms=0)
    with open_watchlist(path) as watchlist:
        enrol(watchlist, 1)
        snapshot = gallery.snapshot()
        watchlist.remove("person 1")
        assert gallery.revision == 2
        assert snapshot.revision == 1
        assert snapshot.search(probe_of(1), 1).entry.tolist() == [[1]]
        assert snapshot.reference(1).name == "person 1"


def test_the_file_is_looked_at_once_in_poll_ms_and_whenever_it_is_asked_for(path: Path) -> None:
    gallery = open_gallery(path, model=MODEL, poll_ms=3_600_000)
    with open_watchlist(path) as watchlist:
        enrol(watchlist, 1)
    assert gallery.revision == 0
    gallery.refresh()
    assert gallery.revision == 1


def test_a_gallery_that_follows_nothing_outlives_its_file(path: Path) -> None:
    with open_watchlist(path) as watchlist:
        enrol(watchlist, 1)
    gallery = open_gallery(path, model=MODEL)
    path.unlink()
    assert gallery.search(probe_of(1), 1).entry.tolist() == [[1]]
    assert gallery.reference(1).picture.size > 0


def test_a_watchlist_that_vanishes_stops_whoever_follows_it(path: Path) -> None:
    gallery = open_gallery(path, model=MODEL, poll_ms=0)
    path.unlink()
    with pytest.raises(WatchlistError, match="does not exist"):
        gallery.snapshot()


def test_a_watchlist_made_anew_is_noticed_though_its_revision_is_the_same(path: Path) -> None:
    with open_watchlist(path) as watchlist:
        enrol(watchlist, 1)
    gallery = open_gallery(path, model=MODEL, poll_ms=0)
    path.unlink()
    with create_watchlist(path, StandInEmbedder()) as watchlist:
        enrol(watchlist, 2)
    assert gallery.reference(1).name == "person 2"
    path.unlink()
    create_watchlist(path, StandInEmbedder(model=OTHER_MODEL)).close()
    with pytest.raises(WatchlistError, match=f"{OTHER_MODEL[:12]}.*{MODEL[:12]}"):
        gallery.snapshot()


@pytest.mark.parametrize("poll_ms", [None, 0])
def test_an_entry_is_not_found_from_the_moment_it_expires(
    path: Path, monkeypatch: pytest.MonkeyPatch, poll_ms: float | None
) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    with open_watchlist(path) as watchlist:
        enrol(watchlist, 1, expires_at=soon)
        enrol(watchlist, 2)
    gallery = open_gallery(path, model=MODEL, poll_ms=poll_ms)
    assert gallery.search(probe_of(1), 2).entry[0, 0] == 1
    monkeypatch.setattr(sqlite_file, "now", lambda: soon)
    assert gallery.search(probe_of(1), 2).entry.tolist() == [[2, -1]]
    assert len(gallery) == 1
    assert len(open_gallery(path, model=MODEL)) == 1


@pytest.mark.parametrize("index", INDICES)
def test_probes_that_do_not_fit_are_refused(path: Path, index: IndexName) -> None:
    gallery = open_gallery(path, model=MODEL, index=index)
    with pytest.raises(WatchlistError, match=f"{MODEL}.*{OTHER_MODEL}"):
        gallery.search(probe_of(1, model=OTHER_MODEL), 1)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        gallery.search(probe_of(1), 0)


def test_an_unknown_index_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match=r"index must be one of native, faiss, .*got 'annoy'"):
        open_gallery(path, model=MODEL, index="annoy")  # type: ignore[arg-type]


def test_faiss_is_asked_for_by_the_name_of_its_extra(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(WatchlistError, match=r'pip install "pylfr\[faiss\]"'):
        open_gallery(path, model=MODEL, index="faiss")


CHANGES = """
import sys
from pathlib import Path
from pylfr.gallery.watchlist.snapshot import read_snapshot
from pylfr.gallery.watchlist.watchlist import open_watchlist
from tests.gallery.stand_ins import StandInDetector, StandInEmbedder, image_of

with open_watchlist(Path(sys.argv[1])) as watchlist:
    for person in range(2, 42):
        watchlist.enrol(f"person {person}", image_of(person), detector=StandInDetector(), embedder=StandInEmbedder())
        if person % 2:
            watchlist.remove(f"person {person}")
"""


@pytest.mark.parametrize("index", INDICES)
def test_searches_go_on_while_another_process_enrols_and_removes(path: Path, index: IndexName) -> None:
    with open_watchlist(path) as watchlist:
        enrol(watchlist, 1)
    gallery = open_gallery(path, model=MODEL, index=index, poll_ms=0)
    faults: list[str] = []
    revisions: set[int] = set()
    done = threading.Event()

    def search() -> None:
        last = 0
        # SQLite lets nobody write for as long as somebody reads: on a busy machine the others would never have a turn.
        while not done.wait(0.005):
            snapshot = gallery.snapshot()
            candidates = snapshot.search(probe_of(1), 50)
            found = candidates.entry[candidates.entry >= 0].tolist()
            if found[0] != 1 or len(found) != len(snapshot) or len(set(found)) != len(found):
                faults.append(f"revision {snapshot.revision} of {len(snapshot)} gave {found}")
            if any(snapshot.reference(each).entry != each for each in found[:3]):
                faults.append(f"revision {snapshot.revision} cannot show {found}")
            if snapshot.revision < last:
                faults.append(f"revision {snapshot.revision} came after {last}")
            last = snapshot.revision
            revisions.add(last)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        subprocess.run([sys.executable, "-c", CHANGES, str(path)], cwd=REPOSITORY, check=True)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert faults == []
    assert len(revisions) > 3, "the searches saw the list change"
    assert (gallery.revision, len(gallery)) == (61, 21)
    np.testing.assert_array_equal(gallery.search(probe_of(40), 1).entry, [[40]])


def following(path: Path, *, grace_s: float) -> LiveGallery:
    with closing(sqlite_file.connect(path)) as connection, sqlite_file.reading(connection):
        snapshot = read_snapshot(connection, path, now=sqlite_file.now())
    return LiveGallery(path, snapshot, build=NativeGallery, poll_ms=0, authorised=None, key=None, grace_s=grace_s)


def test_a_watchlist_that_is_gone_for_a_while_is_ridden_out_and_no_longer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_watchlist(path) as watchlist:
        enrol(watchlist, 1)
    now_s = [100.0]
    monkeypatch.setattr("pylfr.gallery.index.reloading.time.monotonic", lambda: now_s[0])
    gallery = following(path, grace_s=60)
    path.rename(path.with_suffix(".away"))
    assert len(gallery.snapshot()) == 1
    assert "does not exist" in gallery.trouble
    now_s[0] += 59
    assert len(gallery.snapshot()) == 1
    path.with_suffix(".away").rename(path)
    assert len(gallery.snapshot()) == 1
    assert gallery.trouble == ""
    path.unlink()
    assert len(gallery.snapshot()) == 1
    now_s[0] += 60
    with pytest.raises(WatchlistError, match=r"does not exist.*it has been so for 60 s"):
        gallery.snapshot()


def test_a_watchlist_that_is_locked_does_not_hold_a_run_up(path: Path) -> None:
    gallery = following(path, grace_s=60)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert len(gallery.snapshot()) == 0
        assert "is locked by another process" in gallery.trouble
        other.execute("ROLLBACK")
    gallery.refresh()
    assert gallery.trouble == ""


def test_a_watchlist_that_is_damaged_is_not_ridden_out(path: Path) -> None:
    gallery = following(path, grace_s=60)
    path.write_bytes(b"no database" * 100)
    with pytest.raises(WatchlistError, match="another kind of file"):
        gallery.snapshot()


class SlowIndex:
    """Builds an index only when a test says so."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.begun = threading.Semaphore(0)
        self.threads: list[threading.Thread] = []

    def __call__(self, snapshot: WatchlistSnapshot) -> Gallery:
        self.threads.append(threading.current_thread())
        self.begun.release()
        assert self.may_go_on.wait(30)
        return NativeGallery(snapshot)


@pytest.fixture
def slow_index(monkeypatch: pytest.MonkeyPatch) -> SlowIndex:
    """Every watchlist is large, and its index takes long."""
    slow = SlowIndex()
    monkeypatch.setattr(reloading, "_LARGE", 0)
    monkeypatch.setitem(cast("dict[str, object]", build._BUILDERS), "native", slow)
    return slow


def test_a_large_revision_is_prepared_aside_and_who_was_taken_off_is_not_found_meanwhile(
    path: Path, slow_index: SlowIndex
) -> None:
    with open_watchlist(path) as watchlist:
        for person in (1, 2, 3):
            enrol(watchlist, person)
        slow_index.may_go_on.set()
        gallery = open_gallery(path, model=MODEL, poll_ms=0)
        slow_index.may_go_on.clear()
        watchlist.remove("person 2")
        enrol(watchlist, 4)
        # All of this while the new index is not there.
        meanwhile = gallery.snapshot()
        assert (meanwhile.revision, len(meanwhile)) == (3, 2)
        assert meanwhile.search(probe_of(2), 3).entry[0, 2] == -1
        assert 2 not in meanwhile.search(probe_of(2), 3).entry
        assert meanwhile.search(probe_of(3), 1).entry.tolist() == [[3]]
        assert meanwhile.search(probe_of(4), 1).entry.tolist() != [[4]]
        with pytest.raises(KeyError, match="no entry 2 any more"):
            meanwhile.reference(2)
        # A second change does not begin anew, but takes effect.
        watchlist.remove("person 1")
        assert set(gallery.search(probe_of(1), 3).entry[0].tolist()) == {3, -1}
        assert all(slow_index.begun.acquire(timeout=30) for _ in range(2))
        assert [thread is threading.main_thread() for thread in slow_index.threads] == [True, False]
        slow_index.may_go_on.set()
        gallery.refresh()
        gallery.refresh()
        assert gallery.search(probe_of(4), 1).entry.tolist() == [[4]]
        assert (gallery.revision, len(gallery)) == (6, 2)
        gallery.close()
    for thread in set(slow_index.threads) - {threading.main_thread()}:
        thread.join(30)
        assert not thread.is_alive()


def test_an_entry_that_expires_while_a_revision_is_prepared_brings_nobody_back(
    path: Path, slow_index: SlowIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    with open_watchlist(path) as watchlist:
        enrol(watchlist, 1)
        enrol(watchlist, 2, expires_at=now + timedelta(days=1))
        enrol(watchlist, 3)
        slow_index.may_go_on.set()
        gallery = open_gallery(path, model=MODEL, poll_ms=0)
        slow_index.may_go_on.clear()
        watchlist.remove("person 1")
        assert set(gallery.search(probe_of(1), 3).entry[0].tolist()) == {2, 3, -1}
        gallery._poll_s = 3600.0
        monkeypatch.setattr(sqlite_file, "now", lambda: now + timedelta(days=2))
        slow_index.may_go_on.set()
        assert set(gallery.search(probe_of(1), 3).entry[0].tolist()) == {3, -1}
        gallery.close()


def test_what_goes_wrong_while_a_revision_is_prepared_is_said_at_the_next_check(
    path: Path, slow_index: SlowIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_index.may_go_on.set()
    with open_watchlist(path) as watchlist:
        enrol(watchlist, 1)
        gallery = open_gallery(path, model=MODEL, poll_ms=0)
        enrol(watchlist, 2)

        def fail(_: WatchlistSnapshot) -> Gallery:
            raise CudaError("no room on the device")

        gallery._build = fail
        with pytest.raises(CudaError, match="no room on the device"):
            gallery.refresh()
        gallery._build = NativeGallery
        gallery.refresh()
        assert gallery.search(probe_of(2), 1).entry.tolist() == [[2]]
        gallery.close()


def test_more_than_a_few_taken_off_at_once_are_not_waited_for_aside(path: Path, slow_index: SlowIndex) -> None:
    slow_index.may_go_on.set()
    with open_watchlist(path) as watchlist:
        for person in range(4):
            enrol(watchlist, person)
        gallery = open_gallery(path, model=MODEL, poll_ms=0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reloading, "_MOST_PRUNED", 1)
            for person in (0, 1):
                watchlist.remove(f"person {person}")
            assert (gallery.revision, len(gallery)) == (6, 2)
        assert slow_index.threads == [threading.main_thread()] * 2
