"""``pylfr audit``: verify, show and export the record; no network, no camera, no database is needed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pylfr.cli.console import results, say, warn
from pylfr.errors import AuditError
from pylfr.governance.adjudication.signatures import verify_decisions
from pylfr.governance.audit.chain import LogEntry, parse_entry, verify
from pylfr.governance.authorisation.signed import read_signed
from pylfr.governance.keys.keys import read_public_key

commands = typer.Typer(help="The record: verify, show, export.", no_args_is_help=True)

LogArgument = Annotated[Path, typer.Argument(help="The audit log.", show_default=False)]
CheckpointsOption = Annotated[Path | None, typer.Option(help="The checkpoints, from where they were exported to.")]
KeyOption = Annotated[Path | None, typer.Option(help="The record's public key.")]


@commands.command(name="verify")
def verify_(
    log: LogArgument,
    checkpoints: CheckpointsOption = None,
    key: KeyOption = None,
    authorisation: Annotated[
        Path | None, typer.Option(help="The signed authorisation: every decision must be of somebody whom it names.")
    ] = None,
) -> None:
    """Say whether the record is as it was written; exit status 1 names every place where it is not.

    Signed decisions are checked against the key that stands beside them, or against those the officer signed for.
    """
    if (checkpoints is None) != (key is None):
        raise AuditError("checkpoints are verified with the record's public key: give both, or neither")
    flaws = list(
        verify(
            _read(log),
            _read(checkpoints) if checkpoints is not None else None,
            read_public_key(key) if key is not None else None,
        )
    )
    people = read_signed(authorisation).authorisation.people if authorisation is not None else None
    decisions = 0
    if not flaws:
        entries = read_entries(log)
        decisions = sum("signature" in entry.details for entry in entries)
        flaws += verify_decisions(entries, people)
    for flaw in flaws:
        warn("error", f"{log}, line {flaw.line}: {flaw.what}" if flaw.line else flaw.what)
    if flaws:
        raise typer.Exit(1)
    count = len(_read(log).splitlines())
    say(f"{log}: {count} entries, whole and in order" + (", as signed" if checkpoints is not None else ""))
    if decisions:
        say(f"{decisions} decisions, each signed by who decided")
    if checkpoints is None:
        warn("notice", "without --checkpoints and --key a cut tail and a log that was written anew are not noticed")


@commands.command()
def show(
    log: LogArgument,
    kind: Annotated[str | None, typer.Option(help="Only entries of this kind, for example alert.")] = None,
) -> None:
    """The record as a table. It names nobody: people and pictures stand in it as keyed digests."""
    table = Table(box=None, pad_edge=False)
    for column in ("entry", "at", "kind", "details"):
        table.add_column(column, overflow="fold")
    for entry in read_entries(log):
        if kind is None or entry.kind == kind:
            details = ", ".join(f"{name} {value}" for name, value in entry.details.items())
            table.add_row(str(entry.sequence), f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.kind, escape(details))
    results().print(table)


@commands.command()
def export(
    log: LogArgument,
    out: Annotated[Path, typer.Option(help="A new folder for the record.", show_default=False)],
    checkpoints: CheckpointsOption = None,
    key: KeyOption = None,
) -> None:
    """Copy the record, its checkpoints and the public key into a folder that can be verified anywhere."""
    out.mkdir()
    for source, name in ((log, "audit.log"), (checkpoints, "audit.checkpoints"), (key, "record.pub")):
        if source is not None:
            shutil.copyfile(source, out / name)
    say(f"{out}: `pylfr audit verify audit.log --checkpoints audit.checkpoints --key record.pub`, run there")


def read_entries(log: Path) -> list[LogEntry]:
    """Every entry of a log. Raises ``AuditError`` at the first that is damaged."""
    entries = []
    for number, line in enumerate(_read(log).splitlines(), start=1):
        try:
            entries.append(parse_entry(line))
        except ValueError as error:
            raise AuditError(f"{log}, line {number}: {error}; `pylfr audit verify` says more") from error
    return entries


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AuditError(f"{path} cannot be read: {error.strerror}") from error
