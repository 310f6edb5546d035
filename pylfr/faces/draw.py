"""Faces drawn into their picture: a box, five landmarks and a label for each."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from pylfr._internal.printable import printable
from pylfr.faces.lettering import fit_text
from pylfr.types import Float32, UInt8

_ACCENT = (45, 212, 191)
_LANDMARK = (255, 255, 255)
_SHADOW = (8, 20, 24)
_INK = (6, 24, 28)

# Overlays are drawn larger than they are shown, which smooths their edges; never larger than this.
_SMOOTHING = 4
_MOST_TILE_PX = 4096


def draw_faces(picture: UInt8, boxes: Float32, landmarks: Float32, labels: Sequence[str]) -> Image.Image:
    """``picture``, uint8 [H, W, 3] RGB, with a box, landmarks and a label drawn for each face; it is not changed.

    ``boxes`` float32 [N, 4] xyxy and ``landmarks`` float32 [N, 5, 2] are in its pixels; an empty label draws none.
    Raises ``ValueError`` unless there is a label for each face.
    """
    if len(labels) != len(boxes):
        raise ValueError(f"labels must name each of {len(boxes)} faces, got {len(labels)}; '' draws no label")
    image = Image.fromarray(picture).convert("RGBA")
    width_px = max(1.5, min(image.size) / 320)
    # The best face last, so that no other covers its label.
    for row in reversed(range(len(boxes))):
        _draw_box(image, boxes[row].tolist(), landmarks[row].tolist(), width_px)
    for row in reversed(range(len(boxes))):
        if labels[row]:
            _draw_label(image, boxes[row].tolist(), labels[row], width_px)
    return image.convert("RGB")


def _draw_box(image: Image.Image, box: Sequence[float], landmarks: Sequence[Sequence[float]], width_px: float) -> None:
    margin = round(4 * width_px) + 2
    left, top = int(box[0]) - margin, int(box[1]) - margin
    width, height = int(box[2]) - left + margin, int(box[3]) - top + margin
    factor = max(1, min(_SMOOTHING, _MOST_TILE_PX // max(width, height)))
    tile = Image.new("RGBA", (width * factor, height * factor), (*_ACCENT, 0))
    draw = ImageDraw.Draw(tile)
    x1, y1, x2, y2 = ((value - (left, top)[axis % 2]) * factor for axis, value in enumerate(box))
    radius, line = 0.08 * min(x2 - x1, y2 - y1), width_px * factor
    shadow = (x1 - line / 2, y1 - line / 2, x2 + line / 2, y2 + line / 2)
    draw.rounded_rectangle(shadow, radius + line / 2, outline=(*_SHADOW, 110), width=round(2 * line))
    draw.rounded_rectangle((x1, y1, x2, y2), radius, outline=(*_ACCENT, 255), width=max(1, round(line)))
    dot = max(width_px * 0.9, 0.014 * (box[2] - box[0])) * factor
    for x, y in landmarks:
        centre = ((x - left) * factor, (y - top) * factor)
        _dot(draw, centre, dot * 1.45, (*_SHADOW, 120))
        _dot(draw, centre, dot, (*_LANDMARK, 235))
    small = tile.resize((width, height), Image.Resampling.LANCZOS) if factor > 1 else tile
    _composite(image, small, left, top)


def _draw_label(image: Image.Image, box: Sequence[float], label: str, width_px: float) -> None:
    size = max(11.0, min(image.size) / 34)
    pad = 0.42 * size * _SMOOTHING
    room = image.width * _SMOOTHING - 2 * pad
    label, font = fit_text(printable(label), size_px=round(size * _SMOOTHING), width_px=room)
    x1, _, x2, _ = font.getbbox(label)
    tile = Image.new("RGBA", (round(x2 - x1 + 2 * pad), round(1.55 * size * _SMOOTHING)), (*_ACCENT, 0))
    draw = ImageDraw.Draw(tile)
    draw.rounded_rectangle((0, 0, tile.width - 1, tile.height - 1), 0.28 * tile.height, fill=(*_ACCENT, 240))
    draw.text((pad - x1, tile.height / 2), label, fill=_INK, font=font, anchor="lm")
    pill = tile.resize((max(1, tile.width // _SMOOTHING), max(1, tile.height // _SMOOTHING)), Image.Resampling.LANCZOS)
    left = min(max(0, round(box[0] - width_px / 2)), max(0, image.width - pill.width))
    above = round(box[1] - width_px - 2) - pill.height
    _composite(
        image, pill, left, above if above >= 0 else min(round(box[3] + width_px + 2), image.height - pill.height)
    )


def _dot(draw: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, fill: tuple[int, ...]) -> None:
    x, y = centre
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _composite(image: Image.Image, tile: Image.Image, left: int, top: int) -> None:
    """Lay ``tile`` over ``image`` at that place; what lies outside is cut off."""
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + tile.width, image.width), min(top + tile.height, image.height)
    if x2 > x1 and y2 > y1:
        image.alpha_composite(tile.crop((x1 - left, y1 - top, x2 - left, y2 - top)), (x1, y1))
