"""Audit before alert: the only place that makes ``Recorded`` values."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from pylfr.errors import AuditError
from pylfr.types import Alert, Recorded


class RehearsalAudit:
    """Counts, and keeps nothing: a rehearsal on recorded material leaves no record behind."""

    def __init__(self) -> None:
        self._sequence = 0

    def record(self, alert: Alert) -> Recorded[Alert]:
        self._sequence += 1
        return Recorded(value=alert, sequence=self._sequence, recorded_at=datetime.now(UTC))

    def close(self) -> None:
        """Nothing is held."""


class JournalAudit:
    """One JSON object a line, on disk before ``record`` returns. It holds digests of pictures, never a face."""

    def __init__(self, path: Path, descriptor: int, sequence: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._sequence = sequence

    def record(self, alert: Alert) -> Recorded[Alert]:
        recorded = Recorded(value=alert, sequence=self._sequence + 1, recorded_at=datetime.now(UTC))
        line = json.dumps(_entry(recorded), separators=(",", ":")).encode() + b"\n"
        begun_at = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            if os.write(self._descriptor, line) != len(line):
                raise OSError("the line was cut short")
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, begun_at)
            raise AuditError(f"the audit record {self._path} cannot be written ({error}): recognition stops") from error
        self._sequence += 1
        return recorded

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_journal(path: Path) -> JournalAudit:
    """The journal at ``path``, made where there is none. Raises ``AuditError`` where it is damaged or out of reach."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise AuditError(
            f"the audit record {path} cannot be opened ({error.strerror}): give a folder to write in"
        ) from error
    sequence = 0
    content = path.read_bytes()
    # A last line without its end was never acknowledged: the process died while it wrote.
    whole = content.rfind(b"\n") + 1
    os.ftruncate(descriptor, whole)
    for number, line in enumerate(content[:whole].splitlines(), start=1):
        try:
            sequence = int(json.loads(line)["sequence"])
        except (ValueError, KeyError, TypeError) as error:
            os.close(descriptor)
            raise AuditError(f"line {number} of {path} is damaged: keep that file and begin another") from error
    return JournalAudit(path, descriptor, sequence)


def _entry(recorded: Recorded[Alert]) -> dict[str, object]:
    """What the record holds of an alert: who was matched when and where, and digests of the pictures."""
    alert = recorded.value
    return {
        "sequence": recorded.sequence,
        "recorded_at": recorded.recorded_at.isoformat(timespec="milliseconds"),
        "alert": alert.id,
        "camera": alert.camera,
        "captured_at": alert.captured_at.isoformat(timespec="milliseconds"),
        "track": alert.track_id,
        "entry": alert.entry,
        "score": round(alert.score, 6),
        "threshold": alert.threshold,
        "model": alert.model,
        "watchlist_revision": alert.watchlist_revision,
        "authorisation": alert.authorisation,
        "crop_sha256": hashlib.sha256(alert.crop.tobytes()).hexdigest(),
    }
