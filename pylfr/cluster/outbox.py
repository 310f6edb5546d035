"""Alerts on a node until the head has recorded them: sealed, on its disk, through a crash and a cut."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pylfr._internal.atomic_file import write_whole
from pylfr._internal.canonical_json import Plain
from pylfr._internal.private_folder import make_private_folder
from pylfr.cluster.packed_alert import pack_alert
from pylfr.errors import SinkError, VaultError
from pylfr.governance.keys.vault import VaultKey
from pylfr.types import Alert, Recorded

_SUFFIX = ".alert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An alert that waits: its id, and what ``unpack_alert`` reads."""

    id: str
    packed: bytes


class Outbox:
    """A ``Sink`` into a folder. Files are sealed under the watchlist's key: they are gone when that is destroyed."""

    def __init__(self, folder: Path, key: VaultKey, *, wake: threading.Event) -> None:
        self._folder = folder
        self._key = key
        self._wake = wake

    def send(self, recorded: Recorded[Alert]) -> None:
        alert = recorded.value
        name = f"{time.time_ns():020d}-{alert.id}{_SUFFIX}"
        try:
            make_private_folder(self._folder)
            write_whole(self._folder / name, self._key.seal(pack_alert(alert), _about(alert.id)))
        except OSError as error:
            raise SinkError(f"alert {alert.id} could not be stored for the head: {error}") from error
        self._wake.set()

    def waiting(self, most: int) -> tuple[Waiting, ...]:
        """The oldest alerts that wait, so many at most. One that was changed on the disk is left there."""
        found = []
        for path in sorted(self._folder.glob(f"*{_SUFFIX}"))[:most]:
            id_ = _id_of(path)
            try:
                found.append(Waiting(id=id_, packed=self._key.open(path.read_bytes(), _about(id_))))
            except VaultError:
                path.replace(path.with_suffix(".unreadable"))
        return tuple(found)

    def count(self) -> int:
        """How many wait."""
        return sum(1 for _ in self._folder.glob(f"*{_SUFFIX}"))

    def taken(self, ids: Collection[str]) -> None:
        """The head has recorded these: they need not wait."""
        for path in self._folder.glob(f"*{_SUFFIX}") if ids else ():
            if _id_of(path) in ids:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """What waits, waits on the disk."""


def _id_of(path: Path) -> str:
    return path.name.removesuffix(_SUFFIX).partition("-")[2]


def _about(id_: str) -> Plain:
    return ["cluster outbox", id_]
