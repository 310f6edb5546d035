"""``pylfr report``: the public account of a deployment as Markdown, JSON and HTML. It names nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pylfr._internal.atomic_file import write_result
from pylfr.cli.console import say, warn
from pylfr.cli.result_files import files_of, require_result_files
from pylfr.deployment.report import public_report
from pylfr.deployment.resources import open_resources
from pylfr.governance.report.page import markdown_of, page_of


def report(
    deployment: Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for report.md, report.json and report.html.")],
) -> None:
    """Write the public report of a deployment: counts, rates with intervals, and which controls ran."""
    places = {name: out / f"report.{name}" for name in ("md", "json", "html")}
    with open_resources(deployment) as resources:
        inputs = files_of(resources.deployment, deployment)
        if out.exists():
            require_result_files({f"--out with {each.name}": each for each in places.values()}, inputs=inputs)
        composed = public_report(resources)
    made = composed.report
    out.mkdir(parents=True, exist_ok=True)
    for name, text in (("md", markdown_of(made)), ("json", made.to_json()), ("html", page_of(made))):
        write_result(places[name], text.encode())
    say(f"{out}: report.md, report.json and report.html")
    for flaw in composed.flaws:
        warn("error", flaw)
    if composed.flaws:
        raise typer.Exit(1)
