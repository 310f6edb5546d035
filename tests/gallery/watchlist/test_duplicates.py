"""Who is like somebody on the list: as if all templates were read for every picture, which they are not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr.errors import EnrolmentError
from pylfr.gallery.watchlist import duplicates
from pylfr.gallery.watchlist.quality_gate import EnrolmentGate
from pylfr.gallery.watchlist.snapshot import read_vectors
from pylfr.gallery.watchlist.watchlist import Watchlist, create_watchlist, open_watchlist
from pylfr.types import Float32, Int64
from tests.gallery.stand_ins import StandInDetector, StandInEmbedder, image_of

DETECTOR, EMBEDDER = StandInDetector(), StandInEmbedder()


@pytest.fixture
def watchlist(tmp_path: Path) -> Iterator[Watchlist]:
    with create_watchlist(tmp_path / "list", EMBEDDER) as made:
        yield made


def enrol(watchlist: Watchlist, name: str, person: int, expires_at: datetime | None = None) -> None:
    watchlist.enrol(name, image_of(person), detector=DETECTOR, embedder=EMBEDDER, expires_at=expires_at)


def is_like_somebody(watchlist: Watchlist, person: int) -> bool:
    try:
        enrol(watchlist, "somebody new", person)
    except EnrolmentError as error:
        return "probably enrolled already" in str(error)
    watchlist.remove("somebody new")
    return False


def test_templates_are_read_once_for_many_pictures(watchlist: Watchlist, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0

    def counted(connection: sqlite3.Connection, path: Path, *, now: datetime) -> tuple[Int64, Float32]:
        nonlocal reads
        reads += 1
        return read_vectors(connection, path, now=now)

    monkeypatch.setattr(duplicates, "read_vectors", counted)
    for person in range(1, 9):
        enrol(watchlist, f"person {person}", person)
    assert reads == 1
    assert is_like_somebody(watchlist, 8)
    assert reads == 1


def test_what_somebody_else_adds_or_removes_counts_at_once(watchlist: Watchlist) -> None:
    enrol(watchlist, "Ada", 1)
    with open_watchlist(watchlist.path) as other:
        enrol(other, "Bo", 2)
        assert is_like_somebody(watchlist, 2)
        other.remove("Ada")
    assert not is_like_somebody(watchlist, 1)


def test_an_entry_that_expired_counts_again_with_a_new_expiry(
    watchlist: Watchlist, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = datetime.now(UTC) + timedelta(days=1)
    enrol(watchlist, "Ada", 1, expires_at=soon)
    assert is_like_somebody(watchlist, 1)
    now = datetime.now(UTC) + timedelta(days=2)
    monkeypatch.setattr("pylfr.gallery.watchlist.sqlite_file.now", lambda: now)
    assert not is_like_somebody(watchlist, 1)
    enrol(watchlist, "Ada", 3, expires_at=now + timedelta(days=1))
    assert is_like_somebody(watchlist, 1)


def test_without_the_check_nothing_is_remembered_wrongly(watchlist: Watchlist) -> None:
    enrol(watchlist, "Ada", 1)
    watchlist.enrol("Bo", image_of(2), detector=DETECTOR, embedder=EMBEDDER, gate=EnrolmentGate.one_face())
    assert is_like_somebody(watchlist, 2)
