"""The engine's own tracker, selection and fusion over a recording, and what becomes of every pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.recorded import Recording
from pylfr.engine.alert_policy import AlertRules, fuse_scores
from pylfr.engine.build import HIGH_SCORE_SHARE
from pylfr.evaluation.crowd.walk import RATE
from pylfr.evaluation.video.passes import SubjectPass
from pylfr.faces.best_shots import BestShotSelector, SelectionRules
from pylfr.faces.track import FaceTracker, TrackRules
from pylfr.types import Float32, Int64

Floats = npt.NDArray[np.float64]
# A detector's box and the truth's need not agree closely, only more than with anybody else's.
_LEAST_OVERLAP = 0.1
_NEVER = -1.0
_RESAMPLES = 2000
# Tracks are numbered over all cameras: track * _CAMERAS + camera.
_CAMERAS = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replayed:
    """Of the N recorded faces ``track``, int64 [N], unique over all cameras and -1 for none, and three masks, bool [N].

    Faces of frames that are not analysed have no track. ``causes`` counts what was not compared.
    """

    track: Int64
    uncertain: npt.NDArray[np.bool_]
    compared: npt.NDArray[np.bool_]
    analysed: npt.NDArray[np.bool_]
    causes: dict[str, int]


def replay(recording: Recording, *, rules: SelectionRules, hz: float | None = 8.0) -> Replayed:
    """Follow and select as the engine does on recordings."""
    count = len(recording.frame)
    track, uncertain = np.full(count, -1, np.int64), np.zeros(count, bool)
    compared, analysed = np.zeros(count, bool), np.zeros(count, bool)
    high_score = recording.high_score * HIGH_SCORE_SHARE
    tracker = FaceTracker(TrackRules(high_score=high_score, low_score=recording.low_score))
    selector = BestShotSelector(rules)
    for batch, rows in recording.batches(hz=hz):
        tracks = tracker.update(batch, recording.faces(rows))
        selection = selector.due(batch, tracks)
        camera = recording.cameras.index(batch.frames[0].camera)
        followed = tracks.track_id >= 0
        track[rows[followed]] = tracks.track_id[followed] * _CAMERAS + camera
        uncertain[rows] = selection.tracks.uncertain
        compared[rows[selection.rows]] = True
        analysed[rows] = True
        selector.forget(tracker.ended())
    causes = {**tracker.unfollowed, **selector.refused}
    return Replayed(track=track, uncertain=uncertain, compared=compared, analysed=analysed, causes=causes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decided:
    """Fused scores: of pass ``owner``, -1 where nobody owns the face, ``track`` scored ``score`` for ``person``."""

    owner: Int64
    track: Int64
    at_s: Floats
    score: Floats
    person: Int64

    def best(self, truth: Sequence[SubjectPass], people: Sequence[str]) -> Floats:
        """The highest score of each pass, float64 [P]: of a mated one for its own entry, of another one for any."""
        number = {name: place for place, name in enumerate(people)}
        own = np.array([number[each.subject] if each.is_mated else -1 for each in truth])
        best = np.full(len(truth), _NEVER)
        owned = self.owner >= 0
        counts = owned & ((own[self.owner] < 0) | (own[self.owner] == self.person))
        np.maximum.at(best, self.owner[counts], self.score[counts])
        return best


def owners(recording: Recording, truth: Sequence[SubjectPass]) -> Int64:
    """The pass of each face, int64 [N], -1 where it belongs to none."""
    at: dict[tuple[str, int], list[tuple[int, tuple[float, ...]]]] = defaultdict(list)
    for index, each in enumerate(truth):
        for at_s, *box in each.path:
            at[each.camera, round(at_s * RATE)].append((index, tuple(box)))
    owner = np.full(len(recording.frame), -1, np.int64)
    for row, frame in enumerate(recording.frame.tolist()):
        key = recording.cameras[recording.camera[frame]], round(recording.at_s[frame] * RATE)
        found = [(overlap(recording.boxes[row], box), index) for index, box in at.get(key, ())]
        if found and max(found)[0] > _LEAST_OVERLAP:
            owner[row] = max(found)[1]
    return owner


def overlap(one: Float32 | Sequence[float], other: Float32 | Sequence[float]) -> float:
    """Intersection over union of two boxes, xyxy."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return float(shared / (areas - shared))


