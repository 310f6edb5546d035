"""The command line: one file for each group of commands, and one line for whatever goes wrong."""

from __future__ import annotations

import sys

import typer

from pylfr.cli.alerts import commands as alerts_commands
from pylfr.cli.audit import commands as audit_commands
from pylfr.cli.authority import commands as authority_commands
from pylfr.cli.calibrate import calibrate_command
from pylfr.cli.console import warn
from pylfr.cli.drift import drift as drift_command
from pylfr.cli.enrolment import copy, review, show, upgrade, withdraw
from pylfr.cli.evaluate import evaluate as evaluate_command
from pylfr.cli.models import commands as models_commands
from pylfr.cli.report import report
from pylfr.cli.run import run as run_command
from pylfr.cli.size import size as size_command
from pylfr.cli.try_ import try_ as try_command
from pylfr.cli.vault import picture, seal, sweep, was_listed
from pylfr.cli.watchlist import commands as watchlist_commands
from pylfr.errors import PylfrError

app = typer.Typer(
    name="pylfr",
    help="Live facial recognition: an alert is a possible match, and a person decides.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(name="try")(try_command)
app.command(name="run")(run_command)
app.command(name="evaluate")(evaluate_command)
app.command(name="calibrate")(calibrate_command)
app.command(name="drift")(drift_command)
app.command(name="size")(size_command)
app.add_typer(watchlist_commands, name="watchlist")
app.add_typer(models_commands, name="models")
app.add_typer(authority_commands, name="authority")
app.add_typer(audit_commands, name="audit")
app.add_typer(alerts_commands, name="alerts")
app.command(name="report")(report)
app.command(name="sweep")(sweep)
for _command in (review, show, copy, upgrade, withdraw, seal):
    watchlist_commands.command(name=_command.__name__)(_command)
watchlist_commands.command(name="was-listed")(was_listed)
alerts_commands.command(name="picture")(picture)


def main() -> None:
    """Run the command line. Exit status: 0 done, 1 refused or failed (one line on stderr says why), 2 wrong usage."""
    try:
        app()
    except PylfrError as error:
        _fail(str(error))
    except OSError as error:
        # A full disk or a folder without permission, met outside the parts that explain their own.
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}")


def _fail(reason: str) -> None:
    warn("error", reason)
    sys.exit(1)
