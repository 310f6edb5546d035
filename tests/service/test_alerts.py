"""From a possible match to its outcome over HTTP: two people decide blind, one engages, nobody can be forged."""

from __future__ import annotations

import io
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from pylfr.governance.keys.keys import make_key, read_signing_key
from tests.service.stand import PATIENCE_S, Stand


def test_two_people_decide_blind_one_engages_and_the_outcome_follows(stand: Stand) -> None:
    id_ = stand.alert()
    ann, bob, cem = stand.client("Ann"), stand.client("Bob"), stand.client("Cem")
    seen = ann.get(f"/v1/alerts/{id_}").json()
    assert (seen["state"], seen["score"], seen["mine"], seen["verdicts"]) == ("open", None, None, None)
    assert seen["possible_match"] == "REF-1 Ada Lovelace"

    given = ann.post(f"/v1/alerts/{id_}/verdicts", json=stand.signed("Ann", "adjudication", id_, "same person"))
    assert given.status_code == 201, given.text
    assert given.json()["mine"]["what"] == "same person"
    assert given.json()["score"] == pytest.approx(0.618)

    second = bob.get(f"/v1/alerts/{id_}").json()
    assert (second["state"], second["score"], second["mine"]) == ("partly adjudicated", None, None)
    assert "same person" not in bob.get(f"/v1/alerts/{id_}").text
    refused = cem.post(f"/v1/alerts/{id_}/engagements", json=stand.signed("Cem", "engagement", id_, "engage"))
    assert refused.status_code == 409

    bob.post(f"/v1/alerts/{id_}/verdicts", json=stand.signed("Bob", "adjudication", id_, "same person"))
    assert [each["by"] for each in cem.get(f"/v1/alerts/{id_}").json()["verdicts"]] == ["Ann", "Bob"]
    engaged = cem.post(f"/v1/alerts/{id_}/engagements", json=stand.signed("Cem", "engagement", id_, "engage"))
    assert engaged.json()["state"] == "engaged"
    closed = cem.post(f"/v1/alerts/{id_}/outcomes", json=stand.signed("Cem", "outcome", id_, "true alert"))
    assert closed.json()["state"] == "closed"
    assert stand.kinds()[-4:] == ["adjudication", "adjudication", "engagement", "outcome"]


def test_a_decision_is_recorded_as_it_was_signed(stand: Stand) -> None:
    id_ = stand.alert()
    signed = stand.signed("Ann", "adjudication", id_, "cannot tell", reason="turned away, “blurred”")
    stand.client("Ann").post(f"/v1/alerts/{id_}/verdicts", json=signed)
    (entry,) = stand.audit.entries("adjudication")
    assert entry.details["signature"] == signed["signature"]
    assert entry.details["decided_at"] == signed["decided_at"]
    assert entry.details["reason"] == "turned away, “blurred”"


def test_a_verdict_that_somebody_else_signed_is_refused_and_leaves_nothing(stand: Stand) -> None:
    id_ = stand.alert()
    make_key(stand.folder / "mallory.pem")
    mallory = read_signing_key(stand.folder / "mallory.pem")
    ann = stand.client("Ann")
    forged = [
        stand.signed("Ann", "adjudication", id_, "same person", key=mallory),
        stand.signed("Bob", "adjudication", id_, "same person"),
        stand.signed("Ann", "engagement", id_, "same person"),
        stand.signed("Ann", "adjudication", "another", "same person"),
        {**stand.signed("Ann", "adjudication", id_, "different person"), "what": "same person"},
        {**stand.signed("Ann", "adjudication", id_, "same person"), "reason": "added"},
    ]
    for body in forged:
        answer = ann.post(f"/v1/alerts/{id_}/verdicts", json=body)
        assert answer.status_code == 409
        assert "the signature is not that of 'Ann' over this decision" in answer.json()["detail"]
    assert "adjudication" not in stand.kinds()


@pytest.mark.parametrize("minutes", [-3, 3])
def test_a_decision_of_another_hour_is_refused(stand: Stand, minutes: int) -> None:
    id_ = stand.alert()
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    signed = stand.signed("Ann", "adjudication", id_, "same person", at=at)
    answer = stand.client("Ann").post(f"/v1/alerts/{id_}/verdicts", json=signed)
    assert answer.status_code == 409
    assert "check the clock" in answer.json()["detail"]


