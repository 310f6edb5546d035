"""The certificates that cameras are trusted by: those of the system, a file of authorities, or a camera's own."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pylfr.errors import MediaError

# Where Linux distributions install the certificates that they trust.
_SYSTEM_CA = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


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


def only_certificate(ca: Path) -> bytes | None:
    """The certificate in a file that holds a single one, in DER."""
    found = x509.load_pem_x509_certificates(ca.read_bytes())
    return found[0].public_bytes(Encoding.DER) if len(found) == 1 else None


def name_in(certificate: bytes) -> str | None:
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
