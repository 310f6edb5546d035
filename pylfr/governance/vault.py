"""Encryption at rest under a key with a deadline: when the key is destroyed, what it sealed is gone."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pylfr.errors import VaultError
from pylfr.governance.canonical import Plain, canonical, utc_text

_FORMAT = "pylfr-vault-key-1"
_NONCE_BYTES = 12
_SALT_BYTES = 16
# Interactive strength by RFC 7914's authors: about a tenth of a second and 32 MiB.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**15, 8, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultKey:
    """A key of 256 bits for AES-GCM, and when it must be destroyed. Its text never shows it."""

    secret: bytes = field(repr=False)
    expires_at: datetime

    def seal(self, content: bytes, about: Plain) -> bytes:
        """``content``, encrypted and bound to ``about``: it opens with the same words only."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self.secret).encrypt(nonce, content, canonical(about))

    def open(self, sealed: bytes, about: Plain) -> bytes:
        """What was sealed. Raises ``VaultError`` where it was changed, moved elsewhere, or sealed under another key."""
        try:
            return AESGCM(self.secret).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], canonical(about))
        except (InvalidTag, ValueError) as error:
            raise VaultError("what was sealed cannot be opened: it was changed, or sealed under another key") from error


def make_vault_key(path: Path, *, expires_at: datetime, passphrase: str | None = None) -> VaultKey:
    """A new key in ``path``, for its owner alone; with ``passphrase`` the file alone opens nothing.

    Raises ``VaultError`` where there is a file already.
    """
    key = VaultKey(secret=secrets.token_bytes(32), expires_at=expires_at)
    salt = secrets.token_bytes(_SALT_BYTES)
    kept = key.secret if passphrase is None else _wrapping(passphrase, salt, expires_at).seal(key.secret, _FORMAT)
    record: dict[str, Plain] = {
        "format": _FORMAT,
        "expires_at": utc_text(expires_at),
        "passphrase": passphrase is not None,
        "salt": _text(salt),
        "key": _text(kept),
    }
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        raise VaultError(f"the key {path} cannot be made ({error.strerror}): name a new file") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(canonical(record))
        file.flush()
        os.fsync(file.fileno())
    return key


def read_vault_key(path: Path, *, now: datetime, passphrase: str | None = None) -> VaultKey:
    """The key in ``path``. One whose deadline has passed is destroyed instead, whoever asks.

    Raises ``VaultError`` where it is gone, over, damaged, readable for others, or its passphrase is another.
    """
    expires_at = expiry_of(path)
    if now >= expires_at:
        destroy_key(path)
        raise VaultError(f"the key {path} ended at {utc_text(expires_at)} and is destroyed: what it sealed is gone")
    if path.stat().st_mode & 0o077:
        raise VaultError(f"the key {path} must be its owner's alone: chmod 600")
    record = json.loads(path.read_bytes())
    salt, kept = base64.b64decode(record["salt"]), base64.b64decode(record["key"])
    if record["passphrase"]:
        if passphrase is None:
            raise VaultError(f"the key {path} needs its passphrase")
        kept = _wrapping(passphrase, salt, expires_at).open(kept, _FORMAT)
    return VaultKey(secret=kept, expires_at=expires_at)


def expiry_of(path: Path) -> datetime:
    """When the key in ``path`` must be destroyed. Raises ``VaultError`` where there is no key."""
    try:
        record = json.loads(path.read_bytes())
        if record["format"] != _FORMAT:
            raise ValueError("another format")
        return datetime.fromisoformat(record["expires_at"])
    except FileNotFoundError as error:
        raise VaultError(f"the key {path} does not exist: it was destroyed, or never made") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VaultError(f"the key {path} is damaged: what it sealed cannot be opened") from error


def destroy_key(path: Path) -> None:
    """Overwrite the key and remove it. On flash and on copying file systems old blocks may outlive this."""
    with path.open("r+b") as file:
        file.write(secrets.token_bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def _wrapping(passphrase: str, salt: bytes, expires_at: datetime) -> VaultKey:
    stretched = Scrypt(salt=salt, length=32, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P).derive(passphrase.encode())
    return VaultKey(secret=stretched, expires_at=expires_at)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
