"""Who may do what: every route, every role; sessions, origins, tokens, sizes and headers."""

from __future__ import annotations

import base64
import hashlib
import socket
from pathlib import Path
from typing import get_args

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from pylfr.deployment.sections.service import Role
from pylfr.service import pages
from pylfr.service.access import require_rules, rule_of
from pylfr.service.routes import alerts, cameras, deployment, events, monitoring, session, shifts, watchlist
from tests.service.stand import ROLES, Stand, standing

ROUTES = [
    route
    for module in (session, alerts, shifts, events, cameras, watchlist, deployment, monitoring, pages)
    for route in module.router.routes
    if isinstance(route, APIRoute)
]
# Nobody is refused these: they are how one signs in, and what everybody sees first; health names nobody.
PUBLIC = {"/", "/sign-in", "/healthz", "/readyz", "/v1/challenges", "/v1/session"}


def test_every_route_has_a_rule_and_an_application_without_one_does_not_start() -> None:
    assert len(ROUTES) > 15
    assert all(rule_of(route) is not None for route in ROUTES)
    app = FastAPI()

    @app.get("/forgotten")
    def forgotten() -> None: ...

    with pytest.raises(RuntimeError, match="routes without a rule: /forgotten"):
        require_rules(app)


def test_what_is_public_is_no_more_than_the_sign_in() -> None:
    public = {route.path for route in ROUTES if (rule := rule_of(route)) is not None and rule.is_public}
    assert public == PUBLIC


def test_every_role_gets_what_its_rule_gives_and_nothing_else(stand: Stand) -> None:
    """The matrix is made from the routes: a new one is in it."""
    roles = {name: set(given) for name, given in ROLES.items()}
    assert set().union(*roles.values()) == set(get_args(Role))
    id_ = stand.alert()
    asked = 0
    for name in ROLES:
        client = stand.client(name)
        for route in ROUTES:
            rule = rule_of(route)
            assert rule is not None
            for method in route.methods or ():
                if rule.is_public or (method, route.path) == ("DELETE", "/v1/session") or route.path == "/v1/events":
                    continue
                path = route.path.format(alert=id_, part="probe", camera="north", entry=1)
                status = client.request(method, path, json=None if method == "GET" else {}).status_code
                is_allowed = bool(rule.roles & roles[name])
                assert (status != 403) == is_allowed, (name, method, path, status)
                assert status != 500, (name, method, path)
                asked += 1
    assert asked > 50


def test_nobody_who_has_not_signed_in_gets_anything(stand: Stand) -> None:
    id_ = stand.alert()
    client = stand.client()
    for route in ROUTES:
        rule = rule_of(route)
        assert rule is not None
        for method in route.methods or ():
            if rule.is_public:
                continue
            answer = client.request(method, route.path.format(alert=id_, part="probe", camera="north", entry=1))
            assert answer.status_code == 401, (method, route.path)
            assert answer.headers["content-type"] == "application/problem+json"


def test_signing_out_ends_the_session(stand: Stand) -> None:
    client = stand.client("Ann")
    assert client.get("/v1/session").json()["name"] == "Ann"
    cookies = dict(client.cookies)
    assert client.delete("/v1/session").status_code == 204
    client.cookies.update(cookies)
    assert client.get("/v1/session").status_code == 401


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null"])
def test_a_page_from_elsewhere_cannot_act_for_whoever_is_signed_in(stand: Stand, origin: str | None) -> None:
    id_ = stand.alert()
    client = stand.client("Ann")
    del client.headers["origin"]
    headers = {} if origin is None else {"Origin": origin}
    signed = stand.signed("Ann", "adjudication", id_, "same person")
    answer = client.post(f"/v1/alerts/{id_}/verdicts", json=signed, headers=headers)
    assert answer.status_code == 403
    assert "must come from" in answer.json()["detail"]
    assert "adjudication" not in stand.kinds()


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(stand: Stand) -> None:
    client = stand.client()
    challenge = client.post("/v1/challenges", json={"name": "Ann"}).json()
    signature = base64.b64encode(stand.keys["Ann"].sign(challenge["message"].encode())).decode()
    answer = client.post("/v1/session", json={"nonce": challenge["nonce"], "signature": signature})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


@pytest.mark.parametrize("header", ["Content-Length: 99999999", "Transfer-Encoding: chunked"])
def test_a_large_body_is_refused_before_it_is_read(stand: Stand, header: str) -> None:
    host, port = stand.origin.removeprefix("http://").split(":")
    head = f"POST /v1/challenges HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{header}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_every_answer_has_headers_that_close_the_page(stand: Stand) -> None:
    client = stand.client("Ann")
    for path in ("/sign-in", "/desk", "/static/desk.js", "/v1/alerts", "/nowhere"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/..%2fserver.py", "/static/%2e%2e/app.py", "/static//etc/passwd"]
)
def test_nothing_but_what_pages_load_is_served(stand: Stand, path: str) -> None:
    assert stand.client().get(path).status_code == 404


def test_a_programs_token_reads_what_it_covers_and_decides_nothing(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"token").hexdigest()
    more = f'[service.tokens."archive"]\nsha256 = "{digest}"\nscopes = ["alerts"]\n'
    with standing(tmp_path, more=more) as stand:
        id_ = stand.alert()
        client = stand.client()
        bearer = {"Authorization": "Bearer token"}
        assert client.get("/v1/alerts", headers=bearer).json()["alerts"][0]["id"] == id_
        assert client.get("/v1/cameras", headers=bearer).status_code == 403
        assert client.get(f"/v1/alerts/{id_}/pictures/probe", headers=bearer).status_code == 403
        signed = stand.signed("Ann", "adjudication", id_, "same person")
        assert client.post(f"/v1/alerts/{id_}/verdicts", json=signed, headers=bearer).status_code == 403
        assert client.get("/v1/alerts", headers={"Authorization": "Bearer other"}).status_code == 401
        assert client.get("/v1/alerts", headers={"Authorization": "Basic token"}).status_code == 401
