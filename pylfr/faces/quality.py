"""How fit a face is for recognition, and which faces cannot be compared at all, by cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pylfr import ops
from pylfr.types import Faces, Float32, Frame, Quality, UInt8, as_frames


def _ramp(values: Float32, low: float, high: float) -> Float32:
    """0 at ``low`` and below, 1 at ``high`` and above, linear between; ``low`` may be the greater."""
    ramp: Float32 = np.clip((values - low) / (high - low), 0, 1).astype(np.float32)
    return ramp


def measure_quality(images: Sequence[Frame | UInt8], faces: Faces) -> Quality:
    """Quality of each face, measured in the luma of its own frame.

    The score, 0 to 100, is the product of four ramps: size (8 to 32 px between the eyes), sharpness (logarithmic),
    pose (frontal to 60 degrees) and light. It ranks the faces of one track; it is not an ISO measure.
    """
    columns = ops.measure_quality(as_frames(images), faces) if faces.measures is None else faces.measures
    sharpness, interocular, yaw, pitch, roll, brightness, contrast = (
        np.ascontiguousarray(columns[:, index]) for index in range(7)
    )
    size = _ramp(interocular, 4, 32)
    sharp = _ramp(np.log1p(sharpness), np.log1p(np.float32(2)).item(), np.log1p(np.float32(400)).item())
    frontal = _ramp(np.hypot(yaw, pitch), 60, 10)
    light = _ramp(contrast, 0.02, 0.12) * np.minimum(_ramp(brightness, 0.04, 0.2), _ramp(brightness, 0.99, 0.85))
    score = 100 * size**0.5 * (0.3 + 0.7 * sharp) * (0.2 + 0.8 * frontal) * (0.3 + 0.7 * light)
    return Quality(
        sharpness=sharpness,
        interocular_px=interocular,
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        brightness=brightness,
        contrast=contrast,
        score=score.astype(np.float32),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityGate:
    """What an embedder cannot be given at all. Everything else may be compared, and its quality says only how soon.

    A face whose eyes are less than ``interocular_px`` apart is a few pixels enlarged; one whose landmarks are not
    finite, or whose eyes are one point, cannot be aligned.
    """

    interocular_px: float = 4.0

    def refused(self, faces: Faces, quality: Quality) -> dict[str, npt.NDArray[np.bool_]]:
        """For each cause the faces that it refuses, bool [N]; a face is refused by the first cause that holds."""
        lost = ~np.isfinite(faces.landmarks).all(axis=(1, 2)) | ~(quality.interocular_px > 0)
        small = ~lost & (quality.interocular_px < self.interocular_px)
        return {"face_without_landmarks": lost, "face_too_small": small}
