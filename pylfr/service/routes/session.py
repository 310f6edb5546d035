"""Signing in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from pylfr.service.access import EVERY_ROLE, Allow, Caller, gate_of, people_only, public
from pylfr.service.rate_limit import RateLimit, client_address
from pylfr.service.sign_in import Session, SignIn
from pylfr.service.views import ChallengeAsked, ChallengeGiven, SessionView, SignedChallenge

router = APIRouter(prefix="/v1", tags=["session"])
Everybody = Annotated[Caller, Depends(Allow(people_only(*EVERY_ROLE)))]


@router.post("/challenges", status_code=201)
@public
def ask_for_a_challenge(asked: ChallengeAsked, request: Request) -> ChallengeGiven:
    """A challenge to sign. It is given for any name: who is known here is not told."""
    _limited_address(request)
    sign_in: SignIn = request.app.state.sign_in
    made = sign_in.challenge(asked.name)
    return ChallengeGiven(nonce=made.nonce, message=made.message, expires_at=made.expires_at)


@router.post("/session", status_code=201)
@public
def open_a_session(signed: SignedChallenge, request: Request, response: Response) -> SessionView:
    """Sign in with a signed challenge; the session is a cookie that no script can read."""
    gate = gate_of(request)
    gate.require_origin(request)
    address = _limited_address(request)
    sign_in: SignIn = request.app.state.sign_in
    secret, session = sign_in.open(signed.nonce, signed.signature, address=address)
    gate.set_cookie(response, secret)
    return _view(session)


@router.get("/session")
def show_the_session(_: Everybody, request: Request) -> SessionView:
    """Who is signed in."""
    session = gate_of(request).session(request)
    assert session is not None
    return _view(session)


@router.delete("/session", status_code=204)
def close_the_session(_: Everybody, request: Request, response: Response) -> None:
    """Sign out."""
    gate_of(request).close(request, response)


def _limited_address(request: Request) -> str:
    """The client's address, for a request that needs no sign-in. Raises ``ProblemError`` above the limit."""
    limit: RateLimit = request.app.state.sign_in_limit
    address = client_address(request.client.host) if request.client is not None else ""
    limit.take(address)
    return address


def _view(session: Session) -> SessionView:
    person = session.person
    return SessionView(name=person.name, roles=sorted(person.roles), key=person.key.text, expires_at=session.expires_at)
