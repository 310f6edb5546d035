"""What a watchlist holds, as digests: what an authorisation names, and what nobody can add to unseen."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pylfr.errors import WatchlistError
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.sealed import connect_either
from pylfr.governance.authorisation.enrolment import Origin, ReferenceReview, ReviewedReference
from pylfr.governance.keys.vault import VaultKey


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchlistContents:
    """Everybody on a watchlist, without a picture or a template.

    ``references`` are digests, one a reference image, of who it shows, why, from which image, with which template,
    where it came from and who reviewed it (``origins`` says the last two in words); ``withdrawn`` are those of images
    that were taken off a sealed list. ``unjustified`` counts entries without a justification. ``digest`` is the sha256
    of all references, withdrawn ones too: who is taken off does not make it another list than the one that was signed.
    """

    digest: str
    references: frozenset[str]
    withdrawn: frozenset[str]
    origins: tuple[ReviewedReference, ...]
    categories: frozenset[str]
    unjustified: int

    def __len__(self) -> int:
        """The number of reference images."""
        return len(self.references)

    @property
    def signed_size(self) -> int:
        """The number of reference images that there were before any was withdrawn."""
        return len(self.references | self.withdrawn)


def read_contents(path: Path, key: VaultKey | None = None) -> WatchlistContents:
    """What the watchlist at ``path`` holds. Raises ``WatchlistError`` where it is missing, damaged, or sealed."""
    with (
        closing(connect_either(path, key)) as connection,
        sqlite_file.understood(path),
        sqlite_file.reading(connection),
    ):
        return contents_of(connection)


def contents_of(connection: sqlite3.Connection) -> WatchlistContents:
    """What an open watchlist holds. Call it inside one transaction."""
    entries = connection.execute("SELECT category, justification FROM entries").fetchall()
    references = frozenset(references_of(connection))
    withdrawn = frozenset(reference for (reference,) in connection.execute("SELECT reference FROM withdrawn"))
    return WatchlistContents(
        digest=hashlib.sha256("\n".join(sorted(references | withdrawn)).encode()).hexdigest(),
        references=references,
        withdrawn=withdrawn,
        origins=tuple(origins_of(connection)),
        categories=frozenset(category or "" for category, _ in entries),
        unjustified=sum(not (justification or "").strip() for _, justification in entries),
    )


def require_nothing_added(connection: sqlite3.Connection, path: Path, authorised: frozenset[str]) -> None:
    """Raise ``WatchlistError`` where the watchlist holds a reference that was not authorised; removals are welcome."""
    added = frozenset(references_of(connection)) - authorised
    if added:
        raise WatchlistError(
            f"watchlist {path} holds {len(added)} references that were not authorised: additions and changes need a "
            "new signature"
        )


def origins_of(connection: sqlite3.Connection, name: str | None = None) -> Iterator[ReviewedReference]:
    """Where each reference image comes from and who reviewed it; of one entry where it is named."""
    rows = connection.execute(
        "SELECT name, source, lawful_basis, captured_on, proposed_by, reviewed_by, reviewed_for, reviewed_at"
        " FROM reference_images JOIN entries ON entries.id = entry WHERE ? IS NULL OR name = ?"
        " ORDER BY entry, reference_images.id",
        (name, name),
    )
    for entry, source, lawful_basis, captured_on, proposed_by, reviewed_by, reviewed_for, reviewed_at in rows:
        yield ReviewedReference(
            entry=entry,
            origin=Origin(
                source=source,
                lawful_basis=lawful_basis,
                captured_on=date.fromisoformat(captured_on) if captured_on is not None else None,
                proposed_by=proposed_by,
            ),
            review=ReferenceReview(by=reviewed_by, deployment=reviewed_for, at=sqlite_file.to_time(reviewed_at))
            if reviewed_by is not None
            else None,
        )


def references_of(connection: sqlite3.Connection, name: str | None = None) -> Iterator[str]:
    """The digest of each reference image; of one entry where it is named."""
    rows = connection.execute(
        "SELECT identity, model, name, category, justification, image_sha256, source, lawful_basis, captured_on,"
        " proposed_by, reviewed_by, reviewed_for, reviewed_at, template, picture"
        " FROM watchlist, reference_images JOIN entries ON entries.id = entry WHERE ? IS NULL OR name = ?"
        " ORDER BY reference_images.id",
        (name, name),
    )
    for *said, template, picture in rows:
        said += [hashlib.sha256(content).hexdigest() for content in (template, picture)]
        yield hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()
