"""Crops for the embedder: each face rotated and scaled so that its landmarks are where the network expects them."""

from __future__ import annotations

from collections.abc import Sequence

from pylfr import ops
from pylfr.models.manifest import ModelManifest
from pylfr.types import Faces, Float32, Frame, UInt8, as_frames


def align_faces(images: Sequence[Frame | UInt8], faces: Faces, manifest: ModelManifest) -> Float32:
    """Network-ready crops, float32 [N, 3, side, side], sampled straight from the images' planes.

    ``images`` are frames or uint8 [H, W, 3] RGB arrays, ``faces`` the result of a detector on them, ``manifest`` the
    embedder's: side, landmark template, colour order and normalisation come from it. The alignment is the
    least-squares similarity of the five landmarks (Umeyama 1991). Raises ``ValueError`` for a detector's manifest.
    """
    if manifest.embed is None:
        raise ValueError(f"manifest must be an embedder's, got {manifest.name} for {manifest.task!r}")
    to_frame = ops.similarity(faces.landmarks, manifest.embed.landmark_template)
    return ops.warp(
        as_frames(images),
        faces.frame_index,
        to_frame,
        side_px=manifest.embed.side_px,
        bgr=manifest.pixels.colour == "bgr",
        mean=manifest.pixels.mean,
        scale=manifest.pixels.scale,
    )
