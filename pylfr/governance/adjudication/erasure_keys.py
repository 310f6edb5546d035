"""Keys that expire: once one is destroyed, nothing it encrypted can be read, wherever copies of that have gone.

A database copies what it is given into its write-ahead log, archives, replicas and dumps, out of pylfr's reach. Values
with a time of erasure are therefore encrypted before the database gets them, under a key that expires at the end of the
hour of that time, or at the end of its day where that is more than three days away.
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
# Values erased within this time share one key per hour, later ones one per day: that bounds the number of keys.
_BY_THE_HOUR = timedelta(days=3)
_NAME: Final = "%Y%m%dT%H%M%SZ"
_SEALED: Final = re.compile(r"sealed:(\d{8}T\d{6}Z):([A-Za-z0-9+/=]+)")
_KEY_FILE: Final = re.compile(r"(\d{8}T\d{6}Z)\.key")


class SealedValueError(Exception):
    """A value that cannot be read although its key has not expired: it was changed, or the key is missing."""


class ErasureKeys:
    """A folder of such keys, made as they are needed. Several processes may use it at once.

    Opened keys are cached. An expired one is wiped from memory the next time that anything is sealed, opened or listed.
    """

    def __init__(self, folder: Path, *, passphrase: str | None, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: dict[str, VaultKey] = {}

    def seal(self, value: Plain, about: Plain, *, until: datetime) -> str:
        """``value`` as text that can be read until the end of the hour, or of the day, of ``until``.

        If ``until`` is past, it can be read for an hour at most. Raises ``VaultError`` where no key can be made.
        """
        name = self._name_for(until)
        self._drop_expired()
        key = self._opened_key(name) or self._made_key(name)
        return f"sealed:{name}:{base64.b64encode(key.seal(canonical(value), about)).decode('ascii')}"

    def open(self, text: str, about: Plain) -> Plain:
        """The value sealed in ``text``; None once its key has expired.

        Raises ``SealedValueError`` where it cannot be read although its key has not expired.
        """
        found = _SEALED.fullmatch(text)
        if found is None:
            raise SealedValueError("it is not a sealed value")
        name = found[1]
        self._drop_expired()
        if self._clock() >= _end_of(name):
            return None
        try:
            key = self._opened_key(name)
            if key is None:
                raise SealedValueError(f"its key {name} is missing before its time")
            return parse_json(key.open(base64.b64decode(found[2], validate=True), about))
        except (VaultError, ValueError, binascii.Error) as error:
            raise SealedValueError(str(error)) from error

    def ends(self) -> dict[Path, datetime]:
        """When each key in the folder expires and must be destroyed. Other files are left out."""
        self._drop_expired()
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

    def _drop_expired(self) -> None:
        """Wipe expired keys from memory: destroying the file alone leaves them to a process that runs for weeks."""
        now = self._clock()
        with self._lock:
            self._opened = {name: key for name, key in self._opened.items() if now < _end_of(name)}

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
    """Whether ``text`` from the database is a sealed value."""
    return isinstance(text, str) and _SEALED.fullmatch(text) is not None


def _end_of(name: str) -> datetime:
    try:
        return datetime.strptime(name, _NAME).replace(tzinfo=UTC)
    except ValueError:
        # Not a time, so not a name from here: expired.
        return datetime.min.replace(tzinfo=UTC)
