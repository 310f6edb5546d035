"""The records as one sealed file, and back: it names who was matched, and lives no longer than that may be known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from pylfr._internal.canonical_json import Plain
from pylfr._internal.printable import excerpt
from pylfr._internal.regular_file import read_file
from pylfr._internal.strict_json import parse_json
from pylfr.errors import AdjudicationError, VaultError
from pylfr.governance.adjudication.schema_version import newest_version, upgrade, version_of
from pylfr.governance.keys.vault import VaultKey

_FORMAT = "pylfr-records-backup-1"
_VERSION_TABLE = "alembic_version"
_LARGEST: Final = 1 << 34


def back_up(connection: sa.Connection, key: VaultKey) -> bytes:
    """Everything in the tables, of whatever form, sealed under ``key``."""
    tables = sa.MetaData()
    tables.reflect(connection)
    content = {
        "format": _FORMAT,
        "version": version_of(connection),
        "tables": {
            table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for table in tables.sorted_tables
            if table.name != _VERSION_TABLE
        },
    }
    return key.seal(json.dumps(content, ensure_ascii=False).encode(), _FORMAT)


def restore(connection: sa.Connection, file: Path, key: VaultKey) -> int:
    """Put a backup into an empty database, in the newest form; how many alerts there are.

    Raises ``AdjudicationError`` where the database has tables already, or the file is no backup that the key opens.
    """
    content = _opened(file, key)
    if sa.inspect(connection).get_table_names():
        raise AdjudicationError("the database has tables already: restore into an empty one, and keep this one apart")
    version, rows = content.get("version"), content.get("tables")
    if not isinstance(version, str) or version > newest_version() or not isinstance(rows, dict):
        raise AdjudicationError(
            f"the backup {file} has the form {excerpt(repr(version))}, which this pylfr does not know: update it"
        )
    upgrade(connection, version)
    tables = sa.MetaData()
    tables.reflect(connection)
    for table in tables.sorted_tables:
        given = rows.get(table.name)
        if isinstance(given, list) and given:
            # A form may bring a row of its own.
            connection.execute(table.delete())
            connection.execute(table.insert(), [row for row in given if isinstance(row, dict)])
    upgrade(connection, newest_version())
    alerts = rows.get("alerts")
    return len(alerts) if isinstance(alerts, list) else 0


def _opened(file: Path, key: VaultKey) -> dict[str, Plain]:
    try:
        content = parse_json(key.open(read_file(file, largest=_LARGEST), _FORMAT))
    except OSError as error:
        raise AdjudicationError(f"the backup {file} cannot be read: {error.strerror}") from error
    except (VaultError, ValueError) as error:
        raise AdjudicationError(f"the backup {file} cannot be opened: {error}") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise AdjudicationError(f"{file} is no backup of records: `pylfr records backup` makes one")
    return content
