"""Errors as ``application/problem+json`` (RFC 9457): what was wrong, with what, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from pylfr.errors import (
    AdjudicationError,
    AuditError,
    AuthorisationError,
    EnrolmentError,
    MediaError,
    PylfrError,
    VaultError,
)

T = TypeVar("T")

PROBLEM = "application/problem+json"

# Which status an error of pylfr becomes; anything else of ours is a conflict with the state of the deployment.
_STATUS: dict[type[PylfrError], HTTPStatus] = {
    AdjudicationError: HTTPStatus.CONFLICT,
    EnrolmentError: HTTPStatus.UNPROCESSABLE_ENTITY,
    MediaError: HTTPStatus.UNPROCESSABLE_ENTITY,
    AuthorisationError: HTTPStatus.FORBIDDEN,
    AuditError: HTTPStatus.SERVICE_UNAVAILABLE,
    VaultError: HTTPStatus.GONE,
}


_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what was wrong, with what, and what to do"},
    },
}
# What any route may answer instead, for the document of the interface.
DESCRIBED: dict[int | str, dict[str, Any]] = {
    int(status): {"description": status.phrase, "content": {PROBLEM: {"schema": _SCHEMA}}}
    for status in (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.GONE,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
}


class ProblemError(Exception):
    """A refusal with its HTTP status; ``headers`` go with it."""

    def __init__(self, status: HTTPStatus, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}


def found(ask: Callable[[], T], what: str) -> T:
    """What ``ask`` gives; 404 for ``what`` where it raises ``KeyError``."""
    try:
        return ask()
    except KeyError:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"there is no {what}") from None


def explain_errors(app: FastAPI) -> None:
    """Give every error of ``app`` the same form; nothing of a traceback leaves the process."""

    @app.exception_handler(ProblemError)
    async def refused(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, ProblemError):
            raise error
        return problem(error.status, str(error), headers=error.headers)

    @app.exception_handler(PylfrError)
    async def of_pylfr(_: Request, error: Exception) -> JSONResponse:
        status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), HTTPStatus.CONFLICT)
        return problem(status, str(error))

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: Exception) -> JSONResponse:
        flaws = error.errors() if isinstance(error, RequestValidationError) else ()
        places = (f"{'.'.join(str(part) for part in flaw['loc'])}: {flaw['msg']}" for flaw in flaws)
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(places))

    @app.exception_handler(HTTPException)
    async def of_http(_: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        status, headers = HTTPStatus(error.status_code), dict(error.headers or {})
        if status is HTTPStatus.NOT_MODIFIED:
            return Response(status_code=status, headers=headers)
        return problem(status, status.description or status.phrase, headers=headers)


def problem(status: HTTPStatus, detail: str, *, headers: dict[str, str] | None = None) -> JSONResponse:
    """The response that says ``detail``."""
    body = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
    return JSONResponse(body, status_code=int(status), headers=headers, media_type=PROBLEM)