def decide_singly(recording: Recording, owner: Int64) -> Decided:
    """Any single face of every frame, each by itself: what a program without tracks decides on."""
    rows = np.flatnonzero(recording.scores >= recording.high_score)
    track = np.arange(len(rows)) * _CAMERAS + recording.camera[recording.frame[rows]]
    return _decided(recording, owner, rows, recording.similarity[rows].astype(np.float64), track)


def decide(recording: Recording, owner: Int64, replayed: Replayed, rules: AlertRules) -> Decided:
    """Fused as the alert policy fuses, after each compared face."""
    rows = np.flatnonzero(replayed.compared)
    scores = np.full((len(rows), recording.entry.shape[1]), _NEVER)
    evidence: dict[int, dict[int, list[float]]] = defaultdict(dict)
    for place, row in enumerate(rows.tolist()):
        of_track = evidence[int(replayed.track[row])]
        if replayed.uncertain[row]:
            of_track.clear()
        named = zip(recording.entry[row].tolist(), recording.similarity[row].tolist(), strict=True)
        for column, (entry, score) in enumerate(named):
            if entry >= 0:
                best = of_track.setdefault(entry, [])
                best.append(score)
                best.sort(reverse=True)
                del best[max(rules.best_scores, 1) :]
                scores[place, column] = fuse_scores(best, rules)
    return _decided(recording, owner, rows, scores, replayed.track[rows])


def _decided(recording: Recording, owner: Int64, rows: npt.NDArray[np.intp], scores: Floats, track: Int64) -> Decided:
    wide = recording.entry.shape[1]
    return Decided(
        owner=np.repeat(owner[rows], wide),
        track=np.repeat(track, wide),
        at_s=np.repeat(recording.at_s[recording.frame[rows]], wide),
        score=scores.reshape(-1),
        person=recording.entry[rows].reshape(-1),
    )


def threshold_for(best: Floats, truth: Sequence[SubjectPass], fpir: float) -> float:
    """The lowest threshold at which no more than that share of non-mated passes alert."""
    others = np.sort(best[[not each.is_mated for each in truth]])[::-1]
    return float(np.nextafter(others[int(np.floor(fpir * len(others) + 1e-9))], 2))


def alerts_of(decided: Decided, threshold: float, *, cooldown_s: float) -> list[int]:
    """The pass of every alert: once a track and entry, and once an entry and camera in the cool-down.

    Numbers of tracks end in three digits for their camera.
    """
    above = np.flatnonzero(decided.score >= threshold)
    raised: set[tuple[int, int]] = set()
    last: dict[tuple[int, int], float] = {}
    alerts = []
    for step in above[np.argsort(decided.at_s[above], kind="stable")].tolist():
        track, person, at_s = int(decided.track[step]), int(decided.person[step]), float(decided.at_s[step])
        if (track, person) in raised:
            continue
        raised.add((track, person))
        place = track % _CAMERAS, person
        if at_s - last.get(place, -np.inf) >= cooldown_s:
            last[place] = at_s
            alerts.append(int(decided.owner[step]))
    return alerts


def delays(decided: Decided, truth: Sequence[SubjectPass], people: Sequence[str], threshold: float) -> dict[int, float]:
    """Seconds from the start of each mated pass to its first right alert."""
    number = {name: place for place, name in enumerate(people)}
    first: dict[int, float] = {}
    above = (decided.score >= threshold) & (decided.owner >= 0)
    for owner, at_s, person in zip(decided.owner[above], decided.at_s[above], decided.person[above], strict=True):
        each = truth[int(owner)]
        if each.is_mated and number[each.subject] == person:
            first[int(owner)] = min(first.get(int(owner), np.inf), float(at_s) - each.starts_s)
    return first


def resampled_gain(best: Floats, single: Floats, mated: npt.NDArray[np.bool_], fpir: float) -> Floats:
    """The difference in TPIR over resampled people. Everybody walks once, so that passes are people."""
    draw = np.random.default_rng(1)
    here, others = np.flatnonzero(mated), np.flatnonzero(~mated)
    allowed = int(np.floor(fpir * len(others) + 1e-9))
    gains = np.empty(_RESAMPLES)
    for number in range(_RESAMPLES):
        people, bystanders = draw.choice(here, len(here)), draw.choice(others, len(others))
        found = [
            scores[people] >= np.nextafter(np.sort(scores[bystanders])[::-1][allowed], 2) for scores in (best, single)
        ]
        gains[number] = found[0].mean() - found[1].mean()
    return gains
