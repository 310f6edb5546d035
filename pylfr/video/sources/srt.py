"""Cameras that send by SRT, through the system's libsrt: PyAV's FFmpeg is built without it.

What comes is an MPEG transport stream in messages. Numbers are those of libsrt's srt.h, unchanged since 1.4.
"""

from __future__ import annotations

import atexit
import ctypes
import errno
import io
import socket
import struct
import threading
import time
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote, urlsplit

from pylfr.errors import MediaError
from pylfr.video.sources.attempt import CameraRefusedError

_LIBRARIES = ("libsrt-gnutls.so.1.5", "libsrt.so.1.5", "libsrt-gnutls.so.1.4", "libsrt.so.1.4")

# SRT_SOCKOPT
_RCVSYN, _RCVTIMEO, _LATENCY, _PASSPHRASE, _PBKEYLEN, _CONNTIMEO, _STREAMID = 2, 14, 23, 26, 27, 36, 46
# SRT_SOCKSTATUS
_CONNECTING, _CONNECTED = (1, 2, 4), 5
# SRT_ERRNO: nothing came in time; the line is gone.
_NOTHING, _GONE = (6002, 6003), (2001, 2002, 5004)
# SRT_REJECT_REASON; from 1000 on the camera's own, which are those of HTTP.
_NO_REASON, _BAD_SECRET, _UNSECURE, _TIMEOUT, _OWN = 0, 10, 11, 16, 1000
_UNAUTHORISED, _FORBIDDEN, _NOT_FOUND = 1401, 1403, 1404
_ONLY_CRITICAL = 2

_POLL_S = 0.05
_MESSAGE_BYTES = 1456
_SECRET_LENGTH = range(10, 80)
_MOST_STREAM_ID = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class SrtAddress:
    """``srt://host:port?passphrase=...&streamid=...&latency=120&pbkeylen=16``; latency in milliseconds."""

    host: str
    port: int
    passphrase: str = ""
    stream_id: str = ""
    latency_ms: int | None = None
    key_bytes: int | None = None

    def __repr__(self) -> str:
        return f"SrtAddress({self.host}:{self.port})"

    @classmethod
    def parse(cls, address: str, camera: str) -> SrtAddress:
        """Raises ``MediaError`` where ``address`` is none."""
        # The identifiers of streams begin with #, so that this is not a fragment.
        place, _, query = address.partition("?")
        given = {name: unquote(value) for name, _, value in (each.partition("=") for each in query.split("&") if each)}
        parts = urlsplit(place)
        port = _port_of(place)
        if not parts.hostname or port is None:
            raise MediaError(
                f"camera {camera!r} must have an address srt://HOST:PORT, got no host or no port from 1 on"
            )
        if given.pop("mode", "caller") != "caller":
            raise MediaError(
                f"camera {camera!r} must wait to be called: set the camera to listener, and leave out mode"
            )
        secret, stream_id = given.pop("passphrase", ""), given.pop("streamid", "")
        if secret and len(secret.encode()) not in _SECRET_LENGTH:
            raise MediaError(f"camera {camera!r} must have a passphrase of 10 to 79 bytes, got {len(secret.encode())}")
        if len(stream_id.encode()) > _MOST_STREAM_ID:
            raise MediaError(f"camera {camera!r} must have a streamid of at most {_MOST_STREAM_ID} bytes")
        latency, key = given.pop("latency", None), given.pop("pbkeylen", None)
        if latency is not None and not (latency.isdecimal() and int(latency) <= 60_000):
            raise MediaError(f"camera {camera!r} must have a latency of 0 to 60000 milliseconds, got {latency!r}")
        if key not in (None, "16", "24", "32"):
            raise MediaError(f"camera {camera!r} must have a pbkeylen of 16, 24 or 32 bytes, got {key!r}")
        if given:
            raise MediaError(
                f"camera {camera!r} must have an address with passphrase, streamid, latency and pbkeylen only, got "
                f"{', '.join(map(repr, sorted(given)))}"
            )
        return cls(
            host=parts.hostname,
            port=port,
            passphrase=secret,
            stream_id=stream_id,
            latency_ms=None if latency is None else int(latency),
            key_bytes=None if key is None else int(key),
        )


class SrtLine(io.RawIOBase):
    """What a camera sends, as a file that only reads. It ends where the camera ends it, or once ``closed`` is set.

    ``read`` raises ``TimeoutError`` where nothing comes for ``read_s``.
    """

    def __init__(self, handle: int, *, closed: threading.Event, read_s: float) -> None:
        super().__init__()
        self._handle = handle
        self._closed_by = closed
        self._read_s = read_s
        self._message = ctypes.create_string_buffer(_MESSAGE_BYTES)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self._rest or self._next()
        size = len(content) if size < 0 else size
        self._rest = content[size:]
        return content[:size]

    def close(self) -> None:
        if not self.closed:
            libsrt().srt_close(self._handle)
        super().close()

    def _next(self) -> bytes:
        library, until_s = libsrt(), time.monotonic() + self._read_s
        while not self._closed_by.is_set():
            count = library.srt_recvmsg(self._handle, self._message, _MESSAGE_BYTES)
            if count > 0:
                return ctypes.string_at(self._message, count)
            error = library.srt_getlasterror(None)
            if count == 0 or error in _GONE:
                return b""
            if error not in _NOTHING:
                raise _last_error()
            if time.monotonic() > until_s:
                raise TimeoutError("nothing came")
        return b""


