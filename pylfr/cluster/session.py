"""A channel between a node and its head: each proves its key, and what passes is sealed against all others.

Ray carries the messages, and lays large ones into memory that every process of its user can read: it sees ciphertext.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pylfr._internal.canonical_json import canonical
from pylfr.errors import AuthorisationError
from pylfr.governance.keys.keys import PublicKey, SigningKey

_NODE, _HEAD = "pylfr-cluster-join-1", "pylfr-cluster-welcome-1"
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What a node says first: its identity's fingerprint, its half of the exchange, and its signature of both.

    ``challenge`` is the head's, so that nobody can play an old one again.
    """

    node: str
    challenge: str
    half: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """What the head answers: its half, signed with the record's key together with what the node said."""

    half: bytes
    signature: bytes


class SealedChannel:
    """One side of an established channel. ``seal`` and ``open`` are for one message of a kind and number."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(secret)

    def seal(self, content: bytes, kind: str, number: int) -> bytes:
        """``content``, encrypted as the message ``number`` of its ``kind``."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, _about(kind, number))

    def open(self, sealed: bytes, kind: str, number: int) -> bytes:
        """What was sealed so. Raises ``AuthorisationError`` for anything else."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _about(kind, number))
        except (InvalidTag, ValueError) as error:
            raise AuthorisationError(
                f"a message ({kind} {number}) is not of this session: it was changed, or somebody else sent it"
            ) from error


class NodeSide:
    """A node that introduces itself with its own key, to a head whose public key it knows."""

    def __init__(self, key: SigningKey, *, head: PublicKey, challenge: str) -> None:
        self._head = head
        self._secret = X25519PrivateKey.generate()
        half = self._secret.public_key().public_bytes_raw()
        node = key.public.fingerprint
        self.hello = Hello(
            node=node, challenge=challenge, half=half, signature=key.sign(_said(_NODE, node, challenge, half))
        )

    def establish(self, welcome: Welcome) -> SealedChannel:
        """The session. Raises ``AuthorisationError`` where whoever answered does not hold the head's key."""
        if not self._head.verifies(_answered(self.hello, welcome.half), welcome.signature):
            raise AuthorisationError(
                "whoever answered does not hold the record's key that this node trusts (head.pub): nothing is taken "
                "from it"
            )
        return _session(self._secret, welcome.half, self.hello)


def answer(hello: Hello, *, key: SigningKey, node: PublicKey) -> tuple[Welcome, SealedChannel]:
    """The head's answer to a node whose public key it knows, and the session.

    Raises ``AuthorisationError`` where the node does not hold that key.
    """
    if not node.verifies(_said(_NODE, hello.node, hello.challenge, hello.half), hello.signature):
        raise AuthorisationError(f"node {hello.node} does not hold its key: it is given nothing")
    secret = X25519PrivateKey.generate()
    half = secret.public_key().public_bytes_raw()
    return Welcome(half=half, signature=key.sign(_answered(hello, half))), _session(secret, hello.half, hello)


def _session(secret: X25519PrivateKey, other: bytes, hello: Hello) -> SealedChannel:
    shared = secret.exchange(X25519PublicKey.from_public_bytes(other))
    about = _said(_NODE, hello.node, hello.challenge, hello.half)
    return SealedChannel(HKDF(algorithm=SHA256(), length=32, salt=None, info=about).derive(shared))


def _answered(hello: Hello, half: bytes) -> bytes:
    return _said(_HEAD, hello.node, hello.challenge, hello.half + half)


def _said(what: str, node: str, challenge: str, halves: bytes) -> bytes:
    return canonical([what, node, challenge, base64.b64encode(halves).decode("ascii")])


def _about(kind: str, number: int) -> bytes:
    return canonical([kind, number])
