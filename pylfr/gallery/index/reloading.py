"""A gallery that follows its watchlist: who is enrolled or removed meanwhile counts without a restart."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pylfr.errors import WatchlistAwayError, WatchlistError
from pylfr.gallery.index.build import Builder, IndexName, builder_of
from pylfr.gallery.index.pruned import prune
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.digests import require_nothing_added
from pylfr.gallery.watchlist.sealed import connect_either, is_sealed, sealed_revision
from pylfr.gallery.watchlist.snapshot import WatchlistSnapshot, read_snapshot, require_model
from pylfr.gallery.watchlist.withdrawn import WithdrawnEntries
from pylfr.governance.keys.vault import VaultKey
from pylfr.protocols import Gallery
from pylfr.types import Candidates, Reference, Templates

Prepared = TypeVar("Prepared")

# Whoever may go on with the last revision does not wait for others to write: it tries again at the next poll.
_BUSY_S = 0.05

# A watchlist of so many references takes long to read and to index: its next revision is prepared aside. Meanwhile the
# last one is searched without those who were taken off it, if these are few.
_LARGE = 100_000
_MOST_PRUNED = 64


class FixedGallery:
    """A ``GallerySource`` that never changes."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def refresh(self) -> None:
        """Nothing ever changes."""

    @property
    def trouble(self) -> str:
        return ""

    def snapshot(self) -> Gallery:
        return self._gallery

    def close(self) -> None:
        """Nothing is held."""


