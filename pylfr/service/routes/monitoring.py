"""Numbers for Prometheus, and health: for programs, outside the document of the interface."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse, Response

from pylfr.monitoring.monitor import Health, Monitor
from pylfr.service.access import Allow, Caller, public, readable

router = APIRouter(include_in_schema=False)
Reader = Annotated[Caller, Depends(Allow(readable("supervisor", "auditor", scope="metrics")))]


@router.get("/metrics")
def give_the_metrics(_: Reader, request: Request) -> Response:
    """All numbers, in the format that the program asks for."""
    body, content_type = _monitor(request).exposition(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})


@router.get("/healthz")
@public
def is_alive(request: Request) -> Response:
    """Whether the process should be left running."""
    return _said(_monitor(request).alive())


@router.get("/readyz")
@public
def is_ready(request: Request) -> Response:
    """Whether the engine beside the pages does its work."""
    return _said(_monitor(request).ready())


def _said(health: Health) -> Response:
    status = HTTPStatus.OK if health.is_good else HTTPStatus.SERVICE_UNAVAILABLE
    return PlainTextResponse(f"{health.why}\n", status)


def _monitor(request: Request) -> Monitor:
    monitor: Monitor = request.app.state.monitor
    return monitor
