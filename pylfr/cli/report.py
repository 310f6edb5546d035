"""``pylfr report``: what a deployment did, for the public: Markdown, JSON and HTML. Nobody is named."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from pylfr.cli.console import say, warn
from pylfr.deployment.resources import Resources, open_resources
from pylfr.errors import ConfigError, PylfrError
from pylfr.gallery.watchlist.sealed import connect_either
from pylfr.governance.adjudication.reviewed import review_log
from pylfr.governance.audit.audit import keyed_digest_of, read_audit
from pylfr.governance.report.page import markdown_of, page_of
from pylfr.governance.report.report import compose_report


def report(
    deployment: Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)],
    out: Annotated[Path, typer.Option(help="A folder for report.md, report.json and report.html.")],
) -> None:
    """Write the public report of a deployment: counts, rates with intervals, and which controls ran."""
    with open_resources(deployment) as resources:
        described, key = resources.deployment, resources.record_key
        if described.authority is None or described.records is None or key is None:
            raise ConfigError(
                f"{described.name!r} must have [authority] and [records]: a rehearsal has nothing to publish"
            )
        # Not opened as its writer does, which would refuse a log that was cut: the report is what says so.
        log = read_audit(described.audit.path, checkpoints=described.audit.checkpoints, key=key.public)
        stored = resources.require_records().stored()
        reviewed = review_log(log.entries, stored, keyed_digest=keyed_digest_of(key))
        made = compose_report(
            deployment=described.name,
            authorisation=resources.signed.authorisation,
            profile=resources.profile,
            log=log,
            reviewed=reviewed,
            categories=_categories(resources),
        )
    out.mkdir(parents=True, exist_ok=True)
    for name, text in (("md", markdown_of(made)), ("json", made.to_json()), ("html", page_of(made))):
        (out / f"report.{name}").write_text(text, encoding="utf-8")
    say(f"{out}: report.md, report.json and report.html")
    for flaw in log.flaws:
        warn("error", f"{described.audit.path}, line {flaw.line}: {flaw.what}")
    for difference in reviewed.differences:
        warn("error", f"the records are not what the log says: {difference}")
    if log.flaws or reviewed.differences:
        raise typer.Exit(1)


def _categories(resources: Resources) -> dict[str, int]:
    """How many people of each category are on the watchlist; nothing once it has been destroyed."""
    try:
        key = resources.watchlist_key
        with closing(connect_either(resources.deployment.watchlist.file, key)) as connection:
            rows = connection.execute("SELECT category FROM entries").fetchall()
    except PylfrError:
        return {}
    return dict(sorted(Counter(category or "" for (category,) in rows).items()))
