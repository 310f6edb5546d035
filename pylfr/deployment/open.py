"""Where the parts are put together: a deployment, or a rehearsal on recorded material, into a built engine."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pylfr.deployment.authorise import (
    audit_of,
    deployed,
    open_terms,
    preprocessing_of,
    runtime_of,
    threshold_of,
    watchlist_key_of,
)
from pylfr.deployment.cameras import camera_names, open_source
from pylfr.deployment.config import BatchSection, Deployment, RecognitionSection, read_deployment
from pylfr.deployment.models import Networks, on_host, open_networks
from pylfr.deployment.sinks import open_records_sink, open_sink
from pylfr.deployment.sweep import forget_expired
from pylfr.engine.alert_policy import AlertPolicy, AlertRules
from pylfr.engine.engine import Engine, EngineLimits, Stages
from pylfr.engine.track_statistics import Aggregator, Provenance
from pylfr.faces.best_shots import BestShotSelector, RecognitionRules
from pylfr.faces.detect import FaceDetector
from pylfr.faces.device.recognise import DeviceRecogniser
from pylfr.faces.embed import FaceEmbedder
from pylfr.faces.quality import QualityGate
from pylfr.faces.track import FaceTracker, TrackRules
from pylfr.gallery.index.reloading import open_gallery
from pylfr.gallery.watchlist.quality_gate import EnrolmentGate
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.governance.adjudication.false_alert_limit import NoCeiling
from pylfr.governance.audit.audit import RehearsalAudit
from pylfr.governance.authorisation.authority import RecordingPermit, Rehearsal
from pylfr.governance.keys.memory import close_memory, memory_state
from pylfr.protocols import Audit, Authority, Ceiling, GallerySource, Sink, Source
from pylfr.types import Device
from pylfr.video.batching.batcher import Batcher
from pylfr.video.isolation.client import read_image_isolated
from pylfr.video.open import IsolatedFile, decoded_by, decoding_of
from pylfr.video.sources.looped import LoopedRecording

log = logging.getLogger(__name__)

# Weak detections below the detector's own threshold carry tracks on, and every one of them is redacted in evidence.
_LOW_SCORE_SHARE = 0.5
# Played recordings run ahead of the clock where they are read as fast as possible.
_LONGEST_LOAD = timedelta(days=30)


# Who decides on alerts, made from the rules and the gallery that names entries.
MakeDesk = Callable[[AlertRules, GallerySource], AlertPolicy]


def open_engine(deployment: Deployment | Path | str, *, debuggable: bool = False) -> Engine:
    """The engine that a deployment, or the file that describes it, asks for; its ``run`` may start at once.

    Under a signed authorisation the memory of the whole process is closed first, for good: no core dump, no debugger.
    ``debuggable`` leaves it open; the record and the report say so.
    Raises ``AuthorisationError`` naming whatever was not authorised, and the error of whichever part cannot be had:
    ``ConfigError``, ``ModelError``, ``WatchlistError``, ``MediaError``, ``SinkError``, ``AuditError``, ``CudaError``.
    """
    if not isinstance(deployment, Deployment):
        deployment = read_deployment(Path(deployment))
    # Before any key is read.
    if deployment.authority is not None and not debuggable:
        close_memory()
    log.info("the memory of this process is %s", memory_state())
    now = datetime.now(UTC)
    with closing(audit_of(deployment)) as record:
        forget_expired(deployment, record, now=now)
    terms = open_terms(deployment, now=now)
    with closing(audit_of(deployment)) as record:
        record.note(deployed(deployment, terms, memory=memory_state()))
    models = deployment.models
    networks = open_networks(
        models.detector,
        models.embedder,
        device=models.device,
        runtime=runtime_of(deployment).name,
        threads=models.threads,
        side_px=models.side_px,
        graphs=models.graphs,
    )
    gallery = open_gallery(
        deployment.watchlist.file,
        model=networks.embedder.model,
        index=deployment.watchlist.index,
        poll_ms=deployment.watchlist.poll_ms,
        authorised=terms.authorised,
        key=watchlist_key_of(deployment, now=now),
    )
    waiting, ceiling = open_records_sink(deployment, terms, now)
    return _build(
        sources=[open_source(camera, now, deployment.decode.isolation) for camera in deployment.cameras],
        networks=networks,
        gallery=gallery,
        recognition=deployment.recognition,
        calibrated=terms.calibrated,
        batch_size=deployment.batch.size,
        wait_ms=deployment.batch.wait_ms,
        authority=terms.authority,
        audit=audit_of(deployment),
        ceiling=ceiling,
        sinks=[*waiting, *(open_sink(sink, terms, now) for sink in deployment.sinks)],
        aggregates=deployment.aggregates.folder if deployment.aggregates is not None else None,
    )


def open_rehearsal(
    videos: Sequence[Path | Source],
    people: Mapping[str, Sequence[Path]],
    *,
    detector: str,
    embedder: str,
    recognition: RecognitionSection | None = None,
    device: Device = "cpu",
    runtime: str = "auto",
    threads: int = 0,
    sinks: Sequence[Sink] = (),
    aggregates: Path | None = None,
    started_at: datetime | None = None,
    make_desk: MakeDesk = lambda rules, _: AlertPolicy(rules),
    watch: Callable[[Stages], None] = lambda _: None,
) -> Engine:
    """An engine that tries recorded ``videos`` against ``people``, each a name with its reference images.

    A video may also be a source of its own, which must not be live.

    It needs no authorisation, reads as fast as it can, drops no frame, and keeps nothing when it has ended. Every
    video begins at ``started_at``, or now; ``make_desk`` is given the rules and the gallery, ``watch`` is shown
    the stages before it runs; counts over tracks go into the folder ``aggregates``. Raises
    ``EnrolmentError`` where an image shows no face or several, and whatever a part that cannot be had raises.
    """
    networks = open_networks(detector, embedder, device=device, runtime=runtime, threads=threads)
    started_at = started_at or datetime.now(UTC)
    # Not opened early: a recording that cannot be read is reported like one that breaks off, and the others go on.
    sources: list[Source] = [
        IsolatedFile(path, camera=name, started_at=started_at, pace="as-fast-as-possible", loop=False, threads=1)
        for name, path in camera_names([each for each in videos if isinstance(each, Path)]).items()
    ]
    sources += [each for each in videos if not isinstance(each, Path)]
    return _build(
        sources=sources,
        networks=networks,
        gallery=_rehearsal_gallery(people, networks),
        recognition=recognition or RecognitionSection(),
        batch_size=min(16, max(4, len(sources))),
        wait_ms=20.0,
        authority=Rehearsal(),
        ceiling=NoCeiling(),
        audit=RehearsalAudit(),
        sinks=sinks,
        aggregates=aggregates,
        make_desk=make_desk,
        watch=watch,
    )


def open_load(
    cameras: Sequence[LoopedRecording],
    *,
    detector: FaceDetector,
    embedder: FaceEmbedder,
    gallery: GallerySource,
    recognition: RecognitionSection | None = None,
    batch: BatchSection | None = None,
    make_desk: MakeDesk = lambda rules, _: AlertPolicy(rules),
    watch: Callable[[Stages], None] = lambda _: None,
) -> Engine:
    """An engine under load, to be measured: recordings played for ever in place of cameras, until ``stop``.

    ``watch`` is shown the stages before the engine runs. Nothing is recorded or sent. It cannot look through a live
    camera: it takes recordings alone, under words that name each of them.
    """
    recognition, batch = recognition or RecognitionSection(), batch or BatchSection()
    now = datetime.now(UTC)
    return _build(
        sources=cameras,
        networks=on_host(detector, embedder),
        gallery=gallery,
        recognition=recognition,
        batch_size=batch.size,
        wait_ms=batch.wait_ms,
        authority=RecordingPermit(
            purpose="to measure what this machine can do",
            place="this machine",
            cameras=frozenset(camera.camera for camera in cameras),
            starts_at=now - timedelta(minutes=1),
            ends_at=now + _LONGEST_LOAD,
            authorising_officer="whoever measures",
            legal_basis="recorded material; nothing is kept",
        ),
        ceiling=NoCeiling(),
        audit=RehearsalAudit(),
        sinks=(),
        make_desk=make_desk,
        watch=watch,
    )


def _build(
    *,
    sources: Sequence[Source],
    networks: Networks,
    gallery: GallerySource,
    recognition: RecognitionSection,
    batch_size: int,
    wait_ms: float,
    authority: Authority,
    ceiling: Ceiling,
    audit: Audit,
    sinks: Sequence[Sink],
    calibrated: bool = False,
    aggregates: Path | None = None,
    make_desk: MakeDesk = lambda rules, _: AlertPolicy(rules),
    watch: Callable[[Stages], None] = lambda _: None,
) -> Engine:
    manifest = networks.embedder.manifest
    threshold = threshold_of(recognition, manifest)
    high_score = networks.detector.score_floor
    low_score = high_score * _LOW_SCORE_SHARE
    decoding = decoding_of(sources)
    log.info("pictures are decoded %s", decoding)
    for source in sources:
        log.info("camera %s is decoded by %s", source.camera, decoded_by(source))
    stages = Stages(
        batches=Batcher(
            sources,
            size=batch_size,
            wait_ms=wait_ms,
            detect_hz=recognition.detect_hz,
            min_detect_hz=recognition.slowest_hz,
        ),
        authority=authority,
        ceiling=ceiling,
        detector=networks.detector.with_score_floor(low_score),
        tracker=FaceTracker(TrackRules(high_score=high_score, low_score=low_score)),
        plan=BestShotSelector(
            RecognitionRules(
                best_k=recognition.best_k,
                gap_ms=recognition.gap_ms,
                recheck_ms=recognition.recheck_ms,
                gate=QualityGate(
                    interocular_px=recognition.min_interocular_px,
                    sharpness=recognition.min_sharpness,
                    yaw_deg=recognition.max_yaw_deg,
                    pitch_deg=recognition.max_pitch_deg,
                ),
            )
        ),
        recogniser=networks.recogniser,
        gallery=gallery,
        desk=make_desk(
            AlertRules(
                threshold=threshold,
                calibrated=calibrated,
                best_k=recognition.best_k,
                min_samples=recognition.min_samples,
                best_scores=recognition.best_scores,
                cooldown_s=recognition.cooldown_s,
            ),
            gallery,
        ),
        audit=audit,
        sinks=sinks,
        aggregator=Aggregator(
            aggregates,
            Provenance(
                detector=networks.detector.model,
                embedder=networks.embedder.model,
                preprocessing=preprocessing_of(manifest),
                threshold=threshold,
            ),
        )
        if aggregates is not None
        else None,
        decoding=decoding,
    )
    watch(stages)
    return Engine(
        stages,
        limits=EngineLimits(candidates=recognition.candidates, max_faces_a_frame=recognition.max_faces_a_frame),
        detector_name=networks.detector.manifest.name,
        embedder_name=manifest.name,
        runtime_name=networks.runtime,
    )


def _rehearsal_gallery(people: Mapping[str, Sequence[Path]], networks: Networks) -> GallerySource:
    """The people as a watchlist that is gone from the disk as soon as it has been read."""
    with tempfile.TemporaryDirectory(prefix="pylfr-rehearsal-") as folder:
        path = Path(folder) / "rehearsal.watchlist"
        with create_watchlist(path, networks.embedder) as watchlist:
            for name, images in people.items():
                for image in images:
                    watchlist.enrol(
                        name,
                        read_image_isolated(image),
                        detector=networks.detector,
                        embedder=networks.embedder,
                        gate=EnrolmentGate.one_face(),
                    )
        is_on_device = isinstance(networks.recogniser, DeviceRecogniser)
        return open_gallery(path, model=networks.embedder.model, index="device-float32" if is_on_device else "native")
