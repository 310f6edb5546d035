"""Alerts, their pictures, and what people decide on them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from pylfr.governance.adjudication.case import State
from pylfr.service.access import DECIDERS, Allow, Caller, people_only, readable
from pylfr.service.desk import Part
from pylfr.service.once import OnceRoute
from pylfr.service.problems import ProblemError, found
from pylfr.service.state import desk_of
from pylfr.service.views import AlertPage, AlertView, SignedEngagement, SignedOutcome, SignedVerdict

router = APIRouter(prefix="/v1/alerts", tags=["alerts"], route_class=OnceRoute)

Reader = Annotated[Caller, Depends(Allow(readable(*DECIDERS, "supervisor", scope="alerts")))]
Viewer = Annotated[Caller, Depends(Allow(people_only(*DECIDERS)))]
Adjudicator = Annotated[Caller, Depends(Allow(people_only("operator", "second operator")))]
Officer = Annotated[Caller, Depends(Allow(people_only("engagement officer")))]

_PRIVATE = {"Cache-Control": "no-store"}


@router.get("")
def list_alerts(
    reader: Reader,
    request: Request,
    response: Response,
    state: Annotated[list[State] | None, Query(description="only alerts in one of these states")] = None,
    camera: Annotated[str | None, Query(max_length=200, description="only alerts of this camera")] = None,
    since: Annotated[datetime | None, Query(description="only alerts captured at or after this time")] = None,
    cursor: Annotated[str | None, Query(max_length=500, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AlertPage:
    """Alerts, the oldest first. With `If-None-Match` an unchanged page is not sent again."""
    if since is not None and since.tzinfo is None:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"since must carry a time zone, got {since.isoformat()}")
    after = _place(cursor) if cursor is not None else None
    desk = desk_of(request)
    wanted = desk.followed.find(states=state, camera=camera, since=since, after=after, limit=limit + 1)
    shown = [desk.view(row, reader) for row in wanted[:limit]]
    page = AlertPage(alerts=shown, next=_cursor(shown[-1]) if len(wanted) > limit else None)
    _tag(request, response, page.model_dump_json())
    return page


@router.get("/{alert}")
def show_alert(alert: str, reader: Reader, request: Request, response: Response) -> AlertView:
    """One alert, as the reader may see it."""
    view = found(lambda: desk_of(request).alert(alert, reader), _named(alert))
    _tag(request, response, view.model_dump_json())
    return view


@router.get(
    "/{alert}/pictures/{part}",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
def show_picture(alert: str, part: Part, viewer: Viewer, request: Request) -> Response:
    """The probe, the reference image or the scene, as a JPEG; every other face is filled. Each view is logged."""
    picture = found(lambda: desk_of(request).picture(alert, part, viewer), _named(alert))
    return Response(picture, media_type="image/jpeg", headers=_PRIVATE)


@router.post("/{alert}/verdicts", status_code=201)
def adjudicate(alert: str, given: SignedVerdict, person: Adjudicator, request: Request) -> AlertView:
    """Record a verdict on the two pictures, signed in the browser."""
    return found(lambda: desk_of(request).adjudicate(alert, given, person), _named(alert))


@router.post("/{alert}/engagements", status_code=201)
def engage(alert: str, given: SignedEngagement, person: Officer, request: Request) -> AlertView:
    """Record whether somebody is spoken to. Only a confirmed alert can be engaged on."""
    return found(lambda: desk_of(request).engage(alert, given, person), _named(alert))


@router.post("/{alert}/outcomes", status_code=201)
def close(alert: str, given: SignedOutcome, person: Officer, request: Request) -> AlertView:
    """Record what it turned out to be."""
    return found(lambda: desk_of(request).close(alert, given, person), _named(alert))


def _named(alert: str) -> str:
    return f"alert {alert!r} here"


def _tag(request: Request, response: Response, text: str) -> None:
    """Raise 304 where the reader has this already."""
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-store"}
    if request.headers.get("if-none-match") == tag:
        raise HTTPException(HTTPStatus.NOT_MODIFIED, headers=headers)
    response.headers.update(headers)


def _cursor(alert: AlertView) -> str:
    return base64.urlsafe_b64encode(f"{alert.captured_at.isoformat()} {alert.id}".encode()).decode()


def _place(cursor: str) -> tuple[datetime, str]:
    try:
        text, _, id_ = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError(text)
    except (binascii.Error, ValueError):
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "cursor must be the `next` of the page before: start without one"
        ) from None
    return at, id_
