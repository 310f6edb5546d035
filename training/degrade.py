"""What cameras do to faces: fresh damage for every sample, which only the student sees and learns to look through."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
SPARED = 0.35  # the share of faces that stay as good as they are


def jittered(rng: np.random.Generator, master: Image, field_px: int, side: int) -> Image:
    """uint8 [side, side, 3]: the middle `field_px` of a master, moved as uncertain landmarks would move it."""
    turn, grow = rng.normal(0, np.radians(3.5)), np.exp(rng.normal(0, 0.04))
    shift = rng.normal(0, 0.018 * field_px, 2)
    scale = side / field_px * grow
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    centre = np.array([master.shape[1], master.shape[0]]) / 2 + shift
    warp = np.array([[cos, -sin, 0], [sin, cos, 0]], np.float32)
    warp[:, 2] = side / 2 - warp[:, :2] @ centre
    return cv2.warpAffine(master, warp, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def degraded(rng: np.random.Generator, face: Image) -> Image:
    """The face seen from afar, out of focus, in motion, in poor light, through a poor codec, or partly hidden."""
    if rng.random() < SPARED:
        return face
    side = face.shape[0]
    if rng.random() < 0.4:
        small = int(side * rng.uniform(0.2, 0.8))
        way_back = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
        face = cv2.resize(
            cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA), (side, side), interpolation=way_back
        )
    if rng.random() < 0.15:
        face = cv2.GaussianBlur(face, (0, 0), rng.uniform(0.4, 1.6) * side / 112)
    if rng.random() < 0.1:
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        kernel = cv2.warpAffine(
            kernel, cv2.getRotationMatrix2D((length / 2 - 0.5,) * 2, rng.uniform(0, 180), 1), (length, length)
        )
        face = cv2.filter2D(face, -1, kernel / max(kernel.sum(), 1e-3))
    if rng.random() < 0.4:
        ramp = np.arange(256) / 255.0
        curve = (ramp ** np.exp(rng.normal(0, 0.35)) - 0.5) * np.exp(rng.normal(0, 0.2)) + 0.5 + rng.normal(0, 0.08)
        face = cv2.LUT(face, np.clip(curve * 255, 0, 255).astype(np.uint8))
    if rng.random() < 0.08:
        face = cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if rng.random() < 0.2:
        noise = np.empty(face.shape, np.int16)
        cv2.randn(noise, 0, float(rng.uniform(2, 14)))
        face = np.clip(face + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        _, coded = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(18, 90))])
        face = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    if rng.random() < 0.12:
        w, h = (side * rng.uniform(0.1, 0.35, 2)).astype(int)
        x, y = rng.integers(0, side - w), rng.integers(0, side - h)
        face[y : y + h, x : x + w] = rng.integers(0, 256, 3)
    return face
