"""A security key in software: what a device and a browser make of a challenge, right, or wrong in one thing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pylfr.governance.keys.webauthn import Assertion, WebAuthnKey, challenge_of

PRESENT, VERIFIED = 0x01, 0x04
NOTHING: Mapping[str, object] = {}


def p256() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityKey:
    """A device with one key, for pages at ``origin``."""

    origin: str = "https://desk.example"
    private: EllipticCurvePrivateKey | Ed25519PrivateKey = field(default_factory=p256)

    @property
    def public(self) -> WebAuthnKey:
        if isinstance(self.private, Ed25519PrivateKey):
            raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            return WebAuthnKey(origin=self.origin, algorithm="ed25519", raw=raw)
        raw = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return WebAuthnKey(origin=self.origin, algorithm="es256", raw=raw)

    def sign(
        self,
        message: bytes,
        *,
        host: str | None = None,
        flags: int = PRESENT | VERIFIED,
        client: Mapping[str, object] = NOTHING,
    ) -> str:
        """The assertion over ``message``; ``client`` replaces what the browser says."""
        said = {
            "type": "webauthn.get",
            "challenge": challenge_of(message),
            "origin": self.origin,
            "crossOrigin": False,
        }
        host = host or urlsplit(self.origin).hostname or ""
        data = hashlib.sha256(host.encode()).digest() + bytes([flags]) + (7).to_bytes(4, "big")
        return self.assertion(data, json.dumps(said | dict(client)).encode()).text

    def assertion(self, authenticator_data: bytes, client_data: bytes) -> Assertion:
        """An assertion over whatever these are."""
        signed = authenticator_data + hashlib.sha256(client_data).digest()
        if isinstance(self.private, Ed25519PrivateKey):
            signature = self.private.sign(signed)
        else:
            signature = self.private.sign(signed, ECDSA(SHA256()))
        return Assertion(authenticator_data=authenticator_data, client_data=client_data, signature=signature)
