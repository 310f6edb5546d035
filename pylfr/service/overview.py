"""The deployment at a glance: authority, cameras, record, retention and report, read from what is recorded."""

from __future__ import annotations

from datetime import datetime

from pylfr.deployment.authorise import deployment_threshold
from pylfr.deployment.report import public_report
from pylfr.deployment.resources import Resources
from pylfr.deployment.sections.cameras import CameraSection
from pylfr.engine.summary import CameraSummary
from pylfr.errors import AuditError
from pylfr.governance.audit.audit import read_audit
from pylfr.governance.audit.chain import LogEntry
from pylfr.governance.authorisation.authority import Authorisation, RecordingPermit, plain_fields
from pylfr.governance.authorisation.readable import terms_of
from pylfr.governance.report.page import page_of
from pylfr.governance.retention.sweeper import RetentionPolicy
from pylfr.service.control import RunControl
from pylfr.service.deployment_views import (
    AuditView,
    CameraView,
    DeploymentView,
    EntryView,
    RetentionView,
    TermView,
)
from pylfr.service.desk import Desk
from pylfr.service.run_log import RunLog
from pylfr.types import Event
from pylfr.video.sources.observer import EVERY_CAMERA

_COUNTS = ("frames", "detected_frames", "faces", "tracks", "recognised", "alerts", "suppressed", "undelivered")


class Overview:
    """Reads through the desk and the resources of one deployment."""

    def __init__(self, resources: Resources, desk: Desk, control: RunControl, run_log: RunLog) -> None:
        self._resources = resources
        self._desk = desk
        self._control = control
        self._log = run_log

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
        resources, authority, facts = self._resources, self.authority, self._log.read()
        summary = self._control.summary()
        return DeploymentView(
            name=resources.deployment.name,
            authorisation=authority.reference,
            profile=resources.profile.name,
            place=authority.place,
            starts_at=authority.starts_at,
            ends_at=authority.ends_at,
            threshold=facts.threshold if facts.threshold is not None else self._threshold_of_file(),
            cameras=[camera.name for camera in resources.deployment.cameras],
            people=sorted(resources.people),
            watchlist_size=facts.references,
            alerts=self._desk.followed.count(),
            is_running=self._control.is_here,
            ended_because=facts.ended_because,
            counts={name: getattr(summary, name) for name in _COUNTS} if summary is not None else {},
            dropped=dict(summary.dropped) if summary is not None else {},
            deliveries=[facts.deliveries[to] for to in sorted(facts.deliveries)],
        )

    def terms(self) -> list[TermView]:
        """What was authorised, in plain words."""
        return [TermView(name=term.name, lines=list(term.lines)) for term in terms_of(plain_fields(self.authority))]

    def note(self, event: Event) -> None:
        """Write something that a person did into the log."""
        self._resources.audit.note(event)

    @property
    def camera_names(self) -> frozenset[str]:
        """The cameras of the deployment file, and those that run."""
        return frozenset(self._control.cameras) | self._control.counts().keys()

    def cameras(self) -> list[CameraView]:
        """What the log last said of each camera; nothing yet where it has not begun."""
        last, counts = self._log.read().cameras, self._control.counts()
        names = [*self._control.cameras]
        names += sorted(counts.keys() - set(names))
        return [self._camera(name, last.get(name), last.get(EVERY_CAMERA), counts.get(name)) for name in names]

    def viewports(self) -> dict[str, tuple[float, float, float, float]]:
        """Of each camera the part of its picture that is watched and previewed: left, top, right, bottom, 0 to 1."""
        return {name: _viewport(camera) for name, camera in self._control.cameras.items()}

    def _camera(
        self, name: str, entry: LogEntry | None, everybody: LogEntry | None, counted: CameraSummary | None
    ) -> CameraView:
        state, since, details = _state(entry, everybody)
        rates = self._control.rates(name)
        return CameraView(
            name=name,
            state=state,
            since=since,
            details=details,
            frames=counted.frames if counted is not None else None,
            frames_hz=rates.frames_hz if rates is not None else None,
            latency_p50_ms=rates.latency_p50_ms if rates is not None else None,
            latency_p99_ms=rates.latency_p99_ms if rates is not None else None,
            dropped=dict(counted.dropped) if counted is not None else {},
        )

    def _threshold_of_file(self) -> float:
        return deployment_threshold(self._resources)

    def audit(self, last: int) -> AuditView:
        """The last entries of the log, and what is wrong with it or with the records."""
        section, key = self._resources.deployment.audit, self._resources.record_key
        read = read_audit(section.path, checkpoints=section.checkpoints, key=key.public if key is not None else None)
        return AuditView(
            entries=[_entry(entry) for entry in read.entries[-last:]],
            is_signed=read.is_signed,
            flaws=[f"line {flaw.line}: {flaw.what}" for flaw in read.flaws],
            differences=self._differences(),
        )

    def _differences(self) -> list[str]:
        try:
            return [f"{each.row}: {each.what}" for each in self._desk.differences()]
        except AuditError as error:
            return [f"the records cannot be compared with this log: {error}"]

    def report(self) -> str:
        """The public report, as a page."""
        return page_of(public_report(self._resources).report)

    def retention(self) -> RetentionView:
        """The policy that the sweeper enforces."""
        return RetentionView(sentences=list(RetentionPolicy.of(self._resources.profile).sentences()))


def _viewport(camera: CameraSection) -> tuple[float, float, float, float]:
    if camera.zone is None or not camera.zone.watch:
        return 0.0, 0.0, 1.0, 1.0
    xs, ys = zip(*camera.zone.watch, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _state(entry: LogEntry | None, everybody: LogEntry | None) -> tuple[str, datetime | None, str]:
    """A camera's state, since when, and what is to be said of it."""
    if entry is None:
        return "not started", None, ""
    state, since = entry.kind.removeprefix("camera-"), entry.at
    details = str(entry.details.get("detail") or "")
    if everybody is not None and everybody.kind == "camera-slowed" and state in ("opened", "recovered", "taken-in"):
        return "slowed", everybody.at, str(everybody.details.get("detail") or "")
    return state, since, details


def _entry(entry: LogEntry) -> EntryView:
    details = {
        name: value if isinstance(value, str | int | float | bool | None) else str(value)
        for name, value in entry.details.items()
    }
    return EntryView(sequence=entry.sequence, at=entry.at, kind=entry.kind, details=details)
