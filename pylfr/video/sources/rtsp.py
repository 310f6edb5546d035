"""What is asked of an RTSP camera before FFmpeg connects: who it is, and whether it sends elsewhere.

FFmpeg verifies no certificate unless it is told to, and follows a redirect to any host with the camera's password.
RFC 2326 (RTSP), RFC 7616 (digest authentication).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pylfr._internal.secrets import redact
from pylfr._internal.trusted import client_context
from pylfr.errors import MediaError
from pylfr.video.sources.attempt import CameraRefusedError
from pylfr.video.sources.camera_certificates import only_certificate, trusted_certificates
from pylfr.video.sources.rtsp_line import Patience, RtspAnswer, connected, encrypted, presented, read_answer

_PORTS = {"rtsp": 554, "rtsps": 322}
_MOST_REDIRECTS = 5
# What says in a description (SDP) where a stream is asked for.
_CONTROL = "a=control:"
_FIELD = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True, kw_only=True)
class RtspTrust:
    """Whom a camera's certificate is signed by, and which further hosts it may redirect to, without its password.

    ``ca``: a file of certificates in PEM, None for those of the system. Naming the camera's own certificate there pins
    it: then its name is not compared, and no other certificate is accepted.
    """

    ca: Path | None = None
    redirects_to: frozenset[str] = frozenset()


class RtspCheck:
    """Asks a camera for its description, as FFmpeg will; gives the address, and options that hold FFmpeg to it.

    Redirects are followed here: FFmpeg is given the last address, with the password only where that is on the camera's
    own host. Raises ``CameraRefusedError`` where the certificate is not trusted, or the camera redirects to another
    host or says that its streams are on one, and ``OSError`` where it does not answer within ``open_s``. ``warn`` is
    called once with what a person should know.
    """

    def __init__(self, *, trust: RtspTrust, open_s: float) -> None:
        self._trust = trust
        self._open_s = open_s
        self._has_warned = False

    def __call__(
        self, address: str, closed: threading.Event, warn: Callable[[str], None]
    ) -> tuple[str, Mapping[str, str]]:
        patience = Patience(time.monotonic() + self._open_s, closed)
        for _ in range(_MOST_REDIRECTS + 1):
            try:
                options, moved_to = self._ask(address, patience, warn)
                if moved_to is None:
                    return address, options
                address = self._redirected(address, moved_to)
            except ValueError as error:
                # A port of six digits, a bracket without its other half: urllib says which, and not where.
                raise CameraRefusedError(f"it answers with a malformed address ({error})") from error
        raise CameraRefusedError(f"it redirects more than {_MOST_REDIRECTS} times")

    def _ask(
        self, address: str, patience: Patience, warn: Callable[[str], None]
    ) -> tuple[Mapping[str, str], str | None]:
        """The options for this address, and where it redirects to."""
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        if parts.scheme == "rtsp":
            with connected(host, port, patience) as plain:
                return {}, self._describe(plain, address, patience, warn)
        try:
            ca = trusted_certificates(self._trust.ca)
        except MediaError as error:
            raise CameraRefusedError(str(error)) from error
        with self._secured(host, port, ca, patience) as (line, name):
            moved_to = self._describe(line, address, patience, warn)
        return {"tls_verify": "1", "ca_file": str(ca), "verifyhost": name}, moved_to

    @contextlib.contextmanager
    def _secured(self, host: str, port: int, ca: Path, patience: Patience) -> Iterator[tuple[ssl.SSLSocket, str]]:
        """A verified connection, and the name in the certificate that it was verified against."""
        context = client_context(ca)
        name = host
        try:
            pinned, pinned_name = (only_certificate(ca) if self._trust.ca is not None else None) or (None, None)
            if pinned is not None and pinned == presented(host, port, patience):
                # This very certificate is trusted, whatever address the camera has today.
                context.check_hostname = False
                name = pinned_name or host
            with encrypted(host, port, context, patience) as line:
                yield line, name
        except MediaError as error:
            raise CameraRefusedError(str(error)) from error
        except ssl.SSLCertVerificationError as error:
            raise CameraRefusedError(
                f"its certificate is not trusted ({error.verify_message}): name the authority that signed it, or the "
                "certificate itself, with ca"
            ) from error
        except ssl.SSLError as error:
            raise CameraRefusedError(f"it does not speak TLS ({error.reason or 'no answer'})") from error

    def _describe(
        self, line: socket.socket, address: str, patience: Patience, warn: Callable[[str], None]
    ) -> str | None:
        """Ask as FFmpeg will, with the password once it is demanded; where the camera redirects to, if it does."""
        parts = urlsplit(address)
        target = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        number, demand = 0, ""
        for method in ("OPTIONS", "DESCRIBE"):
            for _ in range(2):
                number += 1
                authorisation = self._authorisation(demand, address, method, target, warn) if demand else ""
                line.sendall(
                    f"{method} {target} RTSP/1.0\r\nCSeq: {number}\r\nUser-Agent: pylfr\r\n"
                    f"Accept: application/sdp\r\n{authorisation}\r\n".encode()
                )
                answer = read_answer(line, patience)
                if 300 <= answer.status < 400:
                    return answer.headers.get("location", "")
                if answer.status != 401 or parts.username is None:
                    break
                demand = answer.headers.get("www-authenticate", "")
            if method == "DESCRIBE":
                self._require_at_home(address, answer)
        return None

    def _redirected(self, address: str, location: str) -> str:
        """The address to go on with, with the password for the camera's own host alone."""
        wanted, given = urlsplit(address), urlsplit(location)
        if not (given.scheme in _PORTS and self._is_known(given.hostname, address)):
            raise CameraRefusedError(
                f"it redirects to another host, {redact(location) or 'unnamed'}: set source to that address if it is "
                "right, or name the host in redirects_to"
            )
        if wanted.scheme == "rtsps" and given.scheme == "rtsp":
            raise CameraRefusedError(f"it redirects to {redact(location)}, which is not encrypted: set source to it")
        login, at, _ = wanted.netloc.rpartition("@") if given.hostname == wanted.hostname else ("", "", "")
        return given._replace(netloc=login + at + given.netloc.rpartition("@")[2]).geturl()

    def _require_at_home(self, address: str, answer: RtspAnswer) -> None:
        """Refuse a description whose streams are on a host that is neither the camera's own nor named."""
        controls = (line[len(_CONTROL) :].strip() for line in answer.body.splitlines() if line.startswith(_CONTROL))
        for place in (answer.headers.get("content-base", ""), answer.headers.get("content-location", ""), *controls):
            host = urlsplit(place).hostname
            if host is not None and not self._is_known(host, address):
                raise CameraRefusedError(
                    f"its description says that its streams are on another host, {redact(place)}: set source to that "
                    "address if it is right, or name the host in redirects_to"
                )

    def _is_known(self, host: str | None, address: str) -> bool:
        """Whether this is the host of ``address``, or one that ``redirects_to`` names."""
        return host in {urlsplit(address).hostname, *self._trust.redirects_to}

    def _authorisation(self, demand: str, address: str, method: str, target: str, warn: Callable[[str], None]) -> str:
        """The header that answers a demand for a password; empty where the demand is of an unknown kind."""
        parts = urlsplit(address)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        kind, _, rest = demand.partition(" ")
        if kind.lower() == "basic":
            if parts.scheme == "rtsp" and not self._has_warned:
                self._has_warned = True
                warn("it asks for its password in the clear (Basic over rtsp://): use rtsps://, or Digest")
            return f"Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}\r\n"
        if kind.lower() != "digest":
            return ""
        fields = {name.lower(): quoted or plain for name, quoted, plain in _FIELD.findall(rest)}
        return _digest(fields, user, password, f"{method}:{target}", target)


def _digest(fields: Mapping[str, str], user: str, password: str, asked: str, target: str) -> str:
    kind = hashlib.sha256 if fields.get("algorithm", "MD5").upper().startswith("SHA-256") else hashlib.md5

    def hashed(text: str) -> str:
        return kind(text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce = fields.get("realm", ""), fields.get("nonce", "")
    who, what = hashed(f"{user}:{realm}:{password}"), hashed(asked)
    extra = ""
    if "auth" in fields.get("qop", "").split(","):
        own = secrets.token_hex(8)
        answer = hashed(f"{who}:{nonce}:00000001:{own}:auth:{what}")
        extra = f', qop=auth, nc=00000001, cnonce="{own}"'
    else:
        answer = hashed(f"{who}:{nonce}:{what}")
    opaque = f', opaque="{fields["opaque"]}"' if "opaque" in fields else ""
    return (
        f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{target}", '
        f'response="{answer}"{extra}{opaque}\r\n'
    )
