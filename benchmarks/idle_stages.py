"""An engine whose networks do nothing, so that what is left is pylfr's own loop: tracks, choices, decisions, counts.

The detector is one that works by itself, as a device does: it finds the same face at the same place in every frame, and
gives its quality and its scene, as a device has measured them. The embedder gives every face the same vector, which
matches nobody on the watchlist. Everything else is what runs in a deployment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np

from pylfr.engine.alert_policy import AlertPolicy, AlertRules
from pylfr.engine.engine import Engine
from pylfr.engine.observer import Observer, Observers
from pylfr.engine.stages import EngineLimits, Stages
from pylfr.faces.best_shots import BestShotSelector, SelectionRules
from pylfr.faces.recognise import FaceRecogniser
from pylfr.faces.template_pool import ProbePool
from pylfr.faces.track import FaceTracker, TrackRules
from pylfr.governance.adjudication.false_alert_limit import NoCeiling
from pylfr.governance.audit.audit import RehearsalAudit
from pylfr.governance.authorisation.authority import RecordingPermit
from pylfr.protocols import Gallery
from pylfr.types import SCENE_SHAPE, Candidates, Faces, Float32, Frame, Reference, Templates, UInt8
from pylfr.video.batching.batcher import Batcher

_MODEL = "0" * 64
_DIMENSION = 512
_BOX = (20.0, 16.0, 44.0, 48.0)
_LANDMARKS = ((27.0, 28.0), (37.0, 28.0), (32.0, 34.0), (28.0, 41.0), (36.0, 41.0))
# Sharpness, pixels between the eyes, yaw, pitch, roll, brightness, contrast: a face that is worth a comparison.
_MEASURES = (200.0, 10.0, 5.0, 0.0, 0.0, 0.5, 0.2)


class SameFaces:
    """An ``AheadDetector`` that has found ``faces_a_frame`` faces, 0 or 1, in every frame before it is asked."""

    model = _MODEL

    def __init__(self, faces_a_frame: int) -> None:
        self._faces = faces_a_frame
        self._scene = np.random.default_rng(0).uniform(0, 255, SCENE_SHAPE).astype(np.float32)
        self._given = 0

    def begin(self, images: Sequence[Frame | UInt8]) -> Callable[[], Faces]:
        count = len(images)
        return lambda: self._of(count)

    def detect(self, images: Sequence[Frame | UInt8]) -> Faces:
        return self._of(len(images))

    def _of(self, frames: int) -> Faces:
        count = frames * self._faces
        # The noise of a sensor, so that no camera looks frozen.
        scenes = np.tile(self._scene, (frames, 1, 1))
        number = np.arange(self._given, self._given + frames)
        scenes[:, SCENE_SHAPE[0] // 2, 0], scenes[:, SCENE_SHAPE[0] // 2, 1] = number % 256, number // 256 % 256
        self._given += frames
        return Faces(
            frame_index=np.arange(count, dtype=np.int32),
            boxes=np.tile(np.array(_BOX, np.float32), (count, 1)),
            scores=np.full(count, 0.9, np.float32),
            landmarks=np.tile(np.array(_LANDMARKS, np.float32), (count, 1, 1)),
            measures=np.tile(np.array(_MEASURES, np.float32), (count, 1)),
            scenes=scenes,
        )


class _SameVector:
    """An ``Embedder`` that ignores its crops."""

    model = _MODEL
    dimension = _DIMENSION
    side_px = 1
    landmark_template = np.zeros((5, 2), np.float32)

    def align(self, frames: Sequence[Frame], faces: Faces) -> Float32:  # noqa: ARG002
        return np.zeros((len(faces), 3, 1, 1), np.float32)

    def embed(self, crops: Float32, out: Float32 | None = None) -> Templates:
        vectors = np.empty((len(crops), _DIMENSION), np.float32) if out is None else out
        vectors[:] = _DIMENSION**-0.5
        return Templates(vectors=vectors, model=_MODEL)


class _NobodyAlike:
    """A watchlist of five people whom no probe matches, and its own source."""

    model = _MODEL
    revision = 1
    trouble = ""

    def __len__(self) -> int:
        return 5

    def snapshot(self) -> Gallery:
        return self

    def refresh(self) -> None:
        pass

    def close(self) -> None:
        pass

    def search(self, probes: Templates, k: int) -> Candidates:
        scores = np.tile(np.linspace(0.2, 0.1, k, dtype=np.float32), (len(probes), 1))
        return Candidates(scores=scores, entry=np.tile(np.arange(k), (len(probes), 1)))

    def reference(self, entry: int) -> Reference:
        raise KeyError(entry)


def idle_engine(batches: Batcher, *, faces_a_frame: int, observers: Sequence[Observer] = ()) -> Engine:
    """An engine over ``batches`` whose networks do nothing; ``faces_a_frame`` faces, 0 or 1, are in every frame."""
    now = datetime.now(UTC)
    stages = Stages(
        batches=batches,
        authority=RecordingPermit(
            purpose="to measure what the loop costs",
            place="this machine",
            cameras=batches.cameras,
            starts_at=now - timedelta(minutes=1),
            ends_at=now + timedelta(days=1),
            authorising_officer="whoever measures",
            legal_basis="pictures of noise; nobody is in them",
        ),
        ceiling=NoCeiling(),
        detector=SameFaces(faces_a_frame),
        tracker=FaceTracker(TrackRules(high_score=0.5, low_score=0.3)),
        selector=BestShotSelector(SelectionRules()),
        recogniser=FaceRecogniser(_SameVector(), ProbePool(rows=64, dimension=_DIMENSION)),
        gallery=_NobodyAlike(),
        policy=AlertPolicy(AlertRules(threshold=0.5)),
        audit=RehearsalAudit(),
        sinks=(),
        observers=Observers(observers),
    )
    return Engine(stages, limits=EngineLimits(), detector_name="none", embedder_name="none", runtime_name="none")


@contextmanager
def idle_engine_running(
    batches: Batcher, *, faces_a_frame: int, observers: Sequence[Observer] = ()
) -> Iterator[Engine]:
    """As ``idle_engine``, running in a thread that ends with the block."""
    with idle_engine(batches, faces_a_frame=faces_a_frame, observers=observers) as engine:
        reader = threading.Thread(target=lambda: list(engine.run()))
        reader.start()
        try:
            yield engine
        finally:
            engine.stop()
            reader.join()
