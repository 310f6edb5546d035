"""Takes somebody off a sealed watchlist, also while an engine runs, which follows; no signature is broken."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pylfr.errors import WatchlistError
from pylfr.gallery import storage
from pylfr.gallery.contents import references_of
from pylfr.gallery.sealed import is_sealed, open_sealed, sealed_content
from pylfr.governance.vault import VaultKey
from pylfr.whole_file import write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What was done: of which watchlist, how many reference images went, and the revision without them."""

    watchlist: str
    references: int
    revision: int


def withdraw(path: Path, key: VaultKey, name: str) -> Withdrawal:
    """Write the sealed watchlist anew without the entry ``name``, whole or not at all.

    Of who is gone the digests of the references stay, sealed, so that the list is still the one that was signed for.
    What was sealed before can be opened from an old copy of the file until the key is destroyed. Raises
    ``WatchlistError`` where there is no such entry, or the file is not sealed.
    """
    if not is_sealed(path):
        raise WatchlistError(f"watchlist {path} is not sealed: `pylfr watchlist remove` takes an entry off a plain one")
    with _alone(path), closing(open_sealed(path, key)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        with storage.writing(connection):
            gone = list(references_of(connection, name))
            if not connection.execute("DELETE FROM entries WHERE name = ?", (name,)).rowcount:
                raise WatchlistError(f"watchlist {path} has no entry {name!r}")
            moment = storage.to_text(storage.now())
            connection.executemany("INSERT INTO withdrawn VALUES (?, ?)", [(each, moment) for each in gone])
        identity, revision = connection.execute("SELECT identity, revision FROM watchlist").fetchone()
        write_whole(path, sealed_content(connection, key))
    return Withdrawal(watchlist=identity, references=len(gone), revision=revision)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One writer at a time; the folder is locked, because the file is another one afterwards."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
