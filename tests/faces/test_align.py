"""Crops for the embedder: landmarks end where the network expects them, whatever the pose and size."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr.faces.align import align_faces
from pylfr.models.store import open_store
from pylfr.types import Faces, Float32, UInt8


def face_with_landmarks(landmarks: Float32) -> Faces:
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    return Faces(
        frame_index=np.zeros(1, np.int32),
        boxes=np.concatenate([low, high])[None].astype(np.float32),
        scores=np.ones(1, np.float32),
        landmarks=landmarks[None].astype(np.float32),
    )


def marked(landmarks: Float32) -> UInt8:
    """A black picture with a soft white spot at each landmark."""
    y, x = np.mgrid[:240, :320].astype(np.float32)
    spots = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / 18) for px, py in landmarks]
    grey = (255 * np.clip(sum(spots), 0, 1)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


@pytest.mark.parametrize("turned_deg", [0, 25, -70, 180])
@pytest.mark.parametrize("scale", [0.6, 1.4])
def test_landmarks_end_at_the_template(turned_deg: float, scale: float) -> None:
    manifest = open_store().manifest("pylfr_nano_embed")
    assert manifest.embed is not None
    template = manifest.embed.landmark_template
    turn = np.deg2rad(turned_deg)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * scale
    centred = template - template.mean(axis=0)
    landmarks = (centred @ rotation.T + np.array([150, 120])).astype(np.float32)
    [crop] = align_faces([marked(landmarks)], face_with_landmarks(landmarks), manifest)
    spots = crop.mean(axis=0)
    for x, y in template.round().astype(int).tolist():
        window = spots[y - 3 : y + 4, x - 3 : x + 4]
        assert window.max() > np.quantile(spots, 0.97)
    assert crop.shape == (3, manifest.embed.side_px, manifest.embed.side_px)


def test_no_faces_give_no_crops() -> None:
    manifest = open_store().manifest("pylfr_nano_embed")
    assert align_faces([np.zeros((8, 8, 3), np.uint8)], Faces.none(), manifest).shape == (0, 3, 112, 112)


def test_the_manifest_of_a_detector_is_refused() -> None:
    with pytest.raises(ValueError, match="manifest must be an embedder's, got pylfr_nano_detect for 'detect'"):
        align_faces([], Faces.none(), open_store().manifest("pylfr_nano_detect"))
