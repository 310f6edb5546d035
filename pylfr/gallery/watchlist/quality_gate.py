"""What a reference image must be before it enters a watchlist. Every refusal comes with its reasons and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pylfr.types import Float32


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceQuality:
    """The measures of one face of a reference image; units as in ``pylfr.types.Quality``."""

    sharpness: float
    interocular_px: float
    yaw: float
    pitch: float
    roll: float
    brightness: float
    contrast: float

    @classmethod
    def of(cls, row: Float32) -> ReferenceQuality:
        """From one row, float32 [7], of ``ops.measure_quality``."""
        sharpness, interocular_px, yaw, pitch, roll, brightness, contrast = row.tolist()
        return cls(
            sharpness=sharpness,
            interocular_px=interocular_px,
            yaw=yaw,
            pitch=pitch,
            roll=roll,
            brightness=brightness,
            contrast=contrast,
        )


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
    - ``brightness`` 0.1 to 0.92 and ``contrast`` 0.05: outside, the face is drowned in black, white or one grey.
    - ``duplicate_score`` 0.5: just above the thresholds that the catalogue suggests for its embedders.
    """

    interocular_px: float | None = 24.0
    sharpness: float | None = 40.0
    yaw_deg: float | None = 40.0
    pitch_deg: float | None = 35.0
    brightness: tuple[float, float] | None = (0.1, 0.92)
    contrast: float | None = 0.05
    duplicate_score: float | None = 0.5

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
        return [
            f"probably enrolled already as {nearest.name!r}: comparison score {nearest.score:.3f}, "
            f"below {self.duplicate_score:g} is another person"
        ]
