"""``pylfr watchlist``: the people a deployment looks for. A refused image gets all the reasons."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pylfr.cli.console import escape, results, say, warn
from pylfr.cli.enrol_batch import Proposal, enrol_all, read_proposals
from pylfr.cli.enrolment import KeyOption, copy, read_key, review, show, upgrade, withdraw
from pylfr.cli.models import print_notice
from pylfr.cli.present import chosen_network
from pylfr.cli.said import named
from pylfr.cli.vault import seal, was_listed
from pylfr.errors import ConfigError, PylfrError, UsageError
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist.quality_gate import EnrolmentGate
from pylfr.gallery.watchlist.watchlist import Enrolment, Entry, create_watchlist, open_watchlist
from pylfr.governance.authorisation.enrolment import Origin
from pylfr.video.isolation.client import read_image_isolated

commands = typer.Typer(
    help="Create, enrol, review, seal and withdraw: the people a deployment looks for.", no_args_is_help=True
)

FileArgument = Annotated[Path, typer.Argument(help="The watchlist file.", show_default=False)]
EntryArgument = Annotated[str, typer.Argument(help="The entry's name.", show_default=False)]


@commands.command()
def create(
    file: FileArgument,
    embedder: Annotated[
        str | None, typer.Option(help="The embedder of its templates.", show_default="best on this machine")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="The profile that every enrolment must meet, such as uk-police.")
    ] = None,
) -> None:
    """Create an empty watchlist for the templates of one embedder."""
    network = open_embedder(chosen_network("embed", embedder))
    print_notice(network.manifest)
    with create_watchlist(file, network, profile=profile) as made:
        say(f"{file}: an empty watchlist for {made.embedder}")


@commands.command()
def enrol(
    file: FileArgument,
    name: Annotated[str | None, typer.Argument(help="The entry's name.", show_default=False, callback=named)] = None,
    images: Annotated[list[Path] | None, typer.Argument(help="Pictures, each of one face.", show_default=False)] = None,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Enrol many: a CSV file with the columns name and image (and expires, category, justification, "
            "source, lawful_basis, captured, by), or a folder of NAME/*.jpg or NAME.jpg. Pictures enrolled before "
            "are left out.",
        ),
    ] = None,
    allow_similar: Annotated[
        list[str] | None,
        typer.Option(help="An entry that may look alike, such as a twin; say why with --justification."),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(help="When the entry ends: ISO 8601, for example 2027-01-31 or 2027-01-31T18:00+01:00."),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="The network that finds the face.", show_default="best on this machine")
    ] = None,
    category: Annotated[str | None, typer.Option(help="The category of the entry, as the profile names it.")] = None,
    justification: Annotated[str | None, typer.Option(help="Why this person is on the list.")] = None,
    source: Annotated[str | None, typer.Option(help="Source of the pictures.")] = None,
    lawful_basis: Annotated[str | None, typer.Option(help="Legal basis on which they are held.")] = None,
    captured: Annotated[str | None, typer.Option(help="Day they were taken, such as 2025-03-01.")] = None,
    by: Annotated[str | None, typer.Option(help="Your own name: who proposes them.", callback=named)] = None,
) -> None:
    """Add reference images to a new or existing entry; each must pass the quality gate.

    If an image is refused, the exit status is 1; the others are enrolled all the same.
    """
    expires_at = _time(expires) if expires is not None else None
    origin = Origin(
        source=source,
        lawful_basis=lawful_basis,
        captured_on=_day(captured) if captured is not None else None,
        proposed_by=by,
    )
    gate = _gate(allow_similar or [], justification)
    if from_ is not None:
        if name is not None or images:
            raise UsageError("give either NAME and IMAGES, or --from, not both")
        common = Proposal(
            where=str(from_),
            name="",
            image=from_,
            origin=origin,
            expires_at=expires_at,
            category=category,
            justification=justification,
        )
        _enrol_many(file, read_proposals(from_, common), detector, gate)
        return
    if name is None or not images:
        raise UsageError("name an entry and at least one picture, or a table or folder with --from")
    with open_watchlist(file) as opened:
        network, finder = open_embedder(opened.embedder), open_detector(chosen_network("detect", detector))
        print_notice(network.manifest)
        print_notice(finder.manifest)
        refused = 0
        for image in images:
            try:
                enrolment = opened.enrol(
                    name,
                    read_image_isolated(image),
                    detector=finder,
                    embedder=network,
                    gate=gate,
                    expires_at=expires_at,
                    category=category,
                    justification=justification,
                    image_sha256=hashlib.sha256(image.read_bytes()).hexdigest(),
                    origin=origin,
                )
            except PylfrError as error:
                refused += 1
                warn("refused", f"{image}: {error}")
            else:
                say(f"{image}: {_said(enrolment)}")
    if refused:
        raise typer.Exit(1)


@commands.command(name="list")
def list_(
    file: FileArgument,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
    key: KeyOption = None,
) -> None:
    """List the entries. Templates and pictures stay in the file."""
    with open_watchlist(file, key=read_key(key)) as opened:
        entries, embedder, model, revision = opened.entries(), opened.embedder, opened.model, opened.revision
    if as_json:
        listed = {
            "embedder": embedder,
            "model": model,
            "revision": revision,
            "entries": [asdict(entry) for entry in entries],
        }
        typer.echo(json.dumps(listed, default=_json_time, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "name", "images", "reviewed", "category", "justification", "added", "expires"):
        table.add_column(column, overflow="fold")
    for entry in entries:
        table.add_row(*(escape(cell) for cell in _cells(entry)))
    results().print(table)
    say(f"{len(entries)} entries, revision {revision}, templates of {embedder}")


@commands.command()
def remove(
    file: FileArgument,
    name: Annotated[str | None, typer.Argument(help="The entry's name.", show_default=False)] = None,
    expired: Annotated[bool, typer.Option("--expired", help="Remove every expired entry.")] = False,
) -> None:
    """Remove an entry; its templates and pictures are overwritten in the file."""
    if (name is None) != expired:
        raise typer.BadParameter("give either NAME or --expired")
    with open_watchlist(file) as opened:
        if name is not None:
            opened.remove(name)
            removed: tuple[str, ...] = (name,)
        else:
            removed = opened.remove_expired()
        say(f"removed {', '.join(removed) or 'nobody'}; revision {opened.revision}")


def _gate(allow_similar: Sequence[str], justification: str | None) -> EnrolmentGate:
    if allow_similar and not (justification or "").strip():
        raise UsageError("--allow-similar needs a reason: say with --justification why two entries look alike")
    return EnrolmentGate(similar_to=frozenset(allow_similar))


def _enrol_many(file: Path, proposals: Sequence[Proposal], detector: str | None, gate: EnrolmentGate) -> None:
    with open_watchlist(file) as opened:
        missing = gate.similar_to - {entry.name for entry in opened.entries()}
        if missing:
            raise ConfigError(f"--allow-similar must name entries of {file}, got {', '.join(sorted(missing))}")
        network, finder = open_embedder(opened.embedder), open_detector(chosen_network("detect", detector))
        print_notice(network.manifest)
        print_notice(finder.manifest)
        if enrol_all(opened, proposals, detector=finder, embedder=network, gate=gate).refused:
            raise typer.Exit(1)


def _json_time(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"an entry holds texts, numbers and times, got {type(value).__name__}")


def _time(text: str) -> datetime:
    """A time in the future; without a zone it is UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--expires must be ISO 8601, for example 2027-01-31T18:00+01:00, got {text!r}") from error
    time = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    if time <= datetime.now(UTC):
        raise UsageError(f"--expires must lie in the future, got {time.isoformat()}")
    return time


