"""Keys that never leave a security key, a smart card or a computer's own chip: WebAuthn assertions over our bytes.

Such a key signs a structure of its own (W3C Web Authentication Level 2, section 6.3.3), in which the challenge is the
SHA-256 of what is signed for. That structure is kept with the signature, so that nobody needs a browser to verify it.
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
# Browsers give such keys to pages over TLS, and to those of this very machine.
_ORIGIN = re.compile(r"https://([a-z0-9.-]+)(:[0-9]{1,5})?|http://(localhost)(:[0-9]{1,5})?")
# Of the authenticator's data: the digest of the host, flags, a counter.
_SHORTEST_DATA, _FLAGS_AT = 37, 32
_USER_PRESENT, _USER_VERIFIED = 0x01, 0x04
_LARGEST_PART = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAuthnKey:
    """The public half of a key that signs for the pages at ``origin`` alone.

    ``raw`` is 32 bytes of Ed25519, or the uncompressed point of P-256 (``es256``), 65 bytes.
    """

    origin: str
    algorithm: Algorithm
    raw: bytes

    def verifies(self, message: bytes, assertion: str) -> bool:
        """Whether the holder of the private half signed for ``message``, as ``Assertion.text`` says it.

        They did so on a page of this origin, and the device had made sure that they were there and who they are.
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
            and given.says(_USER_PRESENT | _USER_VERIFIED)
            and self._signed(given)
        )

    @property
    def fingerprint(self) -> str:
        """The first 16 hexadecimal digits of the key's sha256: to tell whose it is."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    @property
    def text(self) -> str:
        """The key on one line, as its file holds it."""
        return f"{PREFIX}{self.origin} {self.algorithm} {base64.b64encode(self.raw).decode('ascii')}"

    @classmethod
    def parse(cls, text: str) -> WebAuthnKey:
        """The key that ``text`` is. Raises ``ValueError`` for anything else."""
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
        """What WebAuthn calls the id of the relying party."""
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
    """What a security key gives: its data on who was there, the browser's on what was asked, and its signature."""

    authenticator_data: bytes
    client_data: bytes
    signature: bytes

    @property
    def text(self) -> str:
        """The three parts, base64, with dots between: what stands where an Ed25519 signature would."""
        parts = (self.authenticator_data, self.client_data, self.signature)
        return ".".join(base64.b64encode(part).decode("ascii") for part in parts)

    @classmethod
    def parse(cls, text: str) -> Assertion:
        """The assertion that ``text`` is. Raises ``ValueError`` for anything else."""
        parts = [base64.b64decode(part, validate=True) for part in text.split(".", maxsplit=3)]
        if len(parts) != 3 or len(parts[0]) < _SHORTEST_DATA or max(map(len, parts)) > _LARGEST_PART:
            raise ValueError(f"an assertion has three parts of at most {_LARGEST_PART} bytes, got {text[:60]!r}")
        return cls(authenticator_data=parts[0], client_data=parts[1], signature=parts[2])

    def says(self, flags: int) -> bool:
        """Whether the device says all of that."""
        return self.authenticator_data[_FLAGS_AT] & flags == flags


def challenge_of(message: bytes) -> str:
    """The challenge under which a security key signs for ``message``: its SHA-256, base64url without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(message).digest()).rstrip(b"=").decode("ascii")
