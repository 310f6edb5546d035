"""Who may do what: every route names its rule, and a route without one does not start."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import get_args

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute

from pylfr.deployment.sections.service import Role, Scope, TokenSection
from pylfr.service.problems import ProblemError
from pylfr.service.sign_in import Person, Session, SignIn

EVERY_ROLE: frozenset[Role] = frozenset(get_args(Role))
# Who looks at alerts and may decide on them in some way.
DECIDERS: frozenset[Role] = frozenset({"operator", "second operator", "engagement officer"})

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who may use a route: people with one of the ``roles``, programs with the ``scope``; or anybody, ``is_public``."""

    roles: frozenset[Role] = frozenset()
    scope: Scope | None = None
    is_public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever sent a request: a person who signed in, or an integrator's program."""

    name: str
    roles: frozenset[Role]
    person: Person | None


PUBLIC = Rule(is_public=True)


def people_only(*roles: Role) -> Rule:
    """A rule for people with one of the ``roles``."""
    return Rule(roles=frozenset(roles))


def readable(*roles: Role, scope: Scope) -> Rule:
    """A rule for people with one of the ``roles``, and for programs with the ``scope``."""
    return Rule(roles=frozenset(roles), scope=scope)


class Gate:
    """Lets requests through by the rule of their route."""

    def __init__(self, sign_in: SignIn, tokens: Mapping[str, TokenSection], *, origin: str, session_s: int) -> None:
        self._sign_in = sign_in
        self._tokens = tokens
        self._origin = origin
        self._session_s = session_s
        # The prefix makes browsers refuse a cookie that is not for this host alone, over TLS.
        self._cookie = "__Host-pylfr" if origin.startswith("https") else "pylfr"

    def session(self, request: Request) -> Session | None:
        """The session that a request belongs to; None where it belongs to none."""
        return self._sign_in.session(request.cookies.get(self._cookie, ""))

    def set_cookie(self, response: Response, secret: str) -> None:
        """Give the browser its session: for this origin alone, out of reach of scripts."""
        response.set_cookie(
            self._cookie,
            secret,
            max_age=self._session_s,
            path="/",
            secure=self._origin.startswith("https"),
            httponly=True,
            samesite="strict",
        )

    def close(self, request: Request, response: Response) -> None:
        """End the session of a request."""
        self._sign_in.close(request.cookies.get(self._cookie, ""))
        response.delete_cookie(self._cookie, path="/")

    def admit(self, request: Request, rule: Rule) -> Caller:
        """Whoever may do this. Raises ``ProblemError``: 401 for nobody known, 403 for another role or origin."""
        self.require_origin(request)
        if (program := self._program(request)) is not None:
            name, scopes = program
            if rule.scope is None or rule.scope not in scopes:
                raise ProblemError(
                    HTTPStatus.FORBIDDEN, f"the token of {name!r} does not cover this: it needs the scope {rule.scope}"
                )
            return Caller(name=name, roles=frozenset(), person=None)
        session = self.session(request)
        if session is None:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "sign in first: the session is missing or has expired",
                headers={"WWW-Authenticate": "Bearer"},
            )
        person = session.person
        if not rule.roles & person.roles:
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                f"{person.name} is {' and '.join(sorted(person.roles))}: this is for {' or '.join(sorted(rule.roles))}",
            )
        return Caller(name=person.name, roles=person.roles, person=person)

    def require_origin(self, request: Request) -> None:
        """A page of somebody else must not act for whoever is signed in here."""
        if request.method in _SAFE_METHODS or "authorization" in request.headers:
            return
        origin = request.headers.get("origin")
        if origin != self._origin:
            raise ProblemError(
                HTTPStatus.FORBIDDEN, f"this request must come from {self._origin}, it comes from {origin}"
            )

    def _program(self, request: Request) -> tuple[str, tuple[Scope, ...]] | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            return None
        given = hashlib.sha256(token.encode()).hexdigest()
        for name, section in self._tokens.items():
            if scheme.lower() == "bearer" and hmac.compare_digest(given, section.sha256):
                return name, section.scopes
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED, "the token is not known here", headers={"WWW-Authenticate": "Bearer"}
        )


def gate_of(request: Request) -> Gate:
    """The gate of the application."""
    gate: Gate = request.app.state.gate
    return gate


class Allow:
    """A dependency of a route: its ``rule``, applied by the gate of the application."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __call__(self, request: Request) -> Caller:
        return gate_of(request).admit(request, self.rule)


def rule_of(route: APIRoute) -> Rule | None:
    """The rule of a route; None where it names none."""
    calls: Iterable[Callable[..., object] | None] = (each.call for each in route.dependant.dependencies)
    if getattr(route.endpoint, "is_public", False):
        return PUBLIC
    return next((call.rule for call in calls if isinstance(call, Allow)), None)


def public(endpoint: Callable[..., object]) -> Callable[..., object]:
    """Mark a route as anybody's."""
    endpoint.is_public = True  # type: ignore[attr-defined]
    return endpoint


def require_rules(app: FastAPI) -> None:
    """Raise ``RuntimeError`` where a route says nothing of who may use it."""
    bare = [route.path for route in app.routes if isinstance(route, APIRoute) and rule_of(route) is None]
    if bare:
        raise RuntimeError(f"routes without a rule: {', '.join(bare)}; give each Depends(Allow(...)) or @public")
