"""An alert as it is handed on: what an operator needs, never a template."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

from PIL import Image

from pylfr.errors import SinkError
from pylfr.governance.audit.chain import LogEntry
from pylfr.types import Alert, Recorded, UInt8

_JPEG_QUALITY = 85
# Far more than an alert with its picture needs: what is larger is a mistake, and would fill the queues.
LARGEST_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertMessage:
    """An alert on its way to a destination; times are UTC, ``box`` is xyxy in pixels, scores are cosines.

    It is made of an alert, or later from the alert's entry in the audit log. ``entry`` is then None where nobody can
    tell any more who was matched; ``calibrated`` and ``box`` are None in entries of earlier versions. ``crop_jpeg`` is
    the probe's crop; None where no picture is sent, or there is none any more.
    """

    id: str
    sequence: int
    recorded_at: datetime
    authorisation: str
    camera: str
    captured_at: datetime
    track: int
    entry: str | None
    score: float
    threshold: float
    calibrated: bool | None
    box: tuple[float, ...] | None
    model: str
    watchlist_revision: int
    crop_jpeg: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, recorded: Recorded[Alert], *, pictures: bool = False) -> AlertMessage:
        """An alert that was just recorded."""
        alert = recorded.value
        return cls(
            id=alert.id,
            sequence=recorded.sequence,
            recorded_at=recorded.recorded_at,
            authorisation=alert.authorisation,
            camera=alert.camera,
            captured_at=alert.captured_at,
            track=alert.track_id,
            entry=alert.entry,
            score=alert.score,
            threshold=alert.threshold,
            calibrated=alert.calibrated,
            box=alert.box,
            model=alert.model,
            watchlist_revision=alert.watchlist_revision,
            crop_jpeg=_jpeg(alert.crop) if pictures else None,
        )

    @classmethod
    def of_entry(cls, logged: LogEntry, *, entry: str | None, crop_jpeg: bytes | None = None) -> AlertMessage:
        """An alert from its entry in the audit log, and what the log does not hold: who was matched, and a picture."""
        details = logged.details
        box, calibrated = details.get("box"), details.get("calibrated")
        return cls(
            id=str(details["alert"]),
            sequence=logged.sequence,
            recorded_at=logged.at,
            authorisation=str(details["authorisation"]),
            camera=str(details["camera"]),
            captured_at=datetime.fromisoformat(str(details["captured_at"])),
            track=int(str(details["track"])),
            entry=entry,
            score=float(str(details["score"])),
            threshold=float(str(details["threshold"])),
            calibrated=calibrated if isinstance(calibrated, bool) else None,
            box=tuple(float(side) for side in box.split()) if isinstance(box, str) else None,
            model=str(details["model"]),
            watchlist_revision=int(str(details["watchlist_revision"])),
            crop_jpeg=crop_jpeg,
        )

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        return 1000 + len(self.entry or "") + len(self.crop_jpeg or b"")

    def json(self) -> str:
        """``{"type": "alert", ...}`` on one line, with ``crop_jpeg`` in base64 where there is one."""
        fields: dict[str, object] = {
            "type": "alert",
            "wording": "possible match",
            "id": self.id,
            "camera": self.camera,
            "captured_at": timestamp(self.captured_at),
            "track": self.track,
            "entry": self.entry,
            "score": round(self.score, 4),
            "threshold": round(self.threshold, 4),
            "calibrated": self.calibrated,
            "box": None if self.box is None else [round(side, 1) for side in self.box],
            "model": self.model,
            "watchlist_revision": self.watchlist_revision,
            "authorisation": self.authorisation,
            "sequence": self.sequence,
            "recorded_at": timestamp(self.recorded_at),
        }
        if self.crop_jpeg is not None:
            fields["crop_jpeg"] = base64.b64encode(self.crop_jpeg).decode("ascii")
        return json.dumps(fields, ensure_ascii=False, allow_nan=False)


def alert_json(recorded: Recorded[Alert], *, pictures: bool = False) -> str:
    """An alert as one JSON object on one line; with ``pictures`` it has the probe's crop."""
    return AlertMessage.of(recorded, pictures=pictures).json()


def require_size(body: bytes, failed: str) -> None:
    """Raise ``SinkError``, which begins with what ``failed``, where an alert is larger than any should be."""
    if len(body) > LARGEST_BYTES:
        raise SinkError(
            f"{failed}: it has {len(body):,} bytes, {LARGEST_BYTES:,} are the limit; send it without picture"
        )


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC to the millisecond: ``2026-01-11T12:00:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _jpeg(rgb: UInt8) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
