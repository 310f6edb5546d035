"""A watchlist sealed for one deployment: every person and every picture encrypted on its own, and opened in memory."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pylfr._internal.atomic_file import write_new
from pylfr._internal.canonical_json import Plain, canonical
from pylfr._internal.regular_file import read_file, reading_file
from pylfr._internal.strict_json import integer_of, parse_json, parse_object, text_of
from pylfr.errors import VaultError, WatchlistError
from pylfr.gallery.watchlist import sqlite_file
from pylfr.governance.keys.vault import VaultKey

_KIND = "pylfr-sealed-watchlist-"
_FORMAT = f"{_KIND}{sqlite_file.FORMAT_VERSION}"
_TABLES = ("entries", "reference_images", "withdrawn")
_LONGEST_HEADER = 4096
_LARGEST_FILE = 1 << 34
_COLUMNS = "identity, embedder, model, dimension, revision, created_at, profile"


def seal_watchlist(path: Path, sealed: Path, key: VaultKey) -> None:
    """Write the watchlist at ``path`` into ``sealed``, encrypted under ``key``; the plain file stays.

    Each row is bound to the watchlist, its model, its table and its number, so that none can be moved, and the list
    of all rows is sealed too, so that none can be left out. Raises ``WatchlistError`` where it cannot be written.
    """
    with closing(sqlite_file.connect(path)) as connection, sqlite_file.explained(path), sqlite_file.reading(connection):
        content = sealed_content(connection, key)
    try:
        write_new(sealed, content)
    except FileExistsError as error:
        if _is_sealing_of(path, sealed, key):
            return  # a seal that was killed afterwards is run again
        raise WatchlistError(f"{sealed} cannot be made (there is one already): name a new file") from error
    except OSError as error:
        raise WatchlistError(f"{sealed} cannot be made ({error.strerror}): give a folder to write in") from error


def _is_sealing_of(path: Path, sealed: Path, key: VaultKey) -> bool:
    """Whether ``sealed`` holds the very watchlist at ``path`` and opens with ``key``."""
    try:
        with closing(open_sealed(sealed, key)) as one, closing(sqlite_file.connect(path)) as other:
            query = f"SELECT {_COLUMNS} FROM watchlist"
            return bool(one.execute(query).fetchone() == other.execute(query).fetchone())
    except WatchlistError:
        return False


def sealed_content(connection: sqlite3.Connection, key: VaultKey) -> bytes:
    """The sealed file of an open watchlist. Call it inside one transaction."""
    return b"".join(_lines(connection, key))


def sealed_revision(path: Path) -> tuple[str, int]:
    """The identity and the revision that a sealed file claims: to see whether it is worth opening, and no proof."""
    try:
        with reading_file(path) as file:
            watchlist = _header(file.readline(_LONGEST_HEADER))
        return text_of(watchlist[0], "identity"), integer_of(watchlist[4], "revision")
    except (OSError, ValueError) as error:
        raise WatchlistError(f"the sealed watchlist {path} is damaged ({error}): seal it anew") from error


def is_sealed(path: Path) -> bool:
    """Whether the file is a sealed watchlist."""
    try:
        with reading_file(path) as file:
            return file.read(200).startswith(b'{"format":"' + _KIND.encode())
    except OSError:
        return False


def sealed_bytes(path: Path) -> bytes | None:
    """The content of a sealed watchlist, read once; None for a plain one, and for none at all."""
    try:
        with reading_file(path) as file:
            head = file.read(200)
            return head + file.read() if head.startswith(b'{"format":"' + _KIND.encode()) else None
    except OSError:
        return None


def connect_either(path: Path, key: VaultKey | None, *, busy_s: float = sqlite_file.BUSY_S) -> sqlite3.Connection:
    """A connection to a plain watchlist, or with its key to a sealed one.

    Raises ``WatchlistError`` for a sealed one without its key, and for a plain one where a key is given: whoever asks
    for a sealed watchlist follows no file that somebody could write without the key.
    """
    content = sealed_bytes(path)
    if content is not None:
        if key is None:
            raise WatchlistError(f"watchlist {path} is sealed: name its key")
        return _open_content(path, content, key)
    if key is not None and path.is_file():
        raise WatchlistError(
            f"watchlist {path} is not sealed, and a key is named for it: seal it (`pylfr watchlist seal`), or leave "
            "the key out"
        )
    return sqlite_file.connect(path, busy_s=busy_s)


def is_in_memory(connection: sqlite3.Connection) -> bool:
    """Whether ``connect_either`` opened a sealed watchlist, which is in memory alone."""
    return not connection.execute("PRAGMA database_list").fetchone()[2]


def open_sealed(path: Path, key: VaultKey) -> sqlite3.Connection:
    """The watchlist in memory, nowhere on a disk. Raises ``WatchlistError`` where it was changed or the key is another.

    What is in memory is not locked out of swap; a governed run keeps it out of core dumps.
    """
    try:
        content = read_file(path, largest=_LARGEST_FILE)
    except OSError as error:
        raise WatchlistError(f"the sealed watchlist {path} is damaged ({error}): seal it anew") from error
    return _open_content(path, content, key)


def _open_content(path: Path, content: bytes, key: VaultKey) -> sqlite3.Connection:
    try:
        first, *lines = content.split(b"\n")[:-1] or [b""]
        watchlist = _header(first)
        rows = dict(_row(line) for line in lines)
    except ValueError as error:
        raise WatchlistError(f"the sealed watchlist {path} is damaged ({error}): seal it anew") from error
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        # Without this a sort that is larger than the cache goes through a file, in the open.
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.executescript(sqlite_file.SCHEMA)
        connection.execute("INSERT INTO watchlist VALUES (1, ?, ?, ?, ?, ?, ?, ?)", watchlist)
        listed = parse_json(key.open(rows.pop(("all", 0), b""), _about(watchlist, "all", 0)))
        held: list[Plain] = [[table, number] for table, number in rows]
        if not isinstance(listed, list) or sorted(map(canonical, held)) != sorted(map(canonical, listed)):
            raise WatchlistError(f"the sealed watchlist {path} was changed: rows were added or left out")
        for (table, number), content in sorted(rows.items()):
            values = _values(key.open(content, _about(watchlist, table, number)))
            # The table's name was bound by the seal: it is one of ours.
            connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)
    except (VaultError, ValueError, sqlite3.Error) as error:
        connection.close()
        raise WatchlistError(f"the sealed watchlist {path} cannot be opened: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _lines(connection: sqlite3.Connection, key: VaultKey) -> Iterator[bytes]:
    watchlist: list[Plain] = list(connection.execute(f"SELECT {_COLUMNS} FROM watchlist").fetchone())
    yield canonical({"format": _FORMAT, "watchlist": watchlist}) + b"\n"
    listed: list[Plain] = []
    for table in _TABLES:
        for place, row in enumerate(connection.execute(f"SELECT * FROM {table} ORDER BY 1"), start=1):
            number = int(row[0]) if table != "withdrawn" else place
            listed.append([table, number])
            values: list[Plain] = [_plain(value) for value in row]
            yield _line(watchlist, table, number, key, canonical(values))
    yield _line(watchlist, "all", 0, key, canonical(listed))


def _line(watchlist: list[Plain], table: str, number: int, key: VaultKey, content: bytes) -> bytes:
    sealed = base64.b64encode(key.seal(content, _about(watchlist, table, number))).decode("ascii")
    return canonical({"table": table, "number": number, "sealed": sealed}) + b"\n"


def _about(watchlist: list[Plain], table: str, number: int) -> list[Plain]:
    """What a row is bound to: its watchlist with model and revision, and its own place."""
    return [_FORMAT, *watchlist, table, number]


def _plain(value: object) -> Plain:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a watchlist holds texts, numbers and bytes, got {type(value).__name__}")


def _header(line: bytes) -> list[Plain]:
    """The row of the table ``watchlist`` in a file's first line. Raises ``ValueError`` naming what is wrong with it."""
    header = parse_object(line, "format", "watchlist")
    if header["format"] != _FORMAT:
        raise ValueError(f"its format must be {_FORMAT!r}: another version of pylfr sealed it")
    watchlist = header["watchlist"]
    if not isinstance(watchlist, list) or len(watchlist) != len(_COLUMNS.split(", ")):
        raise ValueError(f"its first line must hold {_COLUMNS}")
    if any(isinstance(each, list | dict) for each in watchlist):
        raise ValueError("its first line must hold texts and numbers")
    return watchlist


def _row(line: bytes) -> tuple[tuple[str, int], bytes]:
    row = parse_object(line, "table", "number", "sealed")
    table, number = text_of(row["table"], "table"), integer_of(row["number"], "number")
    return (table, number), base64.b64decode(text_of(row["sealed"], "sealed"), validate=True)


def _values(content: bytes) -> list[str | int | float | bytes | None]:
    row = parse_json(content)
    if not isinstance(row, list):
        raise ValueError("a row must be a list")
    return [_value(each) for each in row]


def _value(plain: Plain) -> str | int | float | bytes | None:
    if isinstance(plain, dict):
        return base64.b64decode(text_of(plain.get("base64"), "base64"), validate=True)
    if isinstance(plain, list):
        raise ValueError("a row holds texts, numbers and bytes")
    return plain