def dial_srt(address: SrtAddress, *, closed: threading.Event, open_s: float, read_s: float) -> SrtLine:
    """Call a camera. Raises ``CameraRefusedError`` where it does not let us in, and ``OSError`` for other failures."""
    library = libsrt()
    family, _, _, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)[0]
    handle = library.srt_create_socket()
    if handle < 0:
        raise _last_error()
    line = SrtLine(handle, closed=closed, read_s=read_s)
    try:
        for option, value in _options(address, open_s):
            if library.srt_setsockflag(handle, option, value, len(value)) < 0:
                raise _last_error()
        packed = _packed(family, place)
        if library.srt_connect(handle, packed, len(packed)) < 0:
            raise _last_error()
        _await_answer(handle, closed, until_s=time.monotonic() + open_s)
        # From here on reads wait for a message, a twentieth of a second each time.
        for option, number in ((_RCVSYN, 1), (_RCVTIMEO, round(1000 * _POLL_S))):
            library.srt_setsockflag(handle, option, struct.pack("i", number), 4)
    except BaseException:
        line.close()
        raise
    return line


@cache
def libsrt() -> ctypes.CDLL:
    """The system's libsrt, started. Raises ``MediaError`` where there is none."""
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.srt_getlasterror_str.restype = ctypes.c_char_p
        library.srt_rejectreason_str.restype = ctypes.c_char_p
        library.srt_setloglevel(_ONLY_CRITICAL)
        library.srt_startup()
        atexit.register(library.srt_cleanup)
        return library
    raise MediaError(
        "a camera of srt:// needs libsrt 1.4 or newer, which is not on this system: install the package "
        "libsrt1.5-gnutls (Debian, Ubuntu) or libsrt; or let a gateway such as MediaMTX turn it into rtsp://"
    )


def _await_answer(handle: int, closed: threading.Event, *, until_s: float) -> None:
    library = libsrt()
    while (state := library.srt_getsockstate(handle)) in _CONNECTING:
        if closed.wait(_POLL_S / 2) or time.monotonic() > until_s:
            raise TimeoutError("no answer")
    if state == _CONNECTED:
        return
    reason = library.srt_getrejectreason(handle)
    if reason in (_NO_REASON, _TIMEOUT):
        raise TimeoutError("no answer")
    if reason in (_BAD_SECRET, _UNAUTHORISED, _FORBIDDEN):
        raise CameraRefusedError("its passphrase or streamid is wrong")
    if reason == _UNSECURE:
        raise CameraRefusedError("only one side has a passphrase: give it in the address, or leave it out there")
    if reason == _NOT_FOUND:
        raise CameraRefusedError("it has no such stream: check the streamid of its address")
    words = f"code {reason}" if reason >= _OWN else library.srt_rejectreason_str(reason).decode()
    raise ConnectionRefusedError(errno.ECONNREFUSED, f"it refuses the connection ({words})")


def _options(address: SrtAddress, open_s: float) -> list[tuple[int, bytes]]:
    options = [(_RCVSYN, struct.pack("i", 0)), (_CONNTIMEO, struct.pack("i", round(1000 * open_s)))]
    if address.passphrase:
        options.append((_PASSPHRASE, address.passphrase.encode()))
    if address.stream_id:
        options.append((_STREAMID, address.stream_id.encode()))
    for option, number in ((_LATENCY, address.latency_ms), (_PBKEYLEN, address.key_bytes)):
        if number is not None:
            options.append((option, struct.pack("i", number)))
    return options


def _packed(family: int, place: tuple[object, ...]) -> bytes:
    """A sockaddr_in or sockaddr_in6."""
    host, port = str(place[0]), int(str(place[1]))
    if family == socket.AF_INET6:
        scope = int(str(place[3]))
        numeric = socket.inet_pton(family, host.partition("%")[0])
        return struct.pack("=H", family) + struct.pack("!HI", port, 0) + numeric + struct.pack("=I", scope)
    return struct.pack("=H", family) + struct.pack("!H", port) + socket.inet_pton(family, host) + bytes(8)


def _port_of(place: str) -> int | None:
    try:
        return urlsplit(place).port or None
    except ValueError:
        return None


def _last_error() -> OSError:
    return ConnectionError(errno.EIO, libsrt().srt_getlasterror_str().decode())
