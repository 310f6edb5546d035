"""The deployment: its authority, its run, its record and its retention."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from pylfr.service.access import EVERY_ROLE, Allow, Caller, people_only, readable
from pylfr.service.deployment_views import (
    AuditView,
    BecauseAsked,
    DeploymentView,
    RetentionView,
    TermView,
    ThresholdAsked,
)
from pylfr.service.once import OnceRoute
from pylfr.service.state import control_of, overview_of

router = APIRouter(prefix="/v1", tags=["deployment"], route_class=OnceRoute)
Reader = Annotated[Caller, Depends(Allow(readable(*EVERY_ROLE, scope="deployment")))]
Auditor = Annotated[Caller, Depends(Allow(people_only("auditor", "supervisor")))]
Supervisor = Annotated[Caller, Depends(Allow(people_only("supervisor")))]
# Whoever sees that something is wrong may end it.
Stopper = Annotated[Caller, Depends(Allow(people_only("operator", "supervisor")))]
Public = Annotated[Caller, Depends(Allow(readable("auditor", "supervisor", scope="report")))]


@router.get("/deployment")
def show_the_deployment(_: Reader, request: Request) -> DeploymentView:
    """Who authorised what, where, until when."""
    return overview_of(request).deployment()


@router.get("/deployment/terms")
def show_the_terms(_: Reader, request: Request) -> list[TermView]:
    """What was authorised, in plain words, as `pylfr authority show` says it."""
    return overview_of(request).terms()


@router.post("/deployment/threshold", status_code=201)
def raise_the_threshold(asked: ThresholdAsked, supervisor: Supervisor, request: Request) -> DeploymentView:
    """Ask for more before an alert, from now on. A lower threshold needs another authorisation."""
    control_of(request).raise_threshold(asked.threshold, by=supervisor.name)
    return overview_of(request).deployment()


@router.post("/deployment/stop", status_code=202)
def stop_the_run(asked: BecauseAsked, stopper: Stopper, request: Request) -> DeploymentView:
    """End the run soon and cleanly. The pages stay."""
    control_of(request).stop(by=stopper.name, because=asked.because)
    return overview_of(request).deployment()


@router.get("/audit")
def show_the_audit_log(
    _: Auditor, request: Request, last: Annotated[int, Query(ge=1, le=1000, description="so many entries")] = 100
) -> AuditView:
    """The last entries, whether the whole log is as it was signed, and where the records differ from it."""
    return overview_of(request).audit(last)


@router.get("/retention")
def show_retention(_: Reader, request: Request) -> RetentionView:
    """What is kept until when: the policy that is enforced."""
    return overview_of(request).retention()


@router.get("/report", response_class=HTMLResponse)
def show_the_report(_: Public, request: Request) -> HTMLResponse:
    """The public report, as `pylfr report` writes it."""
    return HTMLResponse(overview_of(request).report())
