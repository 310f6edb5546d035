"""The public report of a deployment, from its record: counts, rates with intervals, and which controls ran."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import closing
from dataclasses import dataclass

from pylfr.deployment.resources import Resources
from pylfr.deployment.unqueued import queue_unqueued
from pylfr.errors import ConfigError, PylfrError
from pylfr.gallery.watchlist.sealed import connect_either
from pylfr.governance.adjudication.reviewed import Reviewed, review_log
from pylfr.governance.audit.audit import keyed_digest_of, read_audit
from pylfr.governance.audit.chain import ReadLog
from pylfr.governance.keys.keys import SigningKey
from pylfr.governance.report.report import DeploymentReport, compose_report

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedReport:
    """The report, and ``flaws``: whatever in the log or in the records is not as it was signed."""

    report: DeploymentReport
    flaws: tuple[str, ...]


def public_report(resources: Resources) -> ComposedReport:
    """The report of a deployment as of now. Raises ``ConfigError`` where it has no authority, records or log key."""
    described, key = resources.deployment, resources.record_key
    if described.authority is None or described.records is None or key is None:
        raise ConfigError(f"{described.name!r} must have [authority] and [records]: a rehearsal has nothing to publish")
    read = _read(resources, key)
    if any(each.row.startswith("alerts,") for each in read[1].differences) and _is_mended(resources):
        read = _read(resources, key)
    log, reviewed = read
    report = compose_report(
        deployment=described.name,
        authorisation=resources.signed.authorisation,
        profile=resources.profile,
        log=log,
        reviewed=reviewed,
        categories=_categories(resources),
    )
    flaws = [f"{described.audit.path}, line {flaw.line}: {flaw.what}" for flaw in log.flaws]
    flaws += [f"the records are not what the log says: {difference}" for difference in reviewed.differences]
    return ComposedReport(report=report, flaws=tuple(flaws))


def _read(resources: Resources, key: SigningKey) -> tuple[ReadLog, Reviewed]:
    """The log and what became of its alerts.

    It is not opened as its writer does, which would refuse a log that was cut: the report is what says so.
    """
    section = resources.deployment.audit
    log = read_audit(section.path, checkpoints=section.checkpoints, key=key.public)
    stored = resources.require_records().stored()
    return log, review_log(log.entries, stored, keyed_digest=keyed_digest_of(key))


def _is_mended(resources: Resources) -> bool:
    """Whether alerts that a run left in the log alone could be queued for review now."""
    try:
        return bool(queue_unqueued(resources))
    except PylfrError as error:
        logger.warning("alerts that are in the log alone could not be queued for review: %s", error)
        return False


def _categories(resources: Resources) -> dict[str, int]:
    """How many people of each category are on the watchlist; nothing once it has been destroyed."""
    try:
        key = resources.watchlist_key
        with closing(connect_either(resources.deployment.watchlist.file, key)) as connection:
            rows = connection.execute("SELECT category FROM entries").fetchall()
    except PylfrError:
        return {}
    return dict(sorted(Counter(category or "" for (category,) in rows).items()))
