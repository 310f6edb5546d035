"""The keys with which people decide: Ed25519 in a file or a browser, or a key that never leaves its security key."""

from __future__ import annotations

import base64
from pathlib import Path

from pylfr.governance.keys import webauthn
from pylfr.governance.keys.keys import PublicKey, read_key
from pylfr.governance.keys.webauthn import WebAuthnKey

PersonKey = PublicKey | WebAuthnKey


def parse_person_key(text: str) -> PersonKey:
    """The key in ``text``. Raises ``ValueError`` for anything else."""
    return WebAuthnKey.parse(text) if text.startswith(webauthn.PREFIX) else PublicKey.parse(text)


def read_person_key(path: Path) -> PersonKey:
    """The public key in ``path``. Raises ``AuthorisationError`` if it is missing or malformed."""
    return read_key(path, parse_person_key)


def verifies(key: PersonKey, message: bytes, signature: str) -> bool:
    """Whether the key's owner signed ``message``; ``signature`` is base64, or the text of an ``Assertion``."""
    if isinstance(key, WebAuthnKey):
        return key.verifies(message, signature)
    try:
        return key.verifies(message, base64.b64decode(signature, validate=True))
    except ValueError:
        return False
