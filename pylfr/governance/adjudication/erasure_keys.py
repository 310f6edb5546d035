"""Keys that end: what they encrypted can be read by nobody once they are destroyed, wherever it was copied by then.

A database copies what it is given: into its write-ahead log, archives, replicas and dumps, out of pylfr's reach. Values
that must be erased at a time are therefore encrypted before it gets them, under a key of this folder that ends with the
hour in which that time is, or with the day where it is further away.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pylfr._internal.canonical_json import Plain, canonical
from pylfr._internal.private_folder import make_private_folder
from pylfr._internal.strict_json import parse_json
from pylfr.errors import VaultError
from pylfr.governance.keys.vault import VaultKey, open_or_make_vault_key, read_vault_key

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
# Values that end within so long share a key by the hour; later ones by the day, so that there are not too many keys.
_BY_THE_HOUR = timedelta(days=3)
_NAME: Final = "%Y%m%dT%H%M%SZ"
_SEALED: Final = re.compile(r"sealed:(\d{8}T\d{6}Z):([A-Za-z0-9+/=]+)")
_KEY_FILE: Final = re.compile(r"(\d{8}T\d{6}Z)\.key")


class SealedValueError(Exception):
    """A value that cannot be read, though its key has not ended: it was changed, or the key is gone."""


class ErasureKeys:
    """A folder of such keys, made as they are needed. Several processes may use it at once."""

    def __init__(self, folder: Path, *, passphrase: str | None, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: dict[str, VaultKey] = {}

    def seal(self, value: Plain, about: Plain, *, until: datetime) -> str:
        """``value`` as a text that can be read until the hour, or the day, of ``until`` has ended.

        One whose time has come already can be read for an hour at most. Raises ``VaultError`` where no key can be made.
        """
        name = self._name_for(until)
        key = self._opened_key(name) or self._made_key(name)
        return f"sealed:{name}:{base64.b64encode(key.seal(canonical(value), about)).decode('ascii')}"

    def open(self, text: str, about: Plain) -> Plain:
        """What was sealed in ``text``; None where its key has ended, so that nobody knows.

        Raises ``SealedValueError`` where it cannot be read though its key has not.
        """
        found = _SEALED.fullmatch(text)
        if found is None:
            raise SealedValueError("it is no sealed value")
        name = found[1]
        if self._clock() >= _end_of(name):
            return None
        try:
            key = self._opened_key(name)
            if key is None:
                raise SealedValueError(f"its key {name} is gone before its time")
            return parse_json(key.open(base64.b64decode(found[2], validate=True), about))
        except (VaultError, ValueError, binascii.Error) as error:
            raise SealedValueError(str(error)) from error

    def ends(self) -> dict[Path, datetime]:
        """When each key that there is ends, and must be destroyed. Other files of the folder are not among them."""
        names = [(path, _KEY_FILE.fullmatch(path.name)) for path in sorted(self._folder.glob("*.key"))]
        return {path: _end_of(found[1]) for path, found in names if found is not None}

    def _name_for(self, until: datetime) -> str:
        now = self._clock()
        latest = max(until, now).astimezone(UTC)
        span = _HOUR if latest - now <= _BY_THE_HOUR else _DAY
        begun = latest.replace(minute=0, second=0, microsecond=0)
        if span == _DAY:
            begun = begun.replace(hour=0)
        return f"{begun + span:{_NAME}}"

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.key"

    def _opened_key(self, name: str) -> VaultKey | None:
        with self._lock:
            if name not in self._opened:
                if not self._path(name).exists():
                    return None
                self._opened[name] = read_vault_key(self._path(name), now=self._clock(), passphrase=self._passphrase)
            return self._opened[name]

    def _made_key(self, name: str) -> VaultKey:
        try:
            make_private_folder(self._folder)
        except OSError as error:
            raise VaultError(f"the folder of keys {self._folder} cannot be made ({error.strerror})") from error
        with self._lock:
            made = self._opened[name] = open_or_make_vault_key(
                self._path(name), now=self._clock(), expires_at=_end_of(name), passphrase=self._passphrase
            )
        return made


def is_sealed(text: str | None) -> bool:
    """Whether a text of the database is encrypted so."""
    return isinstance(text, str) and _SEALED.fullmatch(text) is not None


def _end_of(name: str) -> datetime:
    try:
        return datetime.strptime(name, _NAME).replace(tzinfo=UTC)
    except ValueError:
        # A name that is no time was not made here: it is over.
        return datetime.min.replace(tzinfo=UTC)
