"""Pages: rendered here, kept alive by small modules; nothing is loaded from anywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from pylfr._internal.canonical_json import utc_text
from pylfr.deployment.sections.service import Role
from pylfr.service.access import EVERY_ROLE, Allow, Caller, gate_of, people_only, public
from pylfr.service.language import language_of, translator
from pylfr.service.state import listing_of, overview_of
from pylfr.service.texts import COUNTED, TEXTS

router = APIRouter(include_in_schema=False)

# Pages by path: their titles, and who has them.
PAGES: tuple[tuple[str, str, frozenset[Role]], ...] = (
    ("/desk", "Alerts", frozenset({"operator", "supervisor"})),
    ("/second-look", "Second look", frozenset({"operator", "second operator"})),
    ("/engagement", "Engagement", frozenset({"engagement officer"})),
    ("/cameras", "Cameras", EVERY_ROLE),
    ("/deployment", "Deployment", EVERY_ROLE),
    ("/watchlist", "Watchlist", frozenset({"auditor", "supervisor"})),
    ("/audit", "Audit log", frozenset({"auditor", "supervisor"})),
)

_ROLES = {path: roles for path, _, roles in PAGES}

DeskCaller = Annotated[Caller, Depends(Allow(people_only(*_ROLES["/desk"])))]
SecondCaller = Annotated[Caller, Depends(Allow(people_only(*_ROLES["/second-look"])))]
OfficerCaller = Annotated[Caller, Depends(Allow(people_only(*_ROLES["/engagement"])))]
CameraCaller = Annotated[Caller, Depends(Allow(people_only(*_ROLES["/cameras"])))]
DeploymentCaller = Annotated[Caller, Depends(Allow(people_only(*_ROLES["/deployment"])))]
WatchlistCaller = Annotated[Caller, Depends(Allow(people_only(*_ROLES["/watchlist"])))]
AuditCaller = Annotated[Caller, Depends(Allow(people_only(*_ROLES["/audit"])))]


@router.get("/", response_model=None)
@public
def begin(request: Request) -> Response:
    """The first page that whoever is signed in has; the sign-in for anybody else."""
    session = gate_of(request).session(request)
    if session is None:
        return RedirectResponse("/sign-in", status_code=303)
    first = next(path for path, _, roles in PAGES if roles & session.person.roles)
    return RedirectResponse(first, status_code=303)


@router.get("/sign-in")
@public
def sign_in(request: Request) -> HTMLResponse:
    """The sign-in."""
    return _page(request, "sign_in.html", None)


@router.get("/desk")
def desk(request: Request, caller: DeskCaller) -> HTMLResponse:
    """The alert desk."""
    return _desk(request, caller, "first", "Alerts", ("first", "second", "all"))


@router.get("/second-look")
def second_look(request: Request, caller: SecondCaller) -> HTMLResponse:
    """The second look: alerts that somebody else has given a verdict on, which is not shown."""
    return _desk(request, caller, "second", "Second look", ("second",))


@router.get("/engagement")
def engagement(request: Request, caller: OfficerCaller) -> HTMLResponse:
    """Confirmed alerts, for a phone in the street."""
    return _desk(request, caller, "confirmed", "Engagement", ("confirmed",))


@router.get("/cameras")
def cameras(request: Request, caller: CameraCaller) -> HTMLResponse:
    """Every camera: its state, a preview, and taking it out or in."""
    overview = overview_of(request)
    return _page(
        request,
        "cameras.html",
        caller,
        cameras=overview.cameras(),
        viewports=overview.viewports(),
        may_look=bool(caller.roles & {"operator", "supervisor"}),
        may_change=bool(caller.roles & {"supervisor"}),
    )


@router.get("/deployment")
def deployment(request: Request, caller: DeploymentCaller) -> HTMLResponse:
    """Authority, the run, and retention."""
    overview = overview_of(request)
    return _page(
        request,
        "deployment.html",
        caller,
        view=overview.deployment(),
        terms=overview.terms(),
        retention=overview.retention(),
        counted=COUNTED,
        may_raise=bool(caller.roles & {"supervisor"}),
        may_stop=bool(caller.roles & {"operator", "supervisor"}),
        may_report=bool(caller.roles & {"auditor", "supervisor"}),
    )


@router.get("/watchlist")
def watchlist(request: Request, caller: WatchlistCaller) -> HTMLResponse:
    """Who is on the watchlist and why; enrol, review, withdraw."""
    may_change = bool(caller.roles & {"supervisor"})
    return _page(request, "watchlist.html", caller, view=listing_of(request).show(), may_change=may_change)


@router.get("/audit")
def audit(request: Request, caller: AuditCaller) -> HTMLResponse:
    """The audit log and whether it is as it was signed."""
    return _page(request, "audit.html", caller, view=overview_of(request).audit(200))


def _desk(request: Request, caller: Caller, queue: str, title: str, tabs: Sequence[str]) -> HTMLResponse:
    translate = translator(language_of(request))
    session, authority = gate_of(request).session(request), overview_of(request).authority
    labels = {"first": "First look", "second": "Second look", "confirmed": "Confirmed", "all": "All"}
    return _page(
        request,
        "desk.html",
        caller,
        queue=queue,
        title=translate(title),
        tabs=[(name, translate(labels[name])) for name in tabs],
        ends_at=authority.ends_at,
        place=authority.place,
        session_ends=session.expires_at if session is not None else None,
    )


def _page(request: Request, template: str, caller: Caller | None, **shown: object) -> HTMLResponse:
    language = language_of(request)
    translate = translator(language)
    links = [(path, translate(title)) for path, title, roles in PAGES if caller is not None and roles & caller.roles]
    text = (
        _environment()
        .get_template(template)
        .render(
            _=translate,
            language=language,
            caller=caller,
            deployment=overview_of(request).name if caller is not None else "",
            here=request.url.path,
            links=links,
            texts={key: translate(words) for key, words in TEXTS.items()},
            **shown,
        )
    )
    return HTMLResponse(text, headers={"Cache-Control": "no-store"})


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pylfr.service"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["utc"] = _utc
    return environment


def _utc(moment: datetime) -> str:
    return f"{utc_text(moment)[:19].replace('T', ' ')} UTC"
