"""What is asked of an RTSP camera before FFmpeg connects: who it is, and whether it sends elsewhere.

FFmpeg verifies no certificate unless it is told to, and follows a redirect to any host with the camera's password.
RFC 2326 (RTSP), RFC 7616 (digest authentication).
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
import re
import secrets
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pylfr._internal.secrets import redact
from pylfr.errors import MediaError
from pylfr.video.sources.attempt import CameraRefusedError

_PORTS = {"rtsp": 554, "rtsps": 322}
_MOST_BYTES = 65_536
_POLL_S = 0.2
_FIELD = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')

# Where Linux systems keep the certificates that they trust.
_SYSTEM_CA = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class RtspTrust:
    """Whom a camera's certificate is signed by, and which further hosts it may redirect to.

    ``ca``: a file of certificates in PEM, None for those of the system. Naming the camera's own certificate there pins
    it: then its name is not compared, and no other certificate is accepted.
    """

    ca: Path | None = None
    redirects_to: frozenset[str] = frozenset()


class RtspCheck:
    """Asks a camera for its description, as FFmpeg will, and gives the options that hold FFmpeg to what was found.

    Raises ``CameraRefusedError`` where the certificate is not trusted or the camera redirects to another host, and
    ``OSError`` where it does not answer within ``open_s``. ``warn`` is called once with what a person should know.
    """

    def __init__(self, *, trust: RtspTrust, open_s: float) -> None:
        self._trust = trust
        self._open_s = open_s
        self._has_warned = False

    def __call__(self, address: str, closed: threading.Event, warn: Callable[[str], None]) -> Mapping[str, str]:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        patience = _Patience(time.monotonic() + self._open_s, closed)
        if parts.scheme == "rtsp":
            with _connected(host, port, patience) as plain:
                self._describe(plain, address, patience, warn)
            return {}
        try:
            ca = trusted_certificates(self._trust.ca)
        except MediaError as error:
            raise CameraRefusedError(str(error)) from error
        with self._secured(host, port, ca, patience) as (line, name):
            self._describe(line, address, patience, warn)
        return {"tls_verify": "1", "ca_file": str(ca), "verifyhost": name}

    @contextlib.contextmanager
    def _secured(self, host: str, port: int, ca: Path, patience: _Patience) -> Iterator[tuple[ssl.SSLSocket, str]]:
        """A verified connection, and the name in the certificate that it was verified against."""
        context = ssl.create_default_context(cafile=str(ca))
        pinned = _only_certificate(ca) if self._trust.ca is not None else None
        name = host
        try:
            if pinned is not None and pinned == _presented(host, port, patience):
                # This very certificate is trusted, whatever address the camera has today.
                context.check_hostname = False
                name = _name_in(pinned) or host
            with _encrypted(host, port, context, patience) as line:
                yield line, name
        except ssl.SSLCertVerificationError as error:
            raise CameraRefusedError(
                f"its certificate is not trusted ({error.verify_message}): name the authority that signed it, or the "
                "certificate itself, with ca"
            ) from error
        except ssl.SSLError as error:
            raise CameraRefusedError(f"it does not speak TLS ({error.reason or 'no answer'})") from error

    def _describe(self, line: socket.socket, address: str, patience: _Patience, warn: Callable[[str], None]) -> None:
        """Ask for the description until the answer is no demand for a password, or is the last one."""
        parts = urlsplit(address)
        target = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        authorisation = ""
        for number in (1, 2):
            line.sendall(
                f"DESCRIBE {target} RTSP/1.0\r\nCSeq: {number}\r\nUser-Agent: pylfr\r\nAccept: application/sdp\r\n"
                f"{authorisation}\r\n".encode()
            )
            status, headers = _answer(line, patience)
            if 300 <= status < 400:
                self._refuse_redirect(address, headers.get("location", ""))
                return
            if status != 401 or parts.username is None or number == 2:
                return
            authorisation = self._authorisation(headers.get("www-authenticate", ""), address, target, warn)

    def _refuse_redirect(self, address: str, location: str) -> None:
        wanted, given = urlsplit(address), urlsplit(location)
        same = given.hostname == wanted.hostname and given.scheme == wanted.scheme
        if not same and given.hostname not in self._trust.redirects_to:
            raise CameraRefusedError(
                f"it redirects to another host, {redact(location) or 'unnamed'}: set source to that address if it is "
                "right"
            )

    def _authorisation(self, demand: str, address: str, target: str, warn: Callable[[str], None]) -> str:
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
        return _digest(fields, user, password, target)


@dataclass(frozen=True, slots=True)
class _Patience:
    """How long is waited: until a time of the monotonic clock, and no longer than until the camera is closed."""

    until_s: float
    closed: threading.Event

    def check(self) -> None:
        """Raise ``TimeoutError`` once it is over."""
        if self.closed.is_set() or time.monotonic() > self.until_s:
            raise TimeoutError("no answer")


def _connected(host: str, port: int, patience: _Patience) -> socket.socket:
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
def _encrypted(host: str, port: int, context: ssl.SSLContext, patience: _Patience) -> Iterator[ssl.SSLSocket]:
    with (
        _connected(host, port, patience) as plain,
        context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False) as line,
    ):
        while True:
            try:
                line.do_handshake()
                break
            except TimeoutError:
                patience.check()
        yield line


def _presented(host: str, port: int, patience: _Patience) -> bytes | None:
    """The certificate that the camera presents, in DER, not yet trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with _encrypted(host, port, context, patience) as line:
        return line.getpeercert(binary_form=True)


