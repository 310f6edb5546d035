"""Sealed, and gone at its time: ``watchlist seal``, ``watchlist was-listed``, ``alerts picture``, ``sweep``."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from pylfr._internal.atomic_file import erase
from pylfr._internal.canonical_json import utc_text
from pylfr.cli.console import say
from pylfr.cli.passphrase import PassphraseOption, open_key
from pylfr.deployment.resources import PASSPHRASE, open_resources, vault_passphrase
from pylfr.deployment.sweep import forget_expired
from pylfr.errors import ConfigError
from pylfr.gallery.watchlist.digests import read_contents
from pylfr.gallery.watchlist.sealed import seal_watchlist
from pylfr.gallery.watchlist.watchlist import open_watchlist
from pylfr.governance.keys.keyring import keyring_works
from pylfr.governance.keys.keys import read_public_key
from pylfr.governance.keys.vault import KeyPlace, VaultKey, make_vault_key, place_of
from pylfr.governance.retention.past_listing import read_manifest, write_manifest
from pylfr.governance.retention.sweeper import SUFFIX, read_sealed

DeploymentArgument = Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)]

_KEPT: dict[KeyPlace, str] = {
    "the kernel's keyring": "a key in the kernel's keyring, which a restart of the machine destroys",
    "a file under a passphrase": "a key under the passphrase",
    "a file in the open": "a key in the open: keep it apart from the list",
}


def seal(
    file: Annotated[Path, typer.Argument(help="The watchlist as it was compiled.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Where the sealed one goes.", show_default=False)],
    key: Annotated[Path, typer.Option(help="Where the new key goes.", show_default=False)],
    expires: Annotated[datetime, typer.Option(help="When the key must be destroyed, UTC.", show_default=False)],
    manifest: Annotated[Path, typer.Option(help="Where the list of record references goes.", show_default=False)],
    record_key: Annotated[Path, typer.Option(help="The record's private key, which signs it.", show_default=False)],
    passphrase_env: PassphraseOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the plain watchlist where it is.")] = False,
    key_in: Annotated[
        Literal["best", "keyring", "passphrase", "file"],
        typer.Option(help="Where the key is kept: best takes the first that can be had, and says which."),
    ] = "best",
) -> None:
    """Encrypt a watchlist for one deployment, sign who was on it, and remove the plain one.

    Best is: under the passphrase in PYLFR_VAULT_PASSPHRASE where that is set; else in the kernel's keyring, from which
    a restart of the machine loses it; else, where the kernel keeps no keys, in a file in the open.
    """
    signing = open_key(record_key, passphrase_env)
    expires_at = expires if expires.tzinfo is not None else expires.replace(tzinfo=UTC)
    if expires_at <= datetime.now(UTC):
        raise ConfigError(f"--expires must lie in the future, got {utc_text(expires_at)}")
    with open_watchlist(file) as watchlist:
        references = [entry.name for entry in watchlist.entries()]
    contents = read_contents(file)
    made = _make_key(key, key_in, expires_at)
    seal_watchlist(file, out, made)
    write_manifest(manifest, watchlist=contents.digest, references=references, key=signing, origins=contents.origins)
    if not keep:
        erase(file)
    say(f"{out}: {len(contents)} references, until {utc_text(expires_at)}; {key} stands for {_KEPT[place_of(key)]}")


def was_listed(
    manifest: Annotated[Path, typer.Argument(help="The signed list of record references.", show_default=False)],
    reference: Annotated[str, typer.Argument(help="The record reference to ask for.", show_default=False)],
    key: Annotated[Path, typer.Option(help="The record's public key.", show_default=False)],
) -> None:
    """Say whether somebody was on a watchlist that is gone; exit status 0 for yes, 3 for no."""
    read = read_manifest(manifest, read_public_key(key))
    listed, withdrawn_at = read.holds(reference), read.withdrawn_at(reference)
    until = f", and taken off at {utc_text(withdrawn_at)}" if withdrawn_at is not None else ""
    say(f"{reference!r} was {'' if listed else 'not '}listed{until}")
    if not listed:
        raise typer.Exit(3)


def picture(
    deployment: DeploymentArgument,
    alert: Annotated[str, typer.Argument(help="The alert's id, or how it begins.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Where the picture goes (JPEG); remove it when you have looked.")],
) -> None:
    """Open the sealed picture of an alert for the person who decides."""
    with open_resources(deployment) as resources:
        now = resources.now
        row = resources.require_records().alert(alert)
        for sink in resources.deployment.sinks:
            if sink.type == "evidence" and sink.key is not None:
                key = resources.evidence_key(sink, expires_at=now)
                path = sink.folder / f"{row.id}{SUFFIX}"
                if key is not None and path.exists():
                    descriptor = os.open(out, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
                    with os.fdopen(descriptor, "wb") as file:
                        file.write(read_sealed(path, key, now=now))
                    say(f"{out}: possible match, for a person to review")
                    return
    raise ConfigError(f"there is no sealed picture of alert {row.id}: it was erased, or never sealed")


def sweep(
    deployment: DeploymentArgument,
    confirm_clock: Annotated[
        str | None,
        typer.Option(help="Your name: you say that the clock is right although nothing confirms it.", metavar="NAME"),
    ] = None,
) -> None:
    """Erase everything whose retention has ended: pictures, names, expired keys. Run it from a timer, every minute."""
    if confirm_clock is not None and not confirm_clock.strip():
        raise ConfigError("--confirm-clock must be your name: it is written into the record")
    with open_resources(deployment) as resources:
        if confirm_clock is not None:
            resources.confirm_clock(by=confirm_clock)
        gone = forget_expired(resources)
    say(
        f"erased {gone.pictures} pictures, {gone.lines} lines, {gone.alerts} alerts' names, who decided on "
        f"{gone.outcomes} alerts, keys: {', '.join(gone.keys) or 'none'}"
    )


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
