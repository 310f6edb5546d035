"""What the native core must give, in plain NumPy and float64: slow, short and easy to check by eye.

The tests compare the core with this. Only the rounding of letterbox positions to 1/128 pixel is copied from it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pylfr.types import Float32, Frame, Int32, UInt8

Float64 = npt.NDArray[np.float64]

LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}

ARCFACE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)


def bilinear(plane: UInt8, x: Float64, y: Float64) -> Float64:
    """``plane`` [H, W] at positions ``x``, ``y`` of any one shape; positions beyond the edge take the edge's value."""
    height, width = plane.shape
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    wx, wy = x - left, y - top
    values = plane.astype(np.float64)
    upper = values[top, left] * (1 - wx) + values[top, right] * wx
    lower = values[bottom, left] * (1 - wx) + values[bottom, right] * wx
    return np.asarray(upper * (1 - wy) + lower * wy)


def yuv_to_rgb(y: Float64, u: Float64, v: Float64, matrix: str, full_range: bool) -> Float64:
    """RGB [..., 3], 0 to 255, by the definition: R' = Y' + 2 (1 - Kr) Cr and its kin."""
    kr, kb = LUMA_WEIGHTS[matrix]
    luma = y / 255 if full_range else (y - 16) / 219
    cb, cr = ((c - 128) / (255 if full_range else 224) for c in (u, v))
    red = luma + 2 * (1 - kr) * cr
    blue = luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.asarray(np.clip(np.stack([red, green, blue], axis=-1) * 255, 0, 255))


def sample_rgb(frame: Frame, x: Float64, y: Float64, chroma_x: Float64, chroma_y: Float64) -> Float64:
    """RGB [..., 3] of ``frame`` at luma and at chroma positions."""
    if frame.layout == "rgb":
        return np.stack([bilinear(frame.planes[0][..., c], x, y) for c in range(3)], axis=-1)
    u, v = frame.planes[1:] if frame.layout == "i420" else (frame.planes[1][..., 0], frame.planes[1][..., 1])
    return yuv_to_rgb(
        bilinear(frame.planes[0], x, y),
        bilinear(u, chroma_x, chroma_y),
        bilinear(v, chroma_x, chroma_y),
        frame.matrix,
        frame.full_range,
    )


def encode(rgb: Float64, *, bgr: bool, mean: Sequence[float], scale: Sequence[float]) -> Float64:
    """RGB [..., H, W, 3] as planes [..., 3, H, W], (value - mean) * scale in the order of the planes."""
    ordered = rgb[..., ::-1] if bgr else rgb
    encoded: Float64 = (ordered - np.array(mean)) * np.array(scale)
    return np.moveaxis(encoded, -1, -3)


def letterbox(
    frame: Frame, *, width: int, height: int, bgr: bool, mean: Sequence[float], scale: Sequence[float]
) -> tuple[Float64, float]:
    """The network's input [3, H, W] and the factor."""
    factor = min(width / frame.width, height / frame.height)
    covered_w = min(max(int(np.floor(frame.width * factor + 0.5 + 1e-9)), 1), width)
    covered_h = min(max(int(np.floor(frame.height * factor + 0.5 + 1e-9)), 1), height)

    def positions(count: int, siting: int) -> Float64:
        exact = (np.arange(count) + 0.5) / (factor * siting) - 0.5
        return np.asarray(np.floor(exact * 128 + 0.5 + 1e-7) / 128)

    x, y = np.meshgrid(positions(covered_w, 1), positions(covered_h, 1))
    chroma_x, chroma_y = np.meshgrid(positions(covered_w, 2), positions(covered_h, 2))
    rgb = np.zeros((height, width, 3))
    rgb[:covered_h, :covered_w] = sample_rgb(frame, x, y, chroma_x, chroma_y)
    return encode(rgb, bgr=bgr, mean=mean, scale=scale), factor


def similarity(landmarks: Float32, template: Float32) -> Float64:
    """[2, 3] from template to frame: the inverse of Umeyama's fit of landmarks to template (1991, eq. 40-42)."""
    source, goal = landmarks.astype(np.float64), template.astype(np.float64)
    source_mean, goal_mean = source.mean(0), goal.mean(0)
    covariance = (goal - goal_mean).T @ (source - source_mean) / len(source)
    u, d, vt = np.linalg.svd(covariance)
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(sign) @ vt
    scale = (d * sign).sum() / ((source - source_mean) ** 2).sum(1).mean()
    forward = np.eye(3)
    forward[:2, :2] = scale * rotation
    forward[:2, 2] = goal_mean - scale * rotation @ source_mean
    return np.asarray(np.linalg.inv(forward)[:2])


def warp(frame: Frame, to_frame: Float32, width: int, height: int) -> Float64:
    """RGB [height, width, 3] along ``to_frame``; each of the four taps that lies outside the frame counts as black."""
    matrix = to_frame.astype(np.float64)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    x = matrix[0, 0] * columns + matrix[0, 1] * rows + matrix[0, 2]
    y = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2]
    rgb = sample_rgb(frame, x, y, (x + 0.5) / 2 - 0.5, (y + 0.5) / 2 - 0.5)
    left, top = np.floor(x), np.floor(y)
    covered = np.zeros_like(x)
    for tap_x, weight_x in ((left, 1 - (x - left)), (left + 1, x - left)):
        for tap_y, weight_y in ((top, 1 - (y - top)), (top + 1, y - top)):
            inside = (tap_x >= 0) & (tap_x < frame.width) & (tap_y >= 0) & (tap_y < frame.height)
            covered += weight_x * weight_y * inside
    return np.asarray(rgb * covered[..., None])