def _day(text: str) -> date:
    """A day that is not in the future."""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--captured must be a day, for example 2025-03-01, got {text!r}") from error
    if day > datetime.now(UTC).date():
        raise UsageError(f"--captured must not lie in the future, got {day}")
    return day


def _said(enrolment: Enrolment) -> str:
    quality, entry = enrolment.quality, enrolment.entry
    return (
        f"enrolled as {entry.name!r}, image {entry.references}, revision {enrolment.revision}; "
        f"{quality.interocular_px:.0f} px between the eyes, sharpness {quality.sharpness:.0f}, "
        f"yaw {quality.yaw:.0f}, pitch {quality.pitch:.0f}, roll {quality.roll:.0f} degrees, "
        f"brightness {quality.brightness:.2f}, contrast {quality.contrast:.2f}"
    )


def _cells(entry: Entry) -> tuple[str, ...]:
    if entry.expires_at is None:
        expires = "never"
    else:
        over = " (expired)" if entry.expires_at <= datetime.now(UTC) else ""
        expires = f"{entry.expires_at:%Y-%m-%d %H:%M} UTC{over}"
    return (
        str(entry.id),
        entry.name,
        str(entry.references),
        str(entry.reviewed),
        entry.category or "",
        entry.justification or "",
        f"{entry.added_at:%Y-%m-%d %H:%M} UTC",
        expires,
    )


for _command in (review, show, copy, upgrade, withdraw, seal):
    commands.command(name=_command.__name__)(_command)
commands.command(name="was-listed")(was_listed)
