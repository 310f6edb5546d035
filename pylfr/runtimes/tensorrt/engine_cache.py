"""Built engines on disk. Whoever can write an engine can run code on the GPU, so each is authenticated by this user.

An engine is kept under a name that says all that it depends on, and with it an HMAC-SHA256 of name and bytes, made with
a key that only this user can read. What does not verify is refused, never rebuilt in silence.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from pylfr.errors import ModelError

_KEY_BYTES = 32
_SEAL_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineName:
    """All that a built engine depends on. ``target`` is a GPU or a compute capability, ``shapes`` the profile."""

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
    """Engines in ``folder``, authenticated with the key in ``key_file``. Neither is touched before it is needed."""

    def __init__(self, folder: Path, key_file: Path) -> None:
        self._folder = folder
        self._key_file = key_file

    def read(self, name: EngineName) -> bytes | None:
        """The engine of that name; None where there is none. Raises ``ModelError`` where it was altered."""
        path = self._folder / name.file
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        seal, engine = content[:_SEAL_BYTES], content[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(name, engine)):
            raise ModelError(f"{path} must carry this user's seal: it was altered or made by another; remove it")
        return engine

    def write(self, name: EngineName, engine: bytes) -> None:
        """Keep an engine, whole or not at all, readable by this user only."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_whole(self._folder / name.file, self._seal(name, engine) + engine)

    def _seal(self, name: EngineName, engine: bytes) -> bytes:
        text = str(name).encode()
        message = len(text).to_bytes(8, "big") + text + engine
        return hmac.digest(self._key(), message, "sha256")

    def _key(self) -> bytes:
        """The key of this user, made on first use. Raises ``ModelError`` where others can read it or it is no key."""
        if not self._key_file.exists():
            self._key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Where another process of this user is first, its key is the key.
            with contextlib.suppress(FileExistsError):
                _write_whole(self._key_file, secrets.token_bytes(_KEY_BYTES), is_new=True)
        status = self._key_file.stat()
        if status.st_mode & 0o077 or status.st_uid != os.geteuid():
            raise ModelError(f"{self._key_file} must be this user's and mode 600, got {status.st_mode & 0o777:o}")
        key = self._key_file.read_bytes()
        if len(key) != _KEY_BYTES:
            raise ModelError(
                f"{self._key_file} must hold {_KEY_BYTES} bytes, got {len(key)}: remove it and the engines"
            )
        return key


def open_engine_cache() -> EngineCache:
    """The cache of this user."""
    return EngineCache(
        platformdirs.user_cache_path("pylfr") / "engines", platformdirs.user_config_path("pylfr") / "engine.key"
    )


def _write_whole(path: Path, content: bytes, *, is_new: bool = False) -> None:
    """``path`` with ``content``, mode 600, in one step. Raises ``FileExistsError`` where it must be new and is not."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".arriving-")
    arriving = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            path.hardlink_to(arriving)
        else:
            arriving.replace(path)
    finally:
        arriving.unlink(missing_ok=True)
