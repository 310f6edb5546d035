"""The public report of a deployment: counts, rates with their intervals, and which controls ran. No personal data."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from pylfr.governance.authority import Authorisation
from pylfr.governance.canonical import utc_text
from pylfr.governance.ceiling import lower_bound, upper_bound
from pylfr.governance.chain import LogEntry
from pylfr.governance.profiles import Profile
from pylfr.governance.records import AlertRow
from pylfr.governance.retention import RetentionPolicy

_CAMERA_TROUBLE = {
    "camera-disconnected": "broke off",
    "camera-frozen": "sent nothing",
    "camera-failed": "failed",
    "camera-late": "was decoded too slowly and had frames passed over",
    "camera-unchanged": "sent the same picture for many seconds",
    "camera-repeating": "sent pictures again that it had sent before",
    "camera-backwards": "had time stamps that did not run forward",
    "camera-mismatched": "sent another stream than was authorised, which was not looked at",
    "camera-slowed": "looked at less often because more came than could be looked at",
}

_CONTROLS = {
    "signed authorisation that fitted the deployment": "run-began",
    "alerts recorded before they were shown": "alert",
    "people adjudicated": "adjudication",
    "threshold raised during the deployment": "threshold-raised",
    "erased by the sweeper": "erased",
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

    def __str__(self) -> str:
        if self.value is None:
            return "nothing was counted"
        interval = f"95 % interval {self.low:.2g} to {self.high:.2g}"
        return f"{self.numerator} in {self.denominator} ({self.value:.2g}; {interval})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentReport:
    """What is published. Every field is a count, a rate, a policy or a word of the authorisation; nobody is named."""

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
    retention: tuple[str, ...]
    incidents: tuple[str, ...]
    controls: dict[str, int]

    def to_json(self) -> str:
        """The report as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    def to_markdown(self) -> str:
        """The report as Markdown."""
        lines = [f"# Live facial recognition: {self.deployment}", ""]
        for title, rows in self._sections():
            lines += [f"## {title}", "", *(f"- {name}: {text}" for name, text in rows), ""]
        lines += ["## What is kept, and how long", "", *(f"- {sentence}" for sentence in self.retention), ""]
        return "\n".join(lines)

    def to_html(self) -> str:
        """The report as one page of HTML that loads nothing, with a bar for each count of alerts."""
        parts = [f"<h1>Live facial recognition: {html.escape(self.deployment)}</h1>"]
        for title, rows in self._sections():
            cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in rows)
            parts.append(f"<h2>{html.escape(title)}</h2><table>{cells}</table>")
        parts.append(_bars({"true": self.true_alerts, "false": self.false_alerts, "unresolved": self.unresolved}))
        sentences = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.retention)
        parts.append(f"<h2>What is kept, and how long</h2><ul>{sentences}</ul>")
        return _PAGE.replace("BODY", "\n".join(parts))

    def _sections(self) -> Iterable[tuple[str, list[tuple[str, str]]]]:
        yield (
            "The deployment",
            [
                ("authorisation", f"{self.authorisation}, profile {self.profile}"),
                ("purpose", self.purpose),
                ("legal basis", self.legal_basis),
                ("place", self.place),
                ("window", f"{self.starts_at} to {self.ends_at}"),
                ("senior accountable person", self.senior_accountable_person),
                ("assessments", f"DPIA {self.dpia or 'none'}, EIA {self.eia or 'none'}"),
            ],
        )
        categories = ", ".join(f"{name or '(none)'} {count}" for name, count in self.watchlist_categories.items())
        yield (
            "Who was looked for",
            [
                ("references on the watchlist", str(self.watchlist_size)),
                ("by category", categories or "not known any more"),
            ],
        )
        yield (
            "Who was seen",
            [
                ("faces followed (a person who is lost and found again counts twice)", str(self.faces_seen)),
                ("detections", str(self.detections)),
                ("comparisons", str(self.compared)),
                ("frames and faces dropped (failure to acquire)", str(self.dropped)),
                (
                    "how long a template existed",
                    f"{self.dwell_p50_ms:.1f} ms (p50), {self.dwell_p99_ms:.1f} ms (p99), at most "
                    f"{self.dwell_max_ms:.1f} ms",
                ),
            ],
        )
        yield (
            "Alerts",
            [
                ("possible matches", str(self.alerts)),
                ("true, false, unresolved", f"{self.true_alerts}, {self.false_alerts}, {self.unresolved}"),
                ("engagements", str(self.engagements)),
                ("false alerts a face seen", str(self.false_alert_rate)),
                ("threshold", f"{self.threshold} (cosine)"),
            ],
        )
        yield "Incidents", [("stopped", text) for text in self.incidents] or [("none", "no run stopped itself")]
        yield "Controls that ran", [(name, f"{count} times") for name, count in self.controls.items()]


