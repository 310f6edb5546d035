"""What a watchlist holds, as digests: what an authorisation names, and what nobody can add to unseen."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pylfr.errors import WatchlistError
from pylfr.gallery import storage
from pylfr.gallery.sealed import connect_either
from pylfr.governance.vault import VaultKey


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchlistContents:
    """Everybody on a watchlist, without a picture or a template.

    ``references`` are digests, one a reference image, of who it shows, why, from which image, with which template;
    ``unjustified`` counts entries without a justification. ``digest`` is the sha256 of all of it.
    """

    digest: str
    references: frozenset[str]
    categories: frozenset[str]
    unjustified: int

    def __len__(self) -> int:
        """The number of reference images."""
        return len(self.references)


def read_contents(path: Path, key: VaultKey | None = None) -> WatchlistContents:
    """What the watchlist at ``path`` holds. Raises ``WatchlistError`` where it is missing, damaged, or sealed."""
    with closing(connect_either(path, key)) as connection, storage.explained(path), storage.reading(connection):
        return contents_of(connection)


def contents_of(connection: sqlite3.Connection) -> WatchlistContents:
    """What an open watchlist holds. Call it inside one transaction."""
    entries = connection.execute("SELECT category, justification FROM entries").fetchall()
    references = frozenset(_references(connection))
    return WatchlistContents(
        digest=hashlib.sha256("\n".join(sorted(references)).encode()).hexdigest(),
        references=references,
        categories=frozenset(category or "" for category, _ in entries),
        unjustified=sum(not (justification or "").strip() for _, justification in entries),
    )


def require_nothing_added(connection: sqlite3.Connection, path: Path, authorised: frozenset[str]) -> None:
    """Raise ``WatchlistError`` where the watchlist holds a reference that was not authorised; removals are welcome."""
    added = frozenset(_references(connection)) - authorised
    if added:
        raise WatchlistError(
            f"watchlist {path} holds {len(added)} references that were not authorised: additions and changes need a "
            "new signature"
        )


def _references(connection: sqlite3.Connection) -> Iterator[str]:
    rows = connection.execute(
        "SELECT identity, model, name, category, justification, image_sha256, template, picture"
        " FROM watchlist, reference_images JOIN entries ON entries.id = entry ORDER BY reference_images.id"
    )
    for *said, template, picture in rows:
        said += [hashlib.sha256(content).hexdigest() for content in (template, picture)]
        yield hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()