class LiveGallery:
    """A ``Gallery`` and ``GallerySource`` whose contents are those of the watchlist's newest revision.

    A new revision is built and put in place in one step: a search under way finishes on its own snapshot. A large one
    is built by a thread of its own, and until it is there the last one is searched, without whom the new one lacks.
    Entries stop being found the moment they expire. Where the watchlist is locked or gone the last revision is used for
    ``grace_s`` and ``trouble`` says why. Safe for concurrent use.
    """

    def __init__(
        self,
        path: Path,
        snapshot: WatchlistSnapshot,
        *,
        build: Builder,
        poll_ms: float | None,
        authorised: frozenset[str] | None,
        key: VaultKey | None,
        grace_s: float = 0.0,
        withdrawn: WithdrawnEntries | None = None,
    ) -> None:
        self._path = path
        self._key = key
        self._authorised = authorised
        self._withdrawn = withdrawn
        self._build = build
        self._poll_s = None if poll_ms is None else poll_ms / 1000
        self._lock = threading.Lock()
        self._checked_at = time.monotonic()
        self._grace_s = grace_s
        self._away_since: float | None = None
        self._trouble = ""
        self._current = (snapshot, self._build(snapshot))
        # The current snapshot's index, with all of its entries; which of them are not to be found any more; the next
        # revision while it is prepared.
        self._whole = self._current[1]
        self._gone: frozenset[int] = frozenset()
        self._next: Future[tuple[WatchlistSnapshot, Gallery]] | None = None

    @property
    def model(self) -> str:
        return self._current[0].model

    @property
    def revision(self) -> int:
        return self.snapshot().revision

    def __len__(self) -> int:
        return len(self.snapshot())

    def search(self, probes: Templates, k: int) -> Candidates:
        """The k best entries of the newest revision. To know which it was, take a ``snapshot`` and search that."""
        return self.snapshot().search(probes, k)

    def reference(self, entry: int) -> Reference:
        return self.snapshot().reference(entry)

    def snapshot(self) -> Gallery:
        """The gallery of now, immutable. Checks the file once in ``poll_ms``, and the clock always.

        Raises ``WatchlistError`` where the watchlist is damaged, was built anew with another network, or has been
        locked or gone for ``grace_s``: to go on with people who may have been removed is worse than to stop.
        """
        snapshot, gallery = self._current
        is_due = self._poll_s is not None and time.monotonic() - self._checked_at >= self._poll_s
        if is_due and self._lock.acquire(blocking=False):
            try:
                snapshot, gallery = self._followed_or_last()
            finally:
                self._lock.release()
        now = sqlite_file.now()
        if snapshot.next_expiry is not None and snapshot.next_expiry <= now:
            snapshot, gallery = self._without_expired(now)
        return gallery

    @property
    def trouble(self) -> str:
        """Why the last revision is used although there may be a newer one; "" where it is the newest."""
        return self._trouble

    def refresh(self) -> None:
        """Check the file now, whatever ``poll_ms`` says, and wait for what is prepared. Raises as ``snapshot`` does."""
        with self._lock:
            self._followed_or_last()
            prepared = self._next
        if prepared is not None:
            wait([prepared])
            with self._lock:
                self._followed_or_last()

    def _followed_or_last(self) -> tuple[WatchlistSnapshot, Gallery]:
        """The newest revision; for ``grace_s`` the last one, where the newest cannot be had."""
        try:
            current = self._followed()
        except WatchlistAwayError as error:
            now_s = time.monotonic()
            self._away_since = now_s if self._away_since is None else self._away_since
            if now_s - self._away_since >= self._grace_s:
                if not self._grace_s:
                    raise
                raise WatchlistError(f"{error}; it has been so for {self._grace_s:g} s") from error
            self._trouble, self._checked_at = str(error), now_s
            return self._current
        self._away_since, self._trouble = None, ""
        return current

    def close(self) -> None:
        """Wait for a revision that is being prepared; nothing else is open between two checks of the file."""
        if self._next is not None:
            wait([self._next])

    def _followed(self) -> tuple[WatchlistSnapshot, Gallery]:
        now = sqlite_file.now()
        path = self._path
        known = self._current[0]
        if self._key is not None and now >= self._key.expires_at:
            raise WatchlistError(f"the key of the sealed watchlist {path} has ended: nobody may be looked for any more")
        # To open a sealed watchlist costs and leaves more copies: it is opened anew where it says that it changed.
        if self._key is not None and path.is_file() and is_sealed(path):
            if sealed_revision(path) == (known.identity, known.revision):
                self._take_off(self._numbers(known.identity))
                self._checked_at = time.monotonic()
                return self._current
            if sealed_revision(path)[1] < known.revision:
                raise WatchlistError(
                    f"the sealed watchlist {path} is an older one than before: somebody who was taken off may be back"
                )
        with (
            closing(
                connect_either(path, self._key, busy_s=_BUSY_S if self._grace_s else sqlite_file.BUSY_S)
            ) as connection,
            sqlite_file.explained(path),
            sqlite_file.reading(connection),
        ):
            identity, revision = connection.execute("SELECT identity, revision FROM watchlist").fetchone()
            whole = self._whole
            if self._next is not None and self._next.done():
                prepared, self._next = self._next, None
                known, whole = prepared.result()
            if (identity, revision) == (known.identity, known.revision):
                snapshot = known.without(self._numbers(identity))
                self._take(snapshot, whole if snapshot is known else self._build(snapshot))
            else:
                require_model(connection, path, known.model)
                if self._authorised is not None:
                    require_nothing_added(connection, path, self._authorised)
                gone = self._gone_from(connection, known)
                is_aside = self._key is None and identity == known.identity and len(gone) <= _MOST_PRUNED
                if is_aside and max(len(known), _references(connection)) >= _LARGE:
                    self._take(known, whole, gone)
                    self._next = self._next or _aside(self._prepare)
                else:
                    fresh = self._read(connection, now, known)
                    self._take(fresh, self._build(fresh))
        self._checked_at = time.monotonic()
        return self._current

    def _take(self, snapshot: WatchlistSnapshot, whole: Gallery, gone: frozenset[int] = frozenset()) -> None:
        """Search ``snapshot`` by its index ``whole``, without the entries ``gone``, from now on."""
        self._current, self._whole, self._gone = (snapshot, prune(whole, snapshot, gone)), whole, gone

    def _read(
        self, connection: sqlite3.Connection, now: datetime, known: WatchlistSnapshot | None
    ) -> WatchlistSnapshot:
        fresh = read_snapshot(connection, self._path, now=now, known=known)
        if self._withdrawn is None:
            return fresh
        return fresh.without(frozenset(number for number, *_ in self._withdrawn.found_in(connection)))

    def _prepare(self) -> tuple[WatchlistSnapshot, Gallery]:
        """The newest revision, read and indexed, in a thread of its own."""
        known = self._current[0]
        with (
            closing(connect_either(self._path, None)) as connection,
            sqlite_file.explained(self._path),
            sqlite_file.reading(connection),
        ):
            require_model(connection, self._path, known.model)
            if self._authorised is not None:
                require_nothing_added(connection, self._path, self._authorised)
            fresh = self._read(connection, sqlite_file.now(), known)
        return fresh, self._build(fresh)

    def _gone_from(self, connection: sqlite3.Connection, snapshot: WatchlistSnapshot) -> frozenset[int]:
        """Of the snapshot's entries, whom the file lacks or the log has as withdrawn."""
        there = {number for (number,) in connection.execute("SELECT id FROM entries")}
        if self._withdrawn is not None:
            there -= {number for number, *_ in self._withdrawn.found_in(connection)} | self._numbers(snapshot.identity)
        return frozenset(snapshot.listed.keys() - there)

    def _numbers(self, identity: str) -> frozenset[int]:
        return self._withdrawn.numbers(identity) if self._withdrawn is not None else frozenset()

    def _take_off(self, entries: frozenset[int]) -> None:
        """Search no more for these, though the file may still hold them."""
        snapshot = self._current[0].without(entries)
        if snapshot is not self._current[0]:
            self._take(snapshot, self._build(snapshot))

    def _without_expired(self, now: datetime) -> tuple[WatchlistSnapshot, Gallery]:
        with self._lock:
            snapshot = self._current[0].at(now)
            if snapshot is not self._current[0]:
                snapshot = snapshot.without(self._gone)
                self._take(snapshot, self._build(snapshot))
            return self._current


