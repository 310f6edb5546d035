"""The loop, nothing else: detect, track, select, compare and forget faces; record alerts, then send them.

The next batch is detected while the last one is compared: what `_take` calls may run on a thread of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from types import TracebackType
from typing import Literal

import numpy as np

from pylfr._internal.limits import limit_met
from pylfr._internal.steady_clock import STEADY, steady_now
from pylfr.engine.account import Account
from pylfr.engine.alert_policy import PossibleMatch, compose_alert
from pylfr.engine.alert_queue import AlertQueue
from pylfr.engine.changes import RunChanges
from pylfr.engine.detection import FacesOfBatch, detect_ahead, detect_beside
from pylfr.engine.incidents import Incidents
from pylfr.engine.observer import Comparison
from pylfr.engine.stages import EngineLimits, Stages
from pylfr.engine.summary import STOPPED_BY_OPERATOR, Summary, camera_refused, run_began, run_ended
from pylfr.engine.undecided import Undecided
from pylfr.engine.window import AuthorisedWindow
from pylfr.errors import AuthorisationError, ConfigError, PylfrError, SinkError
from pylfr.faces.track import TrackKey
from pylfr.governance.authorisation.authority import REHEARSAL
from pylfr.protocols import AheadDetector, Gallery
from pylfr.types import Alert, Event, Faces, FrameBatch, Recorded, Tracks
from pylfr.video.batching.camera_queue import CameraCounts

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
        self._incidents = Incidents(stages, self._account)
        # What people change while it runs.
        self.changes = RunChanges(stages, self._why_over)
        self._stopped_because = ""
        self._failure: BaseException | None = None
        self._window = AuthorisedWindow(stages.authority, undated=stages.undated)
        self._unread: AlertQueue | None = None
        self._gallery: Gallery | None = None
        # Written by the loop, read by `_take`: what it is the sum of may change while it is read on another thread.
        self._faces_seen = 0
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

    def stop(self, because: str = STOPPED_BY_OPERATOR) -> None:
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

    @property
    def state(self) -> EngineState:
        """Whether it runs. May be called from any thread."""
        if not self._began:
            return "new"
        return "ended" if self._seconds else "running"

    def cameras(self) -> Mapping[str, CameraCounts]:
        """The state of every camera, and what became of its frames so far. May be called from any thread."""
        return self._stages.batches.counts()

    @property
    def is_running(self) -> bool:
        """Whether the run has begun, and nobody has stopped it."""
        return self.state == "running" and not self._stopped_because

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

    def _why_over(self) -> str:
        return "" if self.is_running else self._stopped_because or "it has ended"

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

    def _work(self, alerts: AlertQueue) -> None:
        """The whole run, on a thread of its own: whatever ends it is in the record before the reader is told."""
        self._window.watch(self.stop)
        try:
            # Batches are stopped first: whoever detects may wait for one.
            with closing(self._detected()) as detected, self._stages.batches:
                for batch, faces in detected:
                    self._stages.observers.recognition_began(batch)
                    for recorded in self._recognise(batch, faces):
                        alerts.put(recorded)
                    self._stages.observers.batch_ended(batch)
        except BaseException as error:  # the reader gets it, on the reader's thread
            self._fail(error)
        finally:
            self._window.close()
            self._seconds = time.perf_counter() - self._began
            self._close()
            alerts.close()

    def _fail(self, error: BaseException) -> None:
        """Remember what ended the run: the first failure is raised, every one is in the summary."""
        words = str(error) if isinstance(error, PylfrError) else limit_met(error) or f"{type(error).__name__}: {error}"
        self._failure = self._failure or error
        self._account.note(words)
        self.stop(f"failed: {words}")

    def _detected(self) -> Generator[FacesOfBatch, None, None]:
        """Every batch with its faces; the next one is detected meanwhile."""
        detector, found = self._stages.detector, self._stages.observers.faces_found
        if isinstance(detector, AheadDetector):
            yield from detect_ahead(detector, self._take, found)
        else:
            yield from detect_beside(detector, self._take, found)

    def _take(self, wait: bool) -> FrameBatch | None:
        """The next batch, with only what may be analysed; None where there is none, or the run was stopped."""
        while (batch := self._stages.batches.take(wait=wait)) is not None:
            permitted = self._permitted(batch)
            if permitted is not None:
                self._stages.observers.batch_taken(permitted)
                return permitted
            if self._stopped_because:
                break
        return None

    def _permitted(self, batch: FrameBatch) -> FrameBatch | None:
        """The frames of the batch that may be analysed; where no camera may be any more, the run ends."""
        self._incidents.note_cameras()
        self._incidents.note_clock()
        before = set(self._window.refused)
        admitted, outside = self._window.admit(batch)
        self._account.leave_out(outside, "outside_window")
        self._stages.batches.decided(outside, [False] * len(outside))
        for camera in sorted(self._window.refused.keys() - before):
            self._refuse(camera, self._window.refused[camera])
        if not admitted:
            return None
        self._incidents.note_sizes(admitted)
        try:
            self._stages.ceiling.require(self._faces_seen)
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
        self._incidents.note_gallery()
        if detected.scenes is not None:
            stages.batches.shown(batch.frames, detected.scenes)
        faces = self._account.followed(
            batch, detected, low_score=stages.tracker.low_score, most=self._limits.max_faces_a_frame
        )
        tracks = stages.tracker.update(batch, faces)
        stages.observers.faces_tracked(batch, tracks)
        selection = stages.selector.due(batch, tracks, live=stages.batches.live_cameras)
        tracks = selection.tracks
        stages.observers.faces_selected(batch, tracks, selection.rows)
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
            stages.observers.faces_compared(compared)
            matches = stages.policy.decide(batch, tracks, rows, candidates)
            stages.observers.matches_decided(compared, matches)
            for match in matches:
                yield self._alert(match, batch, tracks, gallery, detected)
        stages.batches.decided(batch.frames, self._undecided.judge(batch, tracks, best, stages.policy.rules))
        self._forget(stages.tracker.ended())
        self._faces_seen = self._account.tracks.total() + stages.tracker.alive

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
        stages.observers.alert_recorded(recorded)
        return recorded

    def _forget(self, ended: Sequence[TrackKey]) -> None:
        if not ended:
            return
        self._stages.selector.forget(ended)
        self._stages.observers.tracks_ended(self._stages.policy.forget(ended))
        self._account.tracks.update(key.camera for key in ended)

    def _close(self) -> None:
        """Close everything, whatever becomes of the step before; the last entry says why the run ended."""
        stages = self._stages
        self._attempt(self._finish_tracks)
        for each in stages.observers:
            self._attempt(each.run_ended)
        for sink in stages.sinks:
            self._attempt(sink.close)
        self._attempt(self._incidents.note_cameras)
        self._attempt(lambda: stages.audit.note(run_ended(self.summary().totals())))
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
