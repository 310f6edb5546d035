"""``pylfr run``: a deployment, under its authorisation, until its window ends."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pylfr.cli.present import print_alert, print_notices, print_summary, running, say_runtime
from pylfr.deployment.open import engine_of
from pylfr.deployment.resources import open_resources
from pylfr.governance.keys.memory import close_memory, memory_state


def run(
    deployment: Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)],
    summary_file: Annotated[
        Path | None, typer.Option("--summary", help="Write the summary as JSON into this file.")
    ] = None,
    debuggable: Annotated[
        bool, typer.Option("--debuggable", help="Leave the memory open to debuggers; the record and the report say so.")
    ] = False,
) -> None:
    """Run a deployment: many cameras against one watchlist. Ctrl-C ends it with its account.

    It refuses to start without an authorisation and stops by itself when the authorised window ends.
    """
    console = Console(stderr=True)
    if not debuggable:
        close_memory()
    console.print(f"the memory of this process is {memory_state()}", highlight=False, soft_wrap=True)
    resources = open_resources(deployment)
    models = resources.deployment.models
    print_notices([models.detector, models.embedder], console)
    if models.runtime == "auto":
        say_runtime(resources.runtime, console)
    engine = engine_of(resources, debuggable=debuggable)
    with running(engine, console):
        for recorded in engine.run():
            print_alert(recorded.value, console)
    summary = engine.summary()
    if summary_file is not None:
        summary_file.write_text(summary.to_json() + "\n", encoding="utf-8")
    print_summary(summary, console)
    if summary.errors:
        raise typer.Exit(1)
