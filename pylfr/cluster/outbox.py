"""Alerts on a node until the head has recorded them: sealed, on its disk, through a kill, a crash and a cut."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pylfr._internal.atomic_file import sync_folder, write_whole
from pylfr._internal.canonical_json import Plain
from pylfr._internal.private_folder import make_private_folder
from pylfr.cluster.packed_alert import pack_alert, unpack_alert
from pylfr.errors import AuditError, SinkError, VaultError
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.keys.vault import VaultKey
from pylfr.types import Alert, Event, Recorded

log = logging.getLogger(__name__)

# A draft is not known to be in the engine's log; an alert is.
_DRAFT, _ALERT = ".draft", ".alert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An alert that waits: its id, and what ``unpack_alert`` reads."""

    id: str
    packed: bytes


class Outbox:
    """A ``Sink`` into a folder. Files are sealed under the watchlist's key: they are gone when that is destroyed.

    A draft of each alert is on the disk before the engine's log has it, and waits for the head once the log does. Of a
    draft that a kill has left ``finish_drafts`` makes up for the rest: an alert is never in the log alone.
    """

    def __init__(self, folder: Path, key: VaultKey, *, wake: threading.Event) -> None:
        self._folder = folder
        self._key = key
        self._wake = wake

    def draft(self, alert: Alert) -> None:
        """Store an alert that is about to be logged. Raises ``AuditError`` where that fails: then it must not be."""
        path = self._folder / f"{time.time_ns():020d}-{alert.id}{_DRAFT}"
        try:
            make_private_folder(self._folder)
            write_whole(path, self._key.seal(pack_alert(alert), _about(alert.id)))
        except OSError as error:
            raise AuditError(
                f"alert {alert.id} could not be stored for the head ({error.strerror}): it is not recorded"
            ) from error

    def send(self, recorded: Recorded[Alert]) -> None:
        """The log has it: what was drafted waits for the head."""
        id_ = recorded.value.id
        drafts = [path for path in self._folder.glob(f"*-{id_}{_DRAFT}") if _id_of(path) == id_]
        if not drafts:
            raise SinkError(f"alert {id_} is recorded and was not drafted for the head before")
        self._let_wait(drafts[0])
        self._wake.set()

    def finish_drafts(self, audit: AuditLog) -> None:
        """Log what was drafted and is not in the log, and let it wait for the head. No engine may run meanwhile.

        It was decided under a lease. Raises ``AuditError`` where it cannot be logged.
        """
        for path in sorted(self._folder.glob(f"*{_DRAFT}")):
            waiting = self._opened(path)
            if waiting is None:
                continue
            alert = unpack_alert(waiting.packed)
            was_logged = audit.recorded(alert) is not None
            if not was_logged:
                audit.record(alert)
            log.warning("alert %s was left by an engine that was killed: it goes to the head now", alert.id)
            audit.note(Event(kind="alert-finished-late", details={"alert": alert.id, "was_logged": was_logged}))
            self._let_wait(path)

    def waiting(self, most: int) -> tuple[Waiting, ...]:
        """The oldest alerts that wait, so many at most. One that was changed on the disk is set aside, and said."""
        opened = [self._opened(path) for path in sorted(self._folder.glob(f"*{_ALERT}"))[:most]]
        return tuple(each for each in opened if each is not None)

    def count(self) -> int:
        """How many wait."""
        return sum(1 for _ in self._folder.glob(f"*{_ALERT}"))

    def taken(self, ids: Collection[str]) -> None:
        """The head has recorded these: they need not wait."""
        for path in self._folder.glob(f"*{_ALERT}") if ids else ():
            if _id_of(path) in ids:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """What waits, waits on the disk."""

    def _let_wait(self, draft: Path) -> None:
        # Where a power cut undoes this, the draft is finished by the next start.
        draft.rename(draft.with_suffix(_ALERT))
        sync_folder(self._folder)

    def _opened(self, path: Path) -> Waiting | None:
        id_ = _id_of(path)
        try:
            return Waiting(id=id_, packed=self._key.open(path.read_bytes(), _about(id_)))
        except VaultError:
            aside = path.with_name(f"{path.name}.unreadable")
            path.rename(aside)
            log.error("alert %s was changed on the disk, or sealed under another key: it is kept as %s", id_, aside)
            return None


def _id_of(path: Path) -> str:
    return path.stem.partition("-")[2]


def _about(id_: str) -> Plain:
    return ["cluster outbox", id_]
