"""What a run has counted so far, by camera and by cause, and the summary that it adds up to."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from pylfr.engine.stages import Stages
from pylfr.engine.summary import CameraSummary, Summary, add_causes
from pylfr.faces.changed_regions import CARRIED, IN_PART, UNCHANGED
from pylfr.governance.authorisation.authority import REHEARSAL
from pylfr.protocols import Gallery
from pylfr.types import Faces, Frame, FrameBatch

log = logging.getLogger(__name__)


class Account:
    """Counts of one run. The engine's thread writes, any thread may read.

    ``faces``, ``tracks`` and ``alerts`` are by camera, ``dropped`` faces by cause, ``left_out`` frames that were taken
    and not analysed by camera and cause.
    """

    def __init__(self, *, detector: str, embedder: str, runtime: str) -> None:
        self._networks = detector, embedder, runtime
        self.faces: Counter[str] = Counter()
        self.tracks: Counter[str] = Counter()
        self.alerts: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.left_out: dict[str, Counter[str]] = {}
        self.recognised = 0
        self.near_detections = 0
        self.undelivered = 0
        self.errors: list[str] = []

    def leave_out(self, frames: Sequence[Frame], cause: str) -> None:
        """Count frames that were taken and are not analysed."""
        for frame in frames:
            self.left_out.setdefault(frame.camera, Counter())[cause] += 1

    def followed(self, batch: FrameBatch, detected: Faces, *, low_score: float, most: int) -> Faces:
        """The ``most`` best faces of each frame, counted by camera; the rest is filled in pictures, no more.

        Weaker than ``low_score`` is a near detection and no face.
        """
        is_face = detected.scores >= low_score
        rank = np.arange(len(detected)) - np.searchsorted(detected.frame_index, detected.frame_index)
        within = is_face & (rank < most)
        self.near_detections += int(np.count_nonzero(~is_face))
        self.dropped["face_over_cap"] += int(np.count_nonzero(is_face & ~within))
        faces = detected if within.all() else detected.select(within)
        for index, count in zip(*np.unique(faces.frame_index, return_counts=True), strict=True):
            self.faces[batch.frames[index].camera] += int(count)
        return faces

    def note(self, error: str) -> None:
        """Remember what went wrong, for the summary."""
        self.errors.append(error)
        log.error(error)

    def summary(
        self, stages: Stages, gallery: Gallery, *, seconds: float, unread: int, because: str, has_ended: bool
    ) -> Summary:
        """The counts as they are now. ``because`` says why somebody stopped the run, "" where nobody has."""
        counts = stages.batches.counts()
        cameras = {
            camera: CameraSummary(
                frames=count.came,
                detected_frames=count.passed_on - self.left_out.get(camera, Counter()).total(),
                closer_frames=count.closer,
                faces=self.faces[camera],
                tracks=self.tracks[camera],
                alerts=self.alerts[camera],
                dropped=add_causes([count.dropped, self.left_out.get(camera, {})]),
                error=count.error,
            )
            for camera, count in counts.items()
        }
        frames = sum(camera.frames for camera in cameras.values())
        failures = [f"camera {name}: {camera.error}" for name, camera in cameras.items() if camera.error]
        return Summary(
            rehearsal=stages.authority.reference == REHEARSAL,
            authorisation=stages.authority.reference,
            frames=frames,
            detected_frames=sum(camera.detected_frames for camera in cameras.values()),
            closer_frames=sum(camera.closer_frames for camera in cameras.values()),
            frames_in_part=stages.looks[IN_PART],
            frames_unchanged=stages.looks[UNCHANGED],
            faces_carried=stages.looks[CARRIED],
            faces=sum(self.faces.values()),
            tracks=sum(self.tracks.values()) + stages.tracker.alive,
            recognised=self.recognised,
            near_detections=self.near_detections,
            alerts=sum(self.alerts.values()),
            suppressed=stages.policy.suppressed,
            undelivered=self.undelivered,
            unread=unread,
            dropped=add_causes(
                [
                    self.dropped,
                    stages.tracker.unfollowed,
                    stages.selector.refused,
                    *(camera.dropped for camera in cameras.values()),
                ]
            ),
            dwell_ms=stages.recogniser.pool.dwell(),
            template_memory_locked=stages.recogniser.pool.is_locked,
            seconds=round(seconds, 3),
            fps=round(frames / seconds, 2) if seconds else 0.0,
            detector=self._networks[0],
            embedder=self._networks[1],
            runtime=self._networks[2],
            threshold=stages.policy.rules.threshold,
            calibrated=stages.policy.rules.calibrated,
            watchlist_size=len(gallery),
            watchlist_revision=gallery.revision,
            cameras=cameras,
            errors=(*failures, *self.errors),
            stopped_because=because or (_ending_of(cameras) if has_ended else ""),
        )


def _ending_of(cameras: Mapping[str, CameraSummary]) -> str:
    """How a run ended that nobody stopped."""
    failed = sorted(name for name, camera in cameras.items() if camera.error)
    return f"every camera has ended or failed: {', '.join(failed)} failed" if failed else "every recording has ended"
