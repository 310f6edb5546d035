"""A connection to an RTSP server that waits no longer than it may, and the answers on it (RFC 2326)."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pylfr.video.sources.attempt import CameraRefusedError

_MOST_BYTES = 65_536
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited: until a time of the monotonic clock, and no longer than until the camera is closed."""

    until_s: float
    closed: threading.Event

    def check(self) -> None:
        """Raise ``TimeoutError`` once it is over."""
        if self.closed.is_set() or time.monotonic() > self.until_s:
            raise TimeoutError("no answer")


def connected(host: str, port: int, patience: Patience) -> socket.socket:
    """A connection to the first address of ``host``. Raises ``OSError``."""
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        line = socket.socket(family, kind, protocol)
        try:
            line.setblocking(False)  # noqa: FBT003
            status = line.connect_ex(address)
            while status in (errno.EINPROGRESS, errno.EALREADY):
                patience.check()
                select.select([], [line], [], _POLL_S)
                status = line.connect_ex(address)
            if status not in (0, errno.EISCONN):
                raise OSError(status, os.strerror(status))
            line.settimeout(_POLL_S)
        except BaseException:
            line.close()
            raise
        return line
    raise OSError(f"{host} has no address")


@contextlib.contextmanager
def encrypted(host: str, port: int, context: ssl.SSLContext, patience: Patience) -> Iterator[ssl.SSLSocket]:
    """As ``connected``, with TLS. Raises ``ssl.SSLError`` where that fails."""
    with (
        connected(host, port, patience) as plain,
        context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False) as line,
    ):
        while True:
            try:
                line.do_handshake()
                break
            except TimeoutError:
                patience.check()
        yield line


def presented(host: str, port: int, patience: Patience) -> bytes | None:
    """The certificate that the camera presents, in DER, not yet trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with encrypted(host, port, context, patience) as line:
        return line.getpeercert(binary_form=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RtspAnswer:
    """An answer of RTSP; the names of headers in small letters."""

    status: int
    headers: Mapping[str, str]
    body: str


def read_answer(line: socket.socket, patience: Patience) -> RtspAnswer:
    """The next answer; of a long one its first 64 KiB."""
    content = b""
    while b"\r\n\r\n" not in content and len(content) < _MOST_BYTES:
        content += _more(line, patience)
    first, _, body = content.partition(b"\r\n\r\n")
    head = first.decode("utf-8", "replace").split("\r\n")
    words = head[0].split()
    if len(words) < 2 or not words[0].startswith("RTSP/") or not re.fullmatch("[1-9][0-9]{2}", words[1]):
        raise CameraRefusedError("what answers there does not speak RTSP: check the port of its address")
    headers = {name.strip().lower(): value.strip() for name, _, value in (each.partition(":") for each in head[1:])}
    length = headers.get("content-length", "")
    expected = min(int(length), _MOST_BYTES) if re.fullmatch("[0-9]{1,9}", length) else 0
    while len(body) < expected:
        body += _more(line, patience)
    return RtspAnswer(status=int(words[1]), headers=headers, body=body[:expected].decode("utf-8", "replace"))


def _more(line: socket.socket, patience: Patience) -> bytes:
    while True:
        patience.check()
        try:
            more = line.recv(4096)
        except TimeoutError:
            continue
        if not more:
            raise ConnectionResetError("it closed the connection before it answered")
        return more
