"""What a head had decided in a run that goes on after it died: the next one reads it from the log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pylfr.governance.audit.chain import LogEntry

DECISIONS = ("cluster-stopped", "node-drained", "node-undrained", "camera-finished")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Why the run was stopped, the nodes that are given no cameras, and the recordings that have come to their end."""

    stopped_because: str = ""
    drained: frozenset[str] = frozenset()
    finished: frozenset[str] = frozenset()


NOTHING_DECIDED = Decided()


def decided_since(began_at: datetime | None, entries: Iterable[LogEntry]) -> Decided:
    """What ``entries`` of the kinds ``DECISIONS``, oldest first, say of the run; None where none is under way."""
    if began_at is None:
        return NOTHING_DECIDED
    because, drained, finished = "", set[str](), set[str]()
    for entry in entries:
        if entry.at < began_at:
            continue
        match entry.kind:
            case "cluster-stopped":
                because = because or str(entry.details["because"])
            case "node-drained":
                drained.add(str(entry.details["node"]))
            case "node-undrained":
                drained.discard(str(entry.details["node"]))
            case _:
                finished.add(str(entry.details["camera"]))
    return Decided(stopped_because=because, drained=frozenset(drained), finished=frozenset(finished))
