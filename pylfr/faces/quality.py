"""How fit a face is for recognition, and which faces are too poor to be recognised at all, by cause."""

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
    pose (frontal to 60 degrees) and light. It ranks the faces of one track; it is no ISO measure.
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
    """The least that a probe must be. What falls below is dropped before it is aligned, counted by cause.

    Tiny and blurred faces score high against each other, so they raise false alerts more than they find anybody.
    """

    interocular_px: float = 10.0
    sharpness: float = 4.0
    yaw_deg: float = 50.0
    pitch_deg: float = 45.0

    def refused(self, quality: Quality) -> dict[str, npt.NDArray[np.bool_]]:
        """For each cause the faces that it refuses, bool [N]; a face is refused by the first cause that holds."""
        tests = {
            "face_too_small": quality.interocular_px < self.interocular_px,
            "face_extreme_pose": (np.abs(quality.yaw) > self.yaw_deg) | (np.abs(quality.pitch) > self.pitch_deg),
            "face_too_blurred": quality.sharpness < self.sharpness,
        }
        taken = np.zeros(len(quality), bool)
        for cause, refused in tests.items():
            tests[cause] = refused & ~taken
            taken |= refused
        return tests
