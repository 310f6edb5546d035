"""What a reference image must be before it enters a watchlist. Every refusal comes with its reasons and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pylfr.types import Float32, UInt8

# In photographs differences of neighbouring columns are of one size: their median is at least 0.82 of their mean in 99
# of 100 of LFW. Repeated pixels have none between them: 0 as they are, 0.64 at most after JPEG of quality 60.
_REPEATED_SHARE = 0.66
_LEAST_PX = 24
_COARSE_EYES_PX = 18
_LEAST_COARSE_PX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceQuality:
    """The measures of one face of a reference image; units as in ``pylfr.types.Quality``.

    ``agreement`` is the comparison score (cosine) of its template with that of the same crop made coarser.
    """

    sharpness: float
    interocular_px: float
    yaw: float
    pitch: float
    roll: float
    brightness: float
    contrast: float
    block_px: float = 1.0
    compression: float = 1.0
    agreement: float = 1.0

    @classmethod
    def of(cls, row: Float32, blocks: BlockStructure | None = None) -> ReferenceQuality:
        """From one row, float32 [7], of ``ops.measure_quality``, and the blocks that the face is made of."""
        sharpness, interocular_px, yaw, pitch, roll, brightness, contrast = row.tolist()
        return cls(
            sharpness=sharpness,
            interocular_px=interocular_px,
            yaw=yaw,
            pitch=pitch,
            roll=roll,
            brightness=brightness,
            contrast=contrast,
            block_px=1.0 if blocks is None else blocks.block_px,
            compression=1.0 if blocks is None else blocks.compression,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockStructure:
    """What sharpness takes for detail and no network can use.

    ``block_px``: the side of the blocks of equal pixels that a picture enlarged by repetition is made of, 1 where there
    are none. ``compression``: how much stronger the edges of JPEG's blocks of 8 pixels are than what lies between them.
    """

    block_px: float
    compression: float

    @classmethod
    def of(cls, image: UInt8, box: Float32) -> BlockStructure:
        """Of the face in ``box``, float32 [4] xyxy pixels, of a picture, uint8 [H, W, 3]."""
        left, top = (max(0, int(edge)) for edge in box[:2])
        right, bottom = (int(np.ceil(edge)) for edge in box[2:])
        grey = image[top:bottom, left:right].astype(np.float32).mean(axis=2)
        if min(grey.shape) < _LEAST_PX:
            return cls(block_px=1.0, compression=1.0)
        sides = [(np.abs(np.diff(grey, axis=1)).mean(axis=0), left), (np.abs(np.diff(grey, axis=0)).mean(axis=1), top)]
        return cls(
            block_px=min(_block_px(steps) for steps, _ in sides),
            compression=min(_compression(steps, first) for steps, first in sides),
        )


def _block_px(steps: Float32) -> float:
    """The length of runs without a difference, from the mean difference between each column and the next."""
    mean = float(steps.mean())
    if mean == 0 or float(np.median(steps)) >= _REPEATED_SHARE * mean:
        return 1.0
    return len(steps) / max(1, int(np.count_nonzero(steps > 0.5 * mean)))


def _compression(steps: Float32, first: int) -> float:
    is_edge = (np.arange(len(steps)) + first + 1) % 8 == 0
    inside = float(steps[~is_edge].mean())
    return float(steps[is_edge].mean()) / inside if inside > 0 and is_edge.any() else 1.0


def coarser(crops: Float32, landmark_template: Float32) -> Float32:
    """``crops``, float32 [N, 3, S, S], with no more detail than 18 pixels between the eyes show; size and scale stay.

    A face keeps its template then. What is made of blocks, of repeated pixels or of strong compression, does not: the
    blocks' edges go, and with them what the network took for a face's. ``landmark_template``, float32 [5, 2], says
    where an embedder has the eyes.
    """
    side = crops.shape[-1]
    eyes_px = float(np.linalg.norm(landmark_template[1] - landmark_template[0]))
    small = max(_LEAST_COARSE_PX, round(side * _COARSE_EYES_PX / eyes_px))
    made = np.empty_like(crops)
    for number, channel in np.ndindex(*crops.shape[:2]):
        picture = Image.fromarray(crops[number, channel]).resize((small, small), Image.Resampling.BOX)
        made[number, channel] = np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestEntry:
    """The entry of another name that a reference image is most like, with the comparison score (cosine)."""

    name: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentGate:
    """The least that a reference image must be; None switches a test off.

    - ``interocular_px`` 24: half to two thirds of the 35 to 47 px between the eyes in the crops of the catalogue's
      embedders; below that a crop is mostly interpolated pixels. ISO/IEC 19794-5 asks 90 of a passport photograph.
    - ``sharpness`` 40: a fifth of what 99 of 100 news photographs of LFW have (194 and more, the median is 690; 500
      measured with yunet_n); under a Gaussian blur of 4 pixels three quarters of them are refused, of 2 pixels few.
    - ``yaw_deg`` 40, ``pitch_deg`` 35: estimates from five landmarks, so wider than the 5 degrees of ISO/IEC 19794-5;
      they refuse what hides one half of the face.
    - ``compression`` 2.4: of 120 photographs of LFW none reaches it at JPEG quality 30, most do at 8, where templates
      agree with those of the original by 0.75. Repeated pixels count as the single one that they were.
    - ``agreement`` 0.93: that of templates with those of the same crop made coarser; 99 of 100 photographs of LFW have
      0.94 or more with the catalogue's embedders. docs/accuracy.md says what falls below.
    - ``brightness`` 0.1 to 0.92 and ``contrast`` 0.05: outside, the face is drowned in black, white or one grey.
    - ``duplicate_score`` 0.5: just above the thresholds that the catalogue suggests for its embedders; entries in
      ``similar_to``, such as a twin, may be as similar as they are.
    """

    interocular_px: float | None = 24.0
    sharpness: float | None = 40.0
    yaw_deg: float | None = 40.0
    pitch_deg: float | None = 35.0
    brightness: tuple[float, float] | None = (0.1, 0.92)
    contrast: float | None = 0.05
    compression: float | None = 2.4
    agreement: float | None = 0.93
    duplicate_score: float | None = 0.5
    similar_to: frozenset[str] = frozenset()

    @classmethod
    def one_face(cls) -> EnrolmentGate:
        """Only that the image shows one face and no other: for rehearsals, where a poor image harms nobody."""
        return cls(
            interocular_px=None,
            sharpness=None,
            yaw_deg=None,
            pitch_deg=None,
            brightness=None,
            contrast=None,
            compression=None,
            agreement=None,
            duplicate_score=None,
        )

    def check(self, faces: Sequence[ReferenceQuality], nearest: NearestEntry | None) -> tuple[str, ...]:
        """Every reason to refuse an image with these faces; none to accept. ``nearest`` is the closest other entry."""
        if not faces:
            return ("no face was found: the face must be upright, uncovered and large enough",)
        if len(faces) > 1:
            return (f"{len(faces)} faces were found: cut the image to the one that is meant",)
        return (*self._reasons(faces[0]), *self._duplicates(nearest))

    def _reasons(self, face: ReferenceQuality) -> list[str]:
        reasons = []
        if self.interocular_px is not None and face.interocular_px < self.interocular_px:
            reasons.append(
                f"too small: {face.interocular_px:.0f} px between the eyes, at least {self.interocular_px:g}"
            )
        elif self.interocular_px is not None and face.interocular_px < self.interocular_px * face.block_px:
            reasons.append(
                f"blurred: made of blocks of {face.block_px:.0f} equal pixels, so that "
                f"{face.interocular_px / face.block_px:.0f} px in truth lie between the eyes, at least "
                f"{self.interocular_px:g}; use the picture from which this one was enlarged"
            )
        elif self.compression is not None and face.compression > self.compression:
            reasons.append(
                f"blurred: compressed so much that edges of JPEG blocks are {face.compression:.1f} times as strong as "
                f"what lies between them, at most {self.compression:g}; use the original"
            )
        if not reasons and self.agreement is not None and face.agreement < self.agreement:
            reasons.append(
                f"blurred: without its finest detail it is another face to the network (comparison score "
                f"{face.agreement:.2f} with itself made coarser, at least {self.agreement:g}); use the original"
            )
        if self.sharpness is not None and face.sharpness < self.sharpness:
            reasons.append(f"blurred: sharpness {face.sharpness:.1f}, at least {self.sharpness:g}")
        if self.yaw_deg is not None and abs(face.yaw) > self.yaw_deg:
            reasons.append(f"turned aside: yaw {face.yaw:.0f} degrees, at most {self.yaw_deg:g} either way")
        if self.pitch_deg is not None and abs(face.pitch) > self.pitch_deg:
            reasons.append(f"tilted up or down: pitch {face.pitch:.0f} degrees, at most {self.pitch_deg:g} either way")
        if self.brightness is not None and face.brightness < self.brightness[0]:
            reasons.append(f"too dark: brightness {face.brightness:.2f}, at least {self.brightness[0]:g}")
        if self.brightness is not None and face.brightness > self.brightness[1]:
            reasons.append(f"too bright: brightness {face.brightness:.2f}, at most {self.brightness[1]:g}")
        if self.contrast is not None and face.contrast < self.contrast:
            reasons.append(f"flat: contrast {face.contrast:.3f}, at least {self.contrast:g}")
        return reasons

    def _duplicates(self, nearest: NearestEntry | None) -> list[str]:
        if self.duplicate_score is None or nearest is None or nearest.score < self.duplicate_score:
            return []
        if nearest.name in self.similar_to:
            return []
        return [
            f"probably enrolled already as {nearest.name!r}: comparison score {nearest.score:.3f}, "
            f"below {self.duplicate_score:g} is another person"
        ]
