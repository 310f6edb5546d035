"""Pages: rendered here, kept alive by small modules; nothing is loaded from anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Annotated

from babel.messages.pofile import read_po
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from pylfr._internal.canonical_json import utc_text
from pylfr.deployment.sections.service import Role
from pylfr.service.access import EVERY_ROLE, Allow, Caller, Gate, people_only, public
from pylfr.service.overview import Overview

router = APIRouter(include_in_schema=False)
LANGUAGES = ("en", "de")

DeskCaller = Annotated[Caller, Depends(Allow(people_only("operator", "supervisor")))]
SecondCaller = Annotated[Caller, Depends(Allow(people_only("operator", "second operator")))]
OfficerCaller = Annotated[Caller, Depends(Allow(people_only("engagement officer")))]
AnyCaller = Annotated[Caller, Depends(Allow(people_only(*EVERY_ROLE)))]
AuditCaller = Annotated[Caller, Depends(Allow(people_only("auditor", "supervisor")))]

# Pages by path: their titles, and who has them.
_PAGES: tuple[tuple[str, str, frozenset[Role]], ...] = (
    ("/desk", "Alerts", frozenset({"operator", "supervisor"})),
    ("/second-look", "Second look", frozenset({"operator", "second operator"})),
    ("/engagement", "Engagement", frozenset({"engagement officer"})),
    ("/cameras", "Cameras", EVERY_ROLE),
    ("/deployment", "Deployment", EVERY_ROLE),
    ("/audit", "Audit log", frozenset({"auditor", "supervisor"})),
)


@router.get("/", response_model=None)
@public
def begin(request: Request) -> Response:
    """The first page that whoever is signed in has; the sign-in for anybody else."""
    session = _gate(request).session(request)
    if session is None:
        return RedirectResponse("/sign-in", status_code=303)
    first = next(path for path, _, roles in _PAGES if roles & session.person.roles)
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
def cameras(request: Request, caller: AnyCaller) -> HTMLResponse:
    """Every camera's state."""
    return _page(request, "cameras.html", caller, cameras=_overview(request).cameras())


@router.get("/deployment")
def deployment(request: Request, caller: AnyCaller) -> HTMLResponse:
    """Authority, watchlist and retention."""
    overview = _overview(request)
    return _page(
        request,
        "deployment.html",
        caller,
        view=overview.deployment(),
        retention=overview.retention(),
        officer=overview.authority.authorising_officer,
    )


@router.get("/audit")
def audit(request: Request, caller: AuditCaller) -> HTMLResponse:
    """The audit log and whether it is as it was signed."""
    return _page(request, "audit.html", caller, view=_overview(request).audit(200))


def _desk(request: Request, caller: Caller, queue: str, title: str, tabs: Sequence[str]) -> HTMLResponse:
    translate = _translator(_language(request))
    labels = {"first": "First look", "second": "Second look", "confirmed": "Confirmed", "all": "All"}
    return _page(
        request,
        "desk.html",
        caller,
        queue=queue,
        title=translate(title),
        tabs=[(name, translate(labels[name])) for name in tabs],
        ends_at=_overview(request).authority.ends_at,
    )


def _page(request: Request, template: str, caller: Caller | None, **shown: object) -> HTMLResponse:
    language = _language(request)
    translate = _translator(language)
    links = [(path, translate(title)) for path, title, roles in _PAGES if caller is not None and roles & caller.roles]
    text = (
        _environment()
        .get_template(template)
        .render(
            _=translate,
            language=language,
            caller=caller,
            deployment=_overview(request).name if caller is not None else "",
            here=request.url.path,
            links=links,
            texts={key: translate(words) for key, words in _TEXTS.items()},
            **shown,
        )
    )
    return HTMLResponse(text, headers={"Cache-Control": "no-store"})


def _gate(request: Request) -> Gate:
    gate: Gate = request.app.state.gate
    return gate


def _overview(request: Request) -> Overview:
    overview: Overview = request.app.state.overview
    return overview


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


def _language(request: Request) -> str:
    """The first language of the reader's browser that there is a catalogue of."""
    for wish in request.headers.get("accept-language", "").split(","):
        language = wish.split(";")[0].strip().split("-")[0].lower()
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


@cache
def _translator(language: str) -> Callable[[str], str]:
    if language == LANGUAGES[0]:
        return str
    with (resources.files("pylfr.service") / "locale" / f"{language}.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    known = {str(message.id): str(message.string) for message in catalogue if message.id and message.string}
    return lambda words: known.get(words, words)


# What the modules say.
_TEXTS = {
    "not-a-key": "This file is not a key from “pylfr authority keygen”.",
    "wrong-passphrase": "The passphrase is another one.",
    "odd-challenge": "The service asked for a signature of something else than a sign-in. Nothing was signed.",
    "no-key": "This browser has no key of that name: add one below.",
    "name-first": "Enter your name first.",
    "key-exists": "This browser has a key of that name already.",
    "key-made": "The key was made. Have this line entered under [people]; then sign in.",
    "remove-key": "Remove",
    "erased": "(erased)",
    "camera": "Camera",
    "captured": "Captured",
    "verdicts": "Verdicts",
    "of": "{count} of {needed}",
    "score": "Score",
    "hidden": "shown after your verdict",
    "score-is": "{score} (cosine), threshold {threshold}",
    "erased-in": "Erased",
    "verdict": "Verdict",
    "my-verdict": "Your verdict",
    "engagement": "Engagement",
    "outcome": "Outcome",
    "about-to": "You are about to sign as {name}: {what}.",
    "recorded": "Recorded: {what}.",
    "connected": "live",
    "reconnecting": "reconnecting",
    "new-alert": "New alert from camera {camera}.",
    "window-ends": "The authorised window ends {when}.",
    "window-ended": "The authorised window has ended.",
    "state open": "open",
    "state partly adjudicated": "second look",
    "state confirmed": "confirmed",
    "state refuted": "refuted",
    "state engaged": "engaged",
    "state not engaged": "not engaged",
    "state closed": "closed",
    "decision same person": "Same person",
    "decision different person": "Different person",
    "decision cannot tell": "Cannot tell",
    "decision engage": "Engage",
    "decision do not engage": "Do not engage",
    "decision true alert": "True alert",
    "decision false alert": "False alert",
    "decision unresolved": "Unresolved",
}
