"""An alert as bytes, with its pictures as they are: from the node that raised it to the head that records it."""

from __future__ import annotations

import io
import struct
import zlib
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from pydantic import AwareDatetime

from pylfr._internal.strict_json import parse_json
from pylfr._internal.toml_model import ConfigModel
from pylfr.types import Alert, UInt8

_PICTURES = ("crop", "reference", "scene")
# More than any alert needs: a compromised node cannot fill the head's memory.
_LARGEST = 1 << 28
# What numpy and zipfile raise for bytes that are not an archive of arrays.
_DAMAGED = (
    *(KeyError, TypeError, OSError, BadZipFile, EOFError, RuntimeError, NotImplementedError, OverflowError),
    *(zlib.error, struct.error, MemoryError),
)


class _Words(ConfigModel):
    """An alert without its pictures."""

    id: str
    camera: str
    captured_at: AwareDatetime
    track_id: int
    entry: str
    score: float
    threshold: float
    calibrated: bool
    box: tuple[float, float, float, float]
    model: str
    watchlist_revision: int
    authorisation: str


def pack_alert(alert: Alert) -> bytes:
    """The alert as bytes. They hold a name and faces: seal them."""
    words = _Words(**{name: getattr(alert, name) for name in _Words.model_fields}).model_dump_json()
    pictures = {name: getattr(alert, name) for name in _PICTURES if getattr(alert, name) is not None}
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, words=np.frombuffer(words.encode(), np.uint8), **pictures)
    return out.getvalue()


def unpack_alert(content: bytes) -> Alert:
    """The alert that was packed. Raises ``ValueError`` for anything else."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            size = sum(info.file_size for info in file.zip.infolist())
            if size > _LARGEST:
                raise ValueError(f"it unpacks to {size:,} bytes, at most {_LARGEST:,} are expected")
            words = _Words.model_validate(parse_json(file["words"].tobytes()))
            pictures = {name: _picture(name, file[name]) for name in _PICTURES if name in file.files}
        return Alert(
            **{name: getattr(words, name) for name in _Words.model_fields},
            crop=pictures["crop"],
            reference=pictures["reference"],
            scene=pictures.get("scene"),
        )
    except (ValueError, *_DAMAGED) as error:
        raise ValueError(f"it is no packed alert: {error}") from error


def _picture(name: str, array: npt.NDArray[np.generic]) -> UInt8:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(f"{name} must be uint8 [H, W, 3] of at least one pixel, got {array.dtype} {list(array.shape)}")
    return array.astype(np.uint8, copy=False)
