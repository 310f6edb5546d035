"""Encryption at rest under a key with a deadline: when the key is destroyed, what it sealed is gone."""

from __future__ import annotations

import base64
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pylfr._internal.atomic_file import write_new
from pylfr._internal.canonical_json import Plain, canonical, utc_text
from pylfr._internal.regular_file import reading_file
from pylfr._internal.strict_json import moment_of, parse_json, parse_object, text_of
from pylfr.errors import VaultError
from pylfr.governance.keys.keyring import find_key, forget_key, keep_key
from pylfr.governance.keys.memory import LockedSecret

KeyPlace = Literal["the kernel's keyring", "a file under a passphrase", "a file in the open"]

# What a key of the first format sealed is not bound to the key's deadline; it can still be opened.
_FORMAT_1, _FORMAT = "pylfr-vault-key-1", "pylfr-vault-key-2"
# How a key's file begins, and how one that is being destroyed does.
_BEGINS, _DESTROYED = b'{"expires_at":"', b"pylfr-vault-key destroyed "
_LARGEST_BYTES = 64 * 1024
_NONCE_BYTES = 12
_SALT_BYTES = 16
# Interactive strength by RFC 7914's authors: about a tenth of a second and 32 MiB.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**15, 8, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultKey:
    """A key of 256 bits for AES-GCM, in locked memory, and when it must be destroyed. Its text never shows it.

    What it seals is bound to that deadline: under a later one, which somebody wrote into its file, nothing opens.
    ``binds_deadline`` is False for keys of the first format.
    """

    secret: LockedSecret = field(repr=False)
    expires_at: datetime
    binds_deadline: bool = True

    def seal(self, content: bytes, about: Plain) -> bytes:
        """``content``, encrypted and bound to ``about`` and to the deadline: it opens with the same words only."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self.secret.view).encrypt(nonce, content, self._bound(about))

    def open(self, sealed: bytes, about: Plain) -> bytes:
        """What was sealed.

        Raises ``VaultError`` where it was changed, moved elsewhere, or sealed under another key or another deadline.
        """
        try:
            return AESGCM(self.secret.view).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._bound(about))
        except (InvalidTag, ValueError) as error:
            raise VaultError(
                "what was sealed cannot be opened: it was changed, it was sealed under another key, or the key's "
                "deadline was changed"
            ) from error

    def _bound(self, about: Plain) -> bytes:
        return canonical([about, {"key_expires_at": utc_text(self.expires_at)}] if self.binds_deadline else about)


def make_vault_key(
    path: Path, *, expires_at: datetime, passphrase: str | None = None, in_keyring_for_s: float | None = None
) -> VaultKey:
    """A new key in ``path``, whole or not at all, for its owner alone; with ``passphrase`` it alone opens nothing.

    With ``in_keyring_for_s`` the file holds no key but the name of one that the kernel holds in memory for so many
    seconds: after that, or a restart of the machine, nobody has it. Raises ``VaultError`` where there is a file
    already, or the kernel stores no keys.
    """
    key = VaultKey(secret=LockedSecret.random(32), expires_at=expires_at)
    salt = secrets.token_bytes(_SALT_BYTES)
    name = None
    if in_keyring_for_s is not None:
        if passphrase is not None:
            raise ValueError("a key is kept in the keyring or under a passphrase: give one")
        name, kept = f"pylfr:{secrets.token_hex(16)}", b""
    else:
        plain = bytes(key.secret.view)
        kept = plain if passphrase is None else _wrapping(passphrase, salt, expires_at).seal(plain, _FORMAT)
    record: dict[str, Plain] = {
        "format": _FORMAT,
        "expires_at": utc_text(expires_at),
        "passphrase": passphrase is not None,
        "keyring": name,
        "salt": _text(salt),
        "key": _text(kept),
    }
    if name is not None and in_keyring_for_s is not None:
        # Before its file: a file never names a key that nobody has.
        keep_key(name, key.secret, seconds=in_keyring_for_s)
    try:
        write_new(path, canonical(record))
    except OSError as error:
        if name is not None:
            forget_key(name)
        raise VaultError(f"the key {path} cannot be made ({error.strerror}): name a new file") from error
    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultKeyFile:
    """A key's file as it was read: when its key expires and where that is kept. The key itself is not opened yet."""

    path: Path
    expires_at: datetime
    place: KeyPlace
    keyring: str | None
    salt: bytes = field(repr=False)
    content: bytes = field(repr=False)
    is_private: bool
    format: str = _FORMAT

    def open(self, *, now: datetime, passphrase: str | None = None) -> VaultKey:
        """The key. One whose deadline has passed is destroyed instead, whoever asks.

        Raises ``VaultError`` where it is gone, over, readable for others, or its passphrase is another.
        """
        path, expires_at, binds_deadline = self.path, self.expires_at, self.format != _FORMAT_1
        if now >= expires_at:
            destroy_key(path)
            raise VaultError(f"the key {path} ended at {utc_text(expires_at)} and is destroyed: what it sealed is gone")
        if not self.is_private:
            raise VaultError(f"the key {path} must be its owner's alone: chmod 600")
        if self.keyring is not None:
            secret = find_key(self.keyring)
            if secret is None:
                raise VaultError(
                    f"the key {path} was kept in the kernel's keyring and is gone: its time came, the machine was "
                    "started anew, or another user asks; what it sealed cannot be opened"
                )
            return VaultKey(secret=secret, expires_at=expires_at, binds_deadline=binds_deadline)
        content = self.content
        if self.place == "a file under a passphrase":
            if passphrase is None:
                raise VaultError(f"the key {path} needs its passphrase")
            wrapping = replace(_wrapping(passphrase, self.salt, expires_at), binds_deadline=binds_deadline)
            try:
                content = wrapping.open(content, self.format)
            except VaultError as error:
                raise VaultError(
                    f"the key {path} cannot be opened: its passphrase is another, the file was changed, or the key's "
                    "deadline was changed"
                ) from error
        return VaultKey(secret=LockedSecret.copy_of(content), expires_at=expires_at, binds_deadline=binds_deadline)


