"""The entries of a watchlist: ``watchlist review``, ``show``, ``copy``, ``upgrade``, ``withdraw``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pylfr.cli.console import say, warn
from pylfr.cli.said import named, worded
from pylfr.deployment.resources import open_resources, require_key, vault_passphrase
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.watchlist import open_watchlist
from pylfr.gallery.watchlist.withdrawal import withdraw as withdraw_entry
from pylfr.governance.authorisation.enrolment import ReviewedReference
from pylfr.governance.keys.vault import VaultKey, read_vault_key

FileArgument = Annotated[Path, typer.Argument(help="The watchlist file.", show_default=False)]
EntryArgument = Annotated[str, typer.Argument(help="The entry's name.", show_default=False)]
ByOption = Annotated[str, typer.Option(help="Your own name.", show_default=False, callback=named)]
KeyOption = Annotated[Path | None, typer.Option(help="The key of a sealed watchlist.")]


def review(
    file: FileArgument,
    names: Annotated[list[str], typer.Argument(help="The entries that you reviewed.", show_default=False)],
    by: ByOption,
    deployment: Annotated[
        str, typer.Option("--for", help="The deployment, by the name in its file.", show_default=False)
    ],
) -> None:
    """Record that you reviewed these entries, and that they may be searched for in one deployment."""
    with open_watchlist(file) as opened:
        for name in names:
            count = opened.review(name, by=by, deployment=deployment)
            say(f"{name!r}: {count} reference images, reviewed by {by!r} for {deployment!r}")


def show(file: FileArgument, name: EntryArgument, key: KeyOption = None) -> None:
    """Show one entry: why it is listed, the source of its images, and who reviewed them."""
    with open_watchlist(file, key=read_key(key)) as opened:
        references = opened.references(name)
        entry = next(each for each in opened.entries() if each.name == name)
    say(f"{name}: {entry.category or 'no category'}, {entry.justification or 'no justification'}")
    say(f"expires: {f'{entry.expires_at:%Y-%m-%d %H:%M} UTC' if entry.expires_at is not None else 'never'}")
    for number, each in enumerate(references, start=1):
        say(f"image {number}: {_said(each)}")


def copy(
    file: FileArgument,
    out: Annotated[Path, typer.Argument(help="The new watchlist.", show_default=False)],
    by: ByOption,
    profile: Annotated[str | None, typer.Option(help="The profile that it must meet.")] = None,
    key: KeyOption = None,
) -> None:
    """Copy a watchlist to another deployment. Every entry waits for review again."""
    with open_watchlist(file, key=read_key(key)) as opened:
        count = opened.copy_to(out, by=by, profile=profile)
    say(f"{out}: {count} entries, proposed by {by!r}, reviewed by nobody: `pylfr watchlist review`")


def upgrade(file: FileArgument) -> None:
    """Upgrade a watchlist of an older format. Fields it lacked stay empty; it must be signed again."""
    found = sqlite_file.upgrade(file)
    if found == sqlite_file.FORMAT_VERSION:
        say(f"{file} has format {found} already")
    else:
        say(f"{file}: format {found} is now {sqlite_file.FORMAT_VERSION}; no origin was invented, nothing is reviewed")


def withdraw(
    deployment: Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)],
    name: EntryArgument,
    by: ByOption,
    because: Annotated[
        str, typer.Option(help="Why. It is in the log for good: name nobody.", show_default=False, callback=worded)
    ],
) -> None:
    """Remove somebody from the sealed watchlist of a deployment, also while it runs. The signature remains valid."""
    with open_resources(deployment) as resources:
        key, files = require_key(resources), resources.listed_files
        done = withdraw_entry(files, key, name, by=by, because=because, audit=resources.audit).value
    if files.manifest is None or files.signing is None:
        warn("notice", "[watchlist] names no manifest: `was-listed` will not say that this entry was taken off")
    say(f"{name!r} is off the list: {done.references} reference images, revision {done.revision}")


def read_key(path: Path | None) -> VaultKey | None:
    """The key of a sealed watchlist where one is named."""
    if path is None:
        return None
    return read_vault_key(path, now=datetime.now(UTC), passphrase=vault_passphrase())


def _said(reference: ReviewedReference) -> str:
    origin, review = reference.origin, reference.review
    parts = [
        f"source {origin.source or '(not given)'}",
        f"lawful basis {origin.lawful_basis or '(not given)'}",
        f"captured {origin.captured_on or '(not given)'}",
        f"proposed by {origin.proposed_by or '(not given)'}",
        f"reviewed by {review.by} for {review.deployment}, {review.at:%Y-%m-%d %H:%M} UTC"
        if review is not None
        else "not reviewed",
    ]
    return "; ".join(parts)
