"""An alert as bytes, with its pictures as they are: from the node that raised it to the head that records it."""

from __future__ import annotations

import io
import json
from datetime import datetime
from zipfile import BadZipFile

import numpy as np

from pylfr.types import Alert

_PICTURES = ("crop", "reference", "scene")
_WORDS = (
    "id", "camera", "track_id", "entry", "score", "threshold", "calibrated", "box", "model", "watchlist_revision",
    "authorisation",
)  # fmt: skip


def pack_alert(alert: Alert) -> bytes:
    """The alert as bytes. They hold a name and faces: seal them."""
    words = {name: getattr(alert, name) for name in _WORDS} | {"captured_at": alert.captured_at.isoformat()}
    pictures = {name: getattr(alert, name) for name in _PICTURES if getattr(alert, name) is not None}
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, words=np.frombuffer(json.dumps(words).encode(), np.uint8), **pictures)
    return out.getvalue()


def unpack_alert(content: bytes) -> Alert:
    """The alert that was packed. Raises ``ValueError`` for anything else."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            words = json.loads(file["words"].tobytes())
            pictures = {name: file[name] for name in _PICTURES if name in file.files}
        moment, box = datetime.fromisoformat(words.pop("captured_at")), tuple(words.pop("box"))
        return Alert(captured_at=moment, box=box, **words, **pictures)
    except (KeyError, TypeError, OSError, BadZipFile) as error:
        raise ValueError(f"it is no packed alert: {error}") from error
