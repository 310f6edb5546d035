"""``pylfr records``: back up, restore and upgrade the database of alerts and decisions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer

from pylfr._internal.atomic_file import write_new
from pylfr._internal.canonical_json import utc_text
from pylfr.cli.console import say, warn
from pylfr.deployment.resources import Resources, open_resources, vault_passphrase
from pylfr.errors import AdjudicationError, ConfigError
from pylfr.governance.adjudication.backup import back_up, restore
from pylfr.governance.adjudication.database import connect_records
from pylfr.governance.adjudication.schema_version import newest_version, upgrade, version_of
from pylfr.governance.keys.vault import make_vault_key, read_vault_key
from pylfr.governance.retention.sweeper import RetentionPolicy
from pylfr.types import Event

commands = typer.Typer(help="The records of alerts and decisions: back up, restore, upgrade.", no_args_is_help=True)

DeploymentArgument = Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)]
KeyOption = Annotated[Path, typer.Option(help="File of the backup's key, to be stored apart.", show_default=False)]


@commands.command()
def backup(
    deployment: DeploymentArgument,
    out: Annotated[Path, typer.Argument(help="A new file for the backup.", show_default=False)],
    key: KeyOption,
) -> None:
    """Write all records into one sealed file. Its new key ends when the names in it must be erased."""
    with open_resources(deployment) as resources, _database(resources) as connection:
        _back_up(resources, connection, out, key)


@commands.command(name="restore")
def restore_(
    deployment: DeploymentArgument,
    file: Annotated[Path, typer.Argument(help="The backup.", show_default=False)],
    key: KeyOption,
) -> None:
    """Put a backup into an empty database; what may not be known any more is erased at once.

    The audit log is not part of it: put the log and its checkpoints back first (`pylfr audit export` copies them).
    """
    with open_resources(deployment) as resources:
        sealing = read_vault_key(key, now=resources.now, passphrase=vault_passphrase())
        with _database(resources) as connection:
            count = restore(connection, file, sealing)
        records = resources.require_records()
        erased = records.erase(now=resources.now) + records.forget(now=resources.now)
        resources.audit.note(Event(kind="records-put-back", details={"alerts": count, "backup": _digest(file)}))
        say(f"{count} alerts are back; {erased} of them were erased at once: their time is over")
        for each in resources.review.read().differences:
            warn("notice", str(each))


@commands.command(name="upgrade")
def upgrade_(
    deployment: DeploymentArgument,
    backup: Annotated[Path, typer.Option(help="A new file for the backup that is made first.", show_default=False)],
    key: KeyOption,
) -> None:
    """Give the tables the form that this pylfr needs, after a backup. Stop every run and service first."""
    with open_resources(deployment) as resources:
        resources.begin_run()
        with _database(resources) as connection:
            before, newest = version_of(connection), newest_version()
            if before == newest:
                say(f"the records have the form {newest} already")
                return
            if before is None or before > newest:
                raise AdjudicationError(f"there is nothing to upgrade: the form is {before}, this pylfr reads {newest}")
            _back_up(resources, connection, backup, key)
            upgrade(connection, newest)
        resources.audit.note(Event(kind="records-upgraded", details={"from": before, "to": newest}))
        say(f"the records had the form {before} and have {newest} now")


def _back_up(resources: Resources, connection: sa.Connection, out: Path, key: Path) -> None:
    expires_at = resources.now + RetentionPolicy.of(resources.profile).alerts
    sealing = make_vault_key(key, expires_at=expires_at, passphrase=vault_passphrase())
    try:
        write_new(out, back_up(connection, sealing))
    except OSError as error:
        raise ConfigError(f"the backup {out} cannot be written ({error.strerror}): name a new file") from error
    resources.audit.note(Event(kind="records-backed-up", details={"backup": _digest(out)}))
    say(f"{out}: the records, readable with {key} until {utc_text(expires_at)}; store both apart")


@contextmanager
def _database(resources: Resources) -> Iterator[sa.Connection]:
    """The database as it is, in one transaction."""
    url = resources.records_url
    if url is None:
        raise ConfigError(f"{resources.deployment.name!r} has no [records]: there is nothing to back up")
    engine = connect_records(url)
    try:
        with engine.begin() as connection:
            yield connection
    except sa.exc.SQLAlchemyError as error:
        raise AdjudicationError(f"the records cannot be read or written: {error}") from error
    finally:
        engine.dispose()


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"the backup {file} cannot be read: {error.strerror}") from error


def _digest(file: Path) -> str:
    return hashlib.sha256(_read(file)).hexdigest()
