from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from examples.follow_alerts import follow
from pylfr.service.client import Client, ServiceError
from tests.service.stand import Stand, standing


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    digest = hashlib.sha256(b"token").hexdigest()
    more = f'[service.tokens."archive"]\nsha256 = "{digest}"\nscopes = ["alerts"]\n'
    with standing(tmp_path, more=more) as made:
        yield made


def test_a_program_reads_page_by_page_with_its_token_and_decides_nothing(stand: Stand) -> None:
    ids = {stand.alert() for _ in range(5)}
    client = Client(stand.origin, token="token")
    assert {alert.id for alert in client.alerts(page_size=2)} == ids
    assert not list(client.alerts(state="confirmed"))
    assert not list(client.alerts(since=datetime.now(UTC) + timedelta(hours=1)))
    assert not list(client.alerts(camera="south"))
    with pytest.raises(ServiceError, match="does not cover this") as refused:
        client.cameras()
    assert refused.value.status == 403
    with pytest.raises(ServiceError, match="only a person decides"):
        client.adjudicate(ids.pop(), "same person")


def test_people_decide_with_their_keys_and_mend_a_mistake(stand: Stand) -> None:
    id_ = stand.alert()
    clients = {}
    for name in ("Ann", "Bob", "Cem", "Dee"):
        clients[name] = Client(stand.origin)
        assert clients[name].sign_in(name, stand.keys[name]).name == name
    clients["Ann"].adjudicate(id_, "different person")
    assert clients["Ann"].adjudicate(id_, "same person", reason="the wrong button", amends=True).mine is not None
    assert clients["Bob"].adjudicate(id_, "same person").state == "confirmed"
    assert clients["Cem"].picture(id_, "probe")[:2] == b"\xff\xd8"
    with pytest.raises(ServiceError, match="the policy asks why"):
        clients["Cem"].engage(id_, "do not engage")
    assert clients["Cem"].engage(id_, "engage").state == "engaged"
    assert clients["Cem"].close_case(id_, "true alert").state == "closed"
    assert clients["Cem"].alert(id_).outcome is not None
    dee = clients["Dee"]
    assert dee.deployment().name == "Market Square"
    assert [camera.name for camera in dee.cameras()] == ["north"]
    assert dee.audit(last=3).flaws == []
    assert dee.retention().sentences
    (amended,) = stand.audit.entries("verdict-amended")
    first = next(stand.audit.entries("adjudication"))
    assert amended.details["amends"] == str(first.sequence)


def test_whoever_is_not_who_they_say_is_refused(stand: Stand) -> None:
    with pytest.raises(ServiceError, match="does not sign you in"):
        Client(stand.origin).sign_in("Ann", stand.keys["Bob"])
    with pytest.raises(ValueError, match="origin must be an address"):
        Client("desk.example")
    with pytest.raises(ServiceError, match="the token is not known here"):
        list(Client(stand.origin, token="other").alerts())


def test_the_example_follows_alerts_from_where_it_was(stand: Stand) -> None:
    for _ in range(3):
        stand.alert()
    client = Client(stand.origin, token="token")
    lines = list(itertools.islice(follow(client, after=0), 3))
    assert all(line.startswith("north 20") and line.endswith(" open") for line in lines)