def test_nobody_decides_twice_and_a_mistake_is_amended_with_a_reason(stand: Stand) -> None:
    id_ = stand.alert()
    ann = stand.client("Ann")
    signed = stand.signed("Ann", "adjudication", id_, "same person")
    assert ann.post(f"/v1/alerts/{id_}/verdicts", json=signed).status_code == 201
    assert ann.post(f"/v1/alerts/{id_}/verdicts", json=signed).status_code == 409
    amended = stand.signed("Ann", "verdict-amended", id_, "different person", reason="another ear")
    answer = ann.post(f"/v1/alerts/{id_}/verdicts", json={**amended, "amends": True})
    assert answer.json()["mine"]["what"] == "different person"
    assert stand.kinds()[-2:] == ["adjudication", "verdict-amended"]


def test_pictures_are_shown_in_parts_and_every_view_is_in_the_log(stand: Stand) -> None:
    id_ = stand.alert()
    ann = stand.client("Ann")
    assert ann.get(f"/v1/alerts/{id_}").json()["pictures"] == ["probe", "reference", "scene"]
    for part, size in (("probe", (96, 96)), ("reference", (64, 48)), ("scene", (96, 54))):
        answer = ann.get(f"/v1/alerts/{id_}/pictures/{part}")
        assert answer.headers["cache-control"] == "no-store"
        assert Image.open(io.BytesIO(answer.content)).size == size
    views = [entry.details for entry in stand.audit.entries("picture-viewed")]
    assert views == [{"alert": id_, "part": part, "by": "Ann"} for part in ("probe", "reference", "scene")]


def test_a_picture_that_was_erased_is_said_to_be_and_is_no_view(stand: Stand) -> None:
    id_ = stand.alert()
    for path in (stand.folder / "evidence").iterdir():
        path.unlink()
    ann = stand.client("Ann")
    assert ann.get(f"/v1/alerts/{id_}").json()["pictures"] == []
    assert ann.get(f"/v1/alerts/{id_}/pictures/probe").status_code == 410
    assert "picture-viewed" not in stand.kinds()


@pytest.mark.parametrize("id_", ["none", "..%2f..%2frecord.key", "%00", "a" * 3000])
def test_an_alert_that_does_not_exist_is_not_found(stand: Stand, id_: str) -> None:
    stand.alert()
    ann = stand.client("Ann")
    for path in (f"/v1/alerts/{id_}", f"/v1/alerts/{id_}/pictures/probe"):
        answer = ann.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_pages_of_alerts_go_on_where_the_last_one_ended(stand: Stand) -> None:
    ids = [stand.alert() for _ in range(5)]
    ann = stand.client("Ann")
    found: list[str] = []
    cursor = ""
    while True:
        page = ann.get("/v1/alerts", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        found += [alert["id"] for alert in page["alerts"]]
        cursor = page["next"]
        if not cursor:
            break
    assert sorted(found) == sorted(ids)
    assert ann.get("/v1/alerts", params={"cursor": "?"}).status_code == 422
    assert ann.get("/v1/alerts", params={"state": "confirmed"}).json()["alerts"] == []
    assert ann.get("/v1/alerts", params={"since": datetime.now(UTC).isoformat()}).json()["alerts"] == []
    assert ann.get("/v1/alerts", params={"since": "2026-01-01T00:00:00"}).status_code == 422


def test_an_unchanged_list_is_not_sent_again(stand: Stand) -> None:
    id_ = stand.alert()
    ann = stand.client("Ann")
    tag = ann.get("/v1/alerts").headers["etag"]
    assert ann.get("/v1/alerts", headers={"If-None-Match": tag}).status_code == 304
    ann.post(f"/v1/alerts/{id_}/verdicts", json=stand.signed("Ann", "adjudication", id_, "same person"))
    assert ann.get("/v1/alerts", headers={"If-None-Match": tag}).status_code == 200


def test_records_that_were_edited_are_shown_as_such_and_nothing_is_decided_on_them(stand: Stand) -> None:
    id_ = stand.alert()
    ann, bob = stand.client("Ann"), stand.client("Bob")
    ann.post(f"/v1/alerts/{id_}/verdicts", json=stand.signed("Ann", "adjudication", id_, "different person"))
    with sqlite3.connect(stand.folder / "records.sqlite") as database:
        database.execute("update adjudications set verdict = 'same person'")
    answer = bob.post(f"/v1/alerts/{id_}/verdicts", json=stand.signed("Bob", "adjudication", id_, "same person"))
    assert answer.status_code == 409
    assert "the records are not what the log says" in answer.json()["detail"]
    until = time.monotonic() + PATIENCE_S
    while not bob.get(f"/v1/alerts/{id_}").json()["differences"]:
        assert time.monotonic() < until
        time.sleep(0.2)