def _answer(line: socket.socket, patience: _Patience) -> tuple[int, dict[str, str]]:
    """Status and headers of the next answer."""
    content = b""
    while b"\r\n\r\n" not in content and len(content) < _MOST_BYTES:
        patience.check()
        try:
            more = line.recv(4096)
        except TimeoutError:
            continue
        if not more:
            raise ConnectionResetError("it closed the connection before it answered")
        content += more
    head = content.partition(b"\r\n\r\n")[0].decode("utf-8", "replace").split("\r\n")
    words = head[0].split()
    if len(words) < 2 or not words[0].startswith("RTSP/") or not words[1].isdecimal():
        raise CameraRefusedError("what answers there does not speak RTSP: check the port of its address")
    headers = (each.partition(":") for each in head[1:])
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in headers}


def trusted_certificates(ca: Path | None) -> Path:
    """The file ``ca``, or that of the system. Raises ``MediaError`` where the system has none."""
    for each in (ca,) if ca is not None else map(Path, _SYSTEM_CA):
        if each.exists():
            return each
    raise MediaError("no certificates to trust were found on this system: name a file of them with ca")


def require_readable(ca: Path, camera: str) -> None:
    """Raises ``MediaError`` where ``ca`` holds no certificate."""
    try:
        ssl.create_default_context(cafile=str(ca))
    except (OSError, ssl.SSLError) as error:
        raise MediaError(f"camera {camera!r}: ca must be a file of certificates in PEM, got {ca} ({error})") from error


def _only_certificate(ca: Path) -> bytes | None:
    """The certificate in a file that holds a single one, in DER."""
    found = x509.load_pem_x509_certificates(ca.read_bytes())
    return found[0].public_bytes(Encoding.DER) if len(found) == 1 else None


def _name_in(certificate: bytes) -> str | None:
    """A name that a certificate in DER carries, which FFmpeg can compare it with."""
    loaded = x509.load_der_x509_certificate(certificate)
    with contextlib.suppress(x509.ExtensionNotFound):
        names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for name in names.get_values_for_type(x509.DNSName):
            return name
        for address in names.get_values_for_type(x509.IPAddress):
            return str(address)
    for attribute in loaded.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME):
        return str(attribute.value)
    return None


def _digest(fields: Mapping[str, str], user: str, password: str, target: str) -> str:
    kind = hashlib.sha256 if fields.get("algorithm", "MD5").upper().startswith("SHA-256") else hashlib.md5

    def hashed(text: str) -> str:
        return kind(text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce = fields.get("realm", ""), fields.get("nonce", "")
    who, what = hashed(f"{user}:{realm}:{password}"), hashed(f"DESCRIBE:{target}")
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
