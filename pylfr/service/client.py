"""A client of the service for programs, typed, of the standard library alone: read with a token, or decide with a key.

>>> client = Client("https://desk.example", token="...")
>>> for alert in client.alerts(state="confirmed"):
...     print(alert.id, alert.camera, alert.possible_match)
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Literal, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from pydantic import TypeAdapter, ValidationError

from pylfr._internal.canonical_json import utc_text
from pylfr._internal.strict_json import parse_json, parse_object
from pylfr._internal.trusted import client_context
from pylfr.errors import PylfrError
from pylfr.governance.adjudication.case import Decision, Finding, State, Verdict
from pylfr.governance.adjudication.signatures import sign_decision
from pylfr.governance.keys.keys import SigningKey
from pylfr.service.deployment_views import AuditView, CameraView, DeploymentView, RetentionView, WatchlistView
from pylfr.service.views import AlertPage, AlertView, ChallengeGiven, SessionView

T = TypeVar("T")

_TIMEOUT_S = 30.0
# A connection that could not be made is tried again, with the same idempotency key, so often and after so long.
_TRIES, _FIRST_PAUSE_S = 5, 0.2


class ServiceError(PylfrError):
    """The service refused, in its own words; ``status`` is that of HTTP."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEvent:
    """Something that was recorded: ``id`` is where to go on from; ``kind`` and ``data`` as the stream has them."""

    id: int
    kind: str
    data: dict[str, object]


