"""A shift is handed over by name: every open alert acknowledged, signed by who takes over."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from pylfr._internal.canonical_json import utc_text
from pylfr.governance.adjudication.hand_over import HandOver, hand_over_text
from tests.service.stand import Stand


def signed(stand: Stand, by: str, taken_from: str, *alerts: str) -> dict[str, object]:
    at = datetime.fromisoformat(utc_text(datetime.now(UTC)))
    text = hand_over_text(HandOver(by=by, taken_from=taken_from, alerts=alerts, at=at))
    signature = base64.b64encode(stand.keys[by].sign(text)).decode()
    return {"taken_from": taken_from, "alerts": list(alerts), "decided_at": utc_text(at), "signature": signature}


def test_whoever_takes_over_acknowledges_every_open_alert(stand: Stand) -> None:
    ids = [stand.alert() for _ in range(3)]
    ann, bob = stand.client("Ann"), stand.client("Bob")
    ann.post(f"/v1/alerts/{ids[0]}/verdicts", json=stand.signed("Ann", "adjudication", ids[0], "different person"))
    bob.post(f"/v1/alerts/{ids[0]}/verdicts", json=stand.signed("Bob", "adjudication", ids[0], "different person"))
    shift = bob.get("/v1/shift").json()
    assert {each["id"] for each in shift["open"]} == set(ids[1:])
    assert shift["last"] is None
    given = signed(stand, "Bob", "Ann", *ids[1:])
    for _ in range(2):  # the answer was lost: it is sent again, and recorded once
        answer = bob.post("/v1/shift/hand-overs", json=given)
        assert answer.status_code == 201, answer.text
        assert answer.json()["last"]["by"] == "Bob"
    (entry,) = stand.audit.entries("hand-over")
    assert (entry.details["by"], entry.details["from"], entry.details["count"]) == ("Bob", "Ann", 2)


def test_a_hand_over_of_other_alerts_or_under_another_name_is_refused(stand: Stand) -> None:
    ids = [stand.alert() for _ in range(2)]
    bob = stand.client("Bob")
    forged = signed(stand, "Ann", "Cem", *ids)
    for body, why in (
        (signed(stand, "Bob", "Ann", ids[0]), "look at all that are open"),
        (signed(stand, "Bob", "Bob", *ids), "cannot take over from themselves"),
        (signed(stand, "Bob", "Mallory", *ids), "hands over nothing here"),
        (forged, "the signature is not that of 'Bob'"),
        ({**signed(stand, "Bob", "Cem", *ids), "taken_from": "Ann"}, "the signature is not that of 'Bob'"),
    ):
        answer = bob.post("/v1/shift/hand-overs", json=body)
        assert answer.status_code == 409
        assert why in answer.json()["detail"]
    assert "hand-over" not in stand.kinds()
