"""The deployment: its authority, its cameras, its record, and what is kept until when."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from pylfr.service.access import EVERY_ROLE, Allow, Caller, people_only, readable
from pylfr.service.overview import Overview
from pylfr.service.views import AuditView, CameraView, DeploymentView, RetentionView

router = APIRouter(prefix="/v1", tags=["deployment"])
Reader = Annotated[Caller, Depends(Allow(readable(*EVERY_ROLE, scope="deployment")))]
Watcher = Annotated[Caller, Depends(Allow(readable(*EVERY_ROLE, scope="cameras")))]
Auditor = Annotated[Caller, Depends(Allow(people_only("auditor", "supervisor")))]
Public = Annotated[Caller, Depends(Allow(readable("auditor", "supervisor", scope="report")))]


@router.get("/deployment")
def show_the_deployment(_: Reader, request: Request) -> DeploymentView:
    """Who authorised what, where, until when."""
    return _overview(request).deployment()


@router.get("/cameras")
def list_cameras(_: Watcher, request: Request) -> list[CameraView]:
    """What the record last said of each camera."""
    return _overview(request).cameras()


@router.get("/audit")
def show_the_audit_log(
    _: Auditor, request: Request, last: Annotated[int, Query(ge=1, le=1000, description="so many entries")] = 100
) -> AuditView:
    """The last entries, whether the whole log is as it was signed, and where the records differ from it."""
    return _overview(request).audit(last)


@router.get("/retention")
def show_retention(_: Reader, request: Request) -> RetentionView:
    """What is kept until when: the policy that is enforced."""
    return _overview(request).retention()


@router.get("/report", response_class=HTMLResponse)
def show_the_report(_: Public, request: Request) -> HTMLResponse:
    """The public report, as `pylfr report` writes it."""
    return HTMLResponse(_overview(request).report())


def _overview(request: Request) -> Overview:
    overview: Overview = request.app.state.overview
    return overview
