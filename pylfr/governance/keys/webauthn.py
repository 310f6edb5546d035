"""Keys that never leave a security key, a smart card or a computer's own chip: messages signed as WebAuthn assertions.

Such a key signs a structure of its own (W3C Web Authentication Level 2, section 6.3.3) whose challenge is the SHA-256
of the message. The structure is stored with the signature, so that it can be verified without a browser.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Literal, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256

Algorithm = Literal["es256", "ed25519"]

PREFIX = "pylfr-webauthn "
# Browsers offer such keys only to pages served over TLS or from localhost.
_ORIGIN = re.compile(r"https://([a-z0-9.-]+)(:[0-9]{1,5})?|http://(localhost)(:[0-9]{1,5})?")
# The authenticator's data begins with the digest of the host, the flags and a counter.
_SHORTEST_DATA, _FLAGS_AT = 37, 32
_USER_PRESENT, _USER_VERIFIED = 0x01, 0x04
_LARGEST_PART = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAuthnKey:
    """The public half of a key that signs only for pages at ``origin``.

    ``raw`` is 32 bytes of Ed25519, or the uncompressed point of P-256 (``es256``), 65 bytes.
    """

    origin: str
    algorithm: Algorithm
    raw: bytes

    def verifies(self, message: bytes, assertion: str) -> bool:
        """Whether ``assertion`` (``Assertion.text``) is a signature of ``message`` by the holder of the private half.

        It must come from a page of this origin, and the device must have verified its user's presence and identity.
        """
        try:
            given = Assertion.parse(assertion)
            client = json.loads(given.client_data)
        except (ValueError, RecursionError):
            return False
        return (
            isinstance(client, dict)
            and client.get("type") == "webauthn.get"
            and client.get("challenge") == challenge_of(message)
            and client.get("origin") == self.origin
            and client.get("crossOrigin", False) is False
            and given.authenticator_data[:_FLAGS_AT] == hashlib.sha256(self._host.encode()).digest()
            and given.has(_USER_PRESENT | _USER_VERIFIED)
            and self._signed(given)
        )

    @property
    def fingerprint(self) -> str:
        """The first 16 hexadecimal digits of the key's SHA-256, by which people recognise it."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    @property
    def text(self) -> str:
        """The key on one line, as in its file."""
        return f"{PREFIX}{self.origin} {self.algorithm} {base64.b64encode(self.raw).decode('ascii')}"

    @classmethod
    def parse(cls, text: str) -> WebAuthnKey:
        """The key in ``text``. Raises ``ValueError`` for anything else."""
        words = text.strip().removeprefix(PREFIX).split(" ")
        if not text.startswith(PREFIX) or len(words) != 3 or not _ORIGIN.fullmatch(words[0]):
            raise ValueError(f"a security key is '{PREFIX}', an origin, an algorithm and the key, got {text[:60]!r}")
        raw = base64.b64decode(words[2], validate=True)
        for algorithm in get_args(Algorithm):
            if algorithm == words[1]:
                key = cls(origin=words[0], algorithm=algorithm, raw=raw)
                key._opened()
                return key
        raise ValueError(f"the algorithm of a security key is {' or '.join(get_args(Algorithm))}, got {words[1]!r}")

    @property
    def _host(self) -> str:
        """The relying party's id, in WebAuthn's terms."""
        found = _ORIGIN.fullmatch(self.origin)
        return (found[1] or found[3]) if found is not None else ""

    def _opened(self) -> Ed25519PublicKey | EllipticCurvePublicKey:
        if self.algorithm == "ed25519":
            return Ed25519PublicKey.from_public_bytes(self.raw)
        if len(self.raw) != 65:
            raise ValueError(f"a key of es256 has 65 bytes, an uncompressed point, got {len(self.raw)}")
        return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), self.raw)

    def _signed(self, given: Assertion) -> bool:
        signed, key = given.authenticator_data + hashlib.sha256(given.client_data).digest(), self._opened()
        try:
            if isinstance(key, Ed25519PublicKey):
                key.verify(given.signature, signed)
            else:
                key.verify(given.signature, signed, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """The answer of a security key: the authenticator's data, the browser's client data, and the signature."""

    authenticator_data: bytes
    client_data: bytes
    signature: bytes

    @property
    def text(self) -> str:
        """The three parts in base64, separated by dots; used in place of an Ed25519 signature."""
        parts = (self.authenticator_data, self.client_data, self.signature)
        return ".".join(base64.b64encode(part).decode("ascii") for part in parts)

    @classmethod
    def parse(cls, text: str) -> Assertion:
        """The assertion in ``text``. Raises ``ValueError`` for anything else."""
        parts = [base64.b64decode(part, validate=True) for part in text.split(".", maxsplit=3)]
        if len(parts) != 3 or len(parts[0]) < _SHORTEST_DATA or max(map(len, parts)) > _LARGEST_PART:
            raise ValueError(f"an assertion has three parts of at most {_LARGEST_PART} bytes, got {text[:60]!r}")
        return cls(authenticator_data=parts[0], client_data=parts[1], signature=parts[2])

    def has(self, flags: int) -> bool:
        """Whether the device set all of ``flags``."""
        return self.authenticator_data[_FLAGS_AT] & flags == flags


def challenge_of(message: bytes) -> str:
    """The challenge with which a security key signs ``message``: its SHA-256, base64url without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(message).digest()).rstrip(b"=").decode("ascii")
