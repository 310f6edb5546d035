"""The public report of a deployment: counts, rates with their intervals, and which controls ran. No personal data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from pylfr._internal.canonical_json import utc_text
from pylfr.governance.adjudication.false_alert_limit import lower_bound, upper_bound
from pylfr.governance.adjudication.reviewed import AlertRow, Reviewed
from pylfr.governance.audit.audit import SET_ASIDE
from pylfr.governance.audit.chain import LogEntry, ReadLog
from pylfr.governance.authorisation.authority import Authorisation
from pylfr.governance.authorisation.profiles import Profile
from pylfr.governance.retention.sweeper import RetentionPolicy

_CAMERA_TROUBLE = {
    "camera-disconnected": "broke off",
    "camera-frozen": "sent nothing",
    "camera-failed": "failed",
    "camera-late": "was decoded too slowly, so that frames were skipped",
    "camera-unchanged": "sent the same picture for many seconds",
    "camera-repeating": "sent pictures again that it had sent before",
    "camera-backwards": "had time stamps that did not run forward",
    "camera-mismatched": "sent another stream than was authorised, which was not analysed",
    "camera-slowed": "analysed less often under overload",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedRate:
    """A rate as a fraction, with its 95 % Clopper-Pearson interval; ``value`` is None where nothing was counted."""

    numerator: int
    denominator: int
    value: float | None
    low: float
    high: float

    @classmethod
    def of(cls, numerator: int, denominator: int) -> ReportedRate:
        """The rate of one count in another."""
        if not denominator:
            return cls(numerator=numerator, denominator=0, value=None, low=0.0, high=1.0)
        return cls(
            numerator=numerator,
            denominator=denominator,
            value=numerator / denominator,
            low=lower_bound(numerator, denominator, confidence=0.975),
            high=upper_bound(numerator, denominator, confidence=0.975),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentReport:
    """What is published. Every field is a count, a rate, a policy or a word of the authorisation.

    Nobody is named but the senior accountable person. ``log_digest`` is that of the last of ``log_entries`` entries of
    the audit log: whoever verifies the log can tell that the report was made from it.
    """

    deployment: str
    authorisation: str
    profile: str
    purpose: str
    legal_basis: str
    place: str
    starts_at: str
    ends_at: str
    senior_accountable_person: str
    dpia: str
    eia: str
    officers_keys: str
    calibration: str
    cohorts: str
    watchlist_size: int
    watchlist_categories: dict[str, int]
    threshold: float
    runs: int
    seconds: float
    faces_seen: int
    detections: int
    compared: int
    dropped: int
    dwell_p50_ms: float
    dwell_p99_ms: float
    dwell_max_ms: float
    alerts: int
    alerts_by_state: dict[str, int]
    true_alerts: int
    false_alerts: int
    unresolved: int
    engagements: int
    false_alert_rate: ReportedRate
    false_alert_ceiling: float
    retention: tuple[str, ...]
    incidents: tuple[str, ...]
    controls: dict[str, int]
    log_entries: int
    log_digest: str

    def to_json(self) -> str:
        """The report as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def compose_report(
    *,
    deployment: str,
    authorisation: Authorisation,
    profile: Profile,
    log: ReadLog,
    reviewed: Reviewed,
    categories: dict[str, int],
) -> DeploymentReport:
    """The report of what the audit log holds under one authorisation, and of what the records have otherwise."""
    reference, entries = authorisation.reference, log.entries
    ended = [e for e in entries if e.kind == "run-ended" and e.details.get("authorisation") == reference]
    rows = [row for row in reviewed.alerts if row.authorisation == reference]
    true, false = (sum(row.case.finding == finding for row in rows) for finding in ("true alert", "false alert"))
    faces = sum(_whole(entry, "tracks") for entry in ended)
    incidents = [
        f"a run stopped itself: {entry.details['because']}"
        for entry in ended
        if _is_incident(str(entry.details["because"]))
    ]
    return DeploymentReport(
        deployment=deployment,
        authorisation=reference,
        profile=profile.name,
        purpose=authorisation.purpose,
        legal_basis=authorisation.legal_basis,
        place=authorisation.place,
        starts_at=utc_text(authorisation.starts_at),
        ends_at=utc_text(authorisation.ends_at),
        senior_accountable_person=authorisation.senior_accountable_person,
        dpia=authorisation.dpia,
        eia=authorisation.eia,
        officers_keys=_officers_keys(entries, reference),
        calibration=_deployed(entries, reference, "calibration") or "none was named",
        cohorts=_deployed(entries, reference, "cohorts") or "none was named",
        watchlist_size=authorisation.watchlist_size,
        watchlist_categories=categories,
        threshold=authorisation.threshold,
        runs=len(ended),
        seconds=sum(_number(entry, "seconds") for entry in ended),
        faces_seen=faces,
        detections=sum(_whole(entry, "faces") for entry in ended),
        compared=sum(_whole(entry, "recognised") for entry in ended),
        dropped=sum(_whole(entry, "dropped") for entry in ended),
        dwell_p50_ms=max((_number(entry, "dwell_p50_ms") for entry in ended), default=0.0),
        dwell_p99_ms=max((_number(entry, "dwell_p99_ms") for entry in ended), default=0.0),
        dwell_max_ms=max((_number(entry, "dwell_max_ms") for entry in ended), default=0.0),
        alerts=len(rows),
        alerts_by_state=dict(sorted(Counter(row.case.state for row in rows).items())),
        true_alerts=true,
        false_alerts=false,
        unresolved=len(rows) - true - false,
        engagements=sum(row.case.engagement is not None and row.case.engagement.decision == "engage" for row in rows),
        false_alert_rate=ReportedRate.of(false, max(faces, false)),
        false_alert_ceiling=profile.fpir_ceiling,
        retention=(*RetentionPolicy.of(profile).sentences(), *_declared(entries, reference)),
        incidents=(
            *_doubts(log, reviewed),
            *incidents,
            *_losses(entries, reference),
            *_camera_incidents(entries, reference),
        ),
        controls=_controls(entries, reference, rows),
        log_entries=len(entries),
        log_digest=entries[-1].digest if entries else "",
    )


