"""A node's alerts until the head has recorded them: sealed on its disk, through a kill, a crash and a cut."""

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

# A draft may not be in the engine's log yet; an alert is.
_DRAFT, _ALERT = ".draft", ".alert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A queued alert: its id, and the bytes for ``unpack_alert``."""

    id: str
    packed: bytes


class Outbox:
    """A ``Sink`` into a folder. Files are sealed under the watchlist's key: destroying it destroys them.

    Each alert is written as a draft before it enters the engine's log, and queued for the head afterwards. If the
    engine is killed in between, ``finish_drafts`` does the rest, so that no alert is in the log alone.
    """

    def __init__(self, folder: Path, key: VaultKey, *, wake: threading.Event) -> None:
        self._folder = folder
        self._key = key
        self._wake = wake

    def draft(self, alert: Alert) -> None:
        """Store an alert that is about to be logged. Raises ``AuditError`` if that fails: it must not be logged."""
        path = self._folder / f"{time.time_ns():020d}-{alert.id}{_DRAFT}"
        try:
            make_private_folder(self._folder)
            write_whole(path, self._key.seal(pack_alert(alert), _about(alert.id)))
        except OSError as error:
            raise AuditError(
                f"alert {alert.id} could not be stored for the head ({error.strerror}): it is not recorded"
            ) from error

    def send(self, recorded: Recorded[Alert]) -> None:
        """Queue the draft of an alert, now in the log, for the head."""
        id_ = recorded.value.id
        drafts = [path for path in self._folder.glob(f"*-{id_}{_DRAFT}") if _id_of(path) == id_]
        if not drafts:
            raise SinkError(f"alert {id_} is recorded but there is no draft of it for the head")
        try:
            self._queue(drafts[0])
        except OSError as error:
            raise SinkError(
                f"alert {id_} is recorded but could not be queued for the head ({error.strerror}): "
                "the next start queues it"
            ) from error
        self._wake.set()

    def finish_drafts(self, audit: AuditLog) -> None:
        """Log each draft that is not in the log, and queue it for the head. No engine may run meanwhile.

        The alerts were decided under a lease. Raises ``AuditError`` if one cannot be logged or queued.
        """
        for path in sorted(self._folder.glob(f"*{_DRAFT}")):
            waiting = self._opened(path)
            if waiting is None:
                continue
            try:
                alert = unpack_alert(waiting.packed)
            except ValueError:
                self._set_aside(path, "was written by another release")
                continue
            was_logged = audit.recorded(alert) is not None
            if not was_logged:
                audit.record(alert)
            log.warning("alert %s was left by an engine that was killed: it is sent to the head now", alert.id)
            audit.note(Event(kind="alert-finished-late", details={"alert": alert.id, "was_logged": was_logged}))
            try:
                self._queue(path)
            except OSError as error:
                raise AuditError(f"alert {alert.id} could not be queued for the head ({error.strerror})") from error

    def waiting(self, most: int, *, without: Collection[str] = ()) -> tuple[Waiting, ...]:
        """The oldest queued alerts, at most ``most``, but for those with these ids.

        One that was changed on the disk is set aside, and logged.
        """
        queued = [path for path in sorted(self._folder.glob(f"*{_ALERT}")) if _id_of(path) not in without]
        opened = [self._opened(path) for path in queued[:most]]
        return tuple(each for each in opened if each is not None)

    def seal_under(self, key: VaultKey) -> None:
        """Seal all queued alerts anew, under the key that the outbox of this folder has from now on.

        Raises ``OSError`` where that fails; what was sealed anew until then is not sealed again.
        """
        anew = Outbox(self._folder, key, wake=self._wake)
        for path in sorted(self._folder.glob(f"*{_ALERT}")):
            if not anew._opens(path) and (waiting := self._opened(path)) is not None:
                write_whole(path, key.seal(waiting.packed, _about(waiting.id)))

    def count(self) -> int:
        """How many alerts are queued."""
        return sum(1 for _ in self._folder.glob(f"*{_ALERT}"))

    def taken(self, ids: Collection[str]) -> None:
        """Remove alerts that the head has recorded."""
        for path in self._folder.glob(f"*{_ALERT}") if ids else ():
            if _id_of(path) in ids:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is open: queued alerts stay on the disk."""

    def _queue(self, draft: Path) -> None:
        # If a power cut undoes this, the next start finishes the draft.
        draft.rename(draft.with_suffix(_ALERT))
        sync_folder(self._folder)

    def _opened(self, path: Path) -> Waiting | None:
        id_ = _id_of(path)
        try:
            return Waiting(id=id_, packed=self._key.open(path.read_bytes(), _about(id_)))
        except VaultError:
            self._set_aside(path, "was changed on the disk, or sealed under another key")
            return None

    def _opens(self, path: Path) -> bool:
        try:
            self._key.open(path.read_bytes(), _about(_id_of(path)))
        except VaultError:
            return False
        return True

    @staticmethod
    def is_empty(folder: Path) -> bool:
        """Whether nothing waits in this folder."""
        return not any(path.suffix in (_DRAFT, _ALERT) for path in folder.glob("*"))

    @staticmethod
    def _set_aside(path: Path, why: str) -> None:
        aside = path.rename(path.with_name(f"{path.name}.unreadable"))
        log.error("alert %s %s: it is kept as %s", _id_of(path), why, aside)


def _id_of(path: Path) -> str:
    return path.stem.partition("-")[2]


def _about(id_: str) -> Plain:
    return ["cluster outbox", id_]
