"""Aligned faces on disk: one file of JPEGs, names and landmarks, small enough to be carried to another machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

# Colour at full resolution: the crops are small, and this is what the teacher reads.
CODING = [cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """Master crops and whose they are."""

    crops: NDArray[np.uint8]  # [n, side, side, 3], BGR
    names: NDArray[np.str_]  # [n]
    landmarks: NDArray[np.float32]  # [n, 5, 2], in the portrait
    paths: NDArray[np.str_]  # [n], of the portrait


def save_faces(path: Path, faces: Faces) -> None:
    """Write the faces, whole or not at all."""
    coded = [cv2.imencode(".jpg", crop, CODING)[1] for crop in faces.crops]
    part = path.with_suffix(".part.npz")
    np.savez(
        part,
        coded=np.concatenate(coded),
        ends=np.cumsum([len(c) for c in coded]),
        names=faces.names,
        landmarks=faces.landmarks,
        paths=faces.paths,
    )
    part.rename(path)


def load_faces(path: Path) -> Faces:
    """Read what `save_faces` wrote."""
    with np.load(path) as file:
        coded = np.split(file["coded"], file["ends"][:-1])
        crops = np.stack([cv2.imdecode(c, cv2.IMREAD_COLOR) for c in coded])
        return Faces(crops=crops, names=file["names"], landmarks=file["landmarks"], paths=file["paths"])
