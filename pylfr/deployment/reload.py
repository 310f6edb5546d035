"""What a run takes in while it goes on (SIGHUP), and what of a changed deployment file has to wait for a restart."""

from __future__ import annotations

from pathlib import Path

from pylfr.deployment.config import Deployment, read_deployment
from pylfr.engine.engine import Engine
from pylfr.errors import PylfrError
from pylfr.types import Event


def reload_deployment(engine: Engine, path: Path, running: Deployment) -> str:
    """Take in the newest revision of the watchlist now; what was found, in words, which the record has too.

    Everything else in a deployment file is part of what was authorised: a change there is named, and waits for the next
    start, which checks it.
    """
    revision, trouble = engine.refresh()
    try:
        changed = changed_sections(running, read_deployment(path))
        waits = f"; changed, and waiting for a restart: {', '.join(changed)}" if changed else ""
    except PylfrError as error:
        waits = f"; the deployment file cannot be read: {error}"
    found = f"watchlist revision {revision}{f' ({trouble})' if trouble else ''}{waits}"
    engine.note(Event(kind="reloaded", details={"watchlist_revision": revision, "detail": found}))
    return found


def changed_sections(before: Deployment, after: Deployment) -> tuple[str, ...]:
    """The sections in which two deployments differ, in the order of the file."""
    return tuple(name for name in Deployment.model_fields if getattr(before, name) != getattr(after, name))