Decoded = tuple[list[int], list[list[float]], list[float], list[list[list[float]]]]


def decode_yunet(
    cls: Sequence[Float32],
    obj: Sequence[Float32],
    bbox: Sequence[Float32],
    kps: Sequence[Float32],
    strides: Sequence[int],
    width: int,
    score_floor: float,
) -> Decoded:
    """Image indices, boxes, scores and landmarks, cell by cell."""
    images: list[int] = []
    boxes: list[list[float]] = []
    scores: list[float] = []
    landmarks: list[list[list[float]]] = []
    for image in range(len(cls[0])):
        for level, stride in enumerate(strides):
            for cell in range(cls[level].shape[1]):
                score = np.sqrt(np.clip(cls[level][image, cell, 0], 0, 1) * np.clip(obj[level][image, cell, 0], 0, 1))
                if score < score_floor:
                    continue
                corner = np.array([cell % (width // stride), cell // (width // stride)], np.float64)
                centre = (corner + bbox[level][image, cell, :2]) * stride
                size = np.exp(bbox[level][image, cell, 2:].astype(np.float64)) * stride
                images.append(image)
                boxes.append([*(centre - size / 2), *(centre + size / 2)])
                scores.append(float(score))
                landmarks.append(((kps[level][image, cell].reshape(5, 2) + corner) * stride).tolist())
    return images, boxes, scores, landmarks


def decode_scrfd(
    scores_in: Sequence[Float32],
    distances: Sequence[Float32],
    kps: Sequence[Float32],
    strides: Sequence[int],
    anchors: int,
    width: int,
    score_floor: float,
) -> Decoded:
    """As ``decode_yunet``; ``anchors`` rows a cell."""
    images: list[int] = []
    boxes: list[list[float]] = []
    scores: list[float] = []
    landmarks: list[list[list[float]]] = []
    for image in range(len(scores_in[0])):
        for level, stride in enumerate(strides):
            for row in range(scores_in[level].shape[1]):
                score = float(scores_in[level][image, row, 0])
                if score < score_floor:
                    continue
                cell = row // anchors
                corner = np.array([cell % (width // stride), cell // (width // stride)], np.float64) * stride
                to = distances[level][image, row].astype(np.float64) * stride
                images.append(image)
                boxes.append([*(corner - to[:2]), *(corner + to[2:])])
                scores.append(score)
                landmarks.append((kps[level][image, row].reshape(5, 2) * stride + corner).tolist())
    return images, boxes, scores, landmarks


def iou(a: Float32, b: Float32) -> float:
    """Intersection over union of two boxes."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if (sides <= 0).any():
        return 0.0
    both = float(sides.prod())
    return both / (float((a[2:] - a[:2]).prod()) + float((b[2:] - b[:2]).prod()) - both)


def nms(batch_index: Int32, boxes: Float32, scores: Float32, threshold: float) -> list[int]:
    """Rows that greedy suppression leaves, by image, then best first."""
    kept: list[int] = []
    for row in sorted(range(len(scores)), key=lambda i: (batch_index[i], -scores[i], i)):
        rivals = [better for better in kept if batch_index[better] == batch_index[row]]
        if all(iou(boxes[better], boxes[row]) <= threshold for better in rivals):
            kept.append(row)
    return kept


def quality(frame: Frame, landmarks: Float32) -> list[float]:
    """Sharpness, interocular distance, yaw, pitch, roll, brightness and contrast of one face."""
    grid = (np.arange(64) + 0.5) * 112 / 64 - 0.5
    columns, rows = np.meshgrid(grid, grid)
    matrix = similarity(landmarks, ARCFACE)
    x = matrix[0, 0] * columns + matrix[0, 1] * rows + matrix[0, 2]
    y = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2]
    if frame.layout == "rgb":
        grey = sample_rgb(frame, x, y, x, y) @ np.array([0.299, 0.587, 0.114])
    else:
        luma = bilinear(frame.planes[0], x, y)
        grey = np.clip(luma if frame.full_range else (luma - 16) * 255 / 219, 0, 255)
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    points = landmarks.astype(np.float64)
    across = points[1] - points[0]
    roll = np.arctan2(across[1], across[0])
    upright = (points - (points[0] + points[1]) / 2) @ np.array(
        [[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]
    )
    nose, mouth = upright[2], (upright[3] + upright[4]) / 2
    half = float(np.hypot(*across)) / 2
    yaw = np.arctan(nose[0] / (0.8 * half))
    pitch = np.arctan((1.14 - 2.31 * nose[1] / mouth[1]) / 0.8)
    angles = [float(np.degrees(angle)) for angle in (yaw, pitch, roll)]
    return [float(laplacian.var()), 2 * half, *angles, float(grey.mean() / 255), float(grey.std() / 255)]