def read_key_file(path: Path) -> VaultKeyFile:
    """The file of a key, read once. Raises ``VaultError`` where there is no key."""
    try:
        with reading_file(path) as file:
            mode = os.fstat(file.fileno()).st_mode
            record = parse_object(file.read(_LARGEST_BYTES + 1))
        format_, keyring = text_of(record.get("format"), "format"), record.get("keyring")
        if format_ not in (_FORMAT, _FORMAT_1):
            raise ValueError(f"it has the format {format_[:40]!r}")
        place: KeyPlace = "a file under a passphrase" if record.get("passphrase") else "a file in the open"
        return VaultKeyFile(
            path=path,
            expires_at=moment_of(record.get("expires_at"), "expires_at"),
            place=place if keyring is None else "the kernel's keyring",
            keyring=None if keyring is None else text_of(keyring, "keyring"),
            salt=base64.b64decode(text_of(record.get("salt"), "salt")),
            content=base64.b64decode(text_of(record.get("key"), "key")),
            is_private=not mode & 0o077,
            format=format_,
        )
    except FileNotFoundError as error:
        raise VaultError(f"the key {path} does not exist: it was destroyed, or never made") from error
    except (OSError, ValueError) as error:
        raise VaultError(f"the key {path} is damaged ({error}): what it sealed cannot be opened") from error


def place_of(path: Path) -> KeyPlace:
    """Where the key behind ``path`` is stored. Raises ``VaultError`` where there is none."""
    return read_key_file(path).place


def read_vault_key(path: Path, *, now: datetime, passphrase: str | None = None) -> VaultKey:
    """The key in ``path``, as ``VaultKeyFile.open``. Raises ``VaultError`` also where it is damaged."""
    return read_key_file(path).open(now=now, passphrase=passphrase)


def open_or_make_vault_key(
    path: Path, *, now: datetime, expires_at: datetime, passphrase: str | None = None
) -> VaultKey:
    """The key in ``path``; where there is none, one is made that expires at ``expires_at``. Safe for several processes.

    Raises ``VaultError`` as ``read_vault_key`` and ``make_vault_key``.
    """
    if not path.exists():
        try:
            return make_vault_key(path, expires_at=expires_at, passphrase=passphrase)
        except VaultError:
            # Another process made it at the same time: both use that one.
            if not path.exists():
                raise
    return read_vault_key(path, now=now, passphrase=passphrase)


def destroy_key(path: Path) -> None:
    """Overwrite the key and remove it, from the keyring too; nothing where somebody else has just done so.

    On flash and copying file systems blocks may remain. Raises ``VaultError`` for anything that is no key of pylfr's,
    which is left as it is: a setting that names another file by mistake destroys nothing.
    """
    try:
        # Neither a link nor a pipe is followed or waited for.
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    except OSError as error:
        raise VaultError(f"{path} is no key of pylfr's ({error.strerror}): it is left as it is") from error
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        os.close(descriptor)
        raise VaultError(f"{path} is no key of pylfr's but a pipe or a device: it is left as it is")
    with os.fdopen(descriptor, "r+b") as file:
        content = file.read(_LARGEST_BYTES + 1)
        if not _is_key(content):
            raise VaultError(f"{path} is no key of pylfr's: it is left as it is")
        name = _keyring_name(content)
        if name is not None:
            forget_key(name)
        # What a kill leaves behind between these two steps is still known for a key, and goes with the next sweep.
        blank = max(0, state.st_size - len(_DESTROYED))
        file.seek(0)
        file.write(_DESTROYED + secrets.token_hex(blank // 2 + 1).encode()[:blank])
        file.flush()
        os.fsync(descriptor)
        with suppress(FileNotFoundError):
            path.unlink()


def _is_key(content: bytes) -> bool:
    """Whether this is a key's file: whole, cut off while it was written, or being destroyed."""
    try:
        record = parse_json(content)
    except ValueError:
        return len(content) <= _LARGEST_BYTES and content.startswith((_DESTROYED, _BEGINS))
    return isinstance(record, dict) and record.get("format") in (_FORMAT, _FORMAT_1)


def _keyring_name(content: bytes) -> str | None:
    try:
        record = parse_json(content)
    except ValueError:
        return None
    name = record.get("keyring") if isinstance(record, dict) else None
    return name if isinstance(name, str) else None


def _wrapping(passphrase: str, salt: bytes, expires_at: datetime) -> VaultKey:
    stretched = Scrypt(salt=salt, length=32, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P).derive(passphrase.encode())
    return VaultKey(secret=LockedSecret.copy_of(stretched), expires_at=expires_at)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
