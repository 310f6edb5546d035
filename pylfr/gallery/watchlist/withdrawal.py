"""Takes somebody off a sealed watchlist, also while an engine runs, which follows; no signature is broken.

The audit log says it first. Whoever finds somebody on the list whom the log has as withdrawn takes them off: after a
crash in between, and where an older copy of the file was put back.
"""

from __future__ import annotations

import fcntl
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
from pylfr.gallery.watchlist.sealed import is_sealed, open_sealed, sealed_content, sealed_revision
from pylfr.gallery.watchlist.withdrawn import WITHDRAWN, WithdrawnEntries, WithdrawnEntry
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.keys.keys import SigningKey
from pylfr.governance.keys.vault import VaultKey
from pylfr.governance.retention.past_listing import note_withdrawn, read_manifest
from pylfr.types import Event, Recorded

_FINISHED = "withdrawal-finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFiles:
    """A sealed watchlist, and the manifest that answers for who was on it, with the key that signs the manifest."""

    sealed: Path
    manifest: Path | None = None
    signing: SigningKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """A withdrawal: from which watchlist, how many reference images, and the revision without them."""

    watchlist: str
    references: int
    revision: int


def withdraw(
    files: ListedFiles, key: VaultKey, name: str, *, by: str, because: str, audit: AuditLog
) -> Recorded[Withdrawal]:
    """Record that the entry ``name`` is taken off, then write the sealed watchlist anew without it.

    After a crash at any moment nothing has happened, or it is recorded; what is recorded and not done yet
    ``finish_withdrawals`` does. Of who is gone the digests of the references stay, sealed, so that the list is still
    the one that was signed for. What was sealed before can be opened from an old copy of the file until the key is
    destroyed. Raises ``WatchlistError`` where there is no such entry, the file or the log is not sealed or signed, or
    the manifest does not hold the entry, ``AuditError`` where it cannot be recorded: then nothing was changed. What was
    written is read back: ``WatchlistError`` where the entry is still in the file.
    """
    path = files.sealed
    if not is_sealed(path):
        raise WatchlistError(f"watchlist {path} is not sealed: `pylfr watchlist remove` takes an entry off a plain one")
    if not audit.is_signed:
        raise WatchlistError("nobody is withdrawn by a log that is not signed: give [audit] key and checkpoints")
    finish_withdrawals(files, lambda: key, audit)
    with _alone(path):
        with closing(open_sealed(path, key)) as connection:
            found = connection.execute("SELECT id FROM entries WHERE name = ?", (name,)).fetchone()
            if found is None:
                raise WatchlistError(f"watchlist {path} has no entry {name!r}")
            _require_held(files, name)
            references = list(references_of(connection, name))
            withdrawal = _take_off(connection, path, [(found[0], sqlite_file.now())], audit)
            content = sealed_content(connection, key)
        recorded = audit.decide(
            withdrawal,
            Event(
                kind=WITHDRAWN,
                details={
                    "entry_digest": audit.keyed_digest(name.encode()),
                    "entry": found[0],
                    "watchlist": withdrawal.watchlist,
                    "watchlist_revision": withdrawal.revision,
                    "references": withdrawal.references,
                    "reference_digests": " ".join(audit.keyed_digest(each.encode()) for each in references),
                    "by": by,
                    "because": because,
                },
            ),
        )
        _note(files, name, recorded.recorded_at)
        _write(path, content, key, [found[0]])
    return recorded


def finish_withdrawals(files: ListedFiles, key: Callable[[], VaultKey], audit: AuditLog) -> Withdrawal | None:
    """Take off everybody whom the log has as withdrawn and who is on the sealed watchlist; None where nobody is.

    A crash came between, or an older copy of the file was put back. ``key`` is asked for only where the file claims to
    be older than the log's last withdrawal. Raises as it does, and as ``withdraw``.
    """
    path = files.sealed
    withdrawn = WithdrawnEntries(audit)
    if not withdrawn.all() or not is_sealed(path):
        return None
    with _alone(path):
        identity, revision = sealed_revision(path)
        latest = max((_revision_of(each) for each in withdrawn.all() if each.watchlist == identity), default=0)
        if revision >= latest:
            return None
        opened = key()
        with closing(open_sealed(path, opened)) as connection:
            found = withdrawn.found_in(connection)
            if not found:
                return None
            withdrawal = _take_off(connection, path, [(number, logged.at) for number, _, logged in found], audit)
            content = sealed_content(connection, opened)
        for _, name, logged in found:
            _note(files, name, logged.at)
        _write(path, content, opened, [number for number, *_ in found])
    entries = " ".join(str(logged.sequence) for *_, logged in found)
    audit.note(Event(kind=_FINISHED, details={"entries": entries, "watchlist_revision": withdrawal.revision}))
    return withdrawal


def _revision_of(withdrawn: WithdrawnEntry) -> int:
    return int(str(withdrawn.logged.details["watchlist_revision"]))


def _take_off(
    connection: sqlite3.Connection, path: Path, entries: list[tuple[int, datetime]], audit: AuditLog
) -> Withdrawal:
    """Remove the entries with these numbers, and their images, from the watchlist in memory, each at its time.

    The digests of their references stay. The revision is above that of every withdrawal in the log.
    """
    connection.execute("PRAGMA foreign_keys = ON")
    (identity,) = connection.execute("SELECT identity FROM watchlist").fetchone()
    known = [_revision_of(each) for each in WithdrawnEntries(audit).all() if each.watchlist == identity]
    count = 0
    with sqlite_file.writing(connection):
        for number, at in entries:
            (name,) = connection.execute("SELECT name FROM entries WHERE id = ?", (number,)).fetchone()
            gone = list(references_of(connection, name))
            connection.execute("DELETE FROM entries WHERE id = ?", (number,))
            sqlite_file.require_gone(connection, path, number)
            moment = sqlite_file.to_text(at)
            connection.executemany("INSERT OR IGNORE INTO withdrawn VALUES (?, ?)", [(each, moment) for each in gone])
            count += len(gone)
        # ``writing`` adds one.
        connection.execute("UPDATE watchlist SET revision = max(revision, ?)", (max(known, default=1) - 1,))
    (revision,) = connection.execute("SELECT revision FROM watchlist").fetchone()
    return Withdrawal(watchlist=identity, references=count, revision=revision)


def _write(path: Path, content: bytes, key: VaultKey, entries: list[int]) -> None:
    """Replace the sealed file and read it back. Raises ``WatchlistError`` where any of these entries is still there."""
    write_whole(path, content)
    with closing(open_sealed(path, key)) as connection:
        for number in entries:
            sqlite_file.require_gone(connection, path, number)


def _require_held(files: ListedFiles, name: str) -> None:
    if files.manifest is None or files.signing is None:
        return
    if not read_manifest(files.manifest, files.signing.public).holds(name):
        raise WatchlistError(f"the manifest {files.manifest} does not hold {name!r}: nothing was changed")


def _note(files: ListedFiles, name: str, at: datetime) -> None:
    """Record the withdrawal in the manifest. A second time changes nothing."""
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
