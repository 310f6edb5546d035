"""Cameras through FFmpeg: recordings, RTSP and devices, decoded on the CPU or by NVDEC, handed on without conversion.

Each is a ``WatchedSource``. Nothing is connected before ``frames`` runs, on the thread that runs it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from pylfr._internal.secrets import redact, resolve_secrets
from pylfr.errors import MediaError
from pylfr.protocols import Source
from pylfr.video.decoding.backend import ON_CPU, Decoding
from pylfr.video.decoding.expected_stream import ExpectedStream
from pylfr.video.decoding.nvdec import Nvdec, require_nvdec
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions
from pylfr.video.decoding.redirects import libavutil
from pylfr.video.isolation.client import IsolatedFile
from pylfr.video.isolation.sandbox import HELD
from pylfr.video.sources.attempt import ReconnectPolicy
from pylfr.video.sources.base import WrappedSource
from pylfr.video.sources.camera_certificates import require_readable, trusted_certificates
from pylfr.video.sources.file import FileSource, Pace
from pylfr.video.sources.live import Connection, LiveSource
from pylfr.video.sources.rtsp import RtspCheck, RtspTrust
from pylfr.video.sources.srt import SrtAddress, SrtLine, dial_srt, libsrt

__all__ = [
    "DecodeOn",
    "FileSource",
    "IsolatedFile",
    "Isolation",
    "LiveSource",
    "ReconnectPolicy",
    "Transport",
    "decoded_by",
    "decoding_of",
    "open_device",
    "open_file",
    "open_http",
    "open_rtsp",
    "open_srt",
]

Isolation = Literal["process", "none"]
DecodeOn = Literal["cpu", "nvdec"]
Transport = Literal["tcp", "udp", "auto"]


def open_file(
    path: Path | str,
    *,
    camera: str,
    started_at: datetime,
    pace: Pace = "as-fast-as-possible",
    loop: bool = False,
    threads: int | Literal["auto"] = 1,
    isolation: Isolation = "process",
    decode: DecodeOn = "cpu",
    picture: PictureOptions = AS_SENT,
    expect: ExpectedStream | None = None,
) -> FileSource | IsolatedFile:
    """A recording as a camera; its first frame was captured at ``started_at`` and the others by their time stamps.

    ``pace="real-time"`` plays it as a live camera would send it; ``loop`` starts over at the end, time going on.
    ``threads`` decode it: one is best for many cameras, "auto" for one. Raises ``MediaError`` where ``path`` cannot be
    opened as a video; ``frames`` raises it, after the last frame, where the recording turns out to be cut off.
    Where it is not the stream that is expected, ``frames`` raises it at once.
    With ``isolation`` "process" it is decoded by a process that can do nothing else, with "none" in this one.
    ``decode="nvdec"`` needs ``isolation="none"``: the isolated process has no GPU. Raises ``CudaError`` where there is
    no NVDEC, ``MediaError`` where it does not take the stream.
    """
    if started_at.tzinfo is None:
        raise ValueError(f"started_at must carry a time zone (UTC), got {started_at.isoformat()}")
    if pace not in ("as-fast-as-possible", "real-time"):
        raise ValueError(f"pace must be 'as-fast-as-possible' or 'real-time', got {pace!r}")
    if isolation not in get_args(Isolation):
        raise ValueError(f"isolation must be 'process' or 'none', got {isolation!r}")
    source: FileSource | IsolatedFile
    if isolation == "process":
        if decode == "nvdec":
            raise ValueError("decode 'nvdec' needs isolation 'none': the isolated process has no GPU")
        source = IsolatedFile(
            Path(path),
            camera=camera,
            started_at=started_at,
            pace=pace,
            loop=loop,
            threads=threads,
            options=picture,
            expect=expect,
        )
    else:
        source = FileSource(
            Path(path),
            camera=camera,
            started_at=started_at,
            pace=pace,
            loop=loop,
            threads=threads,
            decoding=_decoding_on(decode),
            options=picture,
            expect=expect,
        )
    source.check()
    return source


def open_rtsp(
    url: str,
    *,
    camera: str,
    patience: ReconnectPolicy | None = None,
    transport: Transport = "tcp",
    ca: Path | None = None,
    redirects_to: Sequence[str] = (),
    threads: int | Literal["auto"] = 1,
    decode: DecodeOn = "cpu",
    picture: PictureOptions = AS_SENT,
    expect: ExpectedStream | None = None,
) -> LiveSource:
    """A network camera. ``url`` names its secrets: ``rtsp://${USER}:${PASSWORD}@host/path``.

    ``transport`` carries the pictures; "auto" tries TCP and then UDP, for cameras that have only that. With
    ``rtsps://`` the certificate must be signed by an authority of the system, or be in the file ``ca``. A camera is
    refused that redirects to a host other than its own and ``redirects_to``, or says that its streams are on one. One
    that sends another stream than is expected is reported, not analysed, and tried again.
    Raises ``ConfigError`` where a variable in ``url`` is not set, and ``MediaError`` where ``url`` is no RTSP address
    or ``ca`` holds no certificate; a camera that is away is reported and tried again until it comes. With
    ``decode="nvdec"`` raises ``CudaError`` where there is no NVDEC; ``frames`` raises ``MediaError`` where it does not
    take the stream.
    """
    if not url.startswith(("rtsp://", "rtsps://")):
        raise MediaError(f"camera {camera!r} must have an address rtsp:// or rtsps://, got {redact(url)}")
    if transport not in get_args(Transport):
        raise ValueError(f"transport must be 'tcp', 'udp' or 'auto', got {transport!r}")
    if url.startswith("rtsps://") and transport == "udp":
        raise MediaError(f"camera {camera!r} must use transport tcp or auto with rtsps://: UDP would not be encrypted")
    if ca is not None:
        require_readable(ca, camera)
    resolve_secrets(url, name=f"the address of camera {camera!r}")
    libavutil()  # without it redirects could not be refused
    ways = ("tcp",) if url.startswith("rtsps://") else ("tcp", "udp") if transport == "auto" else (transport,)
    trust = RtspTrust(ca=ca, redirects_to=frozenset(redirects_to))
    patience = patience or ReconnectPolicy()
    return LiveSource(
        url,
        camera=camera,
        connection=Connection(
            input_format="rtsp",
            ways=tuple({"rtsp_transport": way} for way in ways),
            check=RtspCheck(trust=trust, open_s=patience.open_s),
        ),
        patience=patience,
        threads=threads,
        decoding=_decoding_on(decode),
        picture=picture,
        expect=expect,
    )


def open_http(
    url: str,
    *,
    camera: str,
    patience: ReconnectPolicy | None = None,
    ca: Path | None = None,
    threads: int | Literal["auto"] = 1,
    picture: PictureOptions = AS_SENT,
    expect: ExpectedStream | None = None,
) -> LiveSource:
    """A camera that sends over HTTP: JPEG pictures one after the other (MJPEG), or segments (HLS).

    Pictures between which there are no multipart boundaries, or wrong ones, are told apart by their own markers.
    With ``https://`` the certificate must be signed by an authority of the system, or be in the file ``ca``.
    Redirects are not followed. Raises as ``open_rtsp``.
    """
    if not url.startswith(("http://", "https://")):
        raise MediaError(f"camera {camera!r} must have an address http:// or https://, got {redact(url)}")
    if ca is not None:
        require_readable(ca, camera)
    resolve_secrets(url, name=f"the address of camera {camera!r}")
    options = {
        "format_whitelist": "mpjpeg,mjpeg,hls,mpegts,mov,mp4,flv",
        # A playlist that leads into this machine's files leads nowhere.
        "protocol_whitelist": "http,https,tcp,tls,crypto",
        "max_redirects": "0",
    }
    if url.startswith("https://"):
        options |= {"tls_verify": "1", "ca_file": str(trusted_certificates(ca))}
    return LiveSource(
        url,
        camera=camera,
        connection=Connection(input_format=None, second_format="mjpeg", ways=(options,)),
        patience=patience or ReconnectPolicy(),
        threads=threads,
        picture=picture,
        expect=expect,
    )


def open_srt(
    url: str,
    *,
    camera: str,
    patience: ReconnectPolicy | None = None,
    threads: int | Literal["auto"] = 1,
    picture: PictureOptions = AS_SENT,
    expect: ExpectedStream | None = None,
) -> LiveSource:
    """A camera that waits to be called and sends a transport stream by SRT, encrypted where it has a passphrase.

    ``srt://host:port?passphrase=${NAME}&streamid=...&latency=120&pbkeylen=16``, latency in milliseconds.
    Raises ``ConfigError`` where a variable in ``url`` is not set, and ``MediaError`` where ``url`` is no such address
    or this system has no libsrt.
    """

    def address_of(address: str) -> SrtAddress:
        return SrtAddress.parse(address, camera)

    def dial(address: str, closed: threading.Event) -> SrtLine:
        return dial_srt(address_of(address), closed=closed, open_s=waits.open_s, read_s=waits.read_s)

    waits = patience or ReconnectPolicy()
    address_of(resolve_secrets(url, name=f"the address of camera {camera!r}", percent_encoded=True))
    libsrt()
    return LiveSource(
        url,
        camera=camera,
        connection=Connection(input_format="mpegts", dial=dial),
        patience=waits,
        threads=threads,
        picture=picture,
        expect=expect,
    )


def open_device(
    device: Path | str,
    *,
    camera: str,
    size_px: tuple[int, int] | None = None,
    rate_hz: int | None = None,
    patience: ReconnectPolicy | None = None,
    threads: int | Literal["auto"] = 1,
    picture: PictureOptions = AS_SENT,
    expect: ExpectedStream | None = None,
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
        connection=Connection(input_format="v4l2", ways=(options,)),
        patience=patience or ReconnectPolicy(),
        threads=threads,
        picture=picture,
        expect=expect,
    )


def decoding_of(sources: Sequence[Source]) -> str:
    """Where pictures are decoded. A source that could not be opened is not among ``sources``."""
    isolated = sum(isinstance(_bare(source), IsolatedFile) for source in sources)
    if isolated == len(sources):
        return f"isolated: each camera by {HELD}"
    on_gpu = sum(decoded_by(source) == "NVDEC" for source in sources)
    words = f"isolated for {isolated} of {len(sources)} cameras; the others in this process"
    return f"{words}, {on_gpu} of them by NVDEC" if on_gpu else words


def decoded_by(source: Source) -> str:
    """CPU, or NVDEC; a source of somebody else's making has its own way."""
    bare = _bare(source)
    if isinstance(bare, FileSource | LiveSource):
        return bare.decoder
    return "CPU" if isinstance(bare, IsolatedFile) else "its own source"


def _bare(source: Source) -> Source:
    while isinstance(source, WrappedSource):
        source = source.inner
    return source


def _decoding_on(decode: DecodeOn) -> Decoding:
    if decode not in get_args(DecodeOn):
        raise ValueError(f"decode must be 'cpu' or 'nvdec', got {decode!r}")
    if decode == "cpu":
        return ON_CPU
    require_nvdec()
    return Nvdec()
