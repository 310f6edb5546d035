"""Cameras of a run that goes on: one is taken in only where what the file says of it now is what was authorised."""

from __future__ import annotations

from pathlib import Path

from pylfr._internal.steady_clock import steady_now
from pylfr.deployment.authorise import is_recording
from pylfr.deployment.cameras import open_source
from pylfr.deployment.config import Deployment, read_deployment
from pylfr.deployment.resources import Resources
from pylfr.deployment.sections.cameras import CameraSection
from pylfr.deployment.signed_settings import camera_digest, signed_settings
from pylfr.engine.engine import Engine
from pylfr.errors import AuthorisationError


def take_in_camera(
    engine: Engine, resources: Resources, path: Path, name: str, *, by: str, because: str
) -> CameraSection:
    """Take the camera ``name`` of the deployment file ``path``, as it is now, into the run of ``engine``; it as it is.

    Raises ``AuthorisationError`` with the reason where that is another camera than was authorised, ``ConfigError``
    where the file cannot be read, and what its source raises.
    """
    deployment = read_deployment(path)
    camera = next((each for each in deployment.cameras if each.name == name), None)
    if camera is None:
        known = ", ".join(each.name for each in deployment.cameras)
        raise AuthorisationError(f"{path.name} has no camera {name!r}, it has {known}: enter it there first")
    _require_covered(camera, deployment, resources)
    engine.changes.take_in(
        open_source(camera, camera.recorded_at or steady_now(), deployment.decode.isolation), by=by, because=because
    )
    return camera


def _require_covered(camera: CameraSection, deployment: Deployment, resources: Resources) -> None:
    if resources.deployment.authority is None:
        if not is_recording(camera):
            raise AuthorisationError(f"camera {camera.name!r} is live: that needs a signed authorisation")
        return
    authorised = resources.signed.authorisation
    if camera.name not in authorised.cameras:
        raise AuthorisationError(
            f"camera {camera.name!r} is not authorised, {', '.join(sorted(authorised.cameras))} are: it needs another "
            "authorisation"
        )
    if authorised.cameras[camera.name] != camera_digest(camera):
        raise AuthorisationError(
            f"the address, the zone or the stream of camera {camera.name!r} is not the one that was authorised: it "
            "needs another authorisation"
        )
    place = f"cameras.{camera.name}."
    found = signed_settings(deployment, record_key=resources.record_key, watchlist_key=resources.watchlist_key_file)
    names = {each for each in (*found, *authorised.settings) if each.startswith(place)}
    for each in sorted(names):
        if found.get(each) != authorised.settings.get(each):
            raise AuthorisationError(f"{each} is not what was authorised: it needs another authorisation")
