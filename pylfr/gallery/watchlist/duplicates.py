"""Whether a new reference image resembles an entry of another name."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path

import numpy as np

from pylfr import ops
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.quality_gate import NearestEntry
from pylfr.gallery.watchlist.snapshot import read_vectors
from pylfr.types import Float32, Int64


class DuplicateSearch:
    """The templates of one watchlist, read again only when another process has changed it or an entry expires.

    Call it inside a transaction. Without it, enrolling thousands would read all templates thousands of times.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._revision = -1
        self._valid_until: datetime | None = None
        self._entry: Int64 = np.empty(0, np.int64)
        self._vectors: Float32 = np.empty((0, 0), np.float32)
        self._count = 0

    def nearest(self, name: str, template: Float32) -> NearestEntry | None:
        """The entry of another name closest to the template, float32 [1, D]; None where there is no other."""
        self._follow()
        entry, vectors = self._entry[: self._count], self._vectors[: self._count]
        row = self._connection.execute("SELECT id FROM entries WHERE name = ?", (name,)).fetchone()
        if row is not None:
            others = entry != row[0]
            entry, vectors = entry[others], vectors[others]
        if not len(entry):
            return None
        scores, rows = ops.search_exact(template, vectors, 1)
        number = int(entry[rows[0, 0]])
        (closest,) = self._connection.execute("SELECT name FROM entries WHERE id = ?", (number,)).fetchone()
        return NearestEntry(name=closest, score=float(scores[0, 0]))

    def add(self, number: int, template: Float32) -> None:
        """Remember a template, float32 [1, D], that the current transaction adds to entry ``number``."""
        if self._valid_until is not None and self._valid_until <= sqlite_file.now():
            # An entry that had expired may have a new expiry: its earlier templates count again.
            self.forget()
            return
        if self._count == len(self._vectors):
            room = max(64, self._count)
            self._entry = np.concatenate([self._entry, np.zeros(room, np.int64)])
            self._vectors = np.concatenate([self._vectors, np.zeros((room, template.shape[1]), np.float32)])
        self._entry[self._count], self._vectors[self._count] = number, template[0]
        self._count += 1
        self._revision += 1
        self._valid_until = self._first_expiry()

    def forget(self) -> None:
        """Read everything again next time: the transaction was rolled back."""
        self._revision = -1

    def _follow(self) -> None:
        (revision,) = self._connection.execute("SELECT revision FROM watchlist").fetchone()
        now = sqlite_file.now()
        if revision == self._revision and (self._valid_until is None or now < self._valid_until):
            return
        self._entry, self._vectors = read_vectors(self._connection, self._path, now=now)
        self._count = len(self._entry)
        self._revision, self._valid_until = revision, self._first_expiry()

    def _first_expiry(self) -> datetime | None:
        """When the first entry expires. Once one has, every call reads again: it may have a new expiry."""
        (text,) = self._connection.execute("SELECT min(expires_at) FROM entries").fetchone()
        return sqlite_file.to_time(text) if text is not None else None