def compose_report(
    *,
    deployment: str,
    authorisation: Authorisation,
    profile: Profile,
    log: Iterable[LogEntry],
    alerts: Iterable[AlertRow],
    categories: dict[str, int],
) -> DeploymentReport:
    """The report of what the audit log and the records hold under one authorisation."""
    reference, log = authorisation.reference, tuple(log)
    ended = [e for e in log if e.kind == "run-ended" and e.details.get("authorisation") == reference]
    rows = [row for row in alerts if row.authorisation == reference]
    true, false = (_found(rows, finding) for finding in ("true alert", "false alert"))
    refuted = sum(any(each.verdict == "different person" for each in row.case.adjudications) for row in rows)
    faces = sum(_whole(entry, "tracks") for entry in ended)
    incidents = [str(entry.details["because"]) for entry in ended if _is_incident(str(entry.details["because"]))]
    kinds = Counter(entry.kind for entry in log)
    isolated = sum(str(e.details.get("decoding", "")).startswith("isolated: ") for e in log if e.kind == "run-began")
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
        false_alerts=false + refuted,
        unresolved=len(rows) - true - false - refuted,
        engagements=sum(row.case.engagement is not None and row.case.engagement.decision == "engage" for row in rows),
        false_alert_rate=ReportedRate.of(false + refuted, max(faces, false + refuted)),
        retention=(*RetentionPolicy.of(profile).sentences(), *_declared(log, reference)),
        incidents=(*incidents, *_camera_incidents(log, reference)),
        controls={name: kinds[kind] for name, kind in _CONTROLS.items()}
        | {"every camera decoded by a process without network or files": isolated},
    )


def _found(rows: Iterable[AlertRow], finding: str) -> int:
    return sum(row.case.outcome is not None and row.case.outcome.finding == finding for row in rows)


def _is_incident(because: str) -> bool:
    return not because.startswith(("every recording", "the authorised window ended", "stopped by"))


def _camera_incidents(log: Iterable[LogEntry], reference: str) -> Iterator[str]:
    """What befell the cameras in the runs under an authorisation, in one sentence a camera and kind."""
    turns: Counter[tuple[str, str]] = Counter()
    running = ""
    for entry in log:
        if entry.kind in ("run-began", "run-ended"):
            running = str(entry.details.get("authorisation")) if entry.kind == "run-began" else ""
        elif running == reference and entry.kind in _CAMERA_TROUBLE:
            turns[str(entry.details["camera"]), _CAMERA_TROUBLE[entry.kind]] += 1
    for (camera, words), count in sorted(turns.items()):
        who = "the live cameras were" if camera == "*" else f"camera {camera}"
        yield f"{who} {words}, {count} time{'s' if count > 1 else ''}"


def _declared(log: Iterable[LogEntry], reference: str) -> Iterator[str]:
    """What every start of a run said of keys and receivers: each sentence once."""
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


def _bars(counts: dict[str, int]) -> str:
    """A bar a count, as SVG."""
    most = max([*counts.values(), 1])
    rows = [
        f'<text x="0" y="{22 * place + 15}">{name}</text>'
        f'<rect x="90" y="{22 * place + 3}" width="{round(240 * count / most)}" height="16"/>'
        f'<text x="{96 + round(240 * count / most)}" y="{22 * place + 15}">{count}</text>'
        for place, (name, count) in enumerate(counts.items())
    ]
    return f'<svg width="380" height="{22 * len(counts)}" role="img" aria-label="alerts">{"".join(rows)}</svg>'


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Deployment report</title>
<style>body{font:16px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color:#18181b}
th{text-align:left;font-weight:normal;color:#6e6e74;padding-right:1em;vertical-align:top}rect{fill:#4a5568}</style>
BODY
</html>
"""
