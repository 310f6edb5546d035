"""A decision is of who signed it: another key, another name, no key, the same key twice, are refused or found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pylfr.errors import AdjudicationError
from pylfr.governance.adjudication.database import Records, open_records
from pylfr.governance.adjudication.signatures import verify_decisions
from pylfr.governance.audit.audit import AuditLog, open_audit
from pylfr.governance.audit.chain import LogEntry, parse_entry
from pylfr.governance.keys.keys import SigningKey
from tests.samples import sample_alert

KEYS = {name: SigningKey(Ed25519PrivateKey.generate()) for name in ("Ann", "Bob", "Cem")}
STRANGER = SigningKey(Ed25519PrivateKey.generate())
PEOPLE = {name: key.public.text for name, key in KEYS.items()}


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    log = open_audit(tmp_path / "audit.log")
    yield log
    log.close()


@pytest.fixture
def records(records_url: str, audit: AuditLog) -> Iterator[Records]:
    """One alert of a deployment whose authorisation names who may decide."""
    opened = open_records(records_url)
    opened.add_deployment("feed", name="Square", profile="uk-police", words=json.dumps({"people": PEOPLE}))
    alert = replace(sample_alert(entry="Ada", authorisation="feed"), id="a1")
    day = timedelta(hours=24)
    opened.add(audit.record(alert), min_adjudicators=2, retention=day, outcomes=31 * day)
    yield opened
    opened.close()


def entries(folder: Path) -> list[LogEntry]:
    return [parse_entry(line) for line in (folder / "audit.log").read_bytes().splitlines()]


def decide_all(records: Records, audit: AuditLog) -> None:
    for name in ("Ann", "Bob"):
        records.adjudicate("a1", by=name, verdict="same person", audit=audit, key=KEYS[name])
    records.engage("a1", by="Cem", decision="engage", audit=audit, key=KEYS["Cem"])
    records.close_case("a1", by="Cem", finding="true alert", audit=audit, key=KEYS["Cem"])


def test_signed_decisions_lead_to_an_outcome_and_verify(records: Records, audit: AuditLog, tmp_path: Path) -> None:
    decide_all(records, audit)
    case = records.alert("a1").case
    assert case.state == "closed"
    assert [each.key for each in case.adjudications] == [PEOPLE["Ann"], PEOPLE["Bob"]]
    log = entries(tmp_path)
    assert sum("signature" in entry.details for entry in log) == 4
    assert list(verify_decisions(log, PEOPLE)) == []
    assert list(verify_decisions(log, None)) == []


@pytest.mark.parametrize(
    ("by", "key", "said"),
    [
        ("Ann", None, "a decision of 'Ann' must be signed"),
        ("Ann", KEYS["Bob"], "the key is not that of 'Ann'"),
        ("Ann", STRANGER, "the key is not that of 'Ann'"),
        ("Dee", STRANGER, "'Dee' may not decide here: the authorisation names Ann, Bob, Cem"),
    ],
)
def test_whoever_is_not_who_they_say_decides_nothing(
    records: Records, audit: AuditLog, tmp_path: Path, by: str, key: SigningKey | None, said: str
) -> None:
    with pytest.raises(AdjudicationError, match=said):
        records.adjudicate("a1", by=by, verdict="same person", audit=audit, key=key)
    for name in ("Ann", "Bob"):
        records.adjudicate("a1", by=name, verdict="same person", audit=audit, key=KEYS[name])
    with pytest.raises(AdjudicationError, match=said):
        records.engage("a1", by=by, decision="engage", audit=audit, key=key)
    records.engage("a1", by="Cem", decision="engage", audit=audit, key=KEYS["Cem"])
    with pytest.raises(AdjudicationError, match=said):
        records.close_case("a1", by=by, finding="true alert", audit=audit, key=key)
    assert [entry.kind for entry in entries(tmp_path)] == ["alert", "adjudication", "adjudication", "engagement"]


def test_one_key_under_two_names_gives_one_verdict(records: Records, audit: AuditLog) -> None:
    words = json.dumps({"people": {"Ann": PEOPLE["Ann"], "Anna": PEOPLE["Ann"]}})
    records.add_deployment("other", name="Square", profile="uk-police", words=words)
    alert = replace(sample_alert(entry="Ada", authorisation="other"), id="b1")
    day = timedelta(hours=24)
    records.add(audit.record(alert), min_adjudicators=2, retention=day, outcomes=31 * day)
    records.adjudicate("b1", by="Ann", verdict="same person", audit=audit, key=KEYS["Ann"])
    with pytest.raises(AdjudicationError, match="has a verdict under this key already"):
        records.adjudicate("b1", by="Anna", verdict="same person", audit=audit, key=KEYS["Ann"])


def test_what_was_changed_after_it_was_signed_is_found(records: Records, audit: AuditLog, tmp_path: Path) -> None:
    decide_all(records, audit)
    log = entries(tmp_path)
    changes = {"what": "different person", "by": "Bob", "alert": "a2", "decided_at": "2026-01-01T00:00:00.000Z"}
    for name, value in changes.items():
        changed = [replace(log[1], details={**log[1].details, name: value}), *log[2:]]
        [flaw] = verify_decisions(changed, None)
        assert (flaw.line, "is not the one that" in flaw.what) == (1, True)
    for name in ("key", "signature"):
        [flaw] = verify_decisions([replace(log[1], details={**log[1].details, name: "x"})], None)
        assert "is not the one that 'Ann' signed" in flaw.what
    moved = replace(log[1], kind="outcome")
    assert len(list(verify_decisions([moved], PEOPLE))) == 1


def test_with_the_authorisation_a_decision_without_a_signature_or_with_another_key_is_found(
    records: Records, audit: AuditLog, tmp_path: Path
) -> None:
    decide_all(records, audit)
    log = entries(tmp_path)
    unsigned = replace(log[1], details={name: log[1].details[name] for name in ("alert", "by", "what")})
    assert list(verify_decisions([unsigned], None)) == []
    [flaw] = verify_decisions([unsigned], PEOPLE)
    assert flaw.what == "the adjudication of 'Ann' is not signed"
    [flaw] = verify_decisions([log[1]], {**PEOPLE, "Ann": STRANGER.public.text})
    assert "a key that is not that of 'Ann'" in flaw.what


def test_nobody_named_a_name_is_taken_and_a_key_still_signs(records: Records, audit: AuditLog, tmp_path: Path) -> None:
    alert = replace(sample_alert(entry="Ada", authorisation="unnamed"), id="c1")
    day = timedelta(hours=24)
    records.add(audit.record(alert), min_adjudicators=2, retention=day, outcomes=31 * day)
    records.adjudicate("c1", by="Ann", verdict="same person", audit=audit)
    records.adjudicate("c1", by="Bob", verdict="same person", audit=audit, key=STRANGER)
    assert list(verify_decisions(entries(tmp_path), None)) == []
    assert "signature" in entries(tmp_path)[-1].details
