"""A change that is sent again after its answer was lost is not made twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx

from pylfr.deployment.resources import open_resources
from tests.service.stand import Stand, free_port, serving


def test_a_request_that_is_sent_again_gets_the_first_answer_and_is_recorded_once(stand: Stand) -> None:
    id_ = stand.alert()
    ann = stand.client("Ann")
    body = stand.signed("Ann", "adjudication", id_, "same person")
    key = {"Idempotency-Key": "tablet-7-0001"}

    def send() -> httpx.Response:
        return ann.post(f"/v1/alerts/{id_}/verdicts", json=body, headers=key)

    first = send()
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda _: send(), range(4)))
    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    assert [(each.status_code, each.json()) for each in again] == [(201, first.json())] * 4
    assert all(each.headers["idempotency-replayed"] == "true" for each in again)
    assert stand.kinds().count("adjudication") == 1


def test_a_key_serves_one_request_of_one_person(stand: Stand) -> None:
    id_, other = stand.alert(), stand.alert()
    ann, bob = stand.client("Ann"), stand.client("Bob")
    key = {"Idempotency-Key": "k"}
    given = stand.signed("Ann", "adjudication", id_, "same person")
    ann.post(f"/v1/alerts/{id_}/verdicts", json=given, headers=key)
    answer = ann.post(f"/v1/alerts/{other}/verdicts", json=given, headers=key)
    assert answer.status_code == 422
    assert "was used for another request" in answer.json()["detail"]
    theirs = stand.signed("Bob", "adjudication", id_, "same person")
    assert bob.post(f"/v1/alerts/{id_}/verdicts", json=theirs, headers=key).status_code == 201
    # Whoever signed out gets no old answer either.
    cookies = dict(ann.cookies)
    ann.delete("/v1/session")
    ann.cookies.update(cookies)
    assert ann.post(f"/v1/alerts/{id_}/verdicts", json=given, headers=key).status_code == 401


def test_a_refusal_is_not_remembered(stand: Stand) -> None:
    id_ = stand.alert()
    ann = stand.client("Ann")
    key = {"Idempotency-Key": "k"}
    without = stand.signed("Ann", "adjudication", id_, "cannot tell")
    refused = ann.post(f"/v1/alerts/{id_}/verdicts", json=without, headers=key)
    assert refused.status_code == 409
    assert "the policy asks why" in refused.json()["detail"]
    with_reason = stand.signed("Ann", "adjudication", id_, "cannot tell", reason="turned away")
    assert ann.post(f"/v1/alerts/{id_}/verdicts", json=with_reason, headers=key).status_code == 201
    assert ann.post(f"/v1/alerts/{id_}/verdicts", json=with_reason, headers={"Idempotency-Key": ""}).status_code == 400


def test_what_is_sent_again_after_a_restart_is_refused_by_the_record_itself(stand: Stand) -> None:
    id_ = stand.alert()
    sent = [
        ("Ann", "adjudication", "verdicts", "same person"),
        ("Bob", "adjudication", "verdicts", "same person"),
        ("Cem", "engagement", "engagements", "engage"),
        ("Cem", "outcome", "outcomes", "true alert"),
    ]
    bodies = []
    for name, kind, path, what in sent:
        bodies.append(stand.signed(name, kind, id_, what))
        key = {"Idempotency-Key": f"tablet-7-{path}"}
        made = stand.client(name).post(f"/v1/alerts/{id_}/{path}", json=bodies[-1], headers=key)
        assert made.status_code == 201, made.text
    # Another process over the same record: no session and no key is known there.
    port = free_port()
    again = replace(stand, origin=f"http://127.0.0.1:{port}")
    text = (stand.folder / "deployment.toml").read_text()
    (stand.folder / "again.toml").write_text(text.replace(stand.origin.rpartition(":")[2], str(port)))
    with open_resources(stand.folder / "again.toml") as resources, serving(resources, port):
        for (name, _, path, _), body in zip(sent, bodies, strict=True):
            key = {"Idempotency-Key": f"tablet-7-{path}"}
            refused = again.client(name).post(f"/v1/alerts/{id_}/{path}", json=body, headers=key)
            assert refused.status_code == 409, refused.text
        assert stand.client("Ann").get(f"/v1/alerts/{id_}").json()["state"] == "closed"
    decided = [kind for kind in stand.kinds() if kind in ("adjudication", "engagement", "outcome")]
    assert decided == ["adjudication", "adjudication", "engagement", "outcome"]
