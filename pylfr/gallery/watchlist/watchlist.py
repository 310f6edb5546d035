"""Whom a deployment looks for: one file of reference images with their templates, each change a new revision."""

from __future__ import annotations

import difflib
import hashlib
import logging
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

from pylfr._internal.names import require_name
from pylfr.errors import EnrolmentError, WatchlistError
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.digests import origins_of
from pylfr.gallery.watchlist.duplicates import DuplicateSearch
from pylfr.gallery.watchlist.quality_gate import EnrolmentGate, ReferenceQuality
from pylfr.gallery.watchlist.reference_image import (
    ReferenceImage,
    insert_reference,
    prepare_reference,
    refused,
    upsert_entry,
)
from pylfr.gallery.watchlist.sealed import connect_either, is_in_memory
from pylfr.gallery.watchlist.snapshot import WatchlistSnapshot, read_snapshot, require_model
from pylfr.governance.authorisation.enrolment import Origin, ReviewedReference, enrolment_gaps, is_same_person
from pylfr.governance.authorisation.profiles import read_profile
from pylfr.governance.keys.vault import VaultKey
from pylfr.models.store import open_store
from pylfr.protocols import Detector, Embedder
from pylfr.types import UInt8

log = logging.getLogger(__name__)

_ENTRIES = (
    "SELECT id, name, category, justification, expires_at, added_at,"
    " (SELECT count(*) FROM reference_images WHERE entry = entries.id),"
    " (SELECT count(reviewed_by) FROM reference_images WHERE entry = entries.id) FROM entries"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Somebody on the watchlist; times are UTC, None is never.

    ``references`` is the number of reference images, ``reviewed`` how many of them somebody has reviewed.
    """

    id: int
    name: str
    category: str | None
    justification: str | None
    expires_at: datetime | None
    added_at: datetime
    references: int
    reviewed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What an enrolment did: the entry now, the quality of the image, the revision that holds it."""

    entry: Entry
    quality: ReferenceQuality
    revision: int


class Watchlist:
    """An open watchlist file. Several processes may read while one writes; use one object in one thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._duplicates = DuplicateSearch(connection, path)

    @property
    def path(self) -> Path:
        return self._path

    @property
    def identity(self) -> str:
        """What tells this watchlist from every other."""
        return str(self._one("identity"))

    @property
    def embedder(self) -> str:
        """The name of the network that made its templates."""
        return str(self._one("embedder"))

    @property
    def model(self) -> str:
        """sha256 of that network."""
        return str(self._one("model"))

    @property
    def profile(self) -> str | None:
        """The policy that enrolments must meet; None: they are checked when a deployment starts."""
        profile = self._one("profile")
        return str(profile) if profile is not None else None

    @property
    def revision(self) -> int:
        """How many changes there have been."""
        with sqlite_file.understood(self._path):
            return int(str(self._one("revision")))

    def entries(self) -> tuple[Entry, ...]:
        """Everybody on the list, in the order of enrolment, expired entries too."""
        with sqlite_file.understood(self._path):
            return tuple(_entry(row) for row in self._connection.execute(f"{_ENTRIES} ORDER BY id").fetchall())

    def enrolled_files(self) -> frozenset[tuple[str, str]]:
        """Entry name and sha256 of the file of every reference image."""
        with sqlite_file.explained(self._path):
            rows = self._connection.execute(
                "SELECT entries.name, image_sha256 FROM reference_images JOIN entries ON entries.id = entry"
            ).fetchall()
        return frozenset((str(name), str(digest)) for name, digest in rows)

    def snapshot(self) -> WatchlistSnapshot:
        """The references of this revision, without what has expired."""
        with sqlite_file.understood(self._path), sqlite_file.reading(self._connection):
            return read_snapshot(self._connection, self._path, now=sqlite_file.now())

    def references(self, name: str) -> tuple[ReviewedReference, ...]:
        """Where the reference images of an entry come from. Raises ``WatchlistError`` for no such entry."""
        with sqlite_file.understood(self._path):
            if name not in self._names():
                raise self._unknown(name)
            return tuple(origins_of(self._connection, name))

    def enrol(
        self,
        name: str,
        image: UInt8,
        *,
        detector: Detector,
        embedder: Embedder,
        gate: EnrolmentGate | None = None,
        expires_at: datetime | None = None,
        category: str | None = None,
        justification: str | None = None,
        image_sha256: str | None = None,
        origin: Origin | None = None,
    ) -> Enrolment:
        """Add a reference image, uint8 [H, W, 3] RGB, to the entry ``name``, which is made where it is new.

        What is given of ``expires_at``, ``category`` and ``justification`` replaces what the entry had.
        ``image_sha256`` is that of the file the image came from; without it the pixels are hashed. ``origin`` says
        where it came from; nobody has reviewed it yet. Raises ``EnrolmentError`` with every reason where the gate
        refuses or the watchlist's policy asks for more, and ``WatchlistError`` where ``embedder`` is not the
        watchlist's; then nothing is written.
        """
        self._require_proposal(name, origin or Origin(), expires_at, category, justification)
        gate = gate if gate is not None else EnrolmentGate()
        with sqlite_file.explained(self._path):
            require_model(self._connection, self._path, embedder.model)
        reference = prepare_reference(
            name,
            image,
            detector=detector,
            embedder=embedder,
            gate=gate,
            image_sha256=image_sha256 if image_sha256 is not None else hashlib.sha256(image.tobytes()).hexdigest(),
        )
        return self.add(
            name,
            reference,
            gate=gate,
            expires_at=expires_at,
            category=category,
            justification=justification,
            origin=origin,
        )

    def add(
        self,
        name: str,
        reference: ReferenceImage,
        *,
        gate: EnrolmentGate,
        expires_at: datetime | None = None,
        category: str | None = None,
        justification: str | None = None,
        origin: Origin | None = None,
    ) -> Enrolment:
        """As ``enrol``, a reference image that was prepared before, on any thread."""
        origin = origin if origin is not None else Origin()
        self._require_proposal(name, origin, expires_at, category, justification)
        try:
            with sqlite_file.explained(self._path), sqlite_file.writing(self._connection):
                require_model(self._connection, self._path, reference.model)
                checks = gate.duplicate_score is not None
                nearest = self._duplicates.nearest(name, reference.template) if checks else None
                reasons = gate.check([reference.quality], nearest)
                if reasons:
                    raise refused(name, reasons)
                number = upsert_entry(self._connection, name, expires_at, category, justification)
                insert_reference(self._connection, number, reference, origin)
                if checks:
                    self._duplicates.add(number, reference.template)
        except EnrolmentError:
            raise
        except BaseException:
            self._duplicates.forget()
            raise
        with sqlite_file.understood(self._path):
            entry = _entry(self._connection.execute(f"{_ENTRIES} WHERE id = ?", (number,)).fetchone())
        return Enrolment(entry=entry, quality=reference.quality, revision=self.revision)

    def remove(self, name: str) -> None:
        """Take an entry off the list, its templates and pictures overwritten, and read back that it is gone.

        Raises ``WatchlistError`` for no such entry, and where something is left of it.
        """
        with sqlite_file.explained(self._path):
            with sqlite_file.writing(self._connection):
                removed = self._delete("name = ?", name)
                if not removed:
                    raise self._unknown(name)
            self._require_gone(removed)

    def review(self, name: str, *, by: str, deployment: str) -> int:
        """Record that ``by`` reviewed an entry for ``deployment``; gives the number of its reference images.

        Raises ``EnrolmentError`` where the watchlist's policy wants another person than who proposed an image, and
        ``WatchlistError`` for no such entry.
        """
        require_name("by", by)
        require_name("deployment", deployment)
        wants_two = self.profile is not None and read_profile(self.profile).min_enrollers > 1
        with sqlite_file.explained(self._path), sqlite_file.writing(self._connection):
            references = list(origins_of(self._connection, name))
            if not references:
                raise self._unknown(name)
            if wants_two and any(is_same_person(by, each.origin.proposed_by or "") for each in references):
                raise EnrolmentError(
                    f"{name!r} was proposed by {by!r}: {self.profile} wants another person to review it"
                )
            self._connection.execute(
                "UPDATE reference_images SET reviewed_by = ?, reviewed_for = ?, reviewed_at = ?"
                " WHERE entry = (SELECT id FROM entries WHERE name = ?)",
                (by, deployment, sqlite_file.to_text(sqlite_file.now()), name),
            )
        return len(references)

    def copy_to(self, path: Path, *, by: str, profile: str | None = None) -> int:
        """A new watchlist in ``path`` with everybody who has not expired, proposed by ``by``, reviewed by nobody.

        What was right for one deployment need not be for the next: all of it waits for review again. Gives the number
        of entries; raises ``WatchlistError`` where there is a file already.
        """
        require_name("by", by)
        profile = profile if profile is not None else self.profile
        with sqlite_file.explained(self._path), sqlite_file.reading(self._connection):
            embedder, model, dimension = self._connection.execute(
                "SELECT embedder, model, dimension FROM watchlist"
            ).fetchone()
            entries = self._connection.execute(
                "SELECT * FROM entries WHERE expires_at IS NULL OR expires_at > ? ORDER BY id",
                (sqlite_file.to_text(sqlite_file.now()),),
            ).fetchall()
            numbers = {row[0] for row in entries}
            images = [
                (*row[:-4], by, None, None, None)
                for row in self._connection.execute("SELECT * FROM reference_images ORDER BY id")
                if row[1] in numbers
            ]
        sqlite_file.create(path, embedder=embedder, model=model, dimension=dimension, profile=profile)
        with open_watchlist(path) as made, sqlite_file.explained(path), sqlite_file.writing(made._connection):
            for table, rows in (("entries", entries), ("reference_images", images)):
                if rows:
                    places = ", ".join("?" * len(rows[0]))
                    made._connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        return len(entries)

    def remove_expired(self, *, now: datetime | None = None) -> tuple[str, ...]:
        """As ``remove``, everybody whose entry has expired; their names. No new revision where nobody has."""
        moment = sqlite_file.to_text(now if now is not None else sqlite_file.now())
        with sqlite_file.explained(self._path):
            expired = self._expired(moment)
            if expired:
                with sqlite_file.writing(self._connection):
                    expired = self._expired(moment)
                    removed = self._delete("expires_at <= ?", moment)
                self._require_gone(removed)
        return expired

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Watchlist:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _delete(self, which: str, value: str) -> list[int]:
        """Delete entries inside a transaction, and their images with them; their numbers."""
        rows = self._connection.execute(f"DELETE FROM entries WHERE {which} RETURNING id", (value,)).fetchall()
        removed = [number for (number,) in rows]
        for number in removed:
            sqlite_file.require_gone(self._connection, self._path, number)
        return removed

    def _require_gone(self, removed: list[int]) -> None:
        """Read the file anew, where there is one: raise ``WatchlistError`` where anything of these entries is left."""
        if is_in_memory(self._connection):
            return
        with closing(sqlite_file.connect(self._path)) as fresh:
            for number in removed:
                sqlite_file.require_gone(fresh, self._path, number)

    def _one(self, column: str) -> object:
        with sqlite_file.understood(self._path):
            return self._connection.execute(f"SELECT {column} FROM watchlist").fetchone()[0]

    def _require_proposal(
        self,
        name: str,
        origin: Origin,
        expires_at: datetime | None,
        category: str | None,
        justification: str | None,
    ) -> None:
        """Raise unless name, expiry and what the policy requires of a reference image are in order."""
        require_name("name", name)
        self._require_policy(name, origin, category, justification)
        if expires_at is not None and (expires_at.tzinfo is None or expires_at <= sqlite_file.now()):
            raise ValueError(f"expires_at must lie in the future and carry a time zone, got {expires_at.isoformat()}")

    def _require_policy(self, name: str, origin: Origin, category: str | None, justification: str | None) -> None:
        """Raise ``EnrolmentError`` naming everything that the watchlist's policy requires and that is missing."""
        if self.profile is None:
            return
        with sqlite_file.understood(self._path):
            row = self._connection.execute(f"{_ENTRIES} WHERE name = ?", (name,)).fetchone()
            known = _entry(row) if row is not None else None
        gaps = enrolment_gaps(
            origin,
            category=category if category is not None or known is None else known.category,
            justification=justification if justification is not None or known is None else known.justification,
            profile=read_profile(self.profile),
        )
        if gaps:
            raise EnrolmentError(f"the enrolment of {name!r} lacks {'; '.join(gaps)}: {self.profile} asks for it")

    def _unknown(self, name: str) -> WatchlistError:
        near = difflib.get_close_matches(name, self._names(), n=3)
        hint = f": the nearest are {', '.join(near)}" if near else ""
        return WatchlistError(f"watchlist {self._path} has no entry {name!r}{hint}")

    def _names(self) -> list[str]:
        return [name for (name,) in self._connection.execute("SELECT name FROM entries")]

    def _expired(self, moment: str) -> tuple[str, ...]:
        rows = self._connection.execute("SELECT name FROM entries WHERE expires_at <= ? ORDER BY id", (moment,))
        return tuple(name for (name,) in rows)


def create_watchlist(path: Path | str, embedder: Embedder, *, profile: str | None = None) -> Watchlist:
    """A new, empty watchlist for the templates of ``embedder``, readable by this user only.

    With ``profile`` every enrolment must say what that policy asks for.

    Raises ``WatchlistError`` where there is a file already or none can be written, ``ConfigError`` for no such policy.
    """
    path = Path(path)
    if profile is not None:
        read_profile(profile)
    name = open_store().name_of(embedder.model) or "an unnamed network"
    sqlite_file.create(path, embedder=name, model=embedder.model, dimension=embedder.dimension, profile=profile)
    return open_watchlist(path)


def watchlist_in_memory(embedder: Embedder) -> Watchlist:
    """A new, empty watchlist that no file ever holds: for rehearsals, which leave nothing behind."""
    name = open_store().name_of(embedder.model) or "an unnamed network"
    connection = sqlite_file.connect_in_memory(embedder=name, model=embedder.model, dimension=embedder.dimension)
    return Watchlist(Path(":memory:"), connection)


def open_watchlist(path: Path | str, *, model: str | None = None, key: VaultKey | None = None) -> Watchlist:
    """The watchlist in that file; with ``model``, only if it was built with the network of that sha256.

    A sealed one needs its ``key``, and can only be read.

    Raises ``WatchlistError`` where there is none, where it is damaged or of another kind, and, naming both networks,
    where it was built with another one.
    """
    path = Path(path)
    connection = connect_either(path, key) if key is not None else sqlite_file.connect(path)
    try:
        if key is not None:
            connection.execute("PRAGMA query_only = ON")
        if model is not None:
            with sqlite_file.explained(path):
                require_model(connection, path, model)
    except BaseException:
        connection.close()
        raise
    return Watchlist(path, connection)


def _entry(row: tuple[int, str, str | None, str | None, str | None, str, int, int]) -> Entry:
    number, name, category, justification, expires_at, added_at, references, reviewed = row
    return Entry(
        id=number,
        name=name,
        category=category,
        justification=justification,
        expires_at=sqlite_file.to_time(expires_at) if expires_at is not None else None,
        added_at=sqlite_file.to_time(added_at),
        references=references,
        reviewed=reviewed,
    )
