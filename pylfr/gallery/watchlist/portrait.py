"""The picture of an entry that an operator is shown: the face upright, with some of its surroundings."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from pylfr import ops
from pylfr.errors import WatchlistError
from pylfr.types import Float32, Frame, UInt8

MAX_SIDE_PX = 256
_MIN_SIDE_PX = 64
# An embedder's crop ends at brow and chin; a person needs hair and ears to compare.
_WIDER_THAN_CROP = 1.6
_JPEG_QUALITY = 92


def portrait(frame: Frame, landmarks: Float32, template: Float32, *, template_side_px: int) -> UInt8:
    """The face turned upright and centred, uint8 [S, S, 3] RGB with S at most ``MAX_SIDE_PX``; never enlarged.

    ``landmarks`` float32 [5, 2] are pixels of ``frame``; ``template`` float32 [5, 2] says where they lie in an
    embedder's crop of ``template_side_px``. Outside the frame it is black.
    """
    to_frame = _to_frame(landmarks, template, template_side_px, MAX_SIDE_PX)
    frame_px_a_picture_px = float(np.hypot(to_frame[0, 0], to_frame[1, 0]))
    side_px = int(np.clip(MAX_SIDE_PX * frame_px_a_picture_px, _MIN_SIDE_PX, MAX_SIDE_PX))
    if side_px != MAX_SIDE_PX:
        to_frame = _to_frame(landmarks, template, template_side_px, side_px)
    return ops.crop_rgb(frame, to_frame, width=side_px, height=side_px)


def encode_jpeg(picture: UInt8) -> bytes:
    """uint8 [H, W, 3] RGB as the bytes of a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def decode_jpeg(content: bytes) -> UInt8:
    """The picture in the bytes of a JPEG, uint8 [H, W, 3] RGB. Raises ``WatchlistError`` where it is none of ours."""
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as picture:
            if max(picture.size) > MAX_SIDE_PX:
                raise ValueError(f"it has {picture.width}x{picture.height} pixels, at most {MAX_SIDE_PX} a side")
            return np.array(picture.convert("RGB"))
    except UnidentifiedImageError as error:  # its words name an object of this process
        raise WatchlistError("a portrait is damaged: it is no JPEG") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise WatchlistError(f"a portrait is damaged: {error}") from error


def _to_frame(landmarks: Float32, template: Float32, template_side_px: int, side_px: int) -> Float32:
    factor = side_px / (_WIDER_THAN_CROP * template_side_px)
    target = ((template - template_side_px / 2) * factor + side_px / 2).astype(np.float32)
    to_frame: Float32 = ops.similarity(landmarks[np.newaxis], target)[0]
    return to_frame
