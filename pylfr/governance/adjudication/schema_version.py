"""Which form the tables of the records have: an empty database gets the newest, an older one is changed by command."""

from __future__ import annotations

import threading

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from pylfr.errors import AdjudicationError

# Alembic keeps the migration under way in a variable of its module.
_MIGRATION = threading.Lock()


def newest_version() -> str:
    """The form that this pylfr reads and writes."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def version_of(connection: sa.Connection) -> str | None:
    """The form of these tables; None for an empty database."""
    return MigrationContext.configure(connection).get_current_revision()


# The lock under which the tables are made, by a number that is ours: "pylfr" in ASCII.
_MAKING = int.from_bytes(b"pylfr", "big")


def require_newest(connection: sa.Connection) -> None:
    """Make the tables of an empty database. Raises ``AdjudicationError`` for tables of another form."""
    found, newest = version_of(connection), newest_version()
    if found is None and connection.dialect.name == "postgresql":
        # Of two that make them at once the second waits here, and finds them made. SQLite has one writer anyway.
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MAKING})
        found = version_of(connection)
    if found is None:
        upgrade(connection, newest)
    elif found > newest:
        raise AdjudicationError(
            f"the records have the form {found} of a newer pylfr, this one reads {newest}: update it"
        )
    elif found != newest:
        raise AdjudicationError(
            f"the records have the form {found}, this pylfr needs {newest}: stop every run, then "
            "`pylfr records upgrade` changes them, after a backup"
        )


def upgrade(connection: sa.Connection, version: str) -> None:
    """Give the tables this form. All of it happens, or nothing, where the database can undo it (both do)."""
    config = _config()
    with _MIGRATION:
        config.attributes["connection"] = connection
        command.upgrade(config, version)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "pylfr.governance:migrations")
    return config
