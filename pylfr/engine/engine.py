"""The loop, nothing else: frames in, faces found, tracked, recognised, forgotten; alerts recorded, then sent."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import TracebackType

import numpy as np

from pylfr.engine.alert_policy import AlertPolicy, PossibleMatch, compose_alert
from pylfr.engine.observer import Comparison, Observer
from pylfr.engine.summary import (
    CameraSummary,
    Summary,
    add_causes,
    camera_turned,
    run_began,
    run_ended,
    threshold_raised,
)
from pylfr.errors import AuthorisationError, PylfrError, SinkError
from pylfr.faces.best_shots import BestShotSelector
from pylfr.faces.device.recognise import DeviceRecogniser
from pylfr.faces.recognise import FaceRecogniser
from pylfr.faces.track import FaceTracker, TrackKey
from pylfr.governance.authorisation.authority import REHEARSAL
from pylfr.protocols import AheadDetector, Audit, Authority, Ceiling, Detector, Gallery, GallerySource, Sink
from pylfr.types import Alert, Faces, FrameBatch, Recorded, Tracks
from pylfr.video.batching.batcher import Batcher

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stages:
    """The parts of an engine, in the order in which a frame meets them."""

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
    observers: tuple[Observer, ...] = ()
    decoding: str = "in this process"
    on_close: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """``candidates`` a probe; ``max_faces_a_frame``: the rest of a crowd is dropped, weakest first, and counted."""

    candidates: int = 5
    max_faces_a_frame: int = 100


class Engine:
    """Runs once: ``run`` yields every alert after it was recorded and sent; ``summary`` gives the account."""

    def __init__(
        self, stages: Stages, *, limits: EngineLimits, detector_name: str, embedder_name: str, runtime_name: str
    ) -> None:
        self._stages = stages
        self._limits = limits
        self._names = (detector_name, embedder_name, runtime_name)
        self._dropped: Counter[str] = Counter()
        self._faces: Counter[str] = Counter()
        self._tracks: Counter[str] = Counter()
        self._alerts: Counter[str] = Counter()
        self._recognised = 0
        self._undelivered = 0
        self._errors: list[str] = []
        self._stopped_because = ""
        self._began = self._seconds = 0.0

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop, and close what the engine owns, also where it was never run. May be called more than once."""
        self.stop()
        if not self._began:
            self._stages.batches.close()
            self._stages.on_close()

    def stop(self, because: str = "stopped by the operator") -> None:
        """End the run soon and cleanly. May be called from any thread, more than once; the first reason stands."""
        self._stopped_because = self._stopped_because or because
        self._stages.batches.stop()

    def run(self) -> Iterator[Recorded[Alert]]:
        """Yield each alert once it stands in the audit record and its sinks have it.

        Ends when every recording has ended, when ``stop`` is called, or when the authorisation does. Raises
        ``AuthorisationError`` where nothing is authorised now, and ``AuditError`` where the record cannot be written.
        """
        stages = self._stages
        now = datetime.now(UTC)
        stages.authority.require(stages.batches.cameras, (now, now))
        if stages.authority.reference == REHEARSAL and stages.batches.is_live:
            raise AuthorisationError("a rehearsal is for recorded material: live cameras need an authorisation")
        stages.audit.note(
            run_began(
                stages.authority.reference,
                stages.batches.cameras,
                stages.policy.rules.threshold,
                decoding=stages.decoding,
            )
        )
        alarm = self._window_alarm(now)
        self._began = time.perf_counter()
        try:
            with stages.batches:
                for batch, faces in self._detected():
                    yield from self._recognise(batch, faces)
        finally:
            self._seconds = time.perf_counter() - self._began
            if alarm is not None:
                alarm.cancel()
            self._close()

    def raise_threshold(self, threshold: float, *, by: str) -> None:
        """Ask for more before an alert, from now on; recorded with who wanted it. May be called from any thread.

        Raises ``AuthorisationError`` for a lower one: that needs another authorisation.
        """
        before = self._stages.policy.rules.threshold
        if not by.strip() or not before <= threshold <= 1:
            raise AuthorisationError(
                f"the threshold may be raised from {before} by a named person, got {threshold} by {by!r}: a lower one "
                "needs another authorisation"
            )
        self._stages.audit.note(threshold_raised(before, threshold, by))
        self._stages.policy.raise_threshold(threshold)

    def summary(self) -> Summary:
        """The account so far; complete once ``run`` has ended. May be called from any thread."""
        stages = self._stages
        counts = stages.batches.counts()
        gallery = stages.gallery.snapshot()
        seconds = self._seconds or (time.perf_counter() - self._began if self._began else 0.0)
        cameras = {
            camera: CameraSummary(
                frames=count.came,
                detected_frames=count.passed_on,
                faces=self._faces[camera],
                tracks=self._tracks[camera],
                alerts=self._alerts[camera],
                dropped=count.dropped,
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
            faces=sum(self._faces.values()),
            tracks=sum(self._tracks.values()) + stages.tracker.alive,
            recognised=self._recognised,
            alerts=sum(self._alerts.values()),
            suppressed=stages.policy.suppressed,
            undelivered=self._undelivered,
            dropped=add_causes(
                [
                    self._dropped,
                    stages.tracker.unfollowed,
                    stages.selector.refused,
                    *(camera.dropped for camera in cameras.values()),
                ]
            ),
            dwell_ms=stages.recogniser.pool.dwell(),
            template_memory_locked=stages.recogniser.pool.is_locked,
            seconds=round(seconds, 3),
            fps=round(frames / seconds, 2) if seconds else 0.0,
            detector=self._names[0],
            embedder=self._names[1],
            runtime=self._names[2],
            threshold=stages.policy.rules.threshold,
            calibrated=stages.policy.rules.calibrated,
            watchlist_size=len(gallery),
            watchlist_revision=gallery.revision,
            cameras=cameras,
            errors=(*failures, *self._errors),
            stopped_because=self._stopped_because or "every recording has ended",
        )

    def _detected(self) -> Iterator[tuple[FrameBatch, Faces]]:
        """Each batch with its faces. A detector that works by itself has the next batch, where one waits, meanwhile."""
        batches, detector = self._stages.batches, self._stages.detector
        at_once = 2 if isinstance(detector, AheadDetector) else 1
        begun: deque[tuple[FrameBatch, Callable[[], Faces]]] = deque()
        while True:
            batch = batches.take(wait=not begun)
            if batch is not None and self._is_permitted(batch):
                for each in self._stages.observers:
                    each.batch_taken(batch)
                begun.append((batch, _begin(detector, batch)))
                if len(begun) < at_once:
                    continue
            if not begun:
                return
            earliest, waiting = begun.popleft()
            faces = waiting()
            for each in self._stages.observers:
                each.faces_found(earliest, faces)
            yield earliest, faces

    def _is_permitted(self, batch: FrameBatch) -> bool:
        """Whether these pictures may be looked at; where not, the run ends."""
        self._note_cameras()
        try:
            self._stages.authority.require(batch.cameras, batch.captured_at)
            self._stages.ceiling.require(self._tracks.total() + self._stages.tracker.alive)
        except AuthorisationError as error:
            self.stop(str(error))
            return False
        return True

    def _recognise(self, batch: FrameBatch, faces: Faces) -> Iterator[Recorded[Alert]]:
        stages = self._stages
        gallery = stages.gallery.snapshot()
        faces = self._capped(batch, faces)
        tracks = stages.tracker.update(batch, faces)
        for each in stages.observers:
            each.faces_tracked(batch, tracks)
        selection = stages.selector.due(batch, tracks, live=stages.batches.live_cameras)
        tracks = selection.tracks
        for each in stages.observers:
            each.faces_selected(batch, tracks, selection.rows)
        for start in range(0, len(selection.rows), stages.recogniser.pool.rows):
            rows = selection.rows[start : start + stages.recogniser.pool.rows]
            began = time.perf_counter()
            candidates = stages.recogniser.recognise(
                batch.frames, tracks.faces.select(rows), gallery, self._limits.candidates
            )
            self._recognised += len(rows)
            seconds = time.perf_counter() - began
            threshold = stages.policy.rules.threshold
            stages.selector.note(batch, tracks, rows, candidates, threshold=threshold, seconds=seconds)
            compared = Comparison(batch=batch, tracks=tracks, rows=rows, candidates=candidates, gallery=gallery)
            for each in stages.observers:
                each.faces_compared(compared)
            matches = stages.policy.decide(batch, tracks, rows, candidates)
            for each in stages.observers:
                each.matches_decided(compared, matches)
            for match in matches:
                yield self._alert(match, batch, tracks, gallery)
        self._forget(stages.tracker.ended())

    def _alert(self, match: PossibleMatch, batch: FrameBatch, tracks: Tracks, gallery: Gallery) -> Recorded[Alert]:
        stages = self._stages
        alert = compose_alert(
            match, batch, tracks, gallery, stages.policy.rules, authorisation=stages.authority.reference
        )
        recorded = stages.audit.record(alert)
        self._alerts[alert.camera] += 1
        for sink in stages.sinks:
            try:
                sink.send(recorded)
            except SinkError as error:
                self._undelivered += 1
                self._note(f"alert {alert.id} was recorded but not delivered: {error}")
        for each in stages.observers:
            each.alert_recorded(recorded)
        return recorded

    def _capped(self, batch: FrameBatch, faces: Faces) -> Faces:
        """The best faces of each frame, up to the cap, counted by camera."""
        rank = np.arange(len(faces)) - np.searchsorted(faces.frame_index, faces.frame_index)
        kept = rank < self._limits.max_faces_a_frame
        if not kept.all():
            self._dropped["face_over_cap"] += int(np.count_nonzero(~kept))
            faces = faces.select(kept)
        for index, count in zip(*np.unique(faces.frame_index, return_counts=True), strict=True):
            self._faces[batch.frames[index].camera] += int(count)
        return faces

    def _forget(self, ended: Sequence[TrackKey]) -> None:
        if not ended:
            return
        self._stages.selector.forget(ended)
        closed = self._stages.policy.forget(ended)
        for each in self._stages.observers:
            each.tracks_ended(closed)
        self._tracks.update(key.camera for key in ended)

    def _window_alarm(self, now: datetime) -> threading.Timer | None:
        """A timer that stops the run when the authorised window ends, also while no frame arrives."""
        ends_at = self._stages.authority.ends_at
        if ends_at is None:
            return None
        because = f"the authorised window ended at {ends_at.astimezone(UTC).isoformat(timespec='seconds')}"
        alarm = threading.Timer((ends_at - now).total_seconds(), self.stop, (because,))
        alarm.daemon = True
        alarm.start()
        return alarm

    def _note_cameras(self) -> None:
        for event in self._stages.batches.take_events():
            self._stages.audit.note(camera_turned(event))
            for each in self._stages.observers:
                each.camera_changed(event)

    def _note(self, error: str) -> None:
        self._errors.append(error)
        log.error(error)

    def _close(self) -> None:
        self._stages.tracker.finish()
        self._forget(self._stages.tracker.ended())
        for each in self._stages.observers:
            try:
                each.run_ended()
            except PylfrError as error:
                self._note(str(error))
        for sink in self._stages.sinks:
            try:
                sink.close()
            except SinkError as error:
                self._note(str(error))
        try:
            self._note_cameras()
            self._stages.audit.note(run_ended(self.summary()))
        finally:
            self._stages.audit.close()
            self._stages.on_close()


def _begin(detector: Detector, batch: FrameBatch) -> Callable[[], Faces]:
    """What gives the batch's faces; a detector that works by itself has begun."""
    if isinstance(detector, AheadDetector):
        return detector.begin(batch.frames)
    return partial(detector.detect, batch.frames)
