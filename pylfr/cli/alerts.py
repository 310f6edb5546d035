"""``pylfr alerts``: people decide. Possible match, verdicts, engagement, outcome; each under somebody's name."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from pylfr.cli.console import escape, results, say, warn
from pylfr.cli.passphrase import PassphraseOption, open_key
from pylfr.cli.said import named, worded
from pylfr.deployment.resources import Resources, open_resources
from pylfr.errors import ConfigError, UsageError
from pylfr.governance.adjudication.case import Decision, Finding, Verdict
from pylfr.governance.adjudication.hand_over import HandOver, open_alerts
from pylfr.governance.adjudication.hand_over import take_over as record_hand_over
from pylfr.governance.adjudication.replay import Difference
from pylfr.governance.adjudication.reviewed import AlertRow
from pylfr.governance.keys.keys import SigningKey
from pylfr.governance.retention.sweeper import SUFFIX, read_sealed

commands = typer.Typer(
    help="Review possible matches and record decisions: list, show, picture, adjudicate, engage, outcome.",
    no_args_is_help=True,
)

DeploymentArgument = Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)]
AlertArgument = Annotated[str, typer.Argument(help="The alert's id, or its first characters.", show_default=False)]
KeyOption = Annotated[Path | None, typer.Option("--key", help="Your private key, to sign the decision.")]
ReasonOption = Annotated[str, typer.Option(help="Why. It is in the record for good: name nobody who was seen.")]
ByOption = Annotated[str, typer.Option(help="Your own name: who decides.", show_default=False, callback=named)]

# What is typed, and what it means.
_VERDICTS: dict[str, Verdict] = {
    "same": "same person", "different": "different person", "cannot-tell": "cannot tell",
}  # fmt: skip
_DECISIONS: dict[str, Decision] = {"engage": "engage", "none": "do not engage"}
_FINDINGS: dict[str, Finding] = {"true": "true alert", "false": "false alert", "unresolved": "unresolved"}


@commands.command(name="list")
def list_(deployment: DeploymentArgument) -> None:
    """Every alert and how far people have come with it, as the signed log has it."""
    table = Table(box=None, pad_edge=False)
    for column in ("alert", "captured", "camera", "possible match", "score", "threshold", "state"):
        table.add_column(column, overflow="fold")
    with open_resources(deployment) as resources:
        reviewed = resources.review.read()
    for row in reviewed.alerts:
        table.add_row(*(escape(cell) for cell in _cells(row)))
    results().print(table)
    _warn_of(reviewed.differences)


@commands.command()
def show(deployment: DeploymentArgument, alert: AlertArgument) -> None:
    """Show one alert. Verdicts are shown once all are in, so that nobody is led by an earlier one."""
    with open_resources(deployment) as resources:
        row = resources.review.alert(alert)
    case = row.case
    names = ("alert", "captured", "camera", "possible match", "score", "threshold", "state")
    for name, cell in zip(names, _cells(row), strict=True):
        say(f"{name}: {cell}")
    say(f"verdicts: {len(case.adjudications)} of {case.min_adjudicators}")
    for each in case.visible_adjudications:
        say(f"  {_decided(each.at, each.adjudicator, each.verdict, each.reason)}")
    if (engagement := case.engagement) is not None:
        say(f"engagement: {_decided(engagement.at, engagement.officer, engagement.decision, engagement.reason)}")
    if case.outcome is not None:
        say(f"outcome: {_decided(case.outcome.at, case.outcome.officer, case.outcome.finding, case.outcome.reason)}")
    _warn_of(row.differences)


@commands.command()
def picture(
    deployment: DeploymentArgument,
    alert: AlertArgument,
    viewer: Annotated[
        str | None,
        typer.Option(
            help="A program that shows a JPEG from its standard input, for example 'feh -'.", metavar="COMMAND"
        ),
    ] = None,
) -> None:
    """Show the sealed picture of an alert to the person who decides: in a viewer, or on standard output.

    It is written into no file: what is opened from the seal must not outlive its retention.
    """
    with open_resources(deployment) as resources:
        content = _sealed_picture(resources, alert)
    if viewer is not None:
        program = shlex.split(viewer)
        try:
            subprocess.run(program, input=content, check=True)
        except (OSError, subprocess.CalledProcessError, IndexError) as error:
            raise ConfigError(f"--viewer {viewer!r} could not show the picture: {error}") from error
        return
    if sys.stdout.isatty():
        raise ConfigError("a picture is not written to a terminal: name a --viewer, or pipe it into one")
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


@commands.command()
def adjudicate(
    deployment: DeploymentArgument,
    alert: AlertArgument,
    by: ByOption,
    verdict: Annotated[
        Literal["same", "different", "cannot-tell"], typer.Option(help="Whether the two pictures show one person.")
    ],
    reason: ReasonOption = "",
    key: KeyOption = None,
    passphrase_env: PassphraseOption = None,
) -> None:
    """Record your verdict on the two pictures. The next person does not see it."""
    with open_resources(deployment) as resources:
        resources.review.adjudicate(
            alert, by=by, verdict=_VERDICTS[verdict], reason=reason, key=_key(key, passphrase_env)
        )
        say(f"recorded; the alert is {resources.review.alert(alert).case.state}")


@commands.command()
def engage(
    deployment: DeploymentArgument,
    alert: AlertArgument,
    by: ByOption,
    decision: Annotated[Literal["engage", "none"], typer.Option(help="Whether to speak to the person.")],
    reason: ReasonOption = "",
    key: KeyOption = None,
    passphrase_env: PassphraseOption = None,
) -> None:
    """Record the decision to speak to the person, or not; only a confirmed alert can be engaged on."""
    with open_resources(deployment) as resources:
        recorded = resources.review.engage(
            alert, by=by, decision=_DECISIONS[decision], reason=reason, key=_key(key, passphrase_env)
        )
    say(f"recorded as entry {recorded.sequence}: {recorded.value.decision}")


@commands.command()
def outcome(
    deployment: DeploymentArgument,
    alert: AlertArgument,
    by: ByOption,
    finding: Annotated[Literal["true", "false", "unresolved"], typer.Option(help="What it turned out to be.")],
    reason: ReasonOption = "",
    key: KeyOption = None,
    passphrase_env: PassphraseOption = None,
) -> None:
    """Record what it turned out to be, also where nobody was engaged."""
    with open_resources(deployment) as resources:
        recorded = resources.review.close_case(
            alert, by=by, finding=_FINDINGS[finding], reason=reason, key=_key(key, passphrase_env)
        )
    say(f"recorded as entry {recorded.sequence}: {recorded.value.finding}")


@commands.command()
def amend(
    deployment: DeploymentArgument,
    alert: AlertArgument,
    by: ByOption,
    reason: Annotated[
        str, typer.Option(help="What was mistaken. Name nobody who was seen.", show_default=False, callback=worded)
    ],
    verdict: Annotated[
        Literal["same", "different", "cannot-tell"] | None, typer.Option(help="Your verdict, as it should have been.")
    ] = None,
    finding: Annotated[
        Literal["true", "false", "unresolved"] | None, typer.Option(help="The outcome, as it should have been.")
    ] = None,
    key: KeyOption = None,
    passphrase_env: PassphraseOption = None,
) -> None:
    """Correct your own verdict, or the outcome. The mistaken one stays in the record beside the correction."""
    if (verdict is None) == (finding is None):
        raise UsageError("give either --verdict or --finding: what was mistaken, as it should have been")
    signing = _key(key, passphrase_env)
    with open_resources(deployment) as resources:
        if verdict is not None:
            resources.review.amend_verdict(alert, by=by, verdict=_VERDICTS[verdict], reason=reason, key=signing)
        if finding is not None:
            resources.review.amend_outcome(alert, by=by, finding=_FINDINGS[finding], reason=reason, key=signing)
        say(f"amended; the alert is {resources.review.alert(alert).case.state}")


@commands.command(name="take-over")
def take_over(
    deployment: DeploymentArgument,
    by: ByOption,
    taken_from: Annotated[str, typer.Option("--from", help="Who hands over.", show_default=False)],
    alerts: Annotated[
        list[str] | None, typer.Option("--alert", help="An open alert, by its id; repeat for all of them.")
    ] = None,
    key: KeyOption = None,
    passphrase_env: PassphraseOption = None,
) -> None:
    """Take over a shift: name every alert that is open, and sign. Without --alert it lists what is open."""
    with open_resources(deployment) as resources:
        waiting = open_alerts(resources.review.alerts())
        signing = _key(key, passphrase_env)
        if signing is None or not alerts:
            for row in waiting:
                say(f"{row.id} {row.case.state}")
            raise ConfigError(f"{len(waiting)} alerts are open: name each with --alert, and sign with --key")
        made = HandOver(by=by, taken_from=taken_from, alerts=tuple(alerts), at=datetime.now(UTC))
        open_now, people = [row.id for row in waiting], {name: each.text for name, each in resources.people.items()}
        record_hand_over(made, open_now=open_now, people=people, key=signing, now=made.at, audit=resources.audit)
    say(f"recorded: {by} took over from {taken_from}, {len(alerts)} open alerts")


@commands.command()
def restore(deployment: DeploymentArgument, by: ByOption) -> None:
    """Put the records back to what the signed log says. Each difference is logged first, as an incident."""
    with open_resources(deployment) as resources:
        differences = resources.review.restore(by=by)
    for each in differences:
        say(str(each))
    say(f"{len(differences)} differences; the records are what the log says")


def _sealed_picture(resources: Resources, alert: str) -> bytes:
    """The JPEG of an alert. Raises ``ConfigError`` where there is none, or it was never sealed."""
    row = resources.review.alert(alert)
    for sink in resources.deployment.sinks:
        if sink.type == "evidence" and sink.key is not None:
            key = resources.evidence_key(sink, expires_at=resources.now)
            path = sink.folder / f"{row.id}{SUFFIX}"
            if key is not None and path.exists():
                return read_sealed(path, key, now=resources.now)
    raise ConfigError(f"there is no sealed picture of alert {row.id}: it was erased, or never sealed")


def _key(path: Path | None, passphrase_env: str | None) -> SigningKey | None:
    return open_key(path, passphrase_env) if path is not None else None


def _cells(row: AlertRow) -> tuple[str, ...]:
    return (
        row.id,
        f"{row.captured_at:%Y-%m-%d %H:%M:%S} UTC",
        row.camera,
        row.entry if row.entry is not None else "(erased)",
        f"{row.score:.3f}",
        f"{row.threshold:.3f}",
        row.case.state,
    )


def _decided(at: datetime, by: str, what: str, reason: str) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC, {by}: {what}" + (f" ({reason})" if reason else "")


def _warn_of(differences: Iterable[Difference]) -> None:
    """Name the rows that are not what the log says; not how, for that may be a verdict that is not to be seen yet."""
    for row in dict.fromkeys(each.row for each in differences):
        warn("error", f"the records are not what the log says, so nothing is decided: row {row}")