def _is_incident(because: str) -> bool:
    return not because.startswith(("every recording", "the authorised window ended", "stopped by"))


def _controls(log: Iterable[LogEntry], reference: str, rows: Iterable[AlertRow]) -> dict[str, int]:
    """How often each control ran under this authorisation; what the sweeper erases belongs to no single one."""
    ours = {row.id for row in rows}
    began = [entry for entry in log if entry.kind == "run-began" and entry.details.get("authorisation") == reference]
    return {
        "runs that began under the signed authorisation, which fitted the deployment": len(began),
        "runs in which a process without network or files decoded every camera": sum(
            str(entry.details.get("decoding", "")).startswith("isolated: ") for entry in began
        ),
        "alerts recorded, before anybody could see them": sum(
            entry.kind == "alert" and entry.details.get("authorisation") == reference for entry in log
        ),
        "verdicts of people": sum(entry.kind == "adjudication" and entry.details.get("alert") in ours for entry in log),
        "threshold raised": sum(entry.kind == "threshold-raised" for entry in _during(log, reference)),
        "erasures by the sweeper, of any deployment in this log": sum(entry.kind == "erased" for entry in log),
    }


def _doubts(log: ReadLog, reviewed: Reviewed) -> Iterator[str]:
    """Why the record itself may not be what was written: before anything else, for all of it rests on that."""
    for flaw in log.flaws:
        yield f"the audit log is not as it was written, line {flaw.line}: {flaw.what}"
    if log.unsigned is not None:
        yield f"the last entry of the audit log, {log.unsigned.sequence}, has no checkpoint and counts for nothing here"
    if not log.is_signed:
        yield "the audit log is not signed: whoever could write to it could write it anew"
    if log.entries and not log.are_checkpoints_apart:
        yield "the checkpoints are on the audit log's own file system: whoever could cut one could cut both"
    for row, count in Counter(each.published for each in reviewed.differences).items():
        yield f"the records are not what the audit log says: {row}" + (f" ({count} times)" if count > 1 else "")


