"""Each alert as a picture for the person who decides: the probe beside the reference image."""

from __future__ import annotations

import io
import logging
import re
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pylfr._internal.printable import printable
from pylfr._internal.private_folder import make_private_folder
from pylfr._internal.steady_clock import steady_now
from pylfr.errors import PylfrError, SinkError
from pylfr.faces.lettering import draw_text
from pylfr.governance.authorisation.authority import REHEARSAL
from pylfr.governance.keys.vault import VaultKey
from pylfr.governance.retention.sweeper import write_sealed_together
from pylfr.types import Alert, Recorded, UInt8
from pylfr.video.decoding.image_io import write_jpeg

log = logging.getLogger(__name__)

_TILE_PX = 288
_GAP_PX = 16
_TEXT_PX = 112
_TEXT_TOP = 2 * _GAP_PX + _TILE_PX + 12
_TITLE_PX, _SMALL_PX = 20, 14
_JPEG_QUALITY = 90
_PAPER = (250, 249, 246)
_INK = (24, 24, 27)
_QUIET = (110, 110, 116)
_REHEARSAL_RED = (176, 0, 32)


def draw_evidence(alert: Alert) -> UInt8:
    """The evidence picture, uint8 [H, W, 3] RGB: probe left, reference right, the facts below.

    It says "possible match" and the comparison score, which is a cosine and no percentage.
    """
    sheet = _form().copy()
    draw = ImageDraw.Draw(sheet)
    title, _ = _fonts()
    for place, picture in enumerate([alert.crop, alert.reference]):
        left = _GAP_PX + place * (_TILE_PX + _GAP_PX)
        tile = _fit(picture)
        sheet.paste(tile, (left + (_TILE_PX - tile.width) // 2, _GAP_PX + (_TILE_PX - tile.height) // 2))
    top = _TEXT_TOP
    room = sheet.width - 2 * _GAP_PX
    if alert.authorisation == REHEARSAL:
        room -= round(title.getlength("REHEARSAL")) + _GAP_PX
    entry = f"Possible match: {printable(alert.entry)}"
    draw_text(draw, (_GAP_PX, top), entry, size_px=_TITLE_PX, fill=_INK, width_px=room)
    if alert.authorisation == REHEARSAL:
        draw.text((sheet.width - _GAP_PX, top), "REHEARSAL", fill=_REHEARSAL_RED, font=title, anchor="ra")
    at = alert.captured_at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    certainty = "calibrated" if alert.calibrated else "uncalibrated"
    lines = [
        f"score {alert.score:.3f} (cosine), threshold {alert.threshold:.3f} ({certainty})",
        f"camera {printable(alert.camera)}, track {alert.track_id}, {at} UTC",
    ]
    for line, text in enumerate(lines):
        corner = (_GAP_PX, top + 30 + 19 * line)
        draw_text(draw, corner, text, size_px=_SMALL_PX, fill=_INK, width_px=sheet.width - 2 * _GAP_PX)
    return np.asarray(sheet)


@cache
def _form() -> Image.Image:
    """The sheet with everything that is the same for all alerts, drawn once."""
    sheet = Image.new("RGB", (2 * _TILE_PX + 3 * _GAP_PX, _TILE_PX + _TEXT_PX + 3 * _GAP_PX), _PAPER)
    draw, small = ImageDraw.Draw(sheet), _fonts()[1]
    for place, name in enumerate(["probe", "reference image"]):
        left = _GAP_PX + place * (_TILE_PX + _GAP_PX)
        draw.text((left, _GAP_PX + _TILE_PX + 4), name, fill=_QUIET, font=small)
    prompt = "A prompt, not a decision: a person compares the two pictures."
    draw.text((_GAP_PX, _TEXT_TOP + 30 + 19 * 2), prompt, fill=_QUIET, font=small)
    return sheet


@cache
def _fonts() -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    """The font of the title and the font of the rest."""
    return ImageFont.load_default(size=_TITLE_PX), ImageFont.load_default(size=_SMALL_PX)


class SealedEvidenceSink:
    """Writes the pictures of each alert into a folder, encrypted; the sweeper erases them when their retention ends.

    ``ID`` is the sheet of ``draw_evidence``; ``ID.probe``, ``ID.reference`` and ``ID.scene`` are its parts, which pages
    show without the score.
    """

    def __init__(self, folder: Path, key: VaultKey, retention: timedelta) -> None:
        self._folder = folder
        self._key = key
        self._retention = retention
        # The alert whose pictures were sealed last.
        self._sealed = ""

    def prepare(self, alert: Alert) -> None:
        """Seal the pictures of an alert that is about to be recorded; nobody is shown them before that.

        If that fails, it is logged and ``send`` tries again. Pictures that a kill leaves without an alert are swept.
        """
        try:
            self._seal(alert, steady_now())
        except SinkError as error:
            log.warning("%s; retrying once the alert is recorded", error)

    def send(self, recorded: Recorded[Alert]) -> None:
        if recorded.value.id != self._sealed:
            self._seal(recorded.value, recorded.recorded_at)

    def _seal(self, alert: Alert, recorded_at: datetime) -> None:
        erase_at = min(recorded_at + self._retention, self._key.expires_at)
        pictures = {
            alert.id: draw_evidence(alert),
            f"{alert.id}.probe": alert.crop,
            f"{alert.id}.reference": alert.reference,
        }
        if alert.scene is not None:
            pictures[f"{alert.id}.scene"] = alert.scene
        try:
            files = {name: _jpeg(picture) for name, picture in pictures.items()}
            write_sealed_together(self._folder, files, self._key, erase_at=erase_at)
        except OSError as error:
            raise SinkError(f"the evidence of alert {alert.id} could not be sealed: {error}") from error
        self._sealed = alert.id

    def close(self) -> None:
        """Nothing is queued."""


class EvidenceSink:
    """Writes one JPEG per alert into a folder, whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, recorded: Recorded[Alert]) -> None:
        alert = recorded.value
        at = alert.captured_at.strftime("%Y%m%dT%H%M%S%f")[:-3]
        # Nobody's name: who may list a folder need not be who may open its pictures.
        path = self._folder / f"{at}-{_safe(alert.camera)}-{alert.track_id}-{alert.id[:8]}.jpg"
        try:
            write_jpeg(path, draw_evidence(alert))
        except (OSError, PylfrError) as error:
            raise SinkError(f"the evidence picture {path} cannot be written: {error}") from error

    def close(self) -> None:
        """Nothing is queued."""


def open_sealed_evidence(folder: Path, key: VaultKey, *, retention: timedelta) -> SealedEvidenceSink:
    """A sink that seals pictures into ``folder`` for at most ``retention``. Raises ``SinkError`` where that fails."""
    open_evidence(folder)
    return SealedEvidenceSink(folder, key, retention)


def open_evidence(folder: Path) -> EvidenceSink:
    """A sink that writes into ``folder``, created for its owner alone where it is missing.

    Raises ``SinkError`` where that fails.
    """
    try:
        make_private_folder(folder)
    except OSError as error:
        raise SinkError(f"the evidence folder {folder} cannot be created: {error.strerror}") from error
    return EvidenceSink(folder)


def _jpeg(picture: UInt8) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=_JPEG_QUALITY)
    return out.getvalue()


def _fit(picture: UInt8) -> Image.Image:
    """The picture scaled to fit a tile, its aspect ratio preserved."""
    factor = _TILE_PX / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    return Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)


def _safe(text: str) -> str:
    """The text as a part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", text)[:60] or "_"
