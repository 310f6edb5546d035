"""The public report of a fixed deployment is the one in ``golden``, word for word, and holds nobody's data.

After a change that is meant, ``PYLFR_WRITE_GOLDEN=1 pytest tests/governance/report/test_report.py`` writes the files
anew: read them before they are committed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pylfr.engine.summary import run_began, threshold_raised
from pylfr.governance.adjudication.case import Finding, Verdict
from pylfr.governance.adjudication.database import Records, open_records
from pylfr.governance.adjudication.review import Review
from pylfr.governance.adjudication.reviewed import Reviewed
from pylfr.governance.audit.audit import AuditLog, open_audit, read_audit
from pylfr.governance.audit.chain import ReadLog
from pylfr.governance.authorisation.authority import plain_fields
from pylfr.governance.authorisation.certificates import describe
from pylfr.governance.authorisation.profiles import read_profile
from pylfr.governance.keys.keys import SigningKey
from pylfr.governance.report.page import markdown_of, page_of
from pylfr.governance.report.report import DeploymentReport, ReportedRate, compose_report
from pylfr.types import Event
from pylfr.video.isolation.sandbox import HELD
from tests.governance.reviews import enter
from tests.governance.samples import NOON, OFFICER, authorisation, calibration, cohorts
from tests.samples import sample_alert

GOLDEN = Path(__file__).parent / "golden"
LISTED = ("REF-ADA-1", "REF-GRACE-2")
DECIDERS = ("Ann Example", "Bob Example", "PC Cem Example")
CROP = np.arange(64 * 64 * 3, dtype=np.uint64).astype(np.uint8).reshape(64, 64, 3)
TEMPLATE = np.linspace(-1, 1, 128, dtype=np.float32)


class Day:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def started(reference: str, *, handed_over: str) -> Event:
    return Event(
        kind="deployed",
        details={
            "officer_key": "0123456789abcdef", "second_officer_key": None,
            "trusted_officers": "/etc/pylfr/trusted.toml (sha256 0011223344556677)", "trust_in_reach": "",
            "calibration": describe(calibration()), "cohorts": describe(cohorts()),
            "authorisation": reference, "watchlist_key": "the kernel's keyring", "evidence": "sealed",
            "handed_over": handed_over,
        },
    )  # fmt: skip


def ended(reference: str, *, tracks: int, because: str, undelivered: int = 0) -> Event:
    return Event(
        kind="run-ended",
        details={
            "authorisation": reference, "runtime": "onnx", "frames": 90_000, "detected_frames": 57_600,
            "faces": 41 * tracks, "tracks": tracks, "recognised": 5 * tracks, "alerts": 3, "suppressed": 1,
            "undelivered": undelivered, "dropped": 812, "dwell_p50_ms": 11.25, "dwell_p99_ms": 29.5,
            "dwell_max_ms": 41.75, "seconds": 7_210.0, "watchlist_size": 12, "because": because,
        },
    )  # fmt: skip


def alert(audit: AuditLog, records: Records, number: int, reference: str, *, is_kept: bool = True) -> str:
    id_ = f"00000000-0000-4000-8000-{number:012}"
    given = sample_alert(entry=LISTED[number % 2], crop=CROP, authorisation=reference)
    recorded = audit.record(replace(given, id=id_))
    if is_kept:
        enter(records, recorded)
    return id_


def deployment(folder: Path) -> DeploymentReport:
    """A day on the square, another deployment before it in the same log, and all kinds of ends of an alert."""
    day = Day()
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    words, other = authorisation(people={}), authorisation(people={}, deployment="Another square")
    one, log = words.reference, folder / "audit.log"
    checkpoints = folder / "elsewhere"
    audit = open_audit(log, key=key, checkpoints=checkpoints, clock=day)
    records = open_records(f"sqlite:///{folder / 'records.sqlite'}", clock=day)
    review = Review(records, audit)
    with closing(audit), closing(records):
        for reference in (other.reference, one):
            audit.note(started(reference, handed_over="mqtt" if reference == one else "webhook"))
            words_json = json.dumps(plain_fields(words if reference == one else other))
            records.add_deployment(reference, name="Square", profile="uk-police", words=words_json)
            audit.note(run_began(reference, frozenset({"north"}), 0.568, decoding=f"isolated: {HELD}"))
            alert(audit, records, 90 if reference == one else 80, reference)
            audit.note(Event(kind="camera-disconnected", details={"camera": "north", "at": "", "detail": "timeout"}))
            audit.note(threshold_raised(0.568, 0.6, DECIDERS[0]))
            day.now += timedelta(hours=1)
            audit.note(ended(reference, tracks=6_215, because="the authorised window ended"))
        audit.note(run_began(one, frozenset({"north", "south"}), 0.568, decoding="north: in the engine's own process"))
        ends: tuple[tuple[tuple[Verdict, ...], Finding | None], ...] = (
            (("same person", "same person"), "true alert"),
            (("same person", "same person"), "false alert"),
            (("same person", "different person"), None),
            (("same person",), None),
            (("cannot tell", "same person"), None),
        )
        for number, (verdicts, finding) in enumerate(ends, start=1):
            this = alert(audit, records, number, one)
            for by, verdict in zip(DECIDERS, verdicts, strict=False):
                review.adjudicate(this, by=by, verdict=verdict, reason="turned away")
            if finding is not None:
                review.engage(this, by=DECIDERS[2], decision="engage")
                review.close_case(this, by=DECIDERS[2], finding=finding)
        alert(audit, records, 6, one, is_kept=False)
        audit.note(Event(kind="erased", details={"pictures": 2, "because": "its time had come"}))
        because = "paused: 2 false alerts in 150 faces are a rate of at least 0.0024, the ceiling is 0.001"
        audit.note(ended(one, tracks=6_216, because=because, undelivered=1))
        audit.note(run_began(one, frozenset({"north"}), 0.568, decoding=f"isolated: {HELD}"))
        return compose_report(
            deployment=words.deployment,
            authorisation=words,
            profile=read_profile("uk-police"),
            log=replace(read_audit(log, checkpoints=checkpoints, key=key.public), are_checkpoints_apart=True),
            reviewed=review.read(),
            categories={"missing person at risk": 2, "wanted on warrant": 9},
        )


@pytest.fixture
def report(tmp_path: Path) -> DeploymentReport:
    return deployment(tmp_path)


def published(report: DeploymentReport) -> Iterator[tuple[str, str]]:
    yield "report.md", markdown_of(report)
    yield "report.json", report.to_json()
    yield "report.html", page_of(report)


def test_the_report_is_the_golden_one_word_for_word(report: DeploymentReport) -> None:
    for name, text in published(report):
        if os.environ.get("PYLFR_WRITE_GOLDEN") == "1":
            (GOLDEN / name).write_text(text, encoding="utf-8")
        assert text == (GOLDEN / name).read_text(encoding="utf-8"), name


def test_only_what_happened_under_this_authorisation_counts(report: DeploymentReport) -> None:
    assert (report.alerts, report.true_alerts, report.false_alerts, report.unresolved) == (7, 1, 2, 4)
    assert (report.runs, report.faces_seen, report.engagements) == (2, 12_431, 2)
    assert (report.false_alert_rate.numerator, report.false_alert_rate.denominator) == (2, 12_431)
    assert list(report.controls.values()) == [3, 2, 7, 9, 1, 1]
    assert not any("webhook" in sentence for sentence in report.retention)


def test_what_is_missing_from_the_account_is_an_incident(report: DeploymentReport) -> None:
    said = " ".join(report.incidents)
    for missing in (
        "1 run broke off",
        "the records are not what the audit log says: alerts, alert of entry 32: missing, though the log has it as "
        "entry 32 and its run ended properly: the row was deleted",
        "1 alert recorded but not deliv",
    ):
        assert missing in said


def test_nobody_who_was_seen_listed_or_decided_is_in_it(report: DeploymentReport) -> None:
    words = authorisation()
    people = {*LISTED, *DECIDERS, OFFICER, words.operator, *words.people, *words.people.values()}
    pictures = {CROP.tobytes()[:24].hex(), TEMPLATE.tobytes()[-24:].hex(), "base64,", "<img", "<image", "jpeg"}
    ids = {f"00000000-0000-4000-8000-{number:012}" for number in (*range(1, 7), 80, 90)}
    for name, text in published(report):
        for personal in (
            people | pictures | ids | {"signature", "crop_digest", "entry_digest", "track_id", "http://", "https://"}
        ):
            if personal in ("Ann", "Bob", "Cem"):
                assert not re.search(rf"\b{personal}\b", text), (name, personal)
            else:
                assert personal not in text, (name, personal)
        # No list of numbers is there that could be a template, and no run of letters that could be a picture.
        assert not re.search(r"(-?\d+\.\d+[,\s]+){8}", text), name
        assert max(map(len, re.findall(r"[A-Za-z0-9+/=]+", text))) <= 64, name
    assert words.senior_accountable_person in markdown_of(report)


def test_every_field_is_of_a_kind_that_can_hold_no_picture_and_no_template(report: DeploymentReport) -> None:
    fields = json.loads(report.to_json())
    lists = {name for name, value in fields.items() if isinstance(value, list)}
    assert lists == {"retention", "incidents"}
    assert all(isinstance(text, str) for name in lists for text in fields[name])


@pytest.mark.parametrize(
    ("false", "faces", "says"),
    [
        (0, 0, "No face was counted"),
        (0, 100, "cannot be told yet: 0 in 100 faces (0 in 1,000; 95 % interval 0 to 36)"),
        (0, 10_000, "is below the ceiling: 0 in 10,000 faces"),
        (20, 1_000, "is above the ceiling, beyond chance: 20 in 1,000 faces (20 in 1,000"),
    ],
)
def test_the_first_lines_answer_whether_the_ceiling_was_kept(
    report: DeploymentReport, false: int, faces: int, says: str
) -> None:
    other = replace(report, false_alert_rate=ReportedRate.of(false, faces))
    for text in (markdown_of(other), page_of(other)):
        assert says in text
        assert text.index(says) < text.index("The deployment")


def test_an_empty_record_gives_a_report_that_says_so() -> None:
    empty = compose_report(
        deployment="<b>A & B</b>", authorisation=authorisation(), profile=read_profile("uk-police"), categories={},
        log=ReadLog(entries=(), unsigned=None, flaws=(), is_signed=True), reviewed=Reviewed(alerts=(), differences=()),
    )  # fmt: skip
    assert "There was no incident" in markdown_of(empty)
    assert "&lt;b&gt;A &amp; B&lt;/b&gt;" in page_of(empty)
    assert "<b>" not in page_of(empty)


def test_no_field_starts_a_line_or_brings_markup_or_escapes_into_the_report(report: DeploymentReport) -> None:
    hostile = "Square\x1b[2J\n# Nothing was found\u202e\u2028<script>alert(1)</script> ![](http://host/x) `rm`"
    changed = replace(report, deployment=hostile, place=hostile, purpose=hostile, incidents=(hostile,))
    text, page = markdown_of(changed), page_of(changed)
    assert len(text.splitlines()) == len(markdown_of(replace(report, incidents=("one",))).splitlines())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", text + page)
    assert r"\<script\>" in text
    assert r"!\[\](http" in text
    assert "<script>" not in page
