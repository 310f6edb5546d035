"""Small well-formed values for tests that need one and do not care which."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from pylfr.types import Alert, Faces, Float32, Frame, Quality, UInt8

NOON = datetime(2026, 1, 11, 12, tzinfo=UTC)


def sample_alert(
    *, entry: str = "Ada", camera: str = "north", crop: UInt8 | None = None, authorisation: str = "rehearsal"
) -> Alert:
    return Alert(
        id="00000000-0000-4000-8000-000000000001",
        camera=camera,
        captured_at=NOON,
        track_id=7,
        entry=entry,
        score=0.61803,
        threshold=0.478,
        calibrated=False,
        box=(10.0, 20.0, 50.0, 70.0),
        crop=np.full((64, 64, 3), 128, np.uint8) if crop is None else crop,
        reference=np.full((48, 64, 3), 200, np.uint8),
        model="ab" * 32,
        watchlist_revision=3,
        authorisation=authorisation,
    )


def sample_frame(*, camera: str = "north", width: int = 64, height: int = 48, second: float = 0.0) -> Frame:
    return Frame(
        camera=camera,
        sequence=round(second * 25),
        captured_at=datetime.fromtimestamp(NOON.timestamp() + second, UTC),
        planes=(np.zeros((height, width, 3), np.uint8),),
        layout="rgb",
    )


def faces_at(boxes: list[list[float]], *, frame_index: int = 0, score: float = 0.9) -> Faces:
    """Faces with these boxes and landmarks where a frontal face has them."""
    xyxy: Float32 = np.array(boxes, np.float32).reshape(-1, 4)
    inside = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    landmarks = xyxy[:, None, :2] + inside * (xyxy[:, None, 2:] - xyxy[:, None, :2])
    return Faces(
        frame_index=np.full(len(xyxy), frame_index, np.int32),
        boxes=xyxy,
        scores=np.full(len(xyxy), score, np.float32),
        landmarks=landmarks.astype(np.float32),
    )


def good_quality(count: int, *, score: float = 80.0, interocular_px: float = 40.0) -> Quality:
    def same(value: float) -> Float32:
        return np.full(count, value, np.float32)

    return Quality(
        sharpness=same(200),
        interocular_px=same(interocular_px),
        yaw=same(0),
        pitch=same(0),
        roll=same(0),
        brightness=same(0.5),
        contrast=same(0.2),
        score=same(score),
    )
