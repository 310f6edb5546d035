"""The loop, nothing else: detect, track, select, compare and forget faces; record alerts, then send them."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Literal

import numpy as np

from pylfr._internal.names import name_fault
from pylfr._internal.steady_clock import STEADY, steady_now
from pylfr.engine.account import Account
from pylfr.engine.alert_policy import PossibleMatch, compose_alert
from pylfr.engine.alert_queue import AlertQueue
from pylfr.engine.observer import Comparison
from pylfr.engine.stages import EngineLimits, Stages
from pylfr.engine.summary import (
    Summary,
    camera_refused,
    camera_taken_in,
    camera_taken_out,
    camera_turned,
    clock_changed,
    run_began,
    run_ended,
    threshold_raised,
    watchlist_turned,
)
from pylfr.engine.undecided import Undecided
from pylfr.engine.window import AuthorisedWindow
from pylfr.errors import AuthorisationError, ConfigError, PylfrError, SinkError
from pylfr.faces.track import TrackKey
from pylfr.governance.authorisation.authority import REHEARSAL
from pylfr.protocols import AheadDetector, Detector, Gallery, Source
from pylfr.types import Alert, Event, Faces, FrameBatch, Recorded, Tracks
from pylfr.video.batching.camera_queue import CameraCounts

log = logging.getLogger(__name__)

# From this on a difference between two clocks is somebody who set one, and not their drift.
_STEP_S = 2.0

EngineState = Literal["new", "running", "ended"]


class Engine:
    """Runs once: ``run`` yields every alert after it was recorded and sent; ``summary`` gives the account."""

    def __init__(
        self, stages: Stages, *, limits: EngineLimits, detector_name: str, embedder_name: str, runtime_name: str
    ) -> None:
        self._stages = stages
        self._limits = limits
        self._undecided = Undecided()
        self._account = Account(detector=detector_name, embedder=embedder_name, runtime=runtime_name)
        self._stopped_because = ""
        self._failure: BaseException | None = None
        self._window = AuthorisedWindow(stages.authority, undated=stages.undated)
        self._unread: AlertQueue | None = None
        self._gallery: Gallery | None = None
        self._step_s = 0.0
        self._trouble = ""
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
        """End the run soon and cleanly. May be called from any thread, more than once; the first reason counts."""
        self._stopped_because = self._stopped_because or because
        self._stages.batches.stop()

    def run(self) -> Iterator[Recorded[Alert]]:
        """Yield each alert once it is in the audit record and its sinks have it.

        Ends when every recording has ended, when ``stop`` is called, or when the authorised window does. Whoever stops
        reading ends the run too, and the record says so; whoever reads slowly does not slow it (``AlertQueue``). Raises
        ``AuthorisationError`` where nothing is authorised now, ``AuditError`` where the record cannot be written, and
        what else ended the run; ``summary`` and the record name it.
        """
        if self._began:
            raise RuntimeError("an Engine runs once: open another for another run")
        stages = self._stages
        with STEADY.held():
            try:
                self._require_start()
            except BaseException:
                self.close()
                raise
            self._began = time.perf_counter()
            alerts = self._unread = AlertQueue(is_live=stages.batches.is_live)
            worker = threading.Thread(target=self._work, args=(alerts,), name="pylfr-engine", daemon=True)
            worker.start()
            try:
                yield from alerts
            except GeneratorExit:
                self.stop("the program stopped reading alerts before the run had ended")
                raise
            except BaseException as error:
                self.stop(f"the program was interrupted ({type(error).__name__})")
                raise
            finally:
                alerts.abandon()
                worker.join()
            if self._failure is not None:
                raise self._failure

    def _require_start(self) -> None:
        """Record that the run begins. Raises where nothing is authorised now, or the watchlist cannot be had."""
        stages, now = self._stages, steady_now()
        stages.authority.require(stages.batches.cameras, (now, now))
        if stages.authority.reference == REHEARSAL and stages.batches.is_live:
            raise AuthorisationError("a rehearsal is for recorded material: live cameras need an authorisation")
        self._gallery = stages.gallery.snapshot()
        stages.audit.note(
            run_began(
                stages.authority.reference,
                stages.batches.cameras,
                stages.policy.rules.threshold,
                decoding=stages.decoding,
            )
        )

    def refresh(self) -> tuple[int, str]:
        """Check the watchlist now: the revision that is used from now on, and why it is not the newest, or "".

        May be called from any thread. Raises ``WatchlistError`` as the next batch would.
        """
        gallery = self._stages.gallery
        gallery.refresh()
        return gallery.snapshot().revision, gallery.trouble

    def note(self, event: Event) -> None:
        """Write something that happened around the run into its record. May be called from any thread."""
        self._stages.audit.note(event)

    def _work(self, alerts: AlertQueue) -> None:
        """The whole run, on a thread of its own: whatever ends it is in the record before the reader is told."""
        self._window.watch(self.stop)
        try:
            with self._stages.batches:
                for batch, faces in self._detected():
                    for recorded in self._recognise(batch, faces):
                        alerts.put(recorded)
                    for each in self._stages.observers:
                        each.batch_ended(batch)
        except BaseException as error:  # the reader gets it, on the reader's thread
            self._fail(error)
        finally:
            self._window.close()
            self._seconds = time.perf_counter() - self._began
            self._close()
            alerts.close()

    def _fail(self, error: BaseException) -> None:
        """Remember what ended the run: the first failure is raised, every one is in the summary."""
        words = str(error) if isinstance(error, PylfrError) else f"{type(error).__name__}: {error}"
        self._failure = self._failure or error
        self._account.note(words)
        self.stop(f"failed: {words}")

    @property
    def state(self) -> EngineState:
        """Whether it runs. May be called from any thread."""
        if not self._began:
            return "new"
        return "ended" if self._seconds else "running"

    def cameras(self) -> Mapping[str, CameraCounts]:
        """The state of every camera, and what became of its frames so far. May be called from any thread."""
        return self._stages.batches.counts()

    def raise_threshold(self, threshold: float, *, by: str) -> None:
        """Raise the threshold from now on; recorded with who asked for it. May be called from any thread.

        Raises ``AuthorisationError`` for a lower one: that needs another authorisation.
        """
        before = self._stages.policy.rules.threshold
        if name_fault(by) is not None or not before <= threshold <= 1:
            raise AuthorisationError(
                f"the threshold may be raised from {before} by a named person, got {threshold} by {by!r}: a lower one "
                "needs another authorisation"
            )
        self._stages.audit.note(threshold_raised(before, threshold, by))
        self._stages.policy.raise_threshold(threshold)

    def take_out(self, camera: str, *, by: str, because: str) -> None:
        """Leave a camera out from now on, recorded with who asked for it and why. May be called from any thread.

        Raises ``AuthorisationError`` where there is no such camera, it is the last of a run that would end without it,
        or nobody says why.
        """
        batches = self._stages.batches
        self._require_words(by, because)
        if batches.cameras <= {camera} and not batches.stays_open:
            raise AuthorisationError(f"camera {camera!r} is the only one: stop the run instead")
        try:
            counts = batches.remove(camera)
        except KeyError:
            others = ", ".join(sorted(batches.cameras))
            raise AuthorisationError(f"no camera {camera!r} runs here: {others} do") from None
        self._stages.audit.note(camera_taken_out(camera, by=by, because=because, frames=counts.came))

    def take_in(self, source: Source, *, by: str, because: str) -> None:
        """Analyse another camera, or one again, from now on; recorded. May be called from any thread.

        Whoever calls has checked that it is the one that was authorised. Raises ``AuthorisationError`` where a camera
        of that name is not, or not now, or runs already.
        """
        self._require_words(by, because)
        now = steady_now()
        self._stages.authority.require(frozenset({source.camera}), (now, now))
        try:
            self._stages.batches.add(source)
        except ValueError:
            raise AuthorisationError(f"camera {source.camera!r} runs already: take it out first") from None
        self._stages.audit.note(camera_taken_in(source.camera, by=by, because=because))

    def _require_words(self, by: str, because: str) -> None:
        if not by.strip() or not because.strip():
            raise AuthorisationError("who asks for this and why is recorded: say both")
        if not self.is_running:
            raise AuthorisationError(f"the run is over: {self._stopped_because or 'it has ended'}")

    @property
    def is_running(self) -> bool:
        """Whether the run has begun, and nobody has stopped it."""
        return bool(self._began) and not self._seconds and not self._stopped_because

    def summary(self) -> Summary:
        """The account so far; complete once ``run`` has ended. May be called from any thread."""
        stages = self._stages
        return self._account.summary(
            stages,
            self._gallery or stages.gallery.snapshot(),
            seconds=self._seconds or (time.perf_counter() - self._began if self._began else 0.0),
            unread=self._unread.unread if self._unread is not None else 0,
            because=self._stopped_because,
            has_ended=bool(self._seconds),
        )

    def _detected(self) -> Iterator[tuple[FrameBatch, Faces]]:
        """Each batch with its faces. A detector that works asynchronously is given the next batch meanwhile."""
        batches, detector = self._stages.batches, self._stages.detector
        at_once = 2 if isinstance(detector, AheadDetector) else 1
        begun: deque[tuple[FrameBatch, Callable[[], Faces]]] = deque()
        while True:
            batch = batches.take(wait=not begun)
            if batch is not None:
                batch = self._permitted(batch)
                if batch is None and not self._stopped_because:
                    continue
            if batch is not None:
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

    def _permitted(self, batch: FrameBatch) -> FrameBatch | None:
        """The frames of the batch that may be analysed; where no camera may be any more, the run ends."""
        self._note_cameras()
        self._note_clock()
        before = set(self._window.refused)
        admitted, outside = self._window.admit(batch)
        self._account.leave_out(outside, "outside_window")
        self._stages.batches.decided(outside, [False] * len(outside))
        for camera in sorted(self._window.refused.keys() - before):
            self._refuse(camera, self._window.refused[camera])
        if not admitted:
            return None
        try:
            self._stages.ceiling.require(self._account.tracks.total() + self._stages.tracker.alive)
        except AuthorisationError as error:
            self.stop(str(error))
            self._account.leave_out(admitted, "stopped")
            return None
        return FrameBatch(frames=admitted) if outside else batch

    def _refuse(self, camera: str, reason: str) -> None:
        """Take no more frames of a camera; the run ends with the last one."""
        if self._window.refused.keys() >= self._stages.batches.cameras:
            self.stop(reason)
            return
        self._stages.batches.end(camera)
        self._stages.audit.note(camera_refused(camera, reason))
        self._account.note(f"camera {camera}: {reason}; the others go on")

    def _recognise(self, batch: FrameBatch, detected: Faces) -> Iterator[Recorded[Alert]]:
        stages = self._stages
        gallery = self._gallery = stages.gallery.snapshot()
        self._note_gallery()
        faces = self._followed(batch, detected)
        tracks = stages.tracker.update(batch, faces)
        for each in stages.observers:
            each.faces_tracked(batch, tracks)
        selection = stages.selector.due(batch, tracks, live=stages.batches.live_cameras)
        tracks = selection.tracks
        for each in stages.observers:
            each.faces_selected(batch, tracks, selection.rows)
        best = np.full(len(tracks), -1, np.float32)
        for start in range(0, len(selection.rows), stages.recogniser.pool.rows):
            rows = selection.rows[start : start + stages.recogniser.pool.rows]
            began = time.perf_counter()
            candidates = stages.recogniser.recognise(
                batch.frames, tracks.faces.select(rows), gallery, self._limits.candidates
            )
            self._account.recognised += len(rows)
            best[rows] = candidates.scores.max(axis=1, initial=-1)
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
                yield self._alert(match, batch, tracks, gallery, detected)
        stages.batches.decided(batch.frames, self._undecided.judge(batch, tracks, best, stages.policy.rules))
        self._forget(stages.tracker.ended())

    def _alert(
        self, match: PossibleMatch, batch: FrameBatch, tracks: Tracks, gallery: Gallery, detected: Faces
    ) -> Recorded[Alert]:
        stages = self._stages
        alert = compose_alert(
            match,
            batch,
            tracks,
            gallery,
            stages.policy.rules,
            detected=detected,
            authorisation=stages.authority.reference,
        )
        recorded = stages.audit.record(alert)
        self._account.alerts[alert.camera] += 1
        for sink in stages.sinks:
            try:
                sink.send(recorded)
            except SinkError as error:
                self._account.undelivered += 1
                self._account.note(f"alert {alert.id} was recorded but not delivered: {error}")
        for each in stages.observers:
            each.alert_recorded(recorded)
        return recorded

    def _followed(self, batch: FrameBatch, detected: Faces) -> Faces:
        """The best faces of each frame, up to the cap, counted by camera; the rest is filled in pictures, no more."""
        is_face = detected.scores >= self._stages.tracker.low_score
        rank = np.arange(len(detected)) - np.searchsorted(detected.frame_index, detected.frame_index)
        within = is_face & (rank < self._limits.max_faces_a_frame)
        self._account.near_detections += int(np.count_nonzero(~is_face))
        self._account.dropped["face_over_cap"] += int(np.count_nonzero(is_face & ~within))
        faces = detected if within.all() else detected.select(within)
        for index, count in zip(*np.unique(faces.frame_index, return_counts=True), strict=True):
            self._account.faces[batch.frames[index].camera] += int(count)
        return faces

    def _forget(self, ended: Sequence[TrackKey]) -> None:
        if not ended:
            return
        self._stages.selector.forget(ended)
        closed = self._stages.policy.forget(ended)
        for each in self._stages.observers:
            each.tracks_ended(closed)
        self._account.tracks.update(key.camera for key in ended)

    def _note_cameras(self) -> None:
        for event in self._stages.batches.take_events():
            self._stages.audit.note(camera_turned(event))
            for each in self._stages.observers:
                each.camera_changed(event)

    def _note_clock(self) -> None:
        """Record that somebody set the system's clock. The run goes on by its own, which does not step."""
        step_s = STEADY.step_s()
        if abs(step_s - self._step_s) >= _STEP_S:
            self._stages.audit.note(clock_changed(step_s - self._step_s))
            log.warning("the system's clock was set by %+.1f s: the run goes on by its own", step_s - self._step_s)
            self._step_s = step_s

    def _note_gallery(self) -> None:
        """Record when the watchlist cannot be read, and when it can again."""
        trouble = self._stages.gallery.trouble
        if bool(trouble) != bool(self._trouble):
            self._stages.audit.note(watchlist_turned(trouble))
            if trouble:
                self._account.note(f"the watchlist cannot be read, its last revision is used: {trouble}")
        self._trouble = trouble

    def _close(self) -> None:
        """Close everything, whatever becomes of the step before; the last entry says why the run ended."""
        stages = self._stages
        self._attempt(self._finish_tracks)
        for each in stages.observers:
            self._attempt(each.run_ended)
        for sink in stages.sinks:
            self._attempt(sink.close)
        self._attempt(self._note_cameras)
        self._attempt(lambda: stages.audit.note(run_ended(self.summary())))
        for close in (stages.gallery.close, stages.audit.close, stages.on_close):
            self._attempt(close)

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except SinkError as error:
            self._account.undelivered += error.undelivered
            self._account.note(str(error))
        except ConfigError as error:
            self._account.note(str(error))
        except BaseException as error:
            self._fail(error)

    def _finish_tracks(self) -> None:
        self._stages.tracker.finish()
        self._forget(self._stages.tracker.ended())


def _begin(detector: Detector, batch: FrameBatch) -> Callable[[], Faces]:
    """A call that gives the batch's faces; a detector that works asynchronously has begun."""
    if isinstance(detector, AheadDetector):
        return detector.begin(batch.frames)
    return partial(detector.detect, batch.frames)
