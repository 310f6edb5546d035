"""Fixed damage to master crops, to measure with: what `spoil.py` does at random, one kind at a time."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from align import MASTER_PX, TEACHER_PX
from numpy.typing import NDArray

Image = NDArray[np.uint8]
FACE_PX = 96  # about how wide a face is in a master


def small(width: int) -> Callable[[Image], Image]:
    """The face about so many pixels wide, and enlarged again."""

    def spoil(face: Image) -> Image:
        side = round(MASTER_PX * width / FACE_PX)
        down = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
        return cv2.resize(down, (MASTER_PX, MASTER_PX), interpolation=cv2.INTER_LINEAR)

    return spoil


def blurred(face: Image) -> Image:
    """Out of focus: a Gaussian of 2.5 px where the face is about 96 px wide."""
    return cv2.GaussianBlur(face, (0, 0), 2.5)


def dim(face: Image) -> Image:
    """An eighth of the light, with a camera's noise."""
    noise = np.random.default_rng(int(face.sum())).normal(0, 3, face.shape)
    return np.clip(face / 8 + noise, 0, 255).astype(np.uint8)


def masked(face: Image) -> Image:
    """Everything below the middle of the nose under one colour."""
    covered = face.copy()
    edge = (MASTER_PX - TEACHER_PX) // 2
    covered[edge + round(TEACHER_PX * 0.58) :] = (200, 190, 180)
    return covered


def turned(face: Image) -> Image:
    """As a cylinder turned by 35 degrees: the far side pressed together."""
    half = TEACHER_PX / 2 * 1.15
    u = (np.arange(MASTER_PX) - MASTER_PX / 2 + 0.5) / half
    yaw = np.radians(35)
    across = (np.sin(np.arcsin(np.clip(u, -0.99, 0.99)) + yaw) - np.sin(yaw)) * half + MASTER_PX / 2 - 0.5
    x, y = np.meshgrid(across.astype(np.float32), np.arange(MASTER_PX, dtype=np.float32))
    return cv2.remap(face, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


KINDS: dict[str, Callable[[Image], Image]] = {
    "60 px wide": small(60),
    "45 px wide": small(45),
    "30 px wide": small(30),
    "blurred": blurred,
    "dim": dim,
    "turned 35 degrees": turned,
    "lower half masked": masked,
}


def spoilt(masters: Image, kind: str) -> Image:
    """All masters [n, side, side, 3] with one kind of damage."""
    return np.stack([KINDS[kind](face) for face in masters])
