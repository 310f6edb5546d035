"""An alert as one JSON object: what an operator needs, never a template."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime

from PIL import Image

from pylfr.errors import SinkError
from pylfr.types import Alert, Recorded, UInt8

_JPEG_QUALITY = 85
# Far more than an alert with its picture needs: what is larger is a mistake, and would fill the queues.
LARGEST_BYTES = 4 * 2**20


def alert_json(recorded: Recorded[Alert], *, pictures: bool = False) -> str:
    """``{"type": "alert", ...}`` on one line; times are UTC, ``box`` is xyxy in pixels, ``score`` a cosine.

    With ``pictures`` it has the probe's crop as ``crop_jpeg``, base64.
    """
    alert = recorded.value
    fields: dict[str, object] = {
        "type": "alert",
        "wording": "possible match",
        "id": alert.id,
        "camera": alert.camera,
        "captured_at": timestamp(alert.captured_at),
        "track": alert.track_id,
        "entry": alert.entry,
        "score": round(alert.score, 4),
        "threshold": round(alert.threshold, 4),
        "calibrated": alert.calibrated,
        "box": [round(side, 1) for side in alert.box],
        "model": alert.model,
        "watchlist_revision": alert.watchlist_revision,
        "authorisation": alert.authorisation,
        "sequence": recorded.sequence,
        "recorded_at": timestamp(recorded.recorded_at),
    }
    if pictures:
        fields["crop_jpeg"] = _base64_jpeg(alert.crop)
    return json.dumps(fields, ensure_ascii=False, allow_nan=False)


def require_size(body: bytes, failed: str) -> None:
    """Raise ``SinkError``, which begins with what ``failed``, where an alert is larger than any should be."""
    if len(body) > LARGEST_BYTES:
        raise SinkError(
            f"{failed}: it has {len(body):,} bytes, {LARGEST_BYTES:,} are the limit; send it without picture"
        )


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC to the millisecond: ``2026-01-11T12:00:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _base64_jpeg(rgb: UInt8) -> str:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
