"""Takes somebody off a sealed watchlist, also while an engine runs, which follows; no signature is broken.

The audit log says it first, and names the very file that it is about. Whoever finds that file still there finishes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pylfr._internal.atomic_file import write_whole
from pylfr.errors import WatchlistError
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.digests import references_of
from pylfr.gallery.watchlist.sealed import is_sealed, open_sealed, sealed_content
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.keys.keys import SigningKey
from pylfr.governance.keys.vault import VaultKey
from pylfr.governance.retention.past_listing import note_withdrawn, read_manifest
from pylfr.types import Event, Recorded

_INTENDED, _FINISHED = "withdrawn", "withdrawal-finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFiles:
    """A sealed watchlist, and the manifest that answers for who was on it, with the key that signs the manifest."""

    sealed: Path
    manifest: Path | None = None
    signing: SigningKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What is done: of which watchlist, how many reference images go, and the revision without them."""

    watchlist: str
    references: int
    revision: int


def withdraw(
    files: ListedFiles, key: VaultKey, name: str, *, by: str, because: str, audit: AuditLog
) -> Recorded[Withdrawal]:
    """Record that the entry ``name`` is taken off, then write the sealed watchlist anew without it.

    After a crash at any moment nothing has happened, or it is recorded; what is recorded and not done yet
    ``finish_withdrawal`` does. Of who is gone the digests of the references stay, sealed, so that the list is still the
    one that was signed for. What was sealed before can be opened from an old copy of the file until the key is
    destroyed. Raises ``WatchlistError`` where there is no such entry, the file is not sealed, or the manifest does not
    hold the entry, ``AuditError`` where it cannot be recorded: then nothing was changed.
    """
    path = files.sealed
    if not is_sealed(path):
        raise WatchlistError(f"watchlist {path} is not sealed: `pylfr watchlist remove` takes an entry off a plain one")
    finish_withdrawal(files, lambda: key, audit)
    with _alone(path):
        before = path.read_bytes()
        with closing(open_sealed(path, key)) as connection:
            found = connection.execute("SELECT id FROM entries WHERE name = ?", (name,)).fetchone()
            if found is None:
                raise WatchlistError(f"watchlist {path} has no entry {name!r}")
            _require_held(files, name)
            withdrawal = _take_off(connection, found[0], sqlite_file.now())
            content = sealed_content(connection, key)
        recorded = audit.decide(
            withdrawal,
            Event(
                kind=_INTENDED,
                details={
                    "entry_digest": audit.keyed_digest(name.encode()),
                    "entry": found[0],
                    "from": hashlib.sha256(before).hexdigest(),
                    "watchlist": withdrawal.watchlist,
                    "watchlist_revision": withdrawal.revision,
                    "references": withdrawal.references,
                    "by": by,
                    "because": because,
                },
            ),
        )
        _note(files, name, recorded.recorded_at)
        write_whole(path, content)
    return recorded


def finish_withdrawal(files: ListedFiles, key: Callable[[], VaultKey], audit: AuditLog) -> Withdrawal | None:
    """Do what the audit log says is done to this very file and is not, because a crash came between; None for nothing.

    ``key`` is asked for only then. Raises as it does, and as ``withdraw``.
    """
    path = files.sealed
    withdrawals = list(audit.entries(_INTENDED))
    if not withdrawals:
        return None
    with _alone(path):
        before = hashlib.sha256(path.read_bytes()).hexdigest()
        intended = next((each for each in withdrawals if each.details.get("from") == before), None)
        if intended is None:
            return None
        opened = key()
        with closing(open_sealed(path, opened)) as connection:
            entry = intended.details["entry"]
            (name,) = connection.execute("SELECT name FROM entries WHERE id = ?", (entry,)).fetchone()
            withdrawal = _take_off(connection, entry, intended.at)
            content = sealed_content(connection, opened)
        _note(files, name, intended.at)
        write_whole(path, content)
    audit.note(Event(kind=_FINISHED, details={"entry": intended.sequence, "watchlist_revision": withdrawal.revision}))
    return withdrawal


def _take_off(connection: sqlite3.Connection, entry: object, at: datetime) -> Withdrawal:
    """The entry with this number and its images leave the watchlist in memory; the digests of its references stay."""
    connection.execute("PRAGMA foreign_keys = ON")
    with sqlite_file.writing(connection):
        (name,) = connection.execute("SELECT name FROM entries WHERE id = ?", (entry,)).fetchone()
        gone = list(references_of(connection, name))
        connection.execute("DELETE FROM entries WHERE id = ?", (entry,))
        moment = sqlite_file.to_text(at)
        connection.executemany("INSERT INTO withdrawn VALUES (?, ?)", [(each, moment) for each in gone])
    identity, revision = connection.execute("SELECT identity, revision FROM watchlist").fetchone()
    return Withdrawal(watchlist=identity, references=len(gone), revision=revision)


def _require_held(files: ListedFiles, name: str) -> None:
    if files.manifest is None or files.signing is None:
        return
    if not read_manifest(files.manifest, files.signing.public).holds(name):
        raise WatchlistError(f"the manifest {files.manifest} does not hold {name!r}: nothing was changed")


def _note(files: ListedFiles, name: str, at: datetime) -> None:
    """Say in the manifest that somebody was taken off. A second time changes nothing."""
    if files.manifest is not None and files.signing is not None:
        note_withdrawn(files.manifest, name, at=at, key=files.signing)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One writer at a time; the folder is locked, because the file is another one afterwards."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
