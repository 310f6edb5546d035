"""Which face is which from frame to frame, in each camera by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pylfr import ops
from pylfr.faces.cuts import CutDetector
from pylfr.faces.quality import measure_quality
from pylfr.types import Faces, Float32, FrameBatch, Int32, Quality, Tracks

# A detection too weak to start a track, and near none that it could carry on: rather no face.
WEAK_DETECTION = "weak_detection"


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
    """Ties the faces of a batch into tracks; memory is bounded by ``max_tracks_per_camera``.

    A track ends where the picture cuts. Where it may have changed its person it goes on, and says so.
    """

    def __init__(self, rules: TrackRules) -> None:
        self._tracker = ops.Tracker(
            rules.high_score, rules.low_score, rules.iou, rules.max_age_ms, rules.max_tracks_per_camera
        )
        self._high_score = rules.high_score
        self._low_score = rules.low_score
        self._cuts = CutDetector()
        self._cameras: dict[str, int] = {}
        self._names: list[str] = []
        self.unfollowed: Counter[str] = Counter()

    @property
    def low_score(self) -> float:
        """A weaker detection is no face: it carries no track on."""
        return self._low_score

    @property
    def alive(self) -> int:
        """Tracks that have not ended."""
        return self._tracker.alive

    def update(self, batch: FrameBatch, faces: Faces) -> Tracks:
        """The faces with their track ids and their quality; frames of one camera must be in order of time.

        ``unfollowed`` counts faces of no track: detections too weak to start one, and faces in a camera that is full.
        """
        quality = measure_quality(batch.frames, faces)
        track_id, uncertain = self.associate(batch, faces, quality)
        weak = (track_id < 0) & (faces.scores < self._high_score)
        self.unfollowed[WEAK_DETECTION] += int(np.count_nonzero(weak))
        self.unfollowed["face_over_track_cap"] += int(np.count_nonzero((track_id < 0) & ~weak))
        return Tracks(faces=faces, track_id=track_id, quality=quality, uncertain=uncertain)

    def associate(
        self, batch: FrameBatch, faces: Faces, quality: Quality
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Track ids, int64 [N], and which faces are uncertain, bool [N].

        An id is -1 where a face starts no track and carries none on.
        """
        time_ms = np.array([round(frame.captured_at.timestamp() * 1000) for frame in batch.frames], np.int64)
        scenes = ops.measure_scenes(batch.frames) if faces.scenes is None else faces.scenes
        is_cut = self._cuts.are_cuts([frame.camera for frame in batch.frames], scenes).astype(np.uint8)
        track_id, uncertain = self._tracker.update(
            self._indices(batch), time_ms, is_cut, faces.frame_index, faces.boxes, faces.scores, look_of(quality)
        )
        return track_id, uncertain.astype(bool)

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


def look_of(quality: Quality) -> Float32:
    """How light and how sharp each face's picture is, float32 [N, 3]: what does not tell people apart by their faces.

    Brightness and contrast, 0 to 1, and the natural logarithm of one more than the sharpness.
    """
    look = np.stack([quality.brightness, quality.contrast, np.log1p(np.maximum(quality.sharpness, 0))], axis=1)
    return np.nan_to_num(look.astype(np.float32))
