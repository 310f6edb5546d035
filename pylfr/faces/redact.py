"""Redaction: every face but one is filled opaque, because blur and mosaic can be undone.

Filled is whatever the detector found, down to ``NEAR_SHARE`` of its threshold: a half-hidden face that is too weak to
be followed, and one over the limit on faces of a frame, are people all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pylfr import ops
from pylfr.types import Float32, Frame, UInt8

# Share of a detector's own threshold from which on a picture is filled. On the test footage, with YuNet and SCRFD, it
# adds no box where people are near, two to every three frames where they are far, one at most to a frame without any.
NEAR_SHARE = 0.25

# The fill covers hair and chin too: a detector's box ends at the forehead.
_FILL_MARGIN = 0.35
_FILL_GREY = 96


def fill_faces(picture: UInt8, boxes: Float32, *, keep: Sequence[float] | None = None) -> None:
    """Fill the ``boxes``, float32 [N, 4] xyxy pixels, of ``picture``, uint8 [H, W, 3], in place and opaque.

    Where a filled box overlaps the box ``keep``, that face stays visible inside its own box.
    """
    height, width = picture.shape[:2]
    kept = None
    if keep is not None:
        left, top, right, bottom = _pixels(np.asarray(keep, np.float32), width, height)
        kept = picture[top:bottom, left:right].copy()
    for box in boxes:
        margin = _FILL_MARGIN * np.array([box[2] - box[0], box[3] - box[1]], np.float32)
        left_f, top_f, right_f, bottom_f = _pixels(
            np.concatenate([box[:2] - margin, box[2:] + margin]).astype(np.float32), width, height
        )
        picture[top_f:bottom_f, left_f:right_f] = _FILL_GREY
    if kept is not None:
        picture[top:bottom, left:right] = kept


def evidence_crop(frame: Frame, shown: Float32, detected: Float32, *, side_px: int = 256) -> UInt8:
    """The face in the box ``shown`` with a margin around it, uint8 [side_px, side_px, 3] RGB.

    ``detected`` float32 [N, 4] is whatever may be a face in ``frame``: all but ``shown``, float32 [4], is filled
    opaque. The crop is sampled straight from the frame's planes and black outside the frame.
    """
    x1, y1, x2, y2 = shown.tolist()
    span = 1.7 * max(x2 - x1, y2 - y1, 1.0)
    left, top = (x1 + x2 - span) / 2, (y1 + y2 - span) / 2
    step = span / side_px
    # Pixel centres: crop pixel 0 covers [left, left + step], its centre is half a step in, minus half a source pixel.
    to_frame = np.array(
        [[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]],
        np.float32,
    )
    crop = ops.crop_rgb(frame, to_frame, width=side_px, height=side_px)
    corner = np.array([left, top, left, top], np.float32)
    filled = (others_than(shown, detected) - corner) / np.float32(step)
    fill_faces(crop, filled, keep=((shown - corner) / np.float32(step)).tolist())
    return crop


def scene_shot(frame: Frame, shown: Float32, detected: Float32, *, longest_px: int = 960) -> UInt8:
    """The whole of ``frame``, its longer side at most ``longest_px``, uint8 [H, W, 3] RGB; filled as in a crop."""
    scene, step = _scaled_down(frame, longest_px)
    fill_faces(scene, others_than(shown, detected) / np.float32(step), keep=(shown / np.float32(step)).tolist())
    return scene


def others_than(shown: Float32, detected: Float32) -> Float32:
    """The boxes of ``detected``, float32 [N, 4], but ``shown``, float32 [4]."""
    others: Float32 = detected[(detected != shown).any(axis=1)]
    return others


def covered_scene(frame: Frame, boxes: Float32, *, longest_px: int = 640) -> UInt8:
    """The whole of ``frame`` with every face filled opaque, uint8 [H, W, 3] RGB.

    ``boxes`` float32 [N, 4] are all that may be a face. The longer side has at most ``longest_px``.
    """
    scene, step = _scaled_down(frame, longest_px)
    fill_faces(scene, boxes / np.float32(step))
    return scene


def _scaled_down(frame: Frame, longest_px: int) -> tuple[UInt8, float]:
    """The whole of ``frame`` as RGB, its longer side at most ``longest_px``, and how many pixels became one."""
    step = max(1.0, max(frame.width, frame.height) / longest_px)
    to_frame = np.array([[step, 0, step / 2 - 0.5], [0, step, step / 2 - 0.5]], np.float32)
    return ops.crop_rgb(frame, to_frame, width=round(frame.width / step), height=round(frame.height / step)), step


def _pixels(box: Float32, width: int, height: int) -> tuple[int, int, int, int]:
    """The whole pixels covered by a box, clipped to the picture."""
    left, top = np.floor(box[:2]).astype(int).tolist()
    right, bottom = np.ceil(box[2:]).astype(int).tolist()
    return (
        min(max(left, 0), width),
        min(max(top, 0), height),
        min(max(right, 0), width),
        min(max(bottom, 0), height),
    )
