"""Ed25519 keys in files: the officer's, which signs authorisations, and the record's, which signs checkpoints."""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from pylfr._internal.atomic_file import write_new, write_result
from pylfr._internal.regular_file import read_file
from pylfr.errors import AuthorisationError
from pylfr.governance.keys.encrypted_pem import encrypt_pem, require_few_rounds

Key = TypeVar("Key")

_PREFIX = "pylfr-ed25519 "
_LARGEST_FILE = 1 << 16
_ENCRYPTED = b"BEGIN ENCRYPTED PRIVATE KEY"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half of a key that may be shown; ``raw`` is 32 bytes."""

    raw: bytes

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether the owner of the private half signed ``message``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    @property
    def fingerprint(self) -> str:
        """The first 16 hexadecimal digits of the key's sha256: to tell whose it is."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    @property
    def text(self) -> str:
        """The key on one line, as its file holds it."""
        return _PREFIX + base64.b64encode(self.raw).decode("ascii")

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """The key that ``text`` is. Raises ``ValueError`` for anything else."""
        try:
            raw = base64.b64decode(text.strip().removeprefix(_PREFIX), validate=True)
        except binascii.Error as error:
            raise ValueError(f"a public key is '{_PREFIX}' and 44 characters, got {text[:20]!r}") from error
        if not text.startswith(_PREFIX) or len(raw) != 32:
            raise ValueError(f"a public key is '{_PREFIX}' and 44 characters, got {text[:20]!r}")
        return cls(raw)


class SigningKey:
    """The private half. It is read for one command and never copied into another file."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @property
    def public(self) -> PublicKey:
        return PublicKey(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def derived(self, purpose: bytes) -> bytes:
        """A secret of 32 bytes for one purpose, which only the holder of this key can make."""
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(self._key.private_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """The signature of ``message``, 64 bytes."""
        return self._key.sign(message)


def make_key(path: Path, *, passphrase: str | None = None) -> PublicKey:
    """A new key: the private half in ``path``, for its owner alone, the public one beside it with the suffix ``.pub``.

    With ``passphrase`` the private half is encrypted under it, stretched 600,000 times. Each file is whole or not
    there; of a call that was killed between them the public half is made by the next. Raises ``AuthorisationError``
    where there is a file already.
    """
    public = path.with_suffix(".pub")
    if path.exists() and not public.exists():
        return _write_public(public, read_signing_key(path, passphrase=passphrase))
    key = SigningKey(Ed25519PrivateKey.generate())
    if passphrase:
        pem = encrypt_pem(key._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), passphrase)
    else:
        pem = key._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if public.exists():
        raise _not_made(public, FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)))
    try:
        write_new(path, pem)
    except OSError as error:
        raise _not_made(path, error) from error
    return _write_public(public, key)


def _write_public(path: Path, key: SigningKey) -> PublicKey:
    try:
        write_result(path, key.public.text.encode() + b"\n")
    except OSError as error:
        raise _not_made(path, error) from error
    return key.public


def _not_made(path: Path, error: OSError) -> AuthorisationError:
    return AuthorisationError(f"the key {path} cannot be made ({error.strerror}): name a new file")


def read_signing_key(path: Path, *, passphrase: str | None = None) -> SigningKey:
    """The private key in ``path``.

    Raises ``AuthorisationError`` where it is missing, readable for others, damaged, or its passphrase is another.
    """
    try:
        mode = path.stat().st_mode
        content = read_file(path, largest=_LARGEST_FILE)
    except OSError as error:
        raise AuthorisationError(f"the signing key {path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise AuthorisationError(f"the signing key {path} must be its owner's alone (chmod 600), got {mode & 0o777:o}")
    if passphrase is None and _ENCRYPTED in content:
        raise AuthorisationError(f"the signing key {path} is under a passphrase, and none was given")
    try:
        require_few_rounds(content)
    except ValueError as error:
        raise AuthorisationError(f"the signing key {path} is not opened: {error}") from error
    try:
        key = load_pem_private_key(content, passphrase.encode() if passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError) as error:
        raise AuthorisationError(f"the signing key {path} is damaged, or its passphrase is another") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AuthorisationError(f"the signing key {path} must be Ed25519: make one with `pylfr authority keygen`")
    return SigningKey(key)


def is_under_passphrase(path: Path) -> bool:
    """Whether a private key needs a passphrase. Raises ``AuthorisationError`` where it cannot be read."""
    try:
        return _ENCRYPTED in read_file(path, largest=_LARGEST_FILE)
    except OSError as error:
        raise AuthorisationError(f"the signing key {path} cannot be read: {error.strerror}") from error


def read_public_key(path: Path) -> PublicKey:
    """The public key in ``path``. Raises ``AuthorisationError`` where it is missing or is none."""
    return read_key(path, PublicKey.parse)


def read_key(path: Path, parse: Callable[[str], Key]) -> Key:
    """What ``parse`` makes of the line in ``path``. Raises ``AuthorisationError`` where it is missing or is none."""
    try:
        return parse(read_file(path, largest=_LARGEST_FILE).decode().strip())
    except OSError as error:
        raise AuthorisationError(f"the public key {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise AuthorisationError(f"{path}: {error}") from error
