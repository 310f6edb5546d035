"""Candidate scores and tracks into possible matches: fused over the track, one per track and entry, cooled down."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from pylfr.faces.redact import evidence_crop
from pylfr.faces.track import TrackKey
from pylfr.protocols import Gallery
from pylfr.types import Alert, Candidates, FrameBatch, Int64, Tracks


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """When candidate scores become an alert.

    A track's score for an entry is the mean of its ``best_scores`` best scores among its ``best_k`` best faces; it must
    reach ``threshold`` (cosine) once ``min_samples`` faces have been compared. A mean over all of the best faces does
    worse: one covered or badly lit face pulls it down (docs/accuracy.md). The same entry alerts once a track, and in
    one camera once in ``cooldown_s``. ``calibrated`` says whether the threshold rests on a calibration certificate.
    """

    threshold: float
    calibrated: bool = False
    best_k: int = 8
    min_samples: int = 2
    best_scores: int = 2
    cooldown_s: float = 60.0

    def __post_init__(self) -> None:
        if not -1.0 <= self.threshold <= 1.0:
            raise ValueError(f"threshold is a cosine from -1 to 1, got {self.threshold}; it is no percentage")
        if not 1 <= self.min_samples <= self.best_k:
            raise ValueError(f"min_samples must be 1 to best_k ({self.best_k}), got {self.min_samples}")
        if not 1 <= self.best_scores <= self.min_samples:
            raise ValueError(f"best_scores must be 1 to min_samples ({self.min_samples}), got {self.best_scores}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PossibleMatch:
    """A row of the recognised tracks whose fused score for an entry reached the threshold."""

    row: int
    key: TrackKey
    entry: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedTrack:
    """What is left of a track when it ends: its highest fused score and of which entry; None where none was fused."""

    key: TrackKey
    best_score: float | None
    best_entry: int | None
    has_alerted: bool


@dataclass(slots=True, eq=False)
class _Sample:
    """One compared face: its quality and its candidates. No template."""

    quality: float
    scores: dict[int, float]
    floor: float


@dataclass(slots=True, eq=False)
class _Evidence:
    """What a track carries from frame to frame: candidate scores of its best faces, and what it has alerted on."""

    samples: list[_Sample] = field(default_factory=list)
    alerted: set[int] = field(default_factory=set)
    best_score: float | None = None
    best_entry: int | None = None

    def add(self, sample: _Sample, best_k: int) -> None:
        self.samples.append(sample)
        if len(self.samples) > best_k:
            self.samples.remove(min(self.samples, key=lambda each: each.quality))

    def fused(self, entry: int, count: int) -> float:
        """The mean of an entry's ``count`` best scores among the samples.

        A sample that does not name the entry scored it no higher than its own last candidate, so that stands in.
        """
        best = sorted((sample.scores.get(entry, sample.floor) for sample in self.samples), reverse=True)[:count]
        return sum(best) / len(best)


class AlertPolicy:
    """Decides when to prompt a person. Remembers scores of live tracks only, and the time of recent alerts."""

    def __init__(self, rules: AlertRules) -> None:
        self.rules = rules
        self.suppressed = 0
        self._tracks: dict[TrackKey, _Evidence] = {}
        self._last: dict[tuple[str, int], datetime] = {}

    def decide(self, batch: FrameBatch, tracks: Tracks, rows: Int64, candidates: Candidates) -> list[PossibleMatch]:
        """Possible matches among the faces ``rows`` of ``tracks``, whose candidates stand in the same order."""
        matches = []
        for place, row in enumerate(rows.tolist()):
            frame = batch.frames[tracks.faces.frame_index[row]]
            key = TrackKey(camera=frame.camera, track_id=int(tracks.track_id[row]))
            evidence = self._tracks.setdefault(key, _Evidence())
            sample = _sample(candidates, place, float(tracks.quality.score[row]))
            evidence.add(sample, self.rules.best_k)
            if len(evidence.samples) < self.rules.min_samples:
                continue
            # Only entries that this very search named: one that has been removed since cannot alert.
            for entry in sample.scores:
                score = evidence.fused(entry, self.rules.best_scores)
                if evidence.best_score is None or score > evidence.best_score:
                    evidence.best_score, evidence.best_entry = score, entry
                if score < self.rules.threshold or entry in evidence.alerted:
                    continue
                evidence.alerted.add(entry)
                if self._is_cooling(key.camera, entry, frame.captured_at):
                    self.suppressed += 1
                else:
                    matches.append(PossibleMatch(row=row, key=key, entry=entry, score=score))
        return matches

    def raise_threshold(self, threshold: float) -> None:
        """Alert from ``threshold`` (cosine) on. Raises ``ValueError`` for one that is lower than now."""
        if threshold < self.rules.threshold:
            raise ValueError(f"threshold may not be lowered from {self.rules.threshold}, got {threshold}")
        self.rules = replace(self.rules, threshold=threshold)

    def forget(self, ended: Iterable[TrackKey]) -> list[EndedTrack]:
        """Drop what is remembered of tracks that have ended; gives those of them that were compared."""
        closed = [(key, self._tracks.pop(key, None)) for key in ended]
        return [
            EndedTrack(
                key=key,
                best_score=evidence.best_score,
                best_entry=evidence.best_entry,
                has_alerted=bool(evidence.alerted),
            )
            for key, evidence in closed
            if evidence is not None
        ]

    def _is_cooling(self, camera: str, entry: int, at: datetime) -> bool:
        last = self._last.get((camera, entry))
        if last is not None and abs((at - last).total_seconds()) < self.rules.cooldown_s:
            return True
        self._last[camera, entry] = at
        return False


def compose_alert(
    match: PossibleMatch, batch: FrameBatch, tracks: Tracks, gallery: Gallery, rules: AlertRules, *, authorisation: str
) -> Alert:
    """The alert that an operator sees: the probe with every other face filled, beside the reference image."""
    faces = tracks.faces
    index = int(faces.frame_index[match.row])
    frame = batch.frames[index]
    same_frame = np.flatnonzero(faces.frame_index == index)
    reference = gallery.reference(match.entry)
    x1, y1, x2, y2 = (round(float(side), 1) for side in faces.boxes[match.row])
    return Alert(
        id=str(uuid.uuid4()),
        camera=frame.camera,
        captured_at=frame.captured_at,
        track_id=match.key.track_id,
        entry=reference.name,
        score=match.score,
        threshold=rules.threshold,
        calibrated=rules.calibrated,
        box=(x1, y1, x2, y2),
        crop=evidence_crop(frame, faces.boxes[same_frame], int(np.searchsorted(same_frame, match.row))),
        reference=reference.picture,
        model=gallery.model,
        watchlist_revision=gallery.revision,
        authorisation=authorisation,
    )


def _sample(candidates: Candidates, place: int, quality: float) -> _Sample:
    listed = candidates.entry[place] >= 0
    scores = candidates.scores[place][listed].tolist()
    # A full list hides entries just below its last score; a list with room left has named every entry there is.
    floor = scores[-1] if scores and listed.all() else -1.0
    return _Sample(
        quality=quality, scores=dict(zip(candidates.entry[place][listed].tolist(), scores, strict=True)), floor=floor
    )