class Client:
    """One service. A program reads with a ``token``; a person signs in with their key and decides. For one thread.

    ``origin`` is the service's address as people's browsers have it. Every method raises ``ServiceError`` where the
    service refuses, and ``OSError`` where it cannot be reached; changes are sent again over a broken connection, and
    made once.
    """

    def __init__(self, origin: str, *, token: str | None = None, ca: str | None = None) -> None:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"origin must be an address such as https://desk.example, got {origin!r}")
        self._origin = origin.rstrip("/")
        self._host, self._port, self._is_tls = parts.hostname, parts.port, parts.scheme == "https"
        self._context = client_context(ca) if self._is_tls else None
        self._headers = {"Origin": self._origin}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._signing: tuple[str, SigningKey] | None = None

    def sign_in(self, name: str, key: SigningKey) -> SessionView:
        """Sign in as somebody of ``[people]``, with their key; decisions are signed with it too."""
        challenge = self._ask(ChallengeGiven, "POST", "/v1/challenges", {"name": name})
        if not _is_sign_in(challenge.message, self._origin, name):
            raise ServiceError(0, f"{self._origin} asked for a signature of something else than a sign-in")
        signature = base64.b64encode(key.sign(challenge.message.encode())).decode()
        answer = self._send("POST", "/v1/session", {"nonce": challenge.nonce, "signature": signature})
        self._headers["Cookie"] = answer.cookie
        self._signing = name, key
        return _as(SessionView, answer.body)

    def alerts(
        self,
        *,
        state: State | None = None,
        camera: str | None = None,
        since: datetime | None = None,
        page_size: int = 100,
    ) -> Iterator[AlertView]:
        """Alerts, the oldest first, fetched page by page."""
        asked = {"state": state, "camera": camera, "since": since.isoformat() if since else None}
        cursor: str | None = None
        while True:
            page = self._ask(AlertPage, "GET", _path("/v1/alerts", asked | {"limit": page_size, "cursor": cursor}))
            yield from page.alerts
            cursor = page.next
            if cursor is None:
                return

    def alert(self, id_: str) -> AlertView:
        """One alert."""
        return self._ask(AlertView, "GET", f"/v1/alerts/{quote(id_, safe='')}")

    def picture(self, id_: str, part: Literal["probe", "reference", "scene"]) -> bytes:
        """A picture of an alert, JPEG. Each view is recorded; only people may look."""
        return self._send("GET", f"/v1/alerts/{quote(id_, safe='')}/pictures/{part}").body

    def adjudicate(self, id_: str, verdict: Verdict, *, reason: str = "", amends: bool = False) -> AlertView:
        """Sign and record a verdict; ``amends`` replaces one's own earlier one."""
        kind = "verdict-amended" if amends else "adjudication"
        return self._decide(id_, "verdicts", kind, verdict, reason, {"amends": amends})

    def engage(self, id_: str, decision: Decision, *, reason: str = "") -> AlertView:
        """Sign and record whether somebody is spoken to."""
        return self._decide(id_, "engagements", "engagement", decision, reason, {})

    def close_case(self, id_: str, finding: Finding, *, reason: str = "", amends: bool = False) -> AlertView:
        """Sign and record what it turned out to be; ``amends`` replaces an earlier outcome."""
        kind = "outcome-amended" if amends else "outcome"
        return self._decide(id_, "outcomes", kind, finding, reason, {"amends": amends})

    def cameras(self) -> list[CameraView]:
        """Every camera's state, rate, latency and losses."""
        return _as(list[CameraView], self._send("GET", "/v1/cameras").body)

    def deployment(self) -> DeploymentView:
        """Who authorised what, until when, and how the run goes."""
        return self._ask(DeploymentView, "GET", "/v1/deployment")

    def watchlist(self) -> WatchlistView:
        """Who is on the watchlist."""
        return self._ask(WatchlistView, "GET", "/v1/watchlist")

    def audit(self, *, last: int = 100) -> AuditView:
        """The last entries of the audit log, and what is wrong with it."""
        return self._ask(AuditView, "GET", _path("/v1/audit", {"last": last}))

    def retention(self) -> RetentionView:
        """Retention: what is stored, and until when."""
        return self._ask(RetentionView, "GET", "/v1/retention")

    def report(self) -> str:
        """The public report, HTML."""
        return self._send("GET", "/v1/report").body.decode()

    def events(self, *, after: int | None = None) -> Iterator[ServiceEvent]:
        """What is recorded, as it is, for ever, from the event ``after`` on; it goes on where a connection broke."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                for event in self._stream(after):
                    after, pause_s = max(event.id, after or 0), _FIRST_PAUSE_S
                    if event.kind != "waiting":
                        yield event
            except (OSError, http.client.HTTPException):
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, 30.0)

    def _stream(self, after: int | None) -> Iterator[ServiceEvent]:
        connection = self._connect()
        try:
            connection.request("GET", _path("/v1/events", {"after": after}), headers=self._headers)
            answer = connection.getresponse()
            if answer.status != HTTPStatus.OK:
                raise _refusal(answer.status, answer.read())
            fields: dict[str, str] = {}
            for line in answer:
                name, _, value = line.decode("utf-8", "replace").rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "event" in fields:
                    yield _event(fields)
                    fields = {}
        finally:
            connection.close()

    def _decide(
        self, id_: str, path: str, kind: str, what: Verdict | Decision | Finding, reason: str, more: dict[str, bool]
    ) -> AlertView:
        if self._signing is None:
            raise ServiceError(0, "only a person decides: sign in with a name and a key first")
        name, key = self._signing
        # To the millisecond, as it is signed.
        at = datetime.fromisoformat(utc_text(datetime.now(UTC)))
        signature = sign_decision(key, kind=kind, alert=id_, by=name, what=what, at=at, reason=reason)
        body = {"what": what, "decided_at": utc_text(at), "reason": reason, "signature": signature, **more}
        return self._ask(AlertView, "POST", f"/v1/alerts/{quote(id_, safe='')}/{path}", body)

    def _ask(self, kind: type[T], method: str, path: str, body: object = None) -> T:
        return _as(kind, self._send(method, path, body).body)

    def _send(self, method: str, path: str, body: object = None) -> _Answer:
        headers = dict(self._headers)
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers |= {"Content-Type": "application/json", "Idempotency-Key": secrets.token_urlsafe(16)}
        for tries in range(1, _TRIES + 1):
            connection = self._connect()
            try:
                connection.request(method, path, body=content, headers=headers)
                answer = connection.getresponse()
                found = answer.read()
            except (OSError, http.client.HTTPException) as error:
                if tries == _TRIES:
                    raise OSError(f"{self._origin} cannot be reached: {error}") from error
                time.sleep(_FIRST_PAUSE_S * 2**tries)
                continue
            finally:
                connection.close()
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise _refusal(answer.status, found)
            return _Answer(body=found, cookie=(answer.getheader("Set-Cookie") or "").split(";")[0])
        raise AssertionError

    def _connect(self) -> http.client.HTTPConnection:
        if self._context is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=_TIMEOUT_S, context=self._context)
        return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    body: bytes
    cookie: str


def _event(fields: Mapping[str, str]) -> ServiceEvent:
    """An event of the stream. Raises ``ServiceError`` for anything else."""
    try:
        data: dict[str, object] = {**parse_object(fields.get("data", "{}"))}
        return ServiceEvent(id=int(fields.get("id", "0")), kind=fields["event"], data=data)
    except ValueError as error:
        raise ServiceError(0, f"malformed event in the stream: {error}") from error


def _as(kind: type[T], body: bytes) -> T:
    """What was answered. Raises ``ServiceError`` where that is something else than the interface's document says."""
    try:
        return TypeAdapter(kind).validate_json(body)
    except ValidationError as error:
        raise ServiceError(0, f"unexpected answer: {str(error).splitlines()[0]}") from error


def _is_sign_in(message: str, origin: str, name: str) -> bool:
    """Whether this is what somebody signs to sign in there, and nothing else."""
    try:
        said = parse_json(message)
    except ValueError:
        return False
    return isinstance(said, list) and said[:3] == ["pylfr-sign-in-1", origin, name]


def _refusal(status: int, body: bytes) -> ServiceError:
    try:
        detail = str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        detail = body.decode("utf-8", "replace")[:200]
    return ServiceError(status, detail)


def _path(path: str, asked: Mapping[str, str | int | None]) -> str:
    given = {name: value for name, value in asked.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
