"""Which face is which from frame to frame, in each camera for itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pylfr import ops
from pylfr.faces.quality import measure_quality
from pylfr.types import Faces, FrameBatch, Int32, Int64, Tracks


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackKey:
    """One track of one camera."""

    camera: str
    track_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRules:
    """How faces are tied into tracks.

    A face of at least ``high_score`` may start a track; one of at least ``low_score`` may only carry one on (Zhang et
    al., ByteTrack, 2022). A track that has not been seen for ``max_age_ms`` has ended.
    """

    high_score: float
    low_score: float
    iou: float = 0.2
    max_age_ms: float = 1000.0
    max_tracks_per_camera: int = 200


class FaceTracker:
    """Ties the faces of a batch into tracks; memory is bounded by ``max_tracks_per_camera``."""

    def __init__(self, rules: TrackRules) -> None:
        self._tracker = ops.Tracker(
            rules.high_score, rules.low_score, rules.iou, rules.max_age_ms, rules.max_tracks_per_camera
        )
        self._cameras: dict[str, int] = {}
        self._names: list[str] = []

    @property
    def alive(self) -> int:
        """Tracks that have not ended."""
        return self._tracker.alive

    def update(self, batch: FrameBatch, faces: Faces) -> Tracks:
        """The faces with their track ids and their quality; frames of one camera must stand in order of time."""
        track_id = self.associate(batch, faces)
        return Tracks(faces=faces, track_id=track_id, quality=measure_quality(batch.frames, faces))

    def associate(self, batch: FrameBatch, faces: Faces) -> Int64:
        """Only the track ids, int64 [N]; -1 where a face starts no track and carries none on."""
        time_ms = np.array([round(frame.captured_at.timestamp() * 1000) for frame in batch.frames], np.int64)
        return self._tracker.update(self._indices(batch), time_ms, faces.frame_index, faces.boxes, faces.scores)

    def ended(self) -> list[TrackKey]:
        """Tracks that have ended since the last call."""
        cameras, ids = self._tracker.ended()
        return [
            TrackKey(camera=self._names[camera], track_id=track_id)
            for camera, track_id in zip(cameras.tolist(), ids.tolist(), strict=True)
        ]

    def finish(self) -> None:
        """End every track, as when the cameras are switched off."""
        for index in range(len(self._names)):
            self._tracker.finish(index)

    def _indices(self, batch: FrameBatch) -> Int32:
        for frame in batch.frames:
            if frame.camera not in self._cameras:
                self._cameras[frame.camera] = len(self._names)
                self._names.append(frame.camera)
        return np.array([self._cameras[frame.camera] for frame in batch.frames], np.int32)
