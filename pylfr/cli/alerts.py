"""``pylfr alerts``: people decide. Possible match, verdicts, engagement, outcome; each with a name under it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from pylfr.cli.console import escape, results, say
from pylfr.cli.passphrase import PassphraseOption, open_key
from pylfr.cli.vault import picture
from pylfr.deployment.resources import open_resources
from pylfr.governance.adjudication.case import Decision, Finding, Verdict
from pylfr.governance.adjudication.database import AlertRow
from pylfr.governance.keys.keys import SigningKey

commands = typer.Typer(help="Possible matches and what people decide about them.", no_args_is_help=True)

DeploymentArgument = Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)]
AlertArgument = Annotated[str, typer.Argument(help="The alert's id, or how it begins.", show_default=False)]
KeyOption = Annotated[Path | None, typer.Option("--key", help="Your private key, which signs the decision.")]
ByOption = Annotated[str, typer.Option(help="Who decides: your own name.", show_default=False)]

# What is typed, and what it means.
_VERDICTS: dict[str, Verdict] = {
    "same": "same person", "different": "different person", "cannot-tell": "cannot tell",
}  # fmt: skip
_DECISIONS: dict[str, Decision] = {"engage": "engage", "none": "do not engage"}
_FINDINGS: dict[str, Finding] = {"true": "true alert", "false": "false alert", "unresolved": "unresolved"}


@commands.command(name="list")
def list_(deployment: DeploymentArgument) -> None:
    """Every alert and how far people have come with it."""
    table = Table(box=None, pad_edge=False)
    for column in ("alert", "captured", "camera", "possible match", "score", "threshold", "state"):
        table.add_column(column, overflow="fold")
    with open_resources(deployment) as resources:
        for row in resources.require_records().alerts():
            table.add_row(*(escape(cell) for cell in _cells(row)))
    results().print(table)


@commands.command()
def show(deployment: DeploymentArgument, alert: AlertArgument) -> None:
    """One alert. Verdicts are shown only when all are in: nobody is led by the one before."""
    with open_resources(deployment) as resources:
        row = resources.require_records().alert(alert)
    case = row.case
    names = ("alert", "captured", "camera", "possible match", "score", "threshold", "state")
    for name, cell in zip(names, _cells(row), strict=True):
        say(f"{name}: {cell}")
    say(f"verdicts: {len(case.adjudications)} of {case.min_adjudicators}")
    for each in case.visible_adjudications:
        say(f"  {each.at:%Y-%m-%d %H:%M:%S} UTC, {each.adjudicator}: {each.verdict}")
    if case.engagement is not None:
        say(f"engagement: {case.engagement.at:%Y-%m-%d %H:%M:%S} UTC, {case.engagement.officer}: {_decided(row)}")
    if case.outcome is not None:
        say(f"outcome: {case.outcome.at:%Y-%m-%d %H:%M:%S} UTC, {case.outcome.officer}: {case.outcome.finding}")


@commands.command()
def adjudicate(
    deployment: DeploymentArgument,
    alert: AlertArgument,
    by: ByOption,
    verdict: Annotated[Literal["same", "different", "cannot-tell"], typer.Option(help="What the two pictures show.")],
    key: KeyOption = None,
    passphrase_env: PassphraseOption = None,
) -> None:
    """Give your verdict on the two pictures. The next person is not told."""
    with open_resources(deployment) as resources:
        records, audit = resources.require_records(), resources.audit
        records.adjudicate(alert, by=by, verdict=_VERDICTS[verdict], audit=audit, key=_key(key, passphrase_env))
        say(f"recorded; the alert is {records.alert(alert).case.state}")


@commands.command()
def engage(
    deployment: DeploymentArgument,
    alert: AlertArgument,
    by: ByOption,
    decision: Annotated[Literal["engage", "none"], typer.Option(help="Whether somebody is spoken to.")],
    key: KeyOption = None,
    passphrase_env: PassphraseOption = None,
) -> None:
    """Decide whether the person is spoken to; only an alert that people have confirmed can be engaged on."""
    with open_resources(deployment) as resources:
        records, audit = resources.require_records(), resources.audit
        recorded = records.engage(
            alert, by=by, decision=_DECISIONS[decision], audit=audit, key=_key(key, passphrase_env)
        )
        say(f"recorded as entry {recorded.sequence}: {recorded.value.decision}")


@commands.command()
def outcome(
    deployment: DeploymentArgument,
    alert: AlertArgument,
    by: ByOption,
    finding: Annotated[Literal["true", "false", "unresolved"], typer.Option(help="What it turned out to be.")],
    key: KeyOption = None,
    passphrase_env: PassphraseOption = None,
) -> None:
    """Record what it turned out to be."""
    with open_resources(deployment) as resources:
        records, audit = resources.require_records(), resources.audit
        recorded = records.close_case(
            alert, by=by, finding=_FINDINGS[finding], audit=audit, key=_key(key, passphrase_env)
        )
        say(f"recorded as entry {recorded.sequence}: {recorded.value.finding}")


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


def _decided(row: AlertRow) -> str:
    return row.case.engagement.decision if row.case.engagement is not None else ""


commands.command(name="picture")(picture)
