"""Opens an engine: of a deployment, of a rehearsal on recorded material, or of a load that is measured."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pylfr.deployment.authorise import deployed, deployment_threshold, is_recording, require_authorised
from pylfr.deployment.cameras import camera_names, open_source
from pylfr.deployment.config import Deployment
from pylfr.deployment.models import on_host, open_networks
from pylfr.deployment.recognition import preprocessing_of, settings_of, threshold_of
from pylfr.deployment.resources import Resources, open_resources
from pylfr.deployment.sections.recognition import BatchSection, RecognitionSection
from pylfr.deployment.sinks import false_alert_limit, open_sinks
from pylfr.deployment.sweep import forget_expired
from pylfr.deployment.whole_record import require_whole_record
from pylfr.engine.build import EngineSettings, Networks, build_engine
from pylfr.engine.engine import Engine
from pylfr.engine.observer import Observer
from pylfr.engine.track_statistics import Provenance, TrackStatistics
from pylfr.faces.detect import FaceDetector
from pylfr.faces.device.recognise import DeviceRecogniser
from pylfr.faces.embed import FaceEmbedder
from pylfr.gallery.index.build import build_gallery
from pylfr.gallery.index.reloading import FixedGallery
from pylfr.gallery.watchlist.quality_gate import EnrolmentGate
from pylfr.gallery.watchlist.watchlist import watchlist_in_memory
from pylfr.governance.adjudication.false_alert_limit import NoCeiling
from pylfr.governance.audit.audit import RehearsalAudit
from pylfr.governance.authorisation.authority import RecordingPermit, Rehearsal
from pylfr.governance.keys.memory import close_memory, memory_state
from pylfr.protocols import GallerySource, Sink, Source
from pylfr.sinks.evidence import SealedEvidenceSink
from pylfr.sinks.prepared import PreparedAudit
from pylfr.types import Device
from pylfr.video.isolation.client import read_image_isolated
from pylfr.video.open import IsolatedFile
from pylfr.video.sources.looped import LoopedRecording

log = logging.getLogger(__name__)

_LONGEST_LOAD = timedelta(days=30)


def open_engine(
    deployment: Deployment | Path | str, *, debuggable: bool = False, observers: Sequence[Observer] = ()
) -> Engine:
    """The engine that a deployment, or the file that describes it, asks for; its ``run`` may start at once.

    Under a signed authorisation the memory of the whole process is closed first, for good: no core dump, no debugger.
    ``debuggable`` leaves it open; the record and the report say so. ``observers`` are told what the engine does.
    The engine owns whatever was opened: close it where it is never run.
    Raises ``AuthorisationError`` naming whatever was not authorised, and the error of whichever part cannot be had:
    ``ConfigError``, ``ModelError``, ``WatchlistError``, ``MediaError``, ``SinkError``, ``AuditError``, ``CudaError``.
    Nothing stays open then.
    """
    resources = open_resources(Path(deployment) if isinstance(deployment, str) else deployment)
    return engine_of(resources, debuggable=debuggable, observers=observers)


def engine_of(resources: Resources, *, debuggable: bool = False, observers: Sequence[Observer] = ()) -> Engine:
    """As ``open_engine``, of resources some of which may be open already; the engine, or the error, closes them."""
    try:
        # Before any key is read.
        if resources.deployment.authority is not None and not debuggable:
            close_memory()
        log.info("the memory of this process is %s", memory_state())
        return _open(resources, observers)
    except BaseException:
        resources.close()
        raise


def _open(resources: Resources, observers: Sequence[Observer]) -> Engine:
    resources.begin_run()
    deployment, audit = resources.deployment, resources.audit
    require_whole_record(resources)
    forget_expired(resources)
    terms = require_authorised(resources)
    audit.note(deployed(resources, terms, memory=memory_state()))
    models = deployment.models
    networks = open_networks(
        models.detector,
        models.embedder,
        device=models.device,
        runtime=resources.runtime.name,
        threads=models.threads,
        side_px=models.side_px,
        smallest_face_px=deployment.recognition.smallest_face_px,
        graphs=models.graphs,
    )
    settings = settings_of(
        deployment.recognition, deployment.batch, deployment_threshold(resources), calibrated=terms.calibrated
    )
    gallery = resources.open_gallery(model=networks.embedder.model, authorised=terms.authorised)
    sources = []
    for camera in deployment.cameras:
        started_at = camera.recorded_at or resources.now
        sources.append(open_source(camera, started_at, deployment.decode.isolation))
        resources.closes(sources[-1].close)
    sinks = open_sinks(resources, terms)
    if deployment.aggregates is not None:
        observers = (*observers, _statistics(deployment.aggregates.folder, networks, settings))
    return build_engine(
        settings,
        sources=sources,
        networks=networks,
        gallery=gallery,
        authority=terms.authority,
        ceiling=false_alert_limit(resources, terms),
        audit=PreparedAudit(audit, [each.prepare for each in sinks if isinstance(each, SealedEvidenceSink)]),
        sinks=sinks,
        observers=observers,
        undated=frozenset(each.name for each in deployment.cameras if is_recording(each) and each.recorded_at is None),
        on_close=resources.close,
    )


def _statistics(folder: Path, networks: Networks, settings: EngineSettings) -> TrackStatistics:
    return TrackStatistics(
        folder,
        Provenance(
            detector=networks.detector.model,
            embedder=networks.embedder.model,
            preprocessing=preprocessing_of(networks.embedder.manifest),
            threshold=settings.alerts.threshold,
        ),
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
    observers: Sequence[Observer] = (),
) -> Engine:
    """An engine that tries recorded ``videos`` against ``people``, each a name with its reference images.

    A video may also be a source of its own, which must not be live.

    It needs no authorisation, reads as fast as it can, drops no frame, and stores nothing. Every video begins at
    ``started_at``, or now; ``observers`` are told what it does; counts over tracks go into the folder ``aggregates``.
    Raises ``EnrolmentError`` where an image shows no face or several, and whatever a part that cannot be had raises.
    """
    recognition = recognition or RecognitionSection()
    networks = open_networks(
        detector, embedder, device=device, runtime=runtime, threads=threads,
        smallest_face_px=recognition.smallest_face_px,
    )  # fmt: skip
    started_at = started_at or datetime.now(UTC)
    # Not opened early: a recording that cannot be read is reported like one that breaks off, and the others go on.
    sources: list[Source] = [
        IsolatedFile(path, camera=name, started_at=started_at, pace="as-fast-as-possible", loop=False, threads=1)
        for name, path in camera_names([each for each in videos if isinstance(each, Path)]).items()
    ]
    sources += [each for each in videos if not isinstance(each, Path)]
    batch = BatchSection(size=min(16, max(4, len(sources))))
    references = sum(len(images) for images in people.values())
    settings = settings_of(
        recognition, batch, threshold_of(recognition, networks.embedder.manifest, references=references)
    )
    if aggregates is not None:
        observers = (*observers, _statistics(aggregates, networks, settings))
    return build_engine(
        settings,
        sources=sources,
        networks=networks,
        gallery=_rehearsal_gallery(people, networks),
        authority=Rehearsal(),
        ceiling=NoCeiling(),
        audit=RehearsalAudit(),
        sinks=sinks,
        observers=observers,
    )


def open_load(
    cameras: Sequence[LoopedRecording],
    *,
    detector: FaceDetector,
    embedder: FaceEmbedder,
    gallery: GallerySource,
    recognition: RecognitionSection | None = None,
    batch: BatchSection | None = None,
    observers: Sequence[Observer] = (),
) -> Engine:
    """An engine under load, to be measured: recordings played for ever in place of cameras, until ``stop``.

    Nothing is recorded or sent. It cannot look through a live camera: it takes recordings alone, under a permit that
    names each of them.
    """
    now = datetime.now(UTC)
    recognition = recognition or RecognitionSection()
    # Nobody is looked for: the length of the watchlist needs no threshold of its own.
    longest = embedder.manifest.embedding.longest_suggested
    return build_engine(
        settings_of(
            recognition, batch or BatchSection(), threshold_of(recognition, embedder.manifest, references=longest)
        ),
        sources=cameras,
        networks=on_host(detector, embedder),
        gallery=gallery,
        authority=RecordingPermit(
            purpose="to measure what this machine can do",
            place="this machine",
            cameras=frozenset(camera.camera for camera in cameras),
            starts_at=now - timedelta(minutes=1),
            ends_at=now + _LONGEST_LOAD,
            authorising_officer="whoever measures",
            legal_basis="recorded material; nothing is stored",
        ),
        ceiling=NoCeiling(),
        audit=RehearsalAudit(),
        observers=observers,
        undated=frozenset(camera.camera for camera in cameras),
    )


def _rehearsal_gallery(people: Mapping[str, Sequence[Path]], networks: Networks) -> GallerySource:
    """The people as a watchlist that is in memory alone: a rehearsal that is killed leaves nothing on a disk."""
    with watchlist_in_memory(networks.embedder) as watchlist:
        for name, images in people.items():
            for image in images:
                watchlist.enrol(
                    name,
                    read_image_isolated(image),
                    detector=networks.detector,
                    embedder=networks.embedder,
                    gate=EnrolmentGate.one_face(),
                )
        snapshot = watchlist.snapshot()
    is_on_device = isinstance(networks.recogniser, DeviceRecogniser)
    return FixedGallery(build_gallery(snapshot, "device-float32" if is_on_device else "native"))
