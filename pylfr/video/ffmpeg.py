"""Cameras through FFmpeg: recordings, RTSP and devices, decoded on the CPU and handed on without conversion.

Each is a ``WatchedSource``. Nothing is connected before ``frames`` runs, on the thread that runs it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from pylfr.errors import MediaError
from pylfr.video.address import redact, resolve_secrets
from pylfr.video.isolated import IsolatedFile
from pylfr.video.live import LiveSource, Patience
from pylfr.video.recording import FileSource, Pace

__all__ = ["FileSource", "IsolatedFile", "Isolation", "LiveSource", "Patience", "open_device", "open_file", "open_rtsp"]

Isolation = Literal["process", "none"]


def open_file(
    path: Path | str,
    *,
    camera: str,
    started_at: datetime,
    pace: Pace = "as-fast-as-possible",
    loop: bool = False,
    threads: int | Literal["auto"] = 1,
    isolation: Isolation = "process",
) -> FileSource | IsolatedFile:
    """A recording as a camera; its first frame was captured at ``started_at`` and the others by their time stamps.

    ``pace="real-time"`` plays it as a live camera would send it; ``loop`` starts over at the end, time going on.
    ``threads`` decode it: one is best for many cameras, "auto" for one. Raises ``MediaError`` where ``path`` cannot be
    opened as a video; ``frames`` raises it, after the last frame, where the recording turns out to be cut off.
    With ``isolation`` "process" it is decoded by a process that can do nothing else, with "none" in this one.
    """
    if started_at.tzinfo is None:
        raise ValueError(f"started_at must carry a time zone (UTC), got {started_at.isoformat()}")
    if pace not in ("as-fast-as-possible", "real-time"):
        raise ValueError(f"pace must be 'as-fast-as-possible' or 'real-time', got {pace!r}")
    if isolation not in get_args(Isolation):
        raise ValueError(f"isolation must be 'process' or 'none', got {isolation!r}")
    kind = IsolatedFile if isolation == "process" else FileSource
    source = kind(Path(path), camera=camera, started_at=started_at, pace=pace, loop=loop, threads=threads)
    source.check()
    return source


def open_rtsp(
    url: str,
    *,
    camera: str,
    patience: Patience | None = None,
    transport: Literal["tcp", "udp"] = "tcp",
    threads: int | Literal["auto"] = 1,
) -> LiveSource:
    """A network camera. ``url`` names its secrets: ``rtsp://${USER}:${PASSWORD}@host/path``.

    Raises ``ConfigError`` where such a variable is not set, and ``MediaError`` where ``url`` is no RTSP address; a
    camera that is away is reported and tried again until it comes.
    """
    if not url.startswith(("rtsp://", "rtsps://")):
        raise MediaError(f"camera {camera!r} must have an address rtsp:// or rtsps://, got {redact(url)}")
    resolve_secrets(url, name=f"the address of camera {camera!r}")
    return LiveSource(
        url,
        camera=camera,
        input_format="rtsp",
        options={"rtsp_transport": transport},
        patience=patience or Patience(),
        threads=threads,
    )


def open_device(
    device: Path | str,
    *,
    camera: str,
    size_px: tuple[int, int] | None = None,
    rate_hz: int | None = None,
    patience: Patience | None = None,
    threads: int | Literal["auto"] = 1,
) -> LiveSource:
    """A camera of this machine: ``/dev/video0`` or ``v4l2:///dev/video0``; ``size_px`` is width and height.

    Raises ``MediaError`` where there is no such device now; one that is unplugged later is waited for.
    """
    path = Path(str(device).removeprefix("v4l2://"))
    if not path.exists():
        raise MediaError(f"camera {camera!r} must be a video device, got {path}, which does not exist: ls /dev/video*")
    options: dict[str, str] = {}
    if size_px is not None:
        options["video_size"] = f"{size_px[0]}x{size_px[1]}"
    if rate_hz is not None:
        options["framerate"] = str(rate_hz)
    return LiveSource(
        str(path),
        camera=camera,
        input_format="v4l2",
        options=options,
        patience=patience or Patience(),
        threads=threads,
    )
