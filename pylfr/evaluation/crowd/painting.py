"""Pixels of a synthetic crowd: heads with soft edges, turned, lit, blurred by motion, in front of a street."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from pylfr.evaluation.crowd.walk import HEIGHT, WIDTH, Head, Walk
from pylfr.types import UInt8

# A head is taken for an upright cylinder of this radius, as a share of the side of its picture.
_HEAD_RADIUS = 0.38


def make_sprite(head: Head) -> Image.Image:
    """The head with a soft oval edge, so that it stands in the scene without a frame around it."""
    image = Image.fromarray(head.picture)
    side = image.width
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).ellipse((side * 0.1, side * 0.02, side * 0.9, side * 0.98), fill=255)
    image.putalpha(mask.filter(ImageFilter.GaussianBlur(side / 24)))
    return image


def paint_head(frame: UInt8, walk: Walk, number: int) -> None:
    """Paint one head into ``frame``, uint8 [HEIGHT, WIDTH, 3]."""
    left, top, side = walk.place(number)
    x, y = walk.centre(number)
    sprite = walk.sprites[walk.shown(number)].resize((side, side), Image.Resampling.BILINEAR)
    if walk.softness_px:
        sprite = sprite.filter(ImageFilter.GaussianBlur(walk.softness_px))
    pixels = np.asarray(sprite, np.float32)
    if yaw := walk.yaw_deg(number):
        pixels = turn_head(pixels, yaw)
    light = walk.gain * (0.75 + 0.4 * x / WIDTH)
    colour, alpha = pixels[:, :, :3] * light, pixels[:, :, 3:] / 255
    gone = (number - walk.first) / walk.frames
    if walk.occluded is not None and walk.occluded[0] <= gone < walk.occluded[1]:
        # Something held before mouth and chin.
        colour[round(side * 0.56) :] = 70 * light
    if walk.is_hidden(number):
        colour[:] = 60 * light
    speed = abs(x - walk.centre(number - 1)[0]) + abs(y - walk.centre(number - 1)[1]) + 0.02 * side
    taps = int(np.clip(round(0.5 * speed), 1, 7))
    if taps > 1:
        # The shutter is open while the head moves: the mean of shifted pictures, along the greater motion.
        colour = np.mean([np.roll(colour, shift - taps // 2, axis=shift % 2) for shift in range(taps)], axis=0)
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + side, WIDTH), min(top + side, HEIGHT)
    if x2 > x1 and y2 > y1:
        part = (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))
        under = frame[y1:y2, x1:x2]
        blended = under + alpha[part] * (colour[part] - under)
        frame[y1:y2, x1:x2] = np.clip(blended, 0, 255).astype(np.uint8)


def turn_head(pixels: npt.NDArray[np.float32], yaw_deg: float) -> npt.NDArray[np.float32]:
    """The head, float32 [S, S, 4], turned about its upright axis, as a cylinder that wears the photograph.

    What the photograph does not show is its outermost column; the soft edge stays where it is.
    """
    side = pixels.shape[1]
    across = (np.arange(side) + 0.5 - side / 2) / (_HEAD_RADIUS * side)
    on_head = np.abs(across) < 1
    seen = np.clip(np.arcsin(np.clip(across, -1, 1)) - np.radians(yaw_deg), -1.4, 1.4)
    source = np.where(on_head, np.sin(seen), across) * _HEAD_RADIUS * side + side / 2 - 0.5
    source = np.clip(source, 0, side - 1)
    before = np.minimum(source.astype(np.intp), side - 2)
    share = (source - before).astype(np.float32)[None, :, None]
    turned: npt.NDArray[np.float32] = pixels[:, before] * (1 - share) + pixels[:, before + 1] * share
    turned[:, :, 3] = np.where(on_head, pixels[:, :, 3], 0)
    return turned


def make_street(draw: np.random.Generator) -> UInt8:
    """A still, textured background: uint8 [HEIGHT, WIDTH, 3]."""
    coarse = draw.integers(70, 180, (HEIGHT // 60, WIDTH // 60, 3), dtype=np.uint8)
    wide = np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(np.int16)
    street: UInt8 = np.clip(wide + draw.integers(-5, 6, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.uint8)
    return street
