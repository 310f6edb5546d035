"""The certificates that cameras are trusted by: those of the system, a file of authorities, or a camera's own."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pylfr._internal.regular_file import read_file
from pylfr._internal.trusted import client_context
from pylfr.errors import MediaError

# What a damaged certificate makes of cryptography.
_DAMAGED = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
# Where Linux distributions install the certificates that they trust.
_SYSTEM_CA = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def trusted_certificates(ca: Path | None) -> Path:
    """The file ``ca``, or that of the system. Raises ``MediaError`` where the system has none."""
    for each in (ca,) if ca is not None else map(Path, _SYSTEM_CA):
        if each.exists():
            return each
    raise MediaError("no certificates to trust were found on this system: name a file of them with ca")


def require_readable(ca: Path, camera: str) -> None:
    """Raises ``MediaError`` where ``ca`` holds no certificate, or a single one that is damaged."""
    try:
        content = read_file(ca)
        client_context(ca)
        single = _single(content)
        if single is not None:
            _name_of(single)
    except (OSError, ssl.SSLError, *_DAMAGED) as error:
        raise MediaError(f"camera {camera!r}: ca must be a file of certificates in PEM, got {ca} ({error})") from error


def only_certificate(ca: Path) -> tuple[bytes, str | None] | None:
    """The certificate in a file that holds a single one, in DER, and a name in it that FFmpeg can compare it with.

    Raises ``MediaError`` where the file cannot be read or is damaged.
    """
    try:
        single = _single(read_file(ca))
        return None if single is None else (single.public_bytes(Encoding.DER), _name_of(single))
    except (OSError, *_DAMAGED) as error:
        raise MediaError(f"the certificate {ca} cannot be read: {error}") from error


def _single(content: bytes) -> x509.Certificate | None:
    found = x509.load_pem_x509_certificates(content)
    return found[0] if len(found) == 1 else None


def _name_of(loaded: x509.Certificate) -> str | None:
    with contextlib.suppress(x509.ExtensionNotFound):
        names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for name in names.get_values_for_type(x509.DNSName):
            return name
        for address in names.get_values_for_type(x509.IPAddress):
            return str(address)
    for attribute in loaded.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME):
        return str(attribute.value)
    return None
