"""Puts the parts of an engine together. It opens nothing: every part that needs a file is given."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pylfr.engine.alert_policy import AlertPolicy, AlertRules
from pylfr.engine.engine import Engine
from pylfr.engine.observer import Observer, Observers
from pylfr.engine.stages import EngineLimits, Stages
from pylfr.faces.best_shots import BestShotSelector, SelectionRules
from pylfr.faces.changed_regions import ChangedRegionDetector
from pylfr.faces.detect import FaceDetector
from pylfr.faces.device.detect import DeviceDetector
from pylfr.faces.device.recognise import DeviceRecogniser, HostEmbedderAdapter
from pylfr.faces.embed import FaceEmbedder
from pylfr.faces.input_size import DetectSize
from pylfr.faces.recognise import FaceRecogniser
from pylfr.faces.redact import NEAR_SHARE
from pylfr.faces.track import FaceTracker, TrackRules
from pylfr.protocols import AheadDetector, Audit, Authority, Ceiling, Detector, GallerySource, Sink, Source
from pylfr.types import Frame
from pylfr.video.batching.batcher import Batcher
from pylfr.video.open import decoded_by, decoding_of

log = logging.getLogger(__name__)

# Shares of the detector's own threshold. A somewhat weaker face may still start a track and be compared: on synthetic
# crowds that finds people whom no stronger detection shows (docs/accuracy.md). Still weaker ones carry tracks on. The
# detector reports down to NEAR_SHARE: what is weaker than these is redacted in pictures, and nothing else.
HIGH_SCORE_SHARE = 0.7
LOW_SCORE_SHARE = 0.5

# A device takes as long for one picture as for many: how long the first of a batch waits for others.
_DEVICE_WAIT_MS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Networks:
    """The networks, and who recognises with them. ``embedder`` is the one that enrols."""

    detector: FaceDetector | DeviceDetector
    embedder: FaceEmbedder | HostEmbedderAdapter
    recogniser: FaceRecogniser | DeviceRecogniser
    runtime: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The rules that an engine runs under.

    ``detect_hz`` frames a second of each camera are analysed, up to ``closer_hz`` while somebody in view is undecided,
    of live ones under overload no fewer than ``min_detect_hz``; a batch holds ``batch_size`` frames and waits
    ``wait_ms`` at most to be filled; None: not at all for networks on the CPU, which take one picture after the other,
    and 20 ms for those on a device. Every ``full_look_s`` a picture is analysed in full, between these where something
    has changed; 0: each of them in full, as on a device.
    """

    alerts: AlertRules
    best_shots: SelectionRules
    limits: EngineLimits
    detect_hz: float
    min_detect_hz: float
    closer_hz: float
    full_look_s: float
    batch_size: int
    wait_ms: float | None


def build_engine(
    settings: EngineSettings,
    *,
    sources: Sequence[Source],
    networks: Networks,
    gallery: GallerySource,
    authority: Authority,
    ceiling: Ceiling,
    audit: Audit,
    sinks: Sequence[Sink] = (),
    observers: Sequence[Observer] = (),
    undated: frozenset[str] = frozenset(),
    stays_open: bool = False,
    on_close: Callable[[], None] = lambda: None,
) -> Engine:
    """The engine of these parts; it closes gallery, sinks and audit at its end, and calls ``on_close`` last.

    ``undated`` cameras play recordings without a stated recording time: they are judged by the time of analysis. One
    that ``stays_open`` waits for cameras that are added later, and ends when it is stopped.
    """
    decoding = decoding_of(sources)
    log.info("pictures are decoded %s", decoding)
    for source in sources:
        log.info("camera %s is decoded by %s", source.camera, decoded_by(source))
    high_score = networks.detector.score_floor * HIGH_SCORE_SHARE
    low_score = networks.detector.score_floor * LOW_SCORE_SHARE
    looks: Counter[str] = Counter()
    stages = Stages(
        batches=Batcher(
            sources,
            size=settings.batch_size,
            wait_ms=_wait_ms(settings, networks),
            detect_hz=settings.detect_hz,
            min_detect_hz=settings.min_detect_hz,
            closer_hz=settings.closer_hz,
            stays_open=stays_open,
        ),
        authority=authority,
        ceiling=ceiling,
        detector=_detector(settings, networks, looks),
        tracker=FaceTracker(TrackRules(high_score=high_score, low_score=low_score)),
        selector=BestShotSelector(settings.best_shots),
        recogniser=networks.recogniser,
        gallery=gallery,
        policy=AlertPolicy(settings.alerts),
        audit=audit,
        sinks=sinks,
        observers=Observers(observers),
        undated=undated,
        decoding=decoding,
        looks=looks,
        input_size=_input_size(networks),
        on_close=on_close,
    )
    return Engine(
        stages,
        limits=settings.limits,
        detector_name=networks.detector.manifest.name,
        embedder_name=networks.embedder.manifest.name,
        runtime_name=networks.runtime,
    )


def _detector(settings: EngineSettings, networks: Networks, looks: Counter[str]) -> Detector:
    """What detects down to what is redacted; on the CPU, between full looks, where something has changed."""
    detector = networks.detector.with_score_floor(networks.detector.score_floor * NEAR_SHARE)
    if isinstance(detector, AheadDetector) or detector.manifest.detection.fixed_size or not settings.full_look_s:
        return detector
    return ChangedRegionDetector(detector, full_look_s=settings.full_look_s, counts=looks)


def _input_size(networks: Networks) -> Callable[[Frame], DetectSize] | None:
    """The detector's input for a frame, where the smallest face sought decides on it."""
    detector = networks.detector
    return detector.size_for if isinstance(detector, FaceDetector) and detector.is_sized_by_face else None


def _wait_ms(settings: EngineSettings, networks: Networks) -> float:
    if settings.wait_ms is not None:
        return settings.wait_ms
    return _DEVICE_WAIT_MS if isinstance(networks.detector, AheadDetector) else 0.0
