"""What can be seen of a run while it happens: one interface for sizing, benchmarks, evaluation and statistics."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pylfr.engine.alert_policy import EndedTrack, PossibleMatch
from pylfr.protocols import Gallery
from pylfr.types import Alert, Candidates, Faces, FrameBatch, Int64, Recorded, Tracks
from pylfr.video.sources.observer import CameraEvent


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Faces that were searched for: ``rows`` of ``tracks``, int64 [M], and their ``candidates`` in the same order."""

    batch: FrameBatch
    tracks: Tracks
    rows: Int64
    candidates: Candidates
    gallery: Gallery


class Observer:
    """Is told what the engine does. Inherit from it and override what you need: every method does nothing here.

    Calls come one at a time, for each batch in the order of the methods below; the next batch may be taken and detected
    while one is compared, on another thread. The engine waits for each call, so an observer that is slow makes the run
    slow. It sees no probe template and must change nothing that it is given.
    What it raises ends the run, except from ``run_ended``, whose ``PylfrError`` becomes an error of the summary.
    """

    def batch_taken(self, batch: FrameBatch) -> None:
        """The batch is authorised, and detection begins."""

    def faces_found(self, batch: FrameBatch, faces: Faces) -> None:
        """Detection has ended; ``faces`` is whatever it found in the batch.

        Also what is over the limit on faces of one frame, or too weak to be followed: that is filled in pictures only.
        """

    def recognition_began(self, batch: FrameBatch) -> None:
        """The faces of the batch are followed and compared from now on."""

    def faces_tracked(self, batch: FrameBatch, tracks: Tracks) -> None:
        """Every face has its track."""

    def faces_selected(self, batch: FrameBatch, tracks: Tracks, rows: Int64) -> None:
        """``rows`` of ``tracks``, int64 [M], are to be compared; the others are not, for now."""

    def faces_compared(self, comparison: Comparison) -> None:
        """Some of the selected faces were compared; their templates are wiped."""

    def matches_decided(self, comparison: Comparison, matches: Sequence[PossibleMatch]) -> None:
        """These are the possible matches among the compared faces."""

    def alert_recorded(self, recorded: Recorded[Alert]) -> None:
        """The alert is in the audit record, and the sinks have been given it."""

    def batch_ended(self, batch: FrameBatch) -> None:
        """All of the batch is decided and recorded."""

    def tracks_ended(self, ended: Sequence[EndedTrack]) -> None:
        """These tracks have ended; those of them are named whose face was compared."""

    def camera_changed(self, event: CameraEvent) -> None:
        """A camera connected, broke off, froze or failed, or is analysed less often under load."""

    def run_ended(self) -> None:
        """Nothing follows. Write what there is to write."""


class Observers(Observer):
    """Several observers as one: each is told in turn, by one thread at a time."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple(observers)
        # One that is called may stop the run, which is noted by calling it again.
        self._turn = threading.RLock()

    def __iter__(self) -> Iterator[Observer]:
        return iter(self._observers)

    def batch_taken(self, batch: FrameBatch) -> None:
        with self._turn:
            for each in self._observers:
                each.batch_taken(batch)

    def faces_found(self, batch: FrameBatch, faces: Faces) -> None:
        with self._turn:
            for each in self._observers:
                each.faces_found(batch, faces)

    def recognition_began(self, batch: FrameBatch) -> None:
        with self._turn:
            for each in self._observers:
                each.recognition_began(batch)

    def faces_tracked(self, batch: FrameBatch, tracks: Tracks) -> None:
        with self._turn:
            for each in self._observers:
                each.faces_tracked(batch, tracks)

    def faces_selected(self, batch: FrameBatch, tracks: Tracks, rows: Int64) -> None:
        with self._turn:
            for each in self._observers:
                each.faces_selected(batch, tracks, rows)

    def faces_compared(self, comparison: Comparison) -> None:
        with self._turn:
            for each in self._observers:
                each.faces_compared(comparison)

    def matches_decided(self, comparison: Comparison, matches: Sequence[PossibleMatch]) -> None:
        with self._turn:
            for each in self._observers:
                each.matches_decided(comparison, matches)

    def alert_recorded(self, recorded: Recorded[Alert]) -> None:
        with self._turn:
            for each in self._observers:
                each.alert_recorded(recorded)

    def batch_ended(self, batch: FrameBatch) -> None:
        with self._turn:
            for each in self._observers:
                each.batch_ended(batch)

    def tracks_ended(self, ended: Sequence[EndedTrack]) -> None:
        with self._turn:
            for each in self._observers:
                each.tracks_ended(ended)

    def camera_changed(self, event: CameraEvent) -> None:
        with self._turn:
            for each in self._observers:
                each.camera_changed(event)

    def run_ended(self) -> None:
        with self._turn:
            for each in self._observers:
                each.run_ended()
