"""Seals a watchlist for a deployment, step by step: a run that was killed between two of them is taken up again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from pylfr._internal.atomic_file import erase, sweep_parts
from pylfr.errors import WatchlistError
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.digests import WatchlistContents, contents_of
from pylfr.gallery.watchlist.sealed import is_sealed, open_sealed, seal_watchlist
from pylfr.gallery.watchlist.watchlist import open_watchlist
from pylfr.governance.keys.keys import SigningKey
from pylfr.governance.keys.vault import VaultKey
from pylfr.governance.retention.past_listing import read_manifest, write_manifest


def require_sealable(path: Path, sealed: Path) -> None:
    """Raise ``WatchlistError`` where there is no watchlist at ``path``, nor one that was sealed and removed."""
    if path.exists() or not is_sealed(sealed):
        open_watchlist(path).close()


def seal_and_sign(
    path: Path, sealed: Path, key: VaultKey, *, manifest: Path, signing: SigningKey, keep: bool
) -> WatchlistContents:
    """Seal the watchlist at ``path``, sign who is on it, and remove the plain file unless it is kept.

    What is removed was read back from the sealed file. Every step that was done before, for this very watchlist and
    with these keys, is left as it is. Raises ``WatchlistError`` where a file is there of another one.
    """
    if path.exists() or not is_sealed(sealed):
        seal_watchlist(path, sealed, key)
    with closing(open_sealed(sealed, key)) as connection, sqlite_file.reading(connection):
        contents = contents_of(connection)
        names = [name for (name,) in connection.execute("SELECT name FROM entries ORDER BY id")]
    try:
        write_manifest(manifest, watchlist=contents.digest, references=names, key=signing, origins=contents.origins)
    except FileExistsError as error:
        if read_manifest(manifest, signing.public).watchlist != contents.digest:
            raise WatchlistError(f"{manifest} is the manifest of another watchlist: name a new file") from error
    if not keep:
        if path.exists():
            erase(path)
        list(sweep_parts(path.resolve().parent))  # of an erasure that was cut short
    return contents
