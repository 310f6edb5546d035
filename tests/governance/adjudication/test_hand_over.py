from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr._internal.canonical_json import utc_text
from pylfr.errors import AdjudicationError
from pylfr.governance.adjudication.hand_over import HAND_OVER, HandOver, hand_over_of, take_over, verify_hand_overs
from pylfr.governance.adjudication.signatures import GivenSignature
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.keys.keys import SigningKey, make_key, read_signing_key
from tests.governance.reviews import signed_log

NOW = datetime.fromisoformat(utc_text(datetime.now(UTC)))
MADE = HandOver(by="Bob", taken_from="Ann", alerts=("a2", "a1"), at=NOW)


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    with closing(signed_log(tmp_path)) as log:
        yield log


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, SigningKey]:
    for name in ("Ann", "Bob"):
        make_key(tmp_path / f"{name}.pem")
    return {name: read_signing_key(tmp_path / f"{name}.pem") for name in ("Ann", "Bob")}


def people(keys: dict[str, SigningKey]) -> dict[str, str]:
    return {name: key.public.text for name, key in keys.items()}


def test_whoever_takes_over_names_every_open_alert_and_signs(audit: AuditLog, keys: dict[str, SigningKey]) -> None:
    take_over(MADE, open_now=("a1", "a2"), people=people(keys), key=keys["Bob"], now=NOW, audit=audit)
    (entry,) = audit.entries(HAND_OVER)
    assert hand_over_of(entry) == replace(MADE, alerts=("a1", "a2"))
    assert not list(verify_hand_overs(audit.entries(), people(keys)))


@pytest.mark.parametrize("open_now", [(), ("a1",), ("a1", "a2", "a3"), ("a1", "a3")])
def test_other_alerts_than_those_that_are_open_are_refused(
    audit: AuditLog, keys: dict[str, SigningKey], open_now: tuple[str, ...]
) -> None:
    with pytest.raises(AdjudicationError, match="look at all that are open"):
        take_over(MADE, open_now=open_now, people=people(keys), key=keys["Bob"], now=NOW, audit=audit)
    assert not list(audit.entries(HAND_OVER))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (replace(MADE, by="Ann"), "the key is not that of 'Ann'"),
        (replace(MADE, by="Mallory"), "may not decide here"),
        (replace(MADE, taken_from="Mallory"), "hands over nothing here"),
        (replace(MADE, taken_from="bob "), "cannot take over from themselves"),
        (replace(MADE, at=NOW - timedelta(minutes=3)), "check the clock"),
    ],
)
def test_nobody_takes_over_for_somebody_else(
    audit: AuditLog, keys: dict[str, SigningKey], made: HandOver, message: str
) -> None:
    with pytest.raises(AdjudicationError, match=message):
        take_over(made, open_now=("a1", "a2"), people=people(keys), key=keys["Bob"], now=NOW, audit=audit)
    assert not list(audit.entries(HAND_OVER))


def test_a_signature_over_other_alerts_is_refused_and_found_in_a_log_that_has_it(
    audit: AuditLog, keys: dict[str, SigningKey]
) -> None:
    take_over(replace(MADE, alerts=("a1",)), open_now=("a1",), people={}, key=keys["Bob"], now=NOW, audit=audit)
    (entry,) = audit.entries(HAND_OVER)
    given = GivenSignature(public=keys["Bob"].public, at=NOW, signature=str(entry.details["signature"]))
    with pytest.raises(AdjudicationError, match="the signature is not that of 'Bob'"):
        take_over(MADE, open_now=("a1", "a2"), people=people(keys), key=given, now=NOW, audit=audit)
    forged = replace(entry, details={**entry.details, "alerts": "a1 a2"})
    assert [flaw.what for flaw in verify_hand_overs([forged], None)] == [
        "the hand-over is not the one that 'Bob' signed"
    ]
    (flaw,) = verify_hand_overs([entry], {"Bob": keys["Ann"].public.text})
    assert "a key that is not that of 'Bob'" in flaw.what
