"""The parts of an engine, and its limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pylfr.engine.alert_policy import AlertPolicy
from pylfr.engine.observer import Observers
from pylfr.faces.best_shots import BestShotSelector
from pylfr.faces.device.recognise import DeviceRecogniser
from pylfr.faces.input_size import DetectSize
from pylfr.faces.recognise import FaceRecogniser
from pylfr.faces.track import FaceTracker
from pylfr.protocols import Audit, Authority, Ceiling, Detector, GallerySource, Sink
from pylfr.types import Frame
from pylfr.video.batching.batcher import Batcher


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stages:
    """The parts of an engine, in the order in which a frame meets them.

    ``undated`` are the cameras that play recordings without a stated recording time; ``looks`` counts what the detector
    did not analyse in full (``ChangedRegionDetector``). ``input_size`` gives the detector's input for a frame
    where the smallest face sought decides on it.
    """

    batches: Batcher
    authority: Authority
    ceiling: Ceiling
    detector: Detector
    tracker: FaceTracker
    selector: BestShotSelector
    recogniser: FaceRecogniser | DeviceRecogniser
    gallery: GallerySource
    policy: AlertPolicy
    audit: Audit
    sinks: Sequence[Sink]
    observers: Observers = field(default_factory=Observers)
    undated: frozenset[str] = frozenset()
    decoding: str = "in this process"
    looks: Counter[str] = field(default_factory=Counter)
    input_size: Callable[[Frame], DetectSize] | None = None
    on_close: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """``candidates`` a probe; ``max_faces_a_frame``: the rest of a crowd is dropped, weakest first, and counted."""

    candidates: int = 5
    max_faces_a_frame: int = 100
