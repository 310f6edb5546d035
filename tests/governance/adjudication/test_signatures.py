"""A decision is of who signed it: another key, another name, no key, the same key twice, are refused or found."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pylfr._internal.canonical_json import Plain, canonical, utc_text
from pylfr.errors import AdjudicationError
from pylfr.governance.adjudication.database import Records, open_records
from pylfr.governance.adjudication.review import Review
from pylfr.governance.adjudication.signatures import GivenSignature, verify_decisions
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import GENESIS, LogEntry
from pylfr.governance.keys.keys import SigningKey
from pylfr.types import Event
from tests.governance.reviews import deploy, entries_of, queue, signed_log
from tests.governance.samples import NOON, authorisation
from tests.governance.security_key import SecurityKey

KEYS = {name: SigningKey(Ed25519PrivateKey.generate()) for name in ("Ann", "Bob", "Cem")}
OUTSIDER = SigningKey(Ed25519PrivateKey.generate())
PEOPLE = {name: key.public.text for name, key in KEYS.items()}
TERMS = authorisation(people=PEOPLE)


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    with closing(signed_log(tmp_path)) as log:
        yield log


@pytest.fixture
def records(records_url: str, audit: AuditLog) -> Iterator[Records]:
    """One alert of a deployment whose authorisation names who may decide."""
    with closing(open_records(records_url)) as opened:
        deploy(opened, audit, TERMS)
        queue(opened, audit, terms=TERMS)
        yield opened


@pytest.fixture
def review(records: Records, audit: AuditLog) -> Review:
    return Review(records, audit)


def decide_all(review: Review) -> None:
    for name in ("Ann", "Bob"):
        review.adjudicate("a1", by=name, verdict="same person", key=KEYS[name])
    review.engage("a1", by="Cem", decision="engage", key=KEYS["Cem"])
    review.close_case("a1", by="Cem", finding="true alert", key=KEYS["Cem"])


def test_signed_decisions_lead_to_an_outcome_and_verify(review: Review, tmp_path: Path) -> None:
    decide_all(review)
    case = review.alert("a1").case
    assert case.state == "closed"
    assert [each.key for each in case.adjudications] == [PEOPLE["Ann"], PEOPLE["Bob"]]
    log = entries_of(tmp_path)
    assert sum("signature" in entry.details for entry in log) == 4
    assert list(verify_decisions(log, PEOPLE)) == []
    assert list(verify_decisions(log, None)) == []


@pytest.mark.parametrize(
    ("by", "key", "said"),
    [
        ("Ann", None, "a decision of 'Ann' must be signed"),
        ("Ann", KEYS["Bob"], "the key is not that of 'Ann'"),
        ("Ann", OUTSIDER, "the key is not that of 'Ann'"),
        ("Dee", OUTSIDER, "'Dee' may not decide here: the authorisation names Ann, Bob, Cem"),
    ],
)
def test_whoever_is_not_who_they_say_decides_nothing(
    review: Review, tmp_path: Path, by: str, key: SigningKey | None, said: str
) -> None:
    with pytest.raises(AdjudicationError, match=said):
        review.adjudicate("a1", by=by, verdict="same person", key=key)
    for name in ("Ann", "Bob"):
        review.adjudicate("a1", by=name, verdict="same person", key=KEYS[name])
    with pytest.raises(AdjudicationError, match=said):
        review.engage("a1", by=by, decision="engage", key=key)
    review.engage("a1", by="Cem", decision="engage", key=KEYS["Cem"])
    with pytest.raises(AdjudicationError, match=said):
        review.close_case("a1", by=by, finding="true alert", key=key)
    assert [entry.kind for entry in entries_of(tmp_path)] == [
        "deployed",
        "alert",
        "adjudication",
        "adjudication",
        "engagement",
    ]


def test_one_key_under_two_names_gives_one_verdict(records: Records, audit: AuditLog) -> None:
    terms = authorisation(people={"Ann": PEOPLE["Ann"], "Anna": PEOPLE["Ann"]})
    deploy(records, audit, terms)
    queue(records, audit, id_="b1", terms=terms)
    review = Review(records, audit)
    review.adjudicate("b1", by="Ann", verdict="same person", key=KEYS["Ann"])
    with pytest.raises(AdjudicationError, match="has a verdict under this key already"):
        review.adjudicate("b1", by="Anna", verdict="same person", key=KEYS["Ann"])


def test_what_was_changed_after_it_was_signed_is_found(review: Review, tmp_path: Path) -> None:
    decide_all(review)
    log = entries_of(tmp_path)
    changes = {
        "what": "different person",
        "reason": "another",
        "by": "Bob",
        "alert": "a2",
        "decided_at": "2026-01-01T00:00:00.000Z",
    }
    for name, value in changes.items():
        changed = [replace(log[2], details={**log[2].details, name: value}), *log[3:]]
        [flaw] = verify_decisions(changed, None)
        assert (flaw.line, "is not the one that" in flaw.what) == (1, True)
    for name in ("key", "signature"):
        [flaw] = verify_decisions([replace(log[2], details={**log[2].details, name: "x"})], None)
        assert "is not the one that 'Ann' signed" in flaw.what
    moved = replace(log[2], kind="outcome")
    assert len(list(verify_decisions([moved], PEOPLE))) == 1


def test_with_the_authorisation_a_decision_without_a_signature_or_with_another_key_is_found(
    review: Review, tmp_path: Path
) -> None:
    decide_all(review)
    log = entries_of(tmp_path)
    unsigned = replace(log[2], details={name: log[2].details[name] for name in ("alert", "by", "what", "reason")})
    assert list(verify_decisions([unsigned], None)) == []
    [flaw] = verify_decisions([unsigned], PEOPLE)
    assert flaw.what == "the adjudication of 'Ann' is not signed"
    [flaw] = verify_decisions([log[2]], {**PEOPLE, "Ann": OUTSIDER.public.text})
    assert "a key that is not that of 'Ann'" in flaw.what


def test_where_nobody_is_named_a_name_is_taken_and_a_key_still_signs(
    records: Records, audit: AuditLog, tmp_path: Path
) -> None:
    deploy(records, audit)
    queue(records, audit, id_="c1")
    review = Review(records, audit)
    review.adjudicate("c1", by="Ann", verdict="same person")
    review.adjudicate("c1", by="Bob", verdict="same person", key=OUTSIDER)
    assert list(verify_decisions(entries_of(tmp_path), None)) == []
    assert "signature" in entries_of(tmp_path)[-1].details


def test_a_decision_signed_with_a_security_key_is_recorded_and_verified_like_any_other(
    records: Records, audit: AuditLog, tmp_path: Path
) -> None:
    device = SecurityKey()
    people = {"Ann": device.public.text, "Bob": PEOPLE["Bob"]}
    terms = authorisation(people=people)
    deploy(records, audit, terms)
    queue(records, audit, id_="w1", terms=terms)
    at = records.clock()
    words = canonical(["pylfr-decision-2", "adjudication", "w1", "Ann", "same person", utc_text(at), ""])
    elsewhere = GivenSignature(
        public=device.public, at=at, signature=device.sign(words, client={"origin": "https://evil.example"})
    )
    given = GivenSignature(public=device.public, at=at, signature=device.sign(words))
    review = Review(records, audit)
    with pytest.raises(AdjudicationError, match="the signature is not that of 'Ann' over this decision"):
        review.adjudicate("w1", by="Ann", verdict="same person", key=elsewhere)
    review.adjudicate("w1", by="Ann", verdict="same person", key=given)
    review.adjudicate("w1", by="Bob", verdict="same person", key=KEYS["Bob"])
    row = review.alert("w1")
    assert (row.case.state, row.differences) == ("confirmed", ())
    log = entries_of(tmp_path)
    assert list(verify_decisions(log, people)) == []
    changed = replace(log[-2], details={**log[-2].details, "what": "different person"})
    assert ["is not the one that" in flaw.what for flaw in verify_decisions([changed], people)] == [True]


def test_a_decision_in_the_log_that_its_person_did_not_sign_changes_no_case(review: Review, audit: AuditLog) -> None:
    review.adjudicate("a1", by="Ann", verdict="same person", key=KEYS["Ann"])
    details = {
        "alert": "a1",
        "by": "Bob",
        "what": "same person",
        "reason": "",
        "decided_at": "2026-01-01T00:00:00.000Z",
    }
    audit.note(Event(kind="adjudication", details=details))
    row = review.alert("a1")
    assert row.case.state == "partly adjudicated"
    assert [each.what for each in row.differences] == ["the adjudication of 'Bob' is not signed"]
    with pytest.raises(AdjudicationError, match="nothing is decided: row log, entry 4"):
        review.adjudicate("a1", by="Bob", verdict="same person", key=KEYS["Bob"])


def test_a_decision_of_the_first_version_which_has_no_reason_is_still_verified() -> None:
    at = utc_text(NOON)
    words = canonical(["pylfr-decision-1", "adjudication", "a1", "Ann", "same person", at])
    details: dict[str, Plain] = {
        "alert": "a1", "by": "Ann", "what": "same person", "decided_at": at, "key": PEOPLE["Ann"],
        "signature": base64.b64encode(KEYS["Ann"].sign(words)).decode(),
    }  # fmt: skip
    entry = LogEntry(sequence=1, at=NOON, kind="adjudication", details=details, previous=GENESIS)
    assert list(verify_decisions([entry], PEOPLE)) == []
    forged = replace(entry, details={**details, "reason": ""})
    assert len(list(verify_decisions([forged], PEOPLE))) == 1
