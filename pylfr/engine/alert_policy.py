"""Candidate scores and tracks into possible matches: fused over the track, one per track and entry, cooled down."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pylfr.faces.redact import evidence_crop, scene_shot
from pylfr.faces.track import TrackKey
from pylfr.protocols import Gallery
from pylfr.types import Alert, Candidates, Faces, FrameBatch, Int64, Tracks

# Entries that the evidence of one track may name; the least similar one gives way. A list of candidates is short, and
# whoever is on the watchlist comes back in it.
_MOST_ENTRIES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """When candidate scores become an alert.

    A track's score for an entry is the mean of the entry's ``best_scores`` best scores over all compared faces of the
    current person. With fewer scores than that, and wherever it is higher, it is the best score less ``lone_margin``.
    An alert needs ``threshold`` (cosine). The same entry alerts once a track, and in one camera once in
    ``cooldown_s``. ``calibrated`` says whether the threshold rests on a calibration certificate. How the rule was
    chosen is in docs/accuracy.md.
    """

    threshold: float
    calibrated: bool = False
    best_scores: int = 2
    lone_margin: float = 0.01
    cooldown_s: float = 60.0

    def __post_init__(self) -> None:
        if not -1.0 <= self.threshold <= 1.0:
            raise ValueError(f"threshold is a cosine from -1 to 1, got {self.threshold}; it is not a percentage")
        if self.best_scores < 1:
            raise ValueError(f"best_scores must be at least 1, got {self.best_scores}")
        if not self.lone_margin >= 0:
            raise ValueError(f"lone_margin must be 0 or more, got {self.lone_margin}")


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
class _Evidence:
    """What a track carries from frame to frame: each candidate entry's best scores, best first. No template.

    ``alerted`` are the entries that the track has raised; they outlive a change of its person.
    """

    scores: dict[int, list[float]] = field(default_factory=dict)
    alerted: set[int] = field(default_factory=set)
    best_score: float | None = None
    best_entry: int | None = None

    def add(self, entry: int, score: float, rules: AlertRules) -> float:
        """Take in one score of an entry; the track's fused score for it."""
        best = self.scores.setdefault(entry, [])
        best.append(score)
        best.sort(reverse=True)
        del best[rules.best_scores :]
        fused = fuse_scores(best, rules)
        if self.best_score is None or fused > self.best_score:
            self.best_score, self.best_entry = fused, entry
        return fused

    def shrink(self) -> None:
        """Drop the least similar entries beyond the most that are remembered."""
        while len(self.scores) > _MOST_ENTRIES:
            del self.scores[min(self.scores, key=lambda entry: self.scores[entry][0])]


def fuse_scores(best: Sequence[float], rules: AlertRules) -> float:
    """One score of an entry's best scores, highest first, of which there is at least one."""
    lone = best[0] - rules.lone_margin if rules.best_scores > 1 else best[0]
    if len(best) < rules.best_scores:
        return lone
    return max(lone, sum(best[: rules.best_scores]) / rules.best_scores)


class AlertPolicy:
    """Decides when to prompt a person. Remembers scores of live tracks only, and the time of recent alerts."""

    def __init__(self, rules: AlertRules) -> None:
        self.rules = rules
        self.suppressed = 0
        self._tracks: dict[TrackKey, _Evidence] = {}
        self._last: dict[tuple[str, int], datetime] = {}

    def decide(self, batch: FrameBatch, tracks: Tracks, rows: Int64, candidates: Candidates) -> list[PossibleMatch]:
        """Possible matches among the faces ``rows`` of ``tracks``; ``candidates`` has one row for each, in order.

        Only entries that this very search named can alert: one that has been removed since cannot.
        """
        matches = []
        for place, row in enumerate(rows.tolist()):
            frame = batch.frames[tracks.faces.frame_index[row]]
            key = TrackKey(camera=frame.camera, track_id=int(tracks.track_id[row]))
            evidence = self._tracks.setdefault(key, _Evidence())
            if tracks.is_uncertain(row):
                evidence.scores.clear()
            listed = candidates.entry[place] >= 0
            named = zip(
                candidates.entry[place][listed].tolist(), candidates.scores[place][listed].tolist(), strict=True
            )
            for entry, found in named:
                score = evidence.add(entry, found, self.rules)
                if score < self.rules.threshold or entry in evidence.alerted:
                    continue
                evidence.alerted.add(entry)
                if self._is_cooling(key.camera, entry, frame.captured_at):
                    self.suppressed += 1
                else:
                    matches.append(PossibleMatch(row=row, key=key, entry=entry, score=score))
            evidence.shrink()
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
    match: PossibleMatch,
    batch: FrameBatch,
    tracks: Tracks,
    gallery: Gallery,
    rules: AlertRules,
    *,
    detected: Faces,
    authorisation: str,
) -> Alert:
    """The alert that an operator sees: the probe beside the reference image.

    Every other face is filled: of all ``detected`` in the batch, not only of those in ``tracks``.
    """
    faces = tracks.faces
    index = int(faces.frame_index[match.row])
    frame = batch.frames[index]
    shown, others = faces.boxes[match.row], detected.boxes[detected.frame_index == index]
    reference = gallery.reference(match.entry)
    x1, y1, x2, y2 = (round(float(side), 1) for side in shown)
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
        crop=evidence_crop(frame, shown, others),
        reference=reference.picture,
        model=gallery.model,
        watchlist_revision=gallery.revision,
        authorisation=authorisation,
        scene=scene_shot(frame, shown, others),
    )
