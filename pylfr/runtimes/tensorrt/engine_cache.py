"""Built engines on disk. An engine is code that runs on the GPU, so each is authenticated with this user's key.

An engine is stored under a name that covers everything it depends on, with an HMAC-SHA256 of name and bytes, made with
a key that only this user can read. An engine that does not verify is refused, never silently rebuilt.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from pylfr._internal.atomic_file import write_new, write_whole
from pylfr._internal.private_folder import make_private_folder
from pylfr.errors import ModelError

_KEY_BYTES = 32
_SEAL_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineName:
    """Everything that a built engine depends on. ``target`` is a GPU or compute capability, ``shapes`` the profile."""

    model: str
    library: str
    target: str
    precision: str
    shapes: str

    def __str__(self) -> str:
        return "\n".join((self.model, self.library, self.target, self.precision, self.shapes))

    @property
    def file(self) -> str:
        return hashlib.sha256(str(self).encode()).hexdigest() + ".engine"


class EngineCache:
    """Engines in ``folder``, authenticated with the key in ``key_file``. Neither is touched until it is needed."""

    def __init__(self, folder: Path, key_file: Path) -> None:
        self._folder = folder
        self._key_file = key_file

    def read(self, name: EngineName) -> bytes | None:
        """The engine of that name, or None. Raises ``ModelError`` if it was altered."""
        path = self._folder / name.file
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        seal, engine = content[:_SEAL_BYTES], content[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(name, engine)):
            raise ModelError(f"{path} must carry this user's seal: it was altered, or made by another user; remove it")
        return engine

    def write(self, name: EngineName, engine: bytes) -> None:
        """Store an engine, whole or not at all, readable by this user only."""
        make_private_folder(self._folder)
        write_whole(self._folder / name.file, self._seal(name, engine) + engine)

    def _seal(self, name: EngineName, engine: bytes) -> bytes:
        text = str(name).encode()
        message = len(text).to_bytes(8, "big") + text + engine
        return hmac.digest(self._key(), message, "sha256")

    def _key(self) -> bytes:
        """The user's key, made on first use. Raises ``ModelError`` if others can read it, or it is not a key."""
        if not self._key_file.exists():
            make_private_folder(self._key_file.parent)
            # If another process of this user is first, its key is used.
            with contextlib.suppress(FileExistsError):
                write_new(self._key_file, secrets.token_bytes(_KEY_BYTES))
        status = self._key_file.stat()
        if status.st_mode & 0o077 or status.st_uid != os.geteuid():
            raise ModelError(
                f"{self._key_file} must be owned by this user with mode 600, got {status.st_mode & 0o777:o}"
            )
        key = self._key_file.read_bytes()
        if len(key) != _KEY_BYTES:
            raise ModelError(
                f"{self._key_file} must hold {_KEY_BYTES} bytes, got {len(key)}: remove it and the cached engines"
            )
        return key


def open_engine_cache() -> EngineCache:
    """The cache of this user."""
    return EngineCache(
        platformdirs.user_cache_path("pylfr") / "engines", platformdirs.user_config_path("pylfr") / "engine.key"
    )
