"""The engine's own tracker, selection and fusion over a recording, and what becomes of every pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from benchmarks.recorded import Recording
from pylfr.engine.alert_policy import AlertRules, fuse_scores
from pylfr.engine.build import HIGH_SCORE_SHARE
from pylfr.engine.undecided import Undecided
from pylfr.evaluation.crowd.walk import RATE
from pylfr.evaluation.video.passes import SubjectPass
from pylfr.faces.best_shots import BestShotSelector, SelectionRules
from pylfr.faces.track import FaceTracker, TrackRules
from pylfr.types import Float32, FrameBatch, Int64, Tracks
from pylfr.video.batching.closer_look import CloserLook
from pylfr.video.decoding.frame_sampler import Sampler

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

    Faces of frames that are not analysed have no track. ``causes`` counts what was not compared, ``frames`` those that
    were analysed.
    """

    track: Int64
    uncertain: npt.NDArray[np.bool_]
    compared: npt.NDArray[np.bool_]
    analysed: npt.NDArray[np.bool_]
    causes: dict[str, int]
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What is analysed, compared and decided; with ``closer_hz`` also whom the threshold of ``alerts`` leaves open."""

    selection: SelectionRules
    alerts: AlertRules
    hz: float
    closer_hz: float = 0.0


class _Looks:
    """Which frames of each camera are analysed, as ``CameraQueue`` decides it for recordings."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._base: dict[str, Sampler] = {}
        self._closer: dict[str, CloserLook] = {}
        self._undecided = Undecided()

    def is_due(self, camera: str, at: datetime) -> bool:
        way = self._way
        if camera not in self._base:
            self._base[camera] = Sampler(way.hz)
            if way.closer_hz > way.hz:
                self._closer[camera] = CloserLook(detect_hz=way.hz, hz=way.closer_hz, is_live=False)
        closer = self._closer.get(camera)
        if closer is None:
            return self._base[camera].is_due(at)
        return closer.is_apart(at) and (self._base[camera].is_due(at) or closer.wants(at))

    def decided(self, batch: FrameBatch, tracks: Tracks, best: Float32) -> None:
        verdicts = self._undecided.judge(batch, tracks, best, self._way.alerts)
        for frame, left_undecided in zip(batch.frames, verdicts, strict=True):
            if frame.camera in self._closer:
                self._closer[frame.camera].decided(frame.captured_at, left_undecided=left_undecided)


def replay(recording: Recording, way: Way) -> Replayed:
    """Look, follow and select as the engine does on recordings."""
    count = len(recording.frame)
    track, uncertain = np.full(count, -1, np.int64), np.zeros(count, bool)
    compared, analysed = np.zeros(count, bool), np.zeros(count, bool)
    high_score = recording.high_score * HIGH_SCORE_SHARE
    tracker = FaceTracker(TrackRules(high_score=high_score, low_score=recording.low_score))
    selector, looks, frames = BestShotSelector(way.selection), _Looks(way), 0
    for batch, rows in recording.batches(hz=None, is_due=looks.is_due):
        frames += 1
        tracks = tracker.update(batch, recording.faces(rows))
        selection = selector.due(batch, tracks)
        camera = recording.cameras.index(batch.frames[0].camera)
        followed = tracks.track_id >= 0
        track[rows[followed]] = tracks.track_id[followed] * _CAMERAS + camera
        uncertain[rows] = selection.tracks.uncertain
        compared[rows[selection.rows]] = True
        analysed[rows] = True
        best = np.full(len(rows), _NEVER, np.float32)
        best[selection.rows] = recording.similarity[rows[selection.rows], 0]
        looks.decided(batch, selection.tracks, best)
        selector.forget(tracker.ended())
    causes = {**tracker.unfollowed, **selector.refused}
    return Replayed(track=track, uncertain=uncertain, compared=compared, analysed=analysed, causes=causes,
                    frames=frames)  # fmt: skip


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


def resampled_gain(
    best: Floats,
    single: Floats,
    mated: npt.NDArray[np.bool_],
    fpirs: Sequence[float],
    *,
    person: npt.NDArray[np.str_] | None = None,
) -> Floats:
    """The difference in TPIR at each FPIR over resampled people, float64 [R, F], each resample with its own thresholds.

    People are resampled with all their passes; without ``person`` everybody walks once.
    """
    draw = np.random.default_rng(1)
    walker = np.arange(len(mated)) if person is None else person
    passes = [[np.flatnonzero((walker == each) & who) for each in np.unique(walker[who])] for who in (mated, ~mated)]
    gains = np.empty((_RESAMPLES, len(fpirs)))
    for number in range(_RESAMPLES):
        here, others = (
            np.concatenate([group[each] for each in draw.integers(0, len(group), len(group))]) for group in passes
        )
        found = [_found_at(scores[here], scores[others], fpirs) for scores in (best, single)]
        gains[number] = found[0] - found[1]
    return gains


def _found_at(mated: Floats, others: Floats, fpirs: Sequence[float]) -> Floats:
    ranked = np.sort(others)[::-1]
    return np.array([(mated > ranked[int(np.floor(fpir * len(ranked) + 1e-9))]).mean() for fpir in fpirs])
