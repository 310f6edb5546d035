"""Cameras: what each does, a preview in which every face is filled, and taking one out of the run or in."""

from __future__ import annotations

import io
import threading
import time
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from PIL import Image

from pylfr.service.access import EVERY_ROLE, Allow, Caller, people_only, readable
from pylfr.service.deployment_views import BecauseAsked, CameraView
from pylfr.service.once import OnceRoute
from pylfr.service.overview import Overview
from pylfr.service.problems import ProblemError
from pylfr.service.state import control_of, overview_of
from pylfr.types import Event

router = APIRouter(prefix="/v1/cameras", tags=["cameras"], route_class=OnceRoute)
Watcher = Annotated[Caller, Depends(Allow(readable(*EVERY_ROLE, scope="cameras")))]
Viewer = Annotated[Caller, Depends(Allow(people_only("operator", "supervisor")))]
Supervisor = Annotated[Caller, Depends(Allow(people_only("supervisor")))]

# Whoever has opened a preview may look while they go on asking; after a pause it is opened, and recorded, again.
_OPEN_S = 15.0


class OpenPreviews:
    """Who looks at which camera. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[tuple[str, str], float] = {}

    def open(self, who: str, camera: str) -> None:
        """Let somebody look, for some seconds."""
        now = time.monotonic()
        with self._lock:
            self._until = {each: until for each, until in self._until.items() if until > now}
            self._until[who, camera] = now + _OPEN_S

    def is_open(self, who: str, camera: str) -> bool:
        """Whether somebody still looks; asking prolongs it."""
        with self._lock:
            if self._until.get((who, camera), 0.0) <= time.monotonic():
                return False
            self._until[who, camera] = time.monotonic() + _OPEN_S
            return True

    def close(self, who: str, camera: str) -> None:
        """Look no more."""
        with self._lock:
            self._until.pop((who, camera), None)


@router.get("")
def list_cameras(_: Watcher, request: Request) -> list[CameraView]:
    """Each camera: its state since when, rate, latency, and what was dropped by cause."""
    return overview_of(request).cameras()


@router.post("/{camera}/preview", status_code=204)
def open_a_preview(camera: str, viewer: Viewer, request: Request) -> None:
    """Open a preview of a camera; that somebody looks is in the audit log first. It ends when nobody fetches it."""
    overview, control = _known(camera, request), control_of(request)
    control.preview(camera)
    overview.note(Event(kind="preview-opened", details={"camera": camera, "by": viewer.name}))
    _previews(request).open(viewer.name, camera)


@router.get("/{camera}/preview", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
def show_a_preview(camera: str, viewer: Viewer, request: Request) -> Response:
    """The last picture, at most two a second, every face filled opaque. A preview must have been opened before."""
    _known(camera, request)
    if not _previews(request).is_open(viewer.name, camera):
        raise ProblemError(
            HTTPStatus.CONFLICT, f"open the preview of {camera!r} first: that somebody looks is recorded"
        )
    preview = control_of(request).preview(camera)
    if preview is None:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"no picture of {camera!r} yet: ask again in a moment",
            headers={"Retry-After": "1"},
        )
    out = io.BytesIO()
    Image.fromarray(preview.picture).save(out, "JPEG", quality=80)
    headers = {"Cache-Control": "no-store", "X-Captured-At": preview.captured_at.isoformat()}
    return Response(out.getvalue(), media_type="image/jpeg", headers=headers)


@router.delete("/{camera}/preview", status_code=204)
def close_a_preview(camera: str, viewer: Viewer, request: Request) -> None:
    """End a preview."""
    _previews(request).close(viewer.name, camera)


@router.delete("/{camera}", status_code=204)
def take_a_camera_out(camera: str, asked: BecauseAsked, supervisor: Supervisor, request: Request) -> None:
    """Take a camera out of the run, recorded with the reason."""
    _known(camera, request)
    control_of(request).take_out(camera, by=supervisor.name, because=asked.because)


@router.put("/{camera}", status_code=204)
def take_a_camera_in(camera: str, asked: BecauseAsked, supervisor: Supervisor, request: Request) -> None:
    """Take in a camera as the deployment file has it now; refused with the reason where that was not authorised."""
    control_of(request).take_in(camera, by=supervisor.name, because=asked.because)


def _known(camera: str, request: Request) -> Overview:
    overview = overview_of(request)
    if camera not in overview.camera_names:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"there is no camera {camera!r} here")
    return overview


def _previews(request: Request) -> OpenPreviews:
    previews: OpenPreviews = request.app.state.previews
    return previews