def _losses(log: Iterable[LogEntry], reference: str) -> Iterator[str]:
    """What is missing from the account."""
    ours = [entry for entry in log if entry.details.get("authorisation") == reference]
    kinds = Counter(entry.kind for entry in ours)
    if broken := kinds["run-began"] - kinds["run-ended"]:
        yield f"{_times(broken, 'run')} broke off, or had not ended: the faces seen in it are in no count"
    if aside := sum(entry.kind == SET_ASIDE for entry in log):
        yield (
            f"{_times(aside, 'entry')} without a checkpoint was found at the end of the log and set aside: its writer "
            "died, or somebody without the record's key wrote it"
        )
    if restored := sum(entry.kind == "records-restored" for entry in log):
        yield f"the records were put back to what the log says, in {_times(restored, 'row')}"
    if away := sum(entry.kind == "checkpoint-receiver-away" for entry in log):
        yield f"the receiver of checkpoints was away, {_times(away, 'time')}"
    if late := sum(_whole(entry, "alerts") for entry in log if entry.kind == "alerts-queued-late"):
        yield f"{_times(late, 'alert')} recorded and not queued for review at once: a later start, sweep or report did"
    if delays := sum(entry.kind == "delivery-delayed" for entry in log):
        yield f"the records, or another receiver of alerts, were away, {_times(delays, 'time')}"
    if undelivered := sum(_whole(entry, "undelivered") for entry in ours if entry.kind == "run-ended"):
        yield f"{_times(undelivered, 'alert')} recorded but not delivered to every receiver"


def _times(count: int, what: str) -> str:
    many = {"entry": "entries"}.get(what, f"{what}s")
    return f"{count} {many if count > 1 else what}"


def _during(log: Iterable[LogEntry], reference: str) -> Iterator[LogEntry]:
    """The entries between the beginning and the end of each run under an authorisation."""
    running = ""
    for entry in log:
        if entry.kind in ("run-began", "run-ended"):
            running = str(entry.details.get("authorisation")) if entry.kind == "run-began" else ""
        elif running == reference:
            yield entry


def _camera_incidents(log: Iterable[LogEntry], reference: str) -> Iterator[str]:
    """What befell the cameras in the runs under an authorisation, in one sentence a camera and kind."""
    turns: Counter[tuple[str, str]] = Counter()
    for entry in _during(log, reference):
        if entry.kind in _CAMERA_TROUBLE:
            turns[str(entry.details["camera"]), _CAMERA_TROUBLE[entry.kind]] += 1
    for (camera, words), count in sorted(turns.items()):
        who = "the live cameras were" if camera == "*" else f"camera {camera}"
        yield f"{who} {words}, {_times(count, 'time')}"


def _officers_keys(log: Iterable[LogEntry], reference: str) -> str:
    """Whose keys authorised it, and who says that these are officers' keys."""
    log = tuple(log)
    names = ("officer_key", "second_officer_key")
    keys = " and ".join(key for key in (_deployed(log, reference, name) for name in names) if key)
    if not keys:
        return "not in the log"
    trusted = _deployed(log, reference, "trusted_officers")
    if not trusted:
        return f"{keys}; nobody outside the deployment says that this is an officer's key"
    reach = _deployed(log, reference, "trust_in_reach")
    return f"{keys}, by {trusted}" + (f"; but {reach}" if reach else "")


def _deployed(log: Iterable[LogEntry], reference: str, name: str) -> str:
    """What the log has about one thing from the last start under an authorisation; empty where it has nothing."""
    said = [
        entry.details.get(name)
        for entry in log
        if entry.kind == "deployed" and entry.details.get("authorisation") == reference
    ]
    return str(said[-1]) if said and said[-1] is not None else ""


def _declared(log: Iterable[LogEntry], reference: str) -> Iterator[str]:
    """What each start recorded about keys and receivers, without repetition."""
    said: dict[str, None] = {}
    for entry in log:
        if entry.kind == "deployed" and entry.details.get("authorisation") == reference:
            said[f"The watchlist's key: {entry.details['watchlist_key']}."] = None
            said[f"Evidence pictures were {entry.details['evidence']}."] = None
            if "memory" in entry.details:
                said[f"The engine's memory was {entry.details['memory']}."] = None
            if entry.details["handed_over"]:
                receivers = entry.details["handed_over"]
                said[f"Alerts were handed over to other systems ({receivers}), which keep them by their own rules."] = (
                    None
                )
    yield from said


def _whole(entry: LogEntry, name: str) -> int:
    return int(_number(entry, name))


def _number(entry: LogEntry, name: str) -> float:
    value = entry.details.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
