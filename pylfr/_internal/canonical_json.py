"""One way to write a record as bytes, so that a digest or a signature means the same everywhere."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


def canonical(value: Plain) -> bytes:
    """``value`` as JSON in UTF-8: keys in order, no space, no NaN. Raises ``ValueError`` for a number that is none."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Plain) -> str:
    """sha256 of the canonical form, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def utc_text(moment: datetime) -> str:
    """ISO 8601 in UTC to the millisecond: ``2026-01-11T12:00:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
