"""``pylfr report``: what a deployment did, for the public: Markdown, JSON and HTML. Nobody is named."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pylfr.cli.console import say
from pylfr.deployment.authorise import records_of, watchlist_key_of
from pylfr.deployment.config import Deployment, read_deployment
from pylfr.errors import ConfigError, PylfrError
from pylfr.gallery.watchlist.sealed import connect_either
from pylfr.governance.audit.audit import read_audit
from pylfr.governance.authorisation.profiles import read_profile
from pylfr.governance.authorisation.signed import read_signed
from pylfr.governance.report.page import markdown_of, page_of
from pylfr.governance.report.report import compose_report


def report(
    deployment: Annotated[Path, typer.Argument(help="The deployment file (TOML).", show_default=False)],
    out: Annotated[Path, typer.Option(help="A folder for report.md, report.json and report.html.")],
) -> None:
    """Write the public report of a deployment: counts, rates with intervals, and which controls ran."""
    opened = read_deployment(deployment)
    records = records_of(opened)
    if opened.authority is None or records is None:
        raise ConfigError(f"{opened.name!r} must have [authority] and [records]: a rehearsal has nothing to publish")
    with closing(records):
        made = compose_report(
            deployment=opened.name,
            authorisation=read_signed(opened.authority.signed).authorisation,
            profile=read_profile(opened.authority.profile),
            log=read_audit(opened.audit.path).entries,
            alerts=records.alerts(),
            categories=_categories(opened),
        )
    out.mkdir(parents=True, exist_ok=True)
    for name, text in (("md", markdown_of(made)), ("json", made.to_json()), ("html", page_of(made))):
        (out / f"report.{name}").write_text(text, encoding="utf-8")
    say(f"{out}: report.md, report.json and report.html")


def _categories(deployment: Deployment) -> dict[str, int]:
    """How many people of each category are on the watchlist; nothing once it has been destroyed."""
    try:
        key = watchlist_key_of(deployment, now=datetime.now(UTC))
        with closing(connect_either(deployment.watchlist.file, key)) as connection:
            rows = connection.execute("SELECT category FROM entries").fetchall()
    except PylfrError:
        return {}
    return dict(sorted(Counter(category or "" for (category,) in rows).items()))
