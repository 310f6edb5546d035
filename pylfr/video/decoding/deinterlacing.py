"""Pictures of two fields, half a frame apart: one field is used, and the lines between are interpolated.

What moves is torn into a comb otherwise, in which a detector finds no face: docs/accuracy.md has the numbers. It needs
no picture before or after, so that only pictures that are analysed cost anything.
"""

from __future__ import annotations

import numpy as np

from pylfr.types import Float32, Int16, UInt8

# Levels by which a line must stand out from both of its neighbours to be a tooth of a comb.
_TOOTH = 12
# Looked at in tiles of about 32 x 32 pixels, every third column: somebody small may be all that moves.
_TILE_ROWS, _TILE_COLUMNS, _COLUMN_STEP = 32, 11, 3
_LEAST_SHARE = 0.03
# Texture stands out from the lines of its own field too; a comb does not.
_OVER_TEXTURE = 3.0


def is_combed(luma: UInt8) -> bool:
    """Whether a picture, uint8 [H, W], shows two moments: broadcasts call pictures interlaced that are not."""
    lines = luma[:, ::_COLUMN_STEP].astype(np.int16)
    if len(lines) < _TILE_ROWS + 4 or lines.shape[1] < _TILE_COLUMNS:
        return False
    teeth = _standing_out(lines[2:-2], lines[1:-3], lines[3:-1])
    texture = _standing_out(lines[2:-2], lines[:-4], lines[4:])
    return bool(np.any(teeth > np.maximum(_LEAST_SHARE, _OVER_TEXTURE * texture)))


def without_second_field(plane: UInt8) -> UInt8:
    """A plane, uint8 [H, W] or [H, W, C], whose odd lines are the mean of the even ones beside them."""
    whole = plane.copy()
    kept = plane[::2].astype(np.uint16)
    above = kept[: len(plane) // 2]
    below = np.concatenate([kept[1:], kept[-1:]])[: len(above)]
    whole[1::2] = ((above + below + 1) // 2).astype(np.uint8)
    return whole


def _standing_out(lines: Int16, above: Int16, below: Int16) -> Float32:
    """The share of each tile's pixels that stand out from those above and below: float32 [rows, columns]."""
    up, down = lines - above, lines - below
    stands = ((up > _TOOTH) & (down > _TOOTH)) | ((up < -_TOOTH) & (down < -_TOOTH))
    rows, columns = stands.shape[0] // _TILE_ROWS, stands.shape[1] // _TILE_COLUMNS
    tiles = stands[: rows * _TILE_ROWS, : columns * _TILE_COLUMNS]
    shares: Float32 = tiles.reshape(rows, _TILE_ROWS, columns, _TILE_COLUMNS).mean(axis=(1, 3), dtype=np.float32)
    return shares
