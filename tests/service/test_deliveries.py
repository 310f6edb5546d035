from __future__ import annotations

from pylfr.types import Event
from tests.service.stand import Stand


def test_what_was_delayed_refused_or_given_up_is_counted_by_destination(stand: Stand) -> None:
    to = {"to": "https://archive.example/alerts"}
    dee = stand.client("Dee")
    assert dee.get("/v1/deployment").json()["deliveries"] == []
    stand.audit.note(Event(kind="delivery-delayed", details={**to, "waiting": 7, "because": "connection refused"}))
    stand.audit.note(Event(kind="delivery-refused", details={**to, "alert": "a1", "because": "413"}))
    (delayed,) = dee.get("/v1/deployment").json()["deliveries"]
    assert (delayed["to"], delayed["is_delayed"], delayed["refused"]) == (to["to"], True, 1)
    assert "connection refused" not in dee.get("/deployment").text
    assert "(413)" in dee.get("/deployment").text
    stand.audit.note(Event(kind="delivery-expired", details={**to, "alerts": 3}))
    stand.audit.note(Event(kind="delivery-resumed", details={**to, "alerts": 4}))
    (resumed,) = dee.get("/v1/deployment").json()["deliveries"]
    assert (resumed["is_delayed"], resumed["waiting"], resumed["refused"], resumed["expired"]) == (False, 0, 1, 3)
