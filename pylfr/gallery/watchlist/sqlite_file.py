"""A watchlist file: one SQLite database, its tables, and its errors explained."""

from __future__ import annotations

import os
import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pylfr._internal.steady_clock import steady_now
from pylfr.errors import WatchlistAwayError, WatchlistError

# "PLFR" in the file's header, so that another program's database is never taken for a watchlist.
APPLICATION_ID = int.from_bytes(b"PLFR", "big")
FORMAT_VERSION = 2
BUSY_S = 5.0
_ANEW = "nothing was read; enrol into a new one"

# Ids are never used again, so that an old alert cannot point to a new person.
SCHEMA = """
CREATE TABLE watchlist (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    identity TEXT NOT NULL,
    embedder TEXT NOT NULL,
    model TEXT NOT NULL,
    dimension INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    profile TEXT
) STRICT;
CREATE TABLE withdrawn (
    reference TEXT PRIMARY KEY,
    at TEXT NOT NULL
) STRICT;
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    category TEXT,
    justification TEXT,
    expires_at TEXT,
    added_at TEXT NOT NULL
) STRICT;
CREATE TABLE reference_images (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    entry INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
    template BLOB NOT NULL,
    picture BLOB NOT NULL,
    sharpness REAL NOT NULL,
    interocular_px REAL NOT NULL,
    yaw REAL NOT NULL,
    pitch REAL NOT NULL,
    roll REAL NOT NULL,
    brightness REAL NOT NULL,
    contrast REAL NOT NULL,
    image_sha256 TEXT NOT NULL,
    added_at TEXT NOT NULL,
    source TEXT,
    lawful_basis TEXT,
    captured_on TEXT,
    proposed_by TEXT,
    reviewed_by TEXT,
    reviewed_for TEXT,
    reviewed_at TEXT
) STRICT;
CREATE INDEX reference_images_by_entry ON reference_images (entry);
"""

# From each older format to the one after it. What is new says nothing: a policy that asks for it asks for it then.
_UPGRADES = {
    1: """
ALTER TABLE watchlist ADD COLUMN profile TEXT;
CREATE TABLE withdrawn (reference TEXT PRIMARY KEY, at TEXT NOT NULL) STRICT;
ALTER TABLE reference_images ADD COLUMN source TEXT;
ALTER TABLE reference_images ADD COLUMN lawful_basis TEXT;
ALTER TABLE reference_images ADD COLUMN captured_on TEXT;
ALTER TABLE reference_images ADD COLUMN proposed_by TEXT;
ALTER TABLE reference_images ADD COLUMN reviewed_by TEXT;
ALTER TABLE reference_images ADD COLUMN reviewed_for TEXT;
ALTER TABLE reference_images ADD COLUMN reviewed_at TEXT;
""",
}


def create(path: Path, *, embedder: str, model: str, dimension: int, profile: str | None = None) -> None:
    """Make an empty watchlist that only this user can read. Raises ``WatchlistError`` where there is a file already."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError as error:
        raise WatchlistError(f"{path} exists already: name a new file, or remove that one first") from error
    except OSError as error:
        raise WatchlistError(f"{path} cannot be created: {error.strerror}") from error
    try:
        with explained(path):
            connection = _open(path)
            try:
                _fill(connection, embedder, model, dimension, profile)
            finally:
                connection.close()
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def connect_in_memory(*, embedder: str, model: str, dimension: int) -> sqlite3.Connection:
    """A connection to an empty watchlist that is nowhere on a disk and is gone with the process."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _prepare(connection)
    _fill(connection, embedder, model, dimension, None)
    return connection


