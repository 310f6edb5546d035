"""A source for each camera of a deployment, and names for recordings that come without."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pylfr.deployment.sections.cameras import CameraSection
from pylfr.errors import ConfigError
from pylfr.protocols import Source
from pylfr.video.open import Isolation, LiveSource, open_device, open_file, open_http, open_rtsp, open_srt
from pylfr.video.sources.replay_detection import ReplayCheckedSource, ReplayRules
from pylfr.video.sources.zone import ZonedSource


def open_source(camera: CameraSection, started_at: datetime, isolation: Isolation) -> Source:
    """What gives the camera's frames: its zone alone, and a live one watched for signs of a replay.

    Raises ``ConfigError`` for an address of a kind that is not known, and what the source itself raises.
    """
    source = _open_camera(camera, started_at, isolation)
    if isinstance(source, LiveSource):
        source = ReplayCheckedSource(source, ReplayRules(unchanged_s=camera.unchanged_after_s))
    return source if camera.zone is None else ZonedSource(source, camera.zone.zone())


def _open_camera(camera: CameraSection, started_at: datetime, isolation: Isolation) -> Source:
    if "://" in camera.source and not camera.source.startswith(("file://", "v4l2://")):
        return _open_network(camera)
    if camera.is_device:
        return open_device(
            camera.source.removeprefix("v4l2://"), camera=camera.name, picture=camera.picture, expect=camera.pin
        )
    path = Path(os.path.expandvars(camera.source.removeprefix("file://")))
    return open_file(
        path,
        camera=camera.name,
        started_at=started_at,
        pace=camera.pace,
        loop=camera.loop,
        isolation=isolation,
        decode=camera.decode,
        picture=camera.picture,
        expect=camera.pin,
    )


def _open_network(camera: CameraSection) -> LiveSource:
    scheme = camera.source.split("://", 1)[0]
    if not camera.is_network:
        raise ConfigError(
            f"camera {camera.name!r} must be a file, rtsp(s)://, http(s)://, srt:// or v4l2://, got {scheme}://"
        )
    if scheme not in ("rtsp", "rtsps") and camera.decode == "nvdec":
        raise ConfigError(f'camera {camera.name!r} sends over {scheme.upper()}, not to NVDEC: set decode = "cpu"')
    if scheme == "srt":
        return open_srt(camera.source, camera=camera.name, picture=camera.picture, expect=camera.pin)
    if scheme in ("http", "https"):
        return open_http(camera.source, camera=camera.name, ca=camera.ca, picture=camera.picture, expect=camera.pin)
    return open_rtsp(
        camera.source,
        camera=camera.name,
        transport=camera.transport,
        ca=camera.ca,
        redirects_to=camera.redirects_to,
        decode=camera.decode,
        picture=camera.picture,
        expect=camera.pin,
    )


def camera_names(videos: Sequence[Path]) -> dict[str, Path]:
    """A name for each video: its stem, numbered where two would be alike."""
    names: dict[str, Path] = {}
    for video in videos:
        name, number = video.stem, 2
        while name in names:
            name, number = f"{video.stem}-{number}", number + 1
        names[name] = video
    return names
