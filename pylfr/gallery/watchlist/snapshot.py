"""One revision of a watchlist in memory: what a gallery is built from."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np

from pylfr._internal.free_memory import free_memory_bytes
from pylfr.errors import WatchlistError
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.portrait import decode_jpeg
from pylfr.models.store import open_store
from pylfr.types import Float32, Int64, Reference

# Far above rounding, far below any real change of a template.
_UNIT_TOLERANCE = 1e-3
_BLACK_PX = 64
_ROWS_AT_ONCE = 4096
# What takes less is read without asking how much memory is free.
_LARGE_BYTES = 64 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedEntry:
    """An entry as it is shown: its name, when it expires (UTC, None never), its first picture as a JPEG."""

    name: str
    expires_at: datetime | None
    picture: bytes


# No slots: what is asked on every search is computed once and cached.
@dataclass(frozen=True, kw_only=True, eq=False)
class WatchlistSnapshot:
    """The references of one revision, of entries that had not expired.

    ``entry`` is int64 [R], the entry's number for each reference, ascending; ``vectors`` float32 [R, D] of unit
    length; ``model`` the sha256 of ``embedder``, which made them; ``identity`` tells one watchlist from another.
    """

    identity: str
    embedder: str
    model: str
    revision: int
    entry: Int64
    vectors: Float32
    listed: Mapping[int, ListedEntry]

    def __len__(self) -> int:
        return len(self.entry)

    @property
    def dimension(self) -> int:
        return int(self.vectors.shape[1])

    @cached_property
    def most_references(self) -> int:
        """How many references the entry with the most of them has; 0 in an empty snapshot."""
        if not len(self.entry):
            return 0
        starts = np.flatnonzero(np.diff(self.entry, prepend=self.entry[0] - 1))
        return int(np.diff(starts, append=len(self.entry)).max())

    @cached_property
    def next_expiry(self) -> datetime | None:
        """When the first of these entries expires; None where none ever does."""
        return min((each.expires_at for each in self.listed.values() if each.expires_at is not None), default=None)

    def at(self, now: datetime) -> WatchlistSnapshot:
        """The same revision without what has expired by ``now``."""
        if self.next_expiry is None or self.next_expiry > now:
            return self
        return self._of(
            {number: each for number, each in self.listed.items() if each.expires_at is None or each.expires_at > now}
        )

    def without(self, entries: frozenset[int]) -> WatchlistSnapshot:
        """The same revision without the entries of these numbers."""
        if entries.isdisjoint(self.listed):
            return self
        return self._of({number: each for number, each in self.listed.items() if number not in entries})

    def part(self, start: int, stop: int) -> WatchlistSnapshot:
        """The references from row ``start`` to row ``stop``, which lie between two entries; nothing is copied."""
        return replace(self, entry=self.entry[start:stop], vectors=self.vectors[start:stop])

    def _of(self, listed: Mapping[int, ListedEntry]) -> WatchlistSnapshot:
        rows = np.isin(self.entry, np.fromiter(listed, np.int64, len(listed)))
        return WatchlistSnapshot(
            identity=self.identity,
            embedder=self.embedder,
            model=self.model,
            revision=self.revision,
            entry=self.entry[rows],
            vectors=self.vectors[rows],
            listed=listed,
        )

    def reference(self, entry: int) -> Reference:
        """What may be shown of an entry. Raises ``KeyError`` where there is none of that number.

        A portrait that is damaged is black, and an error in the log: nobody's alert is lost for it.
        """
        if entry not in self.listed:
            raise KeyError(f"revision {self.revision} of the watchlist has no entry {entry}")
        listed = self.listed[entry]
        try:
            picture = decode_jpeg(listed.picture)
        except WatchlistError as error:
            log.error("entry %d of the watchlist is shown as a black picture: %s; enrol it anew", entry, error)
            picture = np.zeros((_BLACK_PX, _BLACK_PX, 3), np.uint8)
        return Reference(entry=entry, name=listed.name, picture=picture)


class SnapshotIndex:
    """What every gallery over one snapshot has in common: all of ``Gallery`` but the search."""

    def __init__(self, snapshot: WatchlistSnapshot) -> None:
        self._snapshot = snapshot

    @property
    def model(self) -> str:
        return self._snapshot.model

    @property
    def revision(self) -> int:
        return self._snapshot.revision

    def __len__(self) -> int:
        return len(self._snapshot)

    def reference(self, entry: int) -> Reference:
        return self._snapshot.reference(entry)


def require_model(connection: sqlite3.Connection, path: Path, model: str) -> None:
    """Raise ``WatchlistError``, naming both networks, unless the watchlist was built with the one of that sha256."""
    embedder, built_with = connection.execute("SELECT embedder, model FROM watchlist").fetchone()
    _require_model(embedder, built_with, path, model)


def require_snapshot_of(snapshot: WatchlistSnapshot, path: Path, model: str) -> None:
    """As ``require_model``, for a snapshot that was read before the network was known."""
    _require_model(snapshot.embedder, snapshot.model, path, model)


def _require_model(embedder: str, built_with: str, path: Path, model: str) -> None:
    if built_with != model:
        other = open_store().name_of(model) or "another network"
        raise WatchlistError(
            f"watchlist {path} was built with {embedder} (sha256 {built_with[:12]}), not with {other} "
            f"(sha256 {model[:12]}): use {embedder}, or enrol into a new watchlist"
        )


def read_snapshot(
    connection: sqlite3.Connection, path: Path, *, now: datetime, known: WatchlistSnapshot | None = None
) -> WatchlistSnapshot:
    """The references in the watchlist now, without what has expired. Call it inside one transaction.

    What ``known``, an earlier snapshot of the same watchlist, has of pictures is not read again: an entry's number is
    never used twice and its first picture never changes. Raises ``WatchlistError`` as ``read_vectors`` does.
    """
    identity, embedder, model, revision = connection.execute(
        "SELECT identity, embedder, model, revision FROM watchlist"
    ).fetchone()
    entries = connection.execute(
        "SELECT id, name, expires_at FROM entries WHERE expires_at IS NULL OR expires_at > ? ORDER BY id",
        (sqlite_file.to_text(now),),
    ).fetchall()
    seen = known.listed if known is not None and known.identity == identity else {}
    listed = {
        number: ListedEntry(
            name=name,
            expires_at=sqlite_file.to_time(expires_at) if expires_at is not None else None,
            picture=seen[number].picture if number in seen else _first_picture(connection, number),
        )
        for number, name, expires_at in entries
    }
    entry, vectors = read_vectors(connection, path, now=now)
    return WatchlistSnapshot(
        identity=identity,
        embedder=embedder,
        model=model,
        revision=revision,
        entry=entry,
        vectors=vectors,
        listed=listed,
    )


def read_vectors(connection: sqlite3.Connection, path: Path, *, now: datetime) -> tuple[Int64, Float32]:
    """The entry's number for each reference, int64 [R] ascending, and its template, float32 [R, D]; none expired.

    Raises ``WatchlistError`` where a template is not of the watchlist's dimension and unit length: the file is damaged.
    """
    (dimension,) = connection.execute("SELECT dimension FROM watchlist").fetchone()
    from_, moment = (
        " FROM reference_images JOIN entries ON entries.id = entry WHERE expires_at IS NULL OR expires_at > ?",
        (sqlite_file.to_text(now),),
    )
    (count,) = connection.execute(f"SELECT count(*){from_}", moment).fetchone()
    _require_room(path, count, dimension)
    entry, vectors = np.empty(count, np.int64), np.empty((count, dimension), np.float32)
    rows = connection.execute(f"SELECT entry, template{from_} ORDER BY entry, reference_images.id", moment)
    place = 0
    # In parts: a large list is in memory once.
    while some := rows.fetchmany(_ROWS_AT_ONCE):
        content, end = b"".join(template for _, template in some), place + len(some)
        if len(content) != len(some) * dimension * 4:
            raise WatchlistError(f"watchlist {path} is damaged: a template is not of dimension {dimension}")
        vectors[place:end] = np.frombuffer(content, "<f4").reshape(len(some), dimension)
        if not (np.abs(np.linalg.norm(vectors[place:end], axis=1) - 1) < _UNIT_TOLERANCE).all():
            raise WatchlistError(f"watchlist {path} is damaged: a template is not of unit length")
        entry[place:end] = [number for number, _ in some]
        place = end
    return entry, vectors


def _require_room(path: Path, count: int, dimension: int) -> None:
    """Raise ``WatchlistError`` where the references do not fit into the memory that is free."""
    needed = 4 * count * dimension
    free = free_memory_bytes() if needed > _LARGE_BYTES else None
    if free is not None and needed > free:
        raise WatchlistError(
            f"watchlist {path} has {count:,} references of {dimension} numbers, which take {needed / 1e9:,.1f} GB of "
            f"memory, and {free / 1e9:,.1f} GB are free: an engine holds its whole list, because probes are never sent "
            "to another machine; give it more memory, or a shorter list"
        )


def _first_picture(connection: sqlite3.Connection, entry: int) -> bytes:
    (picture,) = connection.execute(
        "SELECT picture FROM reference_images WHERE entry = ? ORDER BY id LIMIT 1", (entry,)
    ).fetchone()
    return bytes(picture)