def _references(connection: sqlite3.Connection) -> int:
    (count,) = connection.execute("SELECT count(*) FROM reference_images").fetchone()
    return int(count)


def _aside(work: Callable[[], Prepared]) -> Future[Prepared]:
    """What ``work`` gives, or its error, once a thread of its own has done it."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="pylfr-watchlist")
    future = executor.submit(work)
    executor.shutdown(wait=False)
    return future


def open_gallery(
    path: Path | str,
    *,
    model: str,
    index: IndexName = "native",
    poll_ms: float | None = None,
    authorised: frozenset[str] | None = None,
    key: VaultKey | None = None,
    withdrawn: WithdrawnEntries | None = None,
    device_mib: int | None = None,
) -> LiveGallery:
    """The gallery of the watchlist at ``path``, for the embedder with sha256 ``model``.

    With ``poll_ms`` it follows the file, looking at most that often; without, it stays as it is now, less what
    expires. With ``authorised``, digests of references (``read_contents``), it refuses, now and later, a watchlist that
    holds any other: people may be removed but not added. A sealed one needs its ``key``, and with a key nothing but a
    sealed one is followed. ``withdrawn`` are those whom the log has as withdrawn: a list that holds any of them is
    refused, and while it is followed they are left out, whatever file is there. ``device_mib`` as for
    ``build_gallery``. Raises ``WatchlistError`` where the watchlist is missing, damaged or of another network, or the
    FAISS that ``index`` needs is not installed, and ``CudaError`` where its device is missing.
    """
    build = builder_of(index, device_mib)
    path = Path(path)
    with (
        closing(connect_either(path, key)) as connection,
        sqlite_file.understood(path),
        sqlite_file.reading(connection),
    ):
        require_model(connection, path, model)
        if authorised is not None:
            require_nothing_added(connection, path, authorised)
        if withdrawn is not None:
            withdrawn.require_none(connection, path)
        snapshot = read_snapshot(connection, path, now=sqlite_file.now())
    return LiveGallery(
        path,
        snapshot,
        build=build,
        poll_ms=poll_ms,
        authorised=authorised,
        key=key,
        withdrawn=withdrawn,
    )
