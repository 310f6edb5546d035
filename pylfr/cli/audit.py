"""``pylfr audit``: verify, show and export the audit log; needs no network, camera or database."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pylfr._internal.secrets import resolve_secrets
from pylfr.cli.console import escape, results, say, warn
from pylfr.cluster.engine_logs import verify_engines
from pylfr.deployment.resources import vault_passphrase
from pylfr.errors import AuditError
from pylfr.governance.adjudication.database import open_records
from pylfr.governance.adjudication.erasure_keys import ErasureKeys
from pylfr.governance.adjudication.hand_over import verify_hand_overs
from pylfr.governance.adjudication.reviewed import review_log
from pylfr.governance.adjudication.signatures import verify_decisions
from pylfr.governance.adjudication.stored import StoredRecords
from pylfr.governance.audit.audit import read_audit, system_clock
from pylfr.governance.audit.chain import LogEntry
from pylfr.governance.audit.receiver import Tls, open_receiver
from pylfr.governance.authorisation.signed import SignedAuthorisation, read_signed
from pylfr.governance.keys.keys import read_public_key

commands = typer.Typer(help="The audit log: verify, show, export.", no_args_is_help=True)

LogArgument = Annotated[Path, typer.Argument(help="The audit log.", show_default=False)]
CheckpointsOption = Annotated[Path | None, typer.Option(help="The checkpoints, from the machine that keeps them.")]
KeyOption = Annotated[Path | None, typer.Option(help="The public key of the log.")]
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
    records: Annotated[
        str | None,
        typer.Option(help="The records, a SQLite file or a URL: every row must be what the log says."),
    ] = None,
    records_keys: Annotated[
        Path | None, typer.Option(help="The folder of their keys, where names in the records are encrypted.")
    ] = None,
    engine: Annotated[
        list[Path] | None, typer.Option(help="The folder of a node of a cluster, with its engine's log; repeat.")
    ] = None,
    received: Annotated[
        Path | None, typer.Option(help="The head's folder of checkpoints of engines' logs, with --engine.")
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
    people = signed.authorisation.people if signed is not None else None
    flaws += [
        f"{log}, entry {read.entries[flaw.line - 1].sequence}: {flaw.what}"
        for flaw in (*verify_decisions(read.entries, people), *verify_hand_overs(read.entries, people))
    ]
    if expect is not None and all(entry.digest != expect for entry in read.entries):
        flaws.append(f"{log} has no entry with the digest {expect}: it was cut, or written anew, after that was noted")
    if records is not None:
        reviewed = review_log(read.entries, _stored(records, records_keys))
        flaws += [f"the records are not what the log says: {each}" for each in reviewed.differences]
    engines = None
    if engine or received is not None:
        if not engine or received is None:
            raise AuditError("engines' logs are verified with the checkpoints that the head has: give both options")
        engines = verify_engines(read.entries, engine, received=received)
        flaws += engines.flaws
    for flaw in flaws:
        warn("error", flaw)
    if flaws:
        raise typer.Exit(1)
    say(f"{log}: {len(read.entries)} entries, whole and in order" + (", as signed" if read.is_signed else ""))
    if read.entries:
        say(f"digest of the last: {read.entries[-1].digest}")
    if decisions := sum("signature" in entry.details for entry in read.entries):
        say(f"{decisions} decisions, each signed by who decided")
    if signed is not None:
        say(f"authorisation {signed.authorisation.reference}: signed by {_fingerprints(signed)}")
    if records is not None:
        say(
            f"{records}: {len(reviewed.alerts)} alerts, as the log has them; only who holds the record's key can tell "
            "whether the names of those who were matched are the true ones (`pylfr alerts list`)"
        )
    if engines is not None:
        for each in engines.whole:
            say(f"engine {each}")
        if engines.not_given:
            warn("notice", f"the logs of {', '.join(engines.not_given)} were not given: they are not verified")
    if read.unsigned is not None:
        warn("notice", f"entry {read.unsigned.sequence} ({read.unsigned.kind}) has no checkpoint: {_UNSIGNED}")
    if not read.is_signed:
        warn(
            "notice",
            "without --checkpoints and --key a cut tail, added entries and a log that was written anew are not noticed",
        )
    elif not read.are_checkpoints_apart:
        warn("notice", f"{checkpoints} is on the log's own file system: whoever can cut one can cut both")


@commands.command()
def show(
    log: LogArgument,
    kind: Annotated[str | None, typer.Option(help="Only entries of this kind, such as alert.")] = None,
) -> None:
    """The log as a table. People and pictures appear as keyed digests."""
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
    out: Annotated[Path, typer.Option(help="A new folder for the copy.", show_default=False)],
    checkpoints: CheckpointsOption = None,
    key: KeyOption = None,
) -> None:
    """Copy the log, its checkpoints and the public key into a folder that can be verified anywhere."""
    out.mkdir(mode=0o700)
    for source, name in ((log, "audit.log"), (checkpoints, "audit.checkpoints"), (key, "record.pub")):
        if source is not None:
            (out / name).touch(mode=0o600)
            shutil.copyfile(source, out / name)
    say(f"{out}: `pylfr audit verify audit.log --checkpoints audit.checkpoints --key record.pub`, run there")


@commands.command()
def receive(
    folder: Annotated[Path, typer.Argument(help="Where checkpoints go, one file per log.", show_default=False)],
    key: Annotated[list[Path], typer.Option(help="The public key of a log; again for another.", show_default=False)],
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen at; 0 for any that is free.", min=0, max=65535)] = 8470,
    certificate: Annotated[Path | None, typer.Option(help="Certificate for TLS (PEM), with --private-key.")] = None,
    private_key: Annotated[Path | None, typer.Option(help="Private key of that certificate (PEM).")] = None,
) -> None:
    """Receive the checkpoints of logs from another machine, out of reach of whoever takes that over.

    A sender is known by the log's key, and checkpoints are only ever added. Runs until Ctrl-C.
    """
    if (certificate is None) != (private_key is None):
        raise AuditError("TLS needs a certificate and its private key: give both, or neither")
    tls = None
    if certificate is not None and private_key is not None:
        tls = Tls(certificate=certificate, private_key=private_key)
    keys = [read_public_key(path) for path in key]
    receiver = open_receiver(folder, keys, host=host, port=port, tls=tls)
    scheme = "https" if tls is not None else "http"
    say(f"receiving at {scheme}://{host}:{receiver.server_port} into {folder}")
    for each in keys:
        head = receiver.stores[each.fingerprint].head
        say(f"{each.fingerprint}.checkpoints: {head.sequence} entries so far")
    try:
        receiver.serve_forever()
    except KeyboardInterrupt:
        say("stopped")
    finally:
        receiver.server_close()


def _fingerprints(signed: SignedAuthorisation) -> str:
    return ", ".join(sorted(f"key {each.fingerprint}" for each in signed.signers))


def _stored(records: str, keys: Path | None) -> StoredRecords:
    """Everything in the records, names opened with ``keys``. Raises ``AuditError`` where there is no such file."""
    if "://" not in records and not Path(records).is_file():
        raise AuditError(f"{records}: no such file; give the records' file, or their url")
    url = records if "://" in records else f"sqlite:///{records}"
    url = resolve_secrets(url, name="the records' url", percent_encoded=True)
    opening = ErasureKeys(keys, passphrase=vault_passphrase(), clock=system_clock) if keys is not None else None
    with closing(open_records(url, keys=opening)) as opened:
        return opened.stored()


def _whole(log: Path) -> tuple[LogEntry, ...]:
    """Every entry of a log, signed or not. Raises ``AuditError`` at the first place that is damaged."""
    read = read_audit(log)
    if read.flaws:
        flaw = read.flaws[0]
        raise AuditError(f"{log}, line {flaw.line}: {flaw.what}; `pylfr audit verify` says more")
    return read.entries
