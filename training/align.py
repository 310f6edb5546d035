"""Five landmarks to an aligned crop: the least-squares similarity onto a template, and the templates used here."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Eyes, nose, mouth corners in units of the crop's side, as face-reidentification-retail-0095 was trained. The student
# sees exactly the field that its teacher sees, so that their feature maps lie over each other.
TEMPLATE = np.array(
    [
        [0.31556875, 0.46157411],
        [0.68262292, 0.46157411],
        [0.50026250, 0.64050536],
        [0.34947188, 0.82469196],
        [0.65343646, 0.82469196],
    ],
    np.float32,
)
TEACHER_PX = 128
MASTER_PX = 160  # the teacher's crop with 16 px around it, so that a shifted student crop still finds picture


def master_template() -> NDArray[np.float32]:
    """float32 [5, 2]: the template in pixels of a master crop."""
    return TEMPLATE * TEACHER_PX + (MASTER_PX - TEACHER_PX) / 2


def similarity(source: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [2, 3]: the turn, scale and shift that bring source [n, 2] nearest to target [n, 2] (least squares)."""
    s = source[:, 0] + 1j * source[:, 1]
    t = target[:, 0] + 1j * target[:, 1]
    centred = s - s.mean()
    turn = np.vdot(centred, t - t.mean()) / np.vdot(centred, centred)
    shift = t.mean() - turn * s.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float32)


def crop(
    image: NDArray[np.uint8], landmarks: NDArray[np.float32], template_px: NDArray[np.float32], side: int
) -> NDArray[np.uint8]:
    """uint8 [side, side, 3]: the face aligned to a template in crop pixels; outside the picture the edge repeats."""
    warp = similarity(landmarks, template_px)
    return cv2.warpAffine(image, warp, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
