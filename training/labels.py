"""Where faces are: boxes and landmarks that move with their picture, and what a detector's cells should answer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# A stride answers for faces of these sizes, pixels (the root of the area); both answer where two overlap.
SIZES = {8: (0.0, 40.0), 16: (24.0, 96.0), 32: (64.0, 1e6)}
NEARLY = 1.35  # just outside its sizes a stride may answer or not
VALUES = 15  # of a cell: score, four of the box, ten of the landmarks


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Faces of one picture. Those that are not sure are neither to be found nor to be missed."""

    boxes: Floats  # [n, 4], xyxy, pixels
    points: Floats  # [n, 5, 2], pixels
    sure: NDArray[np.bool_]  # [n]

    def moved(self, linear: NDArray[np.floating], shift: NDArray[np.floating]) -> Labels:
        """After `linear @ point + shift`: a box is that of the turned oval in it; mirrored eyes change sides."""
        half = (self.boxes[:, 2:] - self.boxes[:, :2]) / 2
        centre = (self.boxes[:, :2] + half) @ linear.T + shift
        half = np.sqrt(half**2 @ (linear**2).T)
        points = self.points @ linear.T + shift
        if np.linalg.det(linear) < 0:
            points = points[:, [1, 0, 2, 4, 3]]
        boxes = np.concatenate([centre - half, centre + half], 1)
        return replace(self, boxes=boxes.astype(np.float32), points=points.astype(np.float32))

    def only(self, which: NDArray[np.integer] | NDArray[np.bool_] | list[int]) -> Labels:
        """Some of the faces."""
        return Labels(boxes=self.boxes[which], points=self.points[which], sure=self.sure[which])

    def doubted(self, which: NDArray[np.bool_]) -> Labels:
        """The same, some of them no longer sure."""
        return replace(self, sure=self.sure & ~which)

    @staticmethod
    def joined(parts: list[Labels]) -> Labels:
        """All faces of several."""
        return Labels(
            boxes=np.concatenate([np.zeros((0, 4), np.float32), *(part.boxes for part in parts)]),
            points=np.concatenate([np.zeros((0, 5, 2), np.float32), *(part.points for part in parts)]),
            sure=np.concatenate([np.zeros(0, bool), *(part.sure for part in parts)]),
        )


def cell_targets(labels: Labels, side: int) -> Floats:
    """float32 [cells, 16] over the strides: what YuNet's head should say of a picture [side, side], and its weight.

    The score is 1 at the cell nearest to a face's middle and falls off around it.
    """
    return np.concatenate([_targets_of(labels, side, stride) for stride in SIZES])


def _targets_of(labels: Labels, side: int, stride: int) -> Floats:
    cells = side // stride
    x, y = np.meshgrid(np.arange(cells, dtype=np.float32), np.arange(cells, dtype=np.float32))
    out = np.zeros((cells, cells, VALUES + 1), np.float32)
    out[..., VALUES] = 1
    extent = (labels.boxes[:, 2:] - labels.boxes[:, :2]) / stride
    centre = (labels.boxes[:, :2] + labels.boxes[:, 2:]) / (2 * stride)
    size = np.sqrt(np.maximum(extent.prod(1), 1e-6))
    low, high = SIZES[stride][0] / stride, SIZES[stride][1] / stride
    for i in np.argsort(labels.sure, kind="stable"):  # doubtful ones first: a sure face is stronger
        across, down = x + 0.5 - centre[i, 0], y + 0.5 - centre[i, 1]
        if not labels.sure[i]:
            out[..., VALUES][(np.abs(across) < extent[i, 0] / 2 + 0.5) & (np.abs(down) < extent[i, 1] / 2 + 0.5)] = 0
            continue
        away = across**2 + down**2
        target = np.exp((away.min() - away) / (2 * max(0.45, 0.18 * float(size[i])) ** 2))
        if not low <= size[i] < high:
            if low / NEARLY <= size[i] < high * NEARLY:
                out[..., VALUES][target > 0.1] = 0
            continue
        mine = target > out[..., 0]
        out[..., 0][mine] = target[mine]
        out[..., VALUES][mine & (target > 0.1)] = 1
        out[mine, 1] = centre[i, 0] - x[mine]
        out[mine, 2] = centre[i, 1] - y[mine]
        out[mine, 3:5] = np.log(np.maximum(extent[i], 1e-3))
        out[mine, 5:15:2] = labels.points[i, :, 0] / stride - x[mine, None]
        out[mine, 6:15:2] = labels.points[i, :, 1] / stride - y[mine, None]
    return out.reshape(-1, VALUES + 1)
