"""A camera is taken into a run only where all that the file says of it now is what was signed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pylfr.deployment.config import Deployment, read_deployment
from pylfr.deployment.resources import Resources
from pylfr.deployment.running import _require_covered
from pylfr.deployment.signed_settings import camera_digests, signed_settings
from pylfr.errors import AuthorisationError
from tests.deployment_text import SIGNED_DEPLOYMENT
from tests.governance.samples import authorisation


def covered_by(signed: Deployment) -> Resources:
    """Resources under an authorisation that was signed for this deployment file."""
    terms = authorisation(
        cameras=camera_digests(signed), settings=signed_settings(signed, record_key=None, watchlist_key=None)
    )
    known = SimpleNamespace(
        deployment=SimpleNamespace(authority=object()),
        signed=SimpleNamespace(authorisation=terms),
        record_key=None,
        watchlist_key_file=None,
    )
    return cast("Resources", known)


def read(folder: Path, text: str) -> Deployment:
    (folder / "deployment.toml").write_text(text)
    return read_deployment(folder / "deployment.toml")


def test_the_camera_that_was_signed_for_may_come_back_and_no_other(tmp_path: Path) -> None:
    signed = read(tmp_path, SIGNED_DEPLOYMENT)
    resources = covered_by(signed)
    camera = signed.cameras[0]
    _require_covered(camera, signed, resources)
    for change, why in (
        ({"name": "west"}, "'west' is not authorised"),
        ({"source": "rtsp://10.0.0.9/other"}, "the address, the zone or the stream"),
        ({"expect": "h264 1920x1080"}, "the address, the zone or the stream"),
        ({"unchanged_after_s": 60.0}, r"unchanged_after_s is not what was authorised"),
    ):
        other = camera.model_copy(update=change)
        deployment = signed.model_copy(update={"cameras": (other, *signed.cameras[1:])})
        with pytest.raises(AuthorisationError, match=why):
            _require_covered(other, deployment, resources)
