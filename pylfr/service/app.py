"""The application: routes, their rules, and the headers that every answer has."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import get_args

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pylfr._internal.log_context import logged_as
from pylfr.deployment.resources import Resources
from pylfr.deployment.sections.service import Role
from pylfr.errors import ConfigError
from pylfr.governance.adjudication.followed import FollowedReview
from pylfr.governance.adjudication.review import Review
from pylfr.governance.keys.webauthn import WebAuthnKey
from pylfr.monitoring.monitor import Monitor
from pylfr.service import pages
from pylfr.service.access import Gate, require_rules
from pylfr.service.control import RunControl
from pylfr.service.desk import Desk, EvidenceFolder
from pylfr.service.feed import Feed
from pylfr.service.listing import Listing
from pylfr.service.once import Once
from pylfr.service.overview import Overview
from pylfr.service.problems import DESCRIBED, explain_errors, problem
from pylfr.service.rate_limit import RateLimit
from pylfr.service.routes import alerts, cameras, deployment, events, monitoring, session, shifts, watchlist
from pylfr.service.run_log import RunLog
from pylfr.service.shifts import Shifts
from pylfr.service.sign_in import Person, SignIn

# Nothing from elsewhere, nothing inline, in nobody's frame.
_CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_MOST_BODY_BYTES = 16 * 1024
# Hundreds of ids, and a picture: what these two take is larger.
_LARGER = {"/v1/shift/hand-overs": 256 * 1024, "/v1/watchlist/entries": 16 * 1024 * 1024}
# A whole shift may sign in at once from one address, with two requests each.
_SIGN_INS_A_MINUTE = 120
_DEFAULT_ROLES: frozenset[Role] = frozenset({"operator", "second operator", "engagement officer"})


def build_app(
    resources: Resources,
    *,
    monitor: Monitor | None = None,
    control: RunControl | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> FastAPI:
    """The application over an opened deployment, whose log and records another process may write to meanwhile.

    ``control`` is of the engine in this process; without one its run can only be watched. Raises ``ConfigError`` where
    the deployment has no [people] or no [records], or somebody's security key is for other pages.
    """
    described, section = resources.deployment, resources.deployment.service
    if not resources.people:
        raise ConfigError(f"{described.name!r} has no [people]: nobody could sign in; name them and their public keys")
    records = resources.require_records()
    review, followed = Review(records, resources.audit), FollowedReview(records, resources.audit)
    listing = Listing(resources)
    desk = Desk(
        review,
        followed,
        resources.audit,
        deployment=described.name,
        evidence=_EvidenceFolders(resources),
        category_of=listing.category_of,
        clock=clock,
    )
    once = Once()
    feed = Feed(described.audit.path, desk.events, on_erased=once.forget)
    lives = timedelta(minutes=section.session_min)
    sign_in = SignIn(_people(resources), origin=section.address, lives=lives, clock=clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        follower = asyncio.create_task(feed.follow_log())
        yield
        await feed.close()
        follower.cancel()
        with suppress(asyncio.CancelledError):
            await follower

    app = FastAPI(
        title="pylfr",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses=DESCRIBED,
        # FastAPI would export to whatever address the environment names.
        telemetry={"auto_configure": False},
    )
    app.state.desk, app.state.feed, app.state.sign_in = desk, feed, sign_in
    app.state.sign_in_limit = RateLimit(_SIGN_INS_A_MINUTE)
    app.state.monitor = monitor = monitor or Monitor(described)
    monitor.watch_record(resources)
    app.state.control = control if control is not None else RunControl(resources)
    run_log = RunLog(resources.audit)
    app.state.overview = Overview(resources, desk, app.state.control, run_log)
    app.state.shifts, app.state.listing = Shifts(resources, desk, run_log, clock=clock), listing
    app.state.once, app.state.previews = once, cameras.OpenPreviews()
    app.state.gate = Gate(sign_in, section.tokens, origin=section.address, session_s=int(lives.total_seconds()))
    for each in (session, alerts, shifts, events, cameras, watchlist, deployment, monitoring, pages):
        app.include_router(each.router)
    app.mount("/static", StaticFiles(packages=[("pylfr.service", "static")]))
    explain_errors(app)
    require_rules(app)
    app.add_middleware(Guard)
    return app


class Guard:
    """Refuses large bodies before they are read, and gives every answer its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = "max-age=31536000"
                if "cache-control" not in headers:
                    headers["Cache-Control"] = "no-store" if scope["path"].startswith("/v1") else "no-cache"
            await send(message)

        length, most = given.get("content-length", "0"), _LARGER.get(scope["path"], _MOST_BODY_BYTES)
        if "transfer-encoding" in given or not length.isdecimal() or int(length[:20]) > most:
            detail = f"a body must have a Content-Length of at most {most} bytes, got {length[:20]!r}"
            await problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)(scope, receive, with_headers)
            return
        with logged_as(request=secrets.token_hex(4)):
            await self._app(scope, receive, with_headers)


def _people(resources: Resources) -> dict[str, Person]:
    section = resources.deployment.service
    for name, key in resources.people.items():
        if isinstance(key, WebAuthnKey) and key.origin != section.address:
            raise ConfigError(
                f"the security key of {name!r} signs for pages at {key.origin}, these are at {section.address}: make a "
                "key here, or set [service] origin"
            )
    roles, known = section.roles, frozenset(get_args(Role))
    return {
        name: Person(name=name, key=key, roles=frozenset(roles.get(name, () if roles else _DEFAULT_ROLES)) & known)
        for name, key in resources.people.items()
    }


class _EvidenceFolders:
    """The folders of sealed pictures. A key that the engine has yet to make is looked for again each time."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._found: dict[Path, EvidenceFolder] = {}

    def __call__(self) -> tuple[EvidenceFolder, ...]:
        for sink in self._resources.deployment.sinks:
            if sink.type != "evidence" or sink.key is None or sink.folder in self._found or not sink.key.exists():
                continue
            key = self._resources.evidence_key(sink, expires_at=self._resources.now)
            if key is not None:
                self._found[sink.folder] = EvidenceFolder(folder=sink.folder, key=key)
        return tuple(self._found.values())
