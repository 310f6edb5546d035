"""Sealed, and gone at its time: ``watchlist seal``, ``watchlist was-listed``, ``sweep``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from pylfr._internal.canonical_json import utc_text
from pylfr.cli.console import escape, results, say, warn
from pylfr.cli.passphrase import PassphraseOption, open_key
from pylfr.cli.said import named
from pylfr.deployment.resources import PASSPHRASE, open_resources, vault_passphrase
from pylfr.deployment.retention import Retained, retained
from pylfr.deployment.sweep import forget_expired
from pylfr.deployment.unqueued import queue_unqueued
from pylfr.errors import AdjudicationError, ConfigError, UsageError
from pylfr.gallery.watchlist.sealing import require_sealable, seal_and_sign
from pylfr.governance.keys.keyring import keyring_works
from pylfr.governance.keys.keys import read_public_key
from pylfr.governance.keys.vault import KeyPlace, VaultKey, make_vault_key, place_of, read_key_file
from pylfr.governance.retention.past_listing import read_manifest

retention_commands = typer.Typer(help="What is retained, and until when.", no_args_is_help=True)

DeploymentArgument = Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)]

_KEPT: dict[KeyPlace, str] = {
    "the kernel's keyring": "a key in the kernel's keyring, which a restart of the machine destroys",
    "a file under a passphrase": "a key under the passphrase",
    "a file in the open": "an unencrypted key: store it apart from the list",
}


def seal(
    file: Annotated[Path, typer.Argument(help="The watchlist to seal.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="File for the sealed watchlist.", show_default=False)],
    key: Annotated[Path, typer.Option(help="File for the new key.", show_default=False)],
    expires: Annotated[datetime, typer.Option(help="When the key must be destroyed, UTC.", show_default=False)],
    manifest: Annotated[Path, typer.Option(help="File for the signed list of record references.", show_default=False)],
    record_key: Annotated[
        Path, typer.Option(help="The private key of the audit log, which signs that list.", show_default=False)
    ],
    passphrase_env: PassphraseOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="Do not remove the plain watchlist.")] = False,
    key_in: Annotated[
        Literal["best", "keyring", "passphrase", "file"],
        typer.Option(help="Where the key is stored: best takes the first that is available, and says which."),
    ] = "best",
) -> None:
    """Encrypt a watchlist for one deployment, sign the list of its references, and remove the plain file.

    Best is: under the passphrase in PYLFR_VAULT_PASSPHRASE where that is set; else in the kernel's keyring, from which
    a restart of the machine loses it; else, where the kernel stores no keys, in an unencrypted file. A run that was
    killed can be run again, with the same words: it takes up where the other ended.
    """
    signing = open_key(record_key, passphrase_env)
    expires_at = expires if expires.tzinfo is not None else expires.replace(tzinfo=UTC)
    if expires_at <= datetime.now(UTC):
        raise UsageError(f"--expires must lie in the future, got {utc_text(expires_at)}")
    require_sealable(file, out)
    made = _begun_key(key, expires_at) or _make_key(key, key_in, expires_at)
    contents = seal_and_sign(file, out, made, manifest=manifest, signing=signing, keep=keep)
    say(f"{out}: {len(contents)} references, until {utc_text(expires_at)}; {key} stands for {_KEPT[place_of(key)]}")


def was_listed(
    manifest: Annotated[Path, typer.Argument(help="The signed list of record references.", show_default=False)],
    reference: Annotated[str, typer.Argument(help="The record reference to look up.", show_default=False)],
    key: Annotated[Path, typer.Option(help="The record's public key.", show_default=False)],
) -> None:
    """Answer whether somebody was on an erased watchlist; exit status 0 for yes, 3 for no."""
    read = read_manifest(manifest, read_public_key(key))
    listed, withdrawn_at = read.holds(reference), read.withdrawn_at(reference)
    until = f", and taken off at {utc_text(withdrawn_at)}" if withdrawn_at is not None else ""
    say(f"{reference!r} was {'' if listed else 'not '}listed{until}")
    if not listed:
        raise typer.Exit(3)


def sweep(
    deployment: DeploymentArgument,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be erased now, and erase nothing.")
    ] = False,
    confirm_clock: Annotated[
        str | None,
        typer.Option(
            help="Your name: you say that the clock is right although nothing confirms it.",
            metavar="NAME",
            callback=named,
        ),
    ] = None,
) -> None:
    """Erase everything whose retention has ended: pictures, names, expired keys. Run it from a timer, every minute."""
    if dry_run:
        with open_resources(deployment) as resources:
            over = [each for each in retained(resources) if each.until is not None and each.until <= resources.now]
        for line in _by_place(over):
            say(f"would erase {line}")
        if not over:
            say("nothing is over")
        return
    with open_resources(deployment) as resources:
        if confirm_clock is not None:
            resources.confirm_clock(by=confirm_clock)
        try:
            if queued := queue_unqueued(resources):
                warn("notice", f"{queued} alerts were in the audit log alone: they are queued for review now")
        except AdjudicationError as error:
            warn("error", f"nothing could be queued for review: {error}")
        gone = forget_expired(resources)
    say(
        f"erased {gone.pictures} pictures, {gone.lines} lines, {gone.alerts} alerts' names, who decided on "
        f"{gone.outcomes} alerts, keys: {', '.join(gone.keys) or 'none'}"
    )
    for each in gone.left:
        warn("notice", each)
    if gone.left:
        raise typer.Exit(1)


@retention_commands.command()
def show(deployment: DeploymentArgument) -> None:
    """Everything that is retained, where, and until when."""
    table = Table(box=None, pad_edge=False)
    for column in ("what", "count", "where", "first erased", "last erased"):
        table.add_column(column, overflow="fold")
    with open_resources(deployment) as resources:
        items = retained(resources)
    for (what, place), times in _grouped(items).items():
        ends = sorted(each for each in times if each is not None)
        first, last = (
            (f"{ends[0]:%Y-%m-%d %H:%M} UTC", f"{ends[-1]:%Y-%m-%d %H:%M} UTC") if ends else ("stays", "stays")
        )
        table.add_row(*(escape(cell) for cell in (what, str(len(times)), place, first, last)))
    results().print(table)


def _grouped(items: Iterable[Retained]) -> dict[tuple[str, str], list[datetime | None]]:
    grouped: dict[tuple[str, str], list[datetime | None]] = {}
    for each in items:
        grouped.setdefault((each.what, each.place), []).append(each.until)
    return grouped


def _by_place(items: Iterable[Retained]) -> Iterator[str]:
    for (what, place), times in _grouped(items).items():
        yield f"{len(times)} x {what}, {place}"


def _begun_key(path: Path, expires_at: datetime) -> VaultKey | None:
    """The key that a seal which was killed had made; None where there is none with this deadline."""
    if not path.exists() or utc_text((file := read_key_file(path)).expires_at) != utc_text(expires_at):
        return None
    return file.open(now=datetime.now(UTC), passphrase=vault_passphrase())


def _make_key(path: Path, key_in: Literal["best", "keyring", "passphrase", "file"], expires_at: datetime) -> VaultKey:
    passphrase = vault_passphrase()
    if key_in == "best":
        key_in = "passphrase" if passphrase else "keyring" if keyring_works() else "file"
    if key_in == "passphrase" and not passphrase:
        raise ConfigError(f"--key-in passphrase needs {PASSPHRASE}, which is not set")
    left_s = (expires_at - datetime.now(UTC)).total_seconds()
    return make_vault_key(
        path,
        expires_at=expires_at,
        passphrase=passphrase if key_in == "passphrase" else None,
        in_keyring_for_s=left_s if key_in == "keyring" else None,
    )
