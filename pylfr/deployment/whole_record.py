"""Is the record whole? Every start compares the log, its checkpoints and the records before anything else happens."""

from __future__ import annotations

import logging

from pylfr.deployment.resources import Resources
from pylfr.deployment.unqueued import queue_unqueued
from pylfr.errors import AuditError
from pylfr.types import Event

log = logging.getLogger(__name__)


def require_whole_record(resources: Resources) -> None:
    """Compare the log with its checkpoints, which opening it does, with the receiver's and with the records.

    Raises ``AuditError`` where it is shorter than any of them. An alert that its run left in the log alone is
    queued for review now. Rows that are otherwise not what the log says are logged as an incident: nobody can decide on
    those alerts, and everything else goes on.
    """
    audit = resources.audit
    if resources.exporter is not None:
        resources.exporter.require_compared()
    elif not audit.are_checkpoints_apart:
        log.warning(
            "the checkpoints of %s are on the log's own file system: whoever can cut one can cut both. Put [audit] "
            "checkpoints on another machine's disk, or name a checkpoint_receiver",
            resources.deployment.audit.path,
        )
    if resources.records is None:
        return
    differences = resources.review.read().differences
    shorter = [str(each) for each in differences if each.is_log_shorter]
    if shorter:
        raise AuditError(
            f"the audit log {resources.deployment.audit.path} is shorter than the records know: {'; '.join(shorter)}. "
            "Put the whole log and its checkpoints back, or keep all of it for whoever investigates and begin others"
        )
    if differences and queue_unqueued(resources):
        differences = resources.review.read().differences
    if differences:
        rows = list(dict.fromkeys(each.published for each in differences))
        log.warning("the records are not what the audit log says: %s", "; ".join(rows))
        audit.note(Event(kind="records-differ", details={"count": len(differences), "rows": "; ".join(rows)[:2000]}))
    with resources.records.transaction() as transaction:
        transaction.remember(audit.head)
