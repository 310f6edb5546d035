"""The deployment at a glance: authority, cameras, record, retention and report, read from what is recorded."""

from __future__ import annotations

from typing import get_args

from pylfr.deployment.recognition import threshold_of
from pylfr.deployment.report import public_report
from pylfr.deployment.resources import Resources
from pylfr.governance.audit.audit import read_audit
from pylfr.governance.audit.chain import LogEntry
from pylfr.governance.authorisation.authority import Authorisation, RecordingPermit
from pylfr.governance.report.page import page_of
from pylfr.governance.retention.sweeper import RetentionPolicy
from pylfr.service.desk import Desk
from pylfr.service.views import AuditView, CameraView, DeploymentView, EntryView, RetentionView
from pylfr.video.sources.observer import EVERY_CAMERA, EventKind

# What is logged of cameras.
CAMERA_KINDS = tuple(f"camera-{kind}" for kind in get_args(EventKind))


class Overview:
    """Reads through the desk and the resources of one deployment."""

    def __init__(self, resources: Resources, desk: Desk) -> None:
        self._resources = resources
        self._desk = desk

    @property
    def authority(self) -> Authorisation | RecordingPermit:
        """The signed authorisation, or the permit for recordings."""
        deployment = self._resources.deployment
        if deployment.authorisation is not None:
            return deployment.authorisation
        return self._resources.signed.authorisation

    @property
    def name(self) -> str:
        """The deployment's name."""
        return self._resources.deployment.name

    def deployment(self) -> DeploymentView:
        """Who authorised what, where, until when."""
        resources, authority = self._resources, self.authority
        started = tuple(self._desk.entries(("deployed",)))
        references = started[-1].details.get("references") if started else None
        return DeploymentView(
            name=resources.deployment.name,
            authorisation=authority.reference,
            profile=resources.profile.name,
            place=authority.place,
            starts_at=authority.starts_at,
            ends_at=authority.ends_at,
            threshold=threshold_of(resources.deployment.recognition, resources.embedder.manifest),
            cameras=[camera.name for camera in resources.deployment.cameras],
            people=sorted(resources.people),
            watchlist_size=references if isinstance(references, int) else None,
            alerts=len(self._desk.reviewed().alerts),
        )

    def cameras(self) -> list[CameraView]:
        """What the log last said of each camera; nothing yet where it has not begun."""
        last: dict[str, LogEntry] = {}
        for entry in self._desk.entries(CAMERA_KINDS):
            last[str(entry.details.get("camera"))] = entry
        everybody = last.get(EVERY_CAMERA)
        return [_camera(camera.name, last.get(camera.name), everybody) for camera in self._resources.deployment.cameras]

    def audit(self, last: int) -> AuditView:
        """The last entries of the log, and what is wrong with it or with the records."""
        section, key = self._resources.deployment.audit, self._resources.record_key
        read = read_audit(section.path, checkpoints=section.checkpoints, key=key.public if key is not None else None)
        return AuditView(
            entries=[_entry(entry) for entry in read.entries[-last:]],
            is_signed=read.is_signed,
            flaws=[f"line {flaw.line}: {flaw.what}" for flaw in read.flaws],
            differences=[f"{each.row}: {each.what}" for each in self._desk.differences()],
        )

    def report(self) -> str:
        """The public report, as a page."""
        return page_of(public_report(self._resources).report)

    def retention(self) -> RetentionView:
        """The policy that the sweeper enforces."""
        return RetentionView(sentences=list(RetentionPolicy.of(self._resources.profile).sentences()))


def _camera(name: str, entry: LogEntry | None, everybody: LogEntry | None) -> CameraView:
    if entry is None:
        return CameraView(name=name, state="not started", since=None, details="")
    state = entry.kind.removeprefix("camera-")
    details = str(entry.details.get("detail") or "")
    if everybody is not None and everybody.kind == "camera-slowed" and state == "opened":
        state, details = "slowed", str(everybody.details.get("detail") or "")
    return CameraView(name=name, state=state, since=entry.at, details=details)


def _entry(entry: LogEntry) -> EntryView:
    details = {
        name: value if isinstance(value, str | int | float | bool | None) else str(value)
        for name, value in entry.details.items()
    }
    return EntryView(sequence=entry.sequence, at=entry.at, kind=entry.kind, details=details)
