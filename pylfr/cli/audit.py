"""``pylfr audit``: verify, show and export the record; no network, no camera, no database is needed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pylfr.cli.console import escape, results, say, warn
from pylfr.errors import AuditError
from pylfr.governance.adjudication.signatures import verify_decisions
from pylfr.governance.audit.audit import read_audit
from pylfr.governance.audit.chain import LogEntry
from pylfr.governance.authorisation.signed import read_signed
from pylfr.governance.keys.keys import read_public_key

commands = typer.Typer(help="The record: verify, show, export.", no_args_is_help=True)

LogArgument = Annotated[Path, typer.Argument(help="The audit log.", show_default=False)]
CheckpointsOption = Annotated[Path | None, typer.Option(help="The checkpoints, from where they were exported to.")]
KeyOption = Annotated[Path | None, typer.Option(help="The record's public key.")]
_UNSIGNED = "its writer died, or somebody without the record's key wrote it; nothing acts on it"


@commands.command(name="verify")
def verify_(
    log: LogArgument,
    checkpoints: CheckpointsOption = None,
    key: KeyOption = None,
    authorisation: Annotated[
        Path | None, typer.Option(help="The signed authorisation: only those whom it names may have decided.")
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(help="A digest that was published or noted, for example in a report: the log must contain it."),
    ] = None,
) -> None:
    """Say whether the log is as it was written; exit status 1 names every place where it is not.

    Signed decisions are checked against the key beside them, or against those that the officer signed for.
    """
    if (checkpoints is None) != (key is None):
        raise AuditError("checkpoints are verified with the record's public key: give both, or neither")
    read = read_audit(log, checkpoints=checkpoints, key=read_public_key(key) if key is not None else None)
    signed = read_signed(authorisation) if authorisation is not None else None
    flaws = [f"{log}, line {flaw.line}: {flaw.what}" if flaw.line else flaw.what for flaw in read.flaws]
    flaws += [
        f"{log}, entry {read.entries[flaw.line - 1].sequence}: {flaw.what}"
        for flaw in verify_decisions(read.entries, signed.authorisation.people if signed is not None else None)
    ]
    if expect is not None and all(entry.digest != expect for entry in read.entries):
        flaws.append(f"{log} has no entry with the digest {expect}: it was cut, or written anew, after that was noted")
    for flaw in flaws:
        warn("error", flaw)
    if flaws:
        raise typer.Exit(1)
    say(f"{log}: {len(read.entries)} entries, whole and in order" + (", as signed" if read.is_signed else ""))
    if read.entries:
        say(f"digest of the last: {read.entries[-1].digest}")
    if decisions := sum("signature" in entry.details for entry in read.entries):
        say(f"{decisions} decisions, each signed by who decided")
    if read.unsigned is not None:
        warn("notice", f"entry {read.unsigned.sequence} ({read.unsigned.kind}) has no checkpoint: {_UNSIGNED}")
    if not read.is_signed:
        warn(
            "notice",
            "without --checkpoints and --key a cut tail, added entries and a log that was written anew are not noticed",
        )
    elif checkpoints is not None and checkpoints.stat().st_dev == log.stat().st_dev:
        warn("notice", f"{checkpoints} is on the log's own file system: whoever can cut one can cut both")


@commands.command()
def show(
    log: LogArgument,
    kind: Annotated[str | None, typer.Option(help="Only entries of this kind, for example alert.")] = None,
) -> None:
    """The record as a table. It names nobody: people and pictures stand in it as keyed digests."""
    table = Table(box=None, pad_edge=False)
    for column in ("entry", "at", "kind", "details"):
        table.add_column(column, overflow="fold")
    for entry in _whole(log):
        if kind is None or entry.kind == kind:
            details = ", ".join(f"{name} {value}" for name, value in entry.details.items())
            table.add_row(str(entry.sequence), f"{entry.at:%Y-%m-%d %H:%M:%S}", escape(entry.kind), escape(details))
    results().print(table)


@commands.command()
def export(
    log: LogArgument,
    out: Annotated[Path, typer.Option(help="A new folder for the record.", show_default=False)],
    checkpoints: CheckpointsOption = None,
    key: KeyOption = None,
) -> None:
    """Copy the record, its checkpoints and the public key into a folder that can be verified anywhere."""
    out.mkdir(mode=0o700)
    for source, name in ((log, "audit.log"), (checkpoints, "audit.checkpoints"), (key, "record.pub")):
        if source is not None:
            shutil.copyfile(source, out / name)
    say(f"{out}: `pylfr audit verify audit.log --checkpoints audit.checkpoints --key record.pub`, run there")


def _whole(log: Path) -> tuple[LogEntry, ...]:
    """Every entry of a log, signed or not. Raises ``AuditError`` at the first place that is damaged."""
    read = read_audit(log)
    if read.flaws:
        flaw = read.flaws[0]
        raise AuditError(f"{log}, line {flaw.line}: {flaw.what}; `pylfr audit verify` says more")
    return read.entries