def connect(path: Path, *, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """A connection to a watchlist, which waits ``busy_s`` for other processes.

    Raises ``WatchlistAwayError`` where there is none, or it is locked, ``WatchlistError`` for one of another kind.
    """
    if not path.is_file():
        raise WatchlistAwayError(f"watchlist {path} does not exist: make it with `pylfr watchlist create {path}`")
    with explained(path):
        connection = _open(path, busy_s=busy_s)
        try:
            version = _version(connection, path)
            if version in _UPGRADES:
                raise WatchlistError(
                    f"watchlist {path} has format {version}, which does not say where its images come from: "
                    f"`pylfr watchlist upgrade {path}` makes it one of format {FORMAT_VERSION}"
                )
            if version != FORMAT_VERSION:
                raise WatchlistError(
                    f"watchlist {path} must have format {FORMAT_VERSION}, got {version}: use the pylfr that made it"
                )
            _require_schema(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def upgrade(path: Path) -> int:
    """Bring a watchlist of an older format to this one, in place, all of it or nothing; the format that it had.

    Nothing is invented: what the older format did not hold is empty. Its digest changes, so that an authorisation that
    names it must be signed anew.
    """
    if not path.is_file():
        raise WatchlistError(f"watchlist {path} does not exist")
    with explained(path):
        connection = _open(path)
        try:
            found = version = _version(connection, path)
            while version in _UPGRADES:
                _require_no_code(connection, path)
                connection.executescript(
                    f"BEGIN EXCLUSIVE; {_UPGRADES[version]} PRAGMA user_version = {version + 1}; "
                    "UPDATE watchlist SET revision = revision + 1;"
                )
                version += 1
                if version == FORMAT_VERSION:
                    _require_schema(connection, path)
                connection.execute("COMMIT")
        finally:
            connection.close()
    return found


def require_gone(connection: sqlite3.Connection, path: Path, entry: int) -> None:
    """Raise ``WatchlistError`` where anything is left of the entry of that number, which was removed."""
    (left,) = connection.execute(
        "SELECT (SELECT count(*) FROM entries WHERE id = ?1)"
        " + (SELECT count(*) FROM reference_images WHERE entry = ?1)",
        (entry,),
    ).fetchone()
    if left:
        raise WatchlistError(f"entry {entry} of watchlist {path} cannot be removed: {left} rows are left of it")


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction: all of it or nothing, and the revision is incremented."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("UPDATE watchlist SET revision = revision + 1")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """Everything that is read inside is of one revision."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Whatever SQLite says of ``path``, as a ``WatchlistError``."""
    try:
        yield
    except UnicodeDecodeError as error:
        # A damaged schema is quoted in SQLite's own message, which need not be text.
        raise WatchlistError(f"watchlist {path} is damaged: enrol into a new one") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise WatchlistAwayError(f"watchlist {path} is locked by another process: try again") from error
        elif code == sqlite3.SQLITE_NOTADB:
            said = f"{path} must be a pylfr watchlist, it is another kind of file"
        elif code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT):
            said = f"watchlist {path} is damaged ({error}): enrol into a new one"
        elif code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
            raise WatchlistAwayError(f"watchlist {path} cannot be read ({error}): nothing was changed") from error
        else:
            said = f"watchlist {path} cannot be used ({error}): nothing was changed"
        raise WatchlistError(said) from error


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """As ``explained``, where rows are read: values that no watchlist of ours holds mean that ``path`` is damaged."""
    try:
        with explained(path):
            yield
    except (ValueError, TypeError, OverflowError) as error:
        raise WatchlistError(f"watchlist {path} is damaged ({error}): enrol into a new one") from error


def now() -> datetime:
    """The time that expiry is judged by, UTC; in a run it does not step when somebody sets the system's clock."""
    return steady_now()


def to_text(time: datetime) -> str:
    """ISO 8601 in UTC, so that texts sort as times do."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def to_time(text: str) -> datetime:
    """The time that ``to_text`` wrote."""
    return datetime.fromisoformat(text)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise WatchlistError(f"{path} must be a pylfr watchlist, it is another kind of file")
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _require_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Raise ``WatchlistError`` unless the file has exactly our tables: a trigger would do more than we ask."""
    found, expected = _schema_of(connection), _expected_schema()
    # Indexes that SQLite makes for a table are named after it, and say less.
    for name in sorted(found.keys() | expected.keys(), key=lambda name: (name.startswith("sqlite_"), name)):
        if name not in expected:
            raise WatchlistError(f"watchlist {path} holds a {found[name][0]} {name!r} that is not pylfr's: {_ANEW}")
        if found.get(name) != expected[name]:
            kind = "is missing" if name not in found else "is not as pylfr makes it"
            raise WatchlistError(f"{expected[name][0]} {name!r} of watchlist {path} {kind}: {_ANEW}")


def _require_no_code(connection: sqlite3.Connection, path: Path) -> None:
    for name, (kind, _) in _schema_of(connection).items():
        if kind not in ("table", "index"):
            raise WatchlistError(f"watchlist {path} holds a {kind} {name!r} that is not pylfr's: {_ANEW}")


@cache
def _expected_schema() -> dict[str, tuple[str, str]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return _schema_of(connection)


def _schema_of(connection: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    """Kind and definition of everything in the file by its name. An upgraded file differs in its spaces alone."""
    rows = connection.execute("SELECT name, type, sql FROM sqlite_master")
    return {
        # SQLite quotes neither our names nor words; what a quoted one hides is not equal to anything of ours.
        str(name): (str(kind), re.sub(r"\s+", "", sql or ""))
        for name, kind, sql in rows
    }


def _open(path: Path, *, busy_s: float = BUSY_S) -> sqlite3.Connection:
    # mode=rw creates nothing, and lets a reader roll back what a killed writer left.
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=busy_s, isolation_level=None)
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    # What is removed is overwritten, and no second file retains it: the journal lasts as long as a transaction.
    # EXTRA is FULL, and a removal cannot come back after a power cut.
    # What does not fit into the cache is sorted in memory, not in a file.
    for pragma in (
        "secure_delete = ON", "synchronous = EXTRA", "foreign_keys = ON", "trusted_schema = OFF", "temp_store = MEMORY",
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}")


def _fill(connection: sqlite3.Connection, embedder: str, model: str, dimension: int, profile: str | None) -> None:
    """Create the tables of an empty watchlist."""
    connection.executescript(
        f"BEGIN EXCLUSIVE; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT_VERSION}; {SCHEMA}"
    )
    connection.execute(
        "INSERT INTO watchlist VALUES (1, ?, ?, ?, ?, 0, ?, ?)",
        (uuid.uuid4().hex, embedder, model, dimension, to_text(now()), profile),
    )
    connection.execute("COMMIT")
