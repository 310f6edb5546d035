"""What befell the cameras is published, for the runs of one authorisation alone."""

from __future__ import annotations

from pylfr.governance.audit.chain import GENESIS, LogEntry
from pylfr.governance.report.report import _camera_incidents
from tests.samples import NOON


def entry(kind: str, **details: str) -> LogEntry:
    return LogEntry(sequence=1, at=NOON, kind=kind, details=dict(details), previous=GENESIS)


LOG = [
    entry("run-began", authorisation="A-1"),
    entry("camera-opened", camera="north"),
    entry("camera-frozen", camera="north"),
    entry("camera-frozen", camera="north"),
    entry("camera-slowed", camera="*"),
    *(entry(f"camera-{kind}", camera="south") for kind in ("unchanged", "repeating", "backwards", "mismatched")),
    entry("camera-recovered", camera="south"),
    entry("run-ended", authorisation="A-1"),
    entry("camera-failed", camera="between"),
    entry("run-began", authorisation="A-2"),
    entry("camera-failed", camera="other"),
    entry("run-ended", authorisation="A-2"),
]


def test_troubles_are_counted_by_camera_and_kind_in_this_authorisations_runs() -> None:
    assert list(_camera_incidents(LOG, "A-1")) == [
        "the live cameras were analysed less often under overload, 1 time",
        "camera north sent nothing, 2 times",
        "camera south had time stamps that did not run forward, 1 time",
        "camera south sent another stream than was authorised, which was not analysed, 1 time",
        "camera south sent pictures again that it had sent before, 1 time",
        "camera south sent the same picture for many seconds, 1 time",
    ]
    assert list(_camera_incidents(LOG, "A-2")) == ["camera other failed, 1 time"]


def test_an_empty_record_has_no_incidents() -> None:
    assert list(_camera_incidents([], "A-1")) == []
