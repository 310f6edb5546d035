"""Which faces are compared: all of them while there is room, and otherwise those most likely to change a decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from pylfr._internal.steady_clock import steady_now
from pylfr.faces.quality import QualityGate
from pylfr.faces.track import TrackKey
from pylfr.types import Candidates, FrameBatch, Int64, Tracks

# Value of a face, from 0 on: the first of a person; the first few; one that differs from those compared. From 1 on the
# last comparison of a budget is spent on it.
_FIRST = 2.0
_EARLY, _EARLY_FACES = 0.9, 3
_NOVEL = 0.8
# What makes a face novel: so much better than the best so far, or so far turned since the last one compared.
_GAIN, _TURN_DEG = 0.3, 20.0
# And what makes it due: so long after the last one. Who has waited for longer comes first.
_LONG_MS, _MOST_DUE = 600.0, 1.9
# A best score at most so far below the threshold may reach it with the next face; one above it has been decided on.
_NEAR, _NEAR_VALUE, _DECIDED = 0.12, 0.85, 0.5

# Live frames that are late leave at least this share of ``live_ms`` for comparisons. A frame that seems older than this
# was stamped by another clock.
_LEAST_SHARE = 0.25
_OLDEST_MS = 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRules:
    """How much is compared.

    ``comparisons_hz``: of one recording, comparisons a second of its own time, so that the same recording always gives
    the same alerts; what is not spent is saved for ``burst_s``. None: every face. ``live_ms``: how long the comparisons
    of one batch of live frames may take on this machine; less where its frames would otherwise be decided on later than
    ``decided_ms`` after their capture, but never less than a quarter of it.
    """

    comparisons_hz: float | None = None
    burst_s: float = 2.0
    live_ms: float = 100.0
    decided_ms: float = 140.0
    gate: QualityGate = field(default_factory=QualityGate)

    def __post_init__(self) -> None:
        if self.comparisons_hz is not None and not self.comparisons_hz > 0:
            raise ValueError(f"comparisons_hz must be more than 0, or None for every face, got {self.comparisons_hz}")
        for name in ("burst_s", "live_ms", "decided_ms"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """The faces to compare: ``rows`` of ``tracks``, int64 [M], ascending.

    ``tracks.uncertain`` marks, of these rows, each that is the first compared since its track became uncertain.
    """

    tracks: Tracks
    rows: Int64


@dataclass(slots=True)
class _Seen:
    """What is remembered of a track's current person: the faces compared so far. No template."""

    last_ms: float = 0.0
    compared: int = 0
    best_quality: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    best_score: float = -1.0


@dataclass(slots=True)
class _Budget:
    """Comparisons that one recording may still spend."""

    left: float
    at_ms: float


class BestShotSelector:
    """Chooses the faces to compare, and counts by cause those that are not."""

    def __init__(self, rules: SelectionRules, *, now: Callable[[], datetime] = steady_now) -> None:
        self._rules = rules
        self._now = now
        self._seen: dict[TrackKey, _Seen] = {}
        self._doubted: set[TrackKey] = set()
        self._budgets: dict[str, _Budget] = {}
        self._ms_a_face = 0.0
        self._threshold = 1.0
        self.refused: Counter[str] = Counter()

    def due(self, batch: FrameBatch, tracks: Tracks, *, live: frozenset[str] = frozenset()) -> Selection:
        """The faces of ``tracks`` to compare now; faces of no track are never among them.

        Faces of the cameras named in ``live`` share what this machine can compare in time; every other camera is a
        recording and has a budget of its own.
        """
        worth = tracks.track_id >= 0
        for cause, refused in self._rules.gate.refused(tracks.faces, tracks.quality).items():
            self.refused[cause] += int(np.count_nonzero(refused & worth))
            worth &= ~refused
        chosen: list[int] = []
        offered: list[tuple[float, int]] = []
        for frame, in_frame in zip(batch.frames, tracks.faces.rows_by_frame(worth, len(batch)), strict=True):
            now_ms = frame.captured_at.timestamp() * 1000
            valued = [(self._value(batch, tracks, row, now_ms), row) for row in in_frame]
            if frame.camera in live:
                offered += [(self._by_score(batch, tracks, row, value), row) for value, row in valued]
            else:
                ranked = sorted(valued, key=lambda each: -each[0])
                chosen += self._within_budget(frame.camera, now_ms, batch, tracks, ranked)
        chosen += self._in_time(batch, tracks, offered)
        self.refused["not_compared_budget"] += int(np.count_nonzero(worth)) - len(chosen)
        rows = np.array(sorted(chosen), np.int64)
        return Selection(tracks=replace(tracks, uncertain=self._carried(batch, tracks, rows)), rows=rows)

    def note(
        self,
        batch: FrameBatch,
        tracks: Tracks,
        rows: Int64,
        candidates: Candidates,
        *,
        threshold: float,
        seconds: float,
    ) -> None:
        """What became of the faces ``rows``: their candidates, what these must reach, and how long comparing took."""
        self._threshold = threshold
        if len(rows):
            now = 1000 * seconds / len(rows)
            self._ms_a_face = now if not self._ms_a_face else 0.8 * self._ms_a_face + 0.2 * now
        for place, row in enumerate(rows.tolist()):
            seen = self._seen.get(_key(batch, tracks, row))
            if seen is not None and candidates.scores.shape[1]:
                seen.best_score = max(seen.best_score, float(candidates.scores[place, 0]))

    def forget(self, ended: Iterable[TrackKey]) -> None:
        """Drop what is remembered of tracks that have ended."""
        for key in ended:
            self._seen.pop(key, None)
            self._doubted.discard(key)

    def _within_budget(
        self, camera: str, now_ms: float, batch: FrameBatch, tracks: Tracks, ranked: list[tuple[float, int]]
    ) -> list[int]:
        """Of one frame of a recording the faces that its budget has room for.

        The emptier it is, the more they must be worth. Nothing but the recording itself enters.
        """
        hz = self._rules.comparisons_hz
        if hz is None:
            for _, row in ranked:
                self._take(batch, tracks, row, now_ms)
            return [row for _, row in ranked]
        most = max(1.0, hz * self._rules.burst_s)
        budget = self._budgets.setdefault(camera, _Budget(left=most, at_ms=now_ms))
        budget.left = min(most, budget.left + hz * max(0.0, now_ms - budget.at_ms) / 1000)
        budget.at_ms = now_ms
        chosen = []
        for value, row in ranked:
            if budget.left >= 1 + max(0.0, 1 - value) * most / 2:
                budget.left -= 1
                self._take(batch, tracks, row, now_ms)
                chosen.append(row)
        return chosen

    def _in_time(self, batch: FrameBatch, tracks: Tracks, offered: list[tuple[float, int]]) -> list[int]:
        """Of all live faces of a batch those of the highest value, as many as can be compared in time."""
        if not offered:
            return []
        room = (
            len(offered)
            if not self._ms_a_face
            else max(1, int(self._time_ms(batch, tracks, offered) / self._ms_a_face))
        )
        best = sorted(offered, key=lambda each: -each[0])[:room]
        for _, row in best:
            self._take(batch, tracks, row, batch.frames[tracks.faces.frame_index[row]].captured_at.timestamp() * 1000)
        return [row for _, row in best]

    def _time_ms(self, batch: FrameBatch, tracks: Tracks, offered: list[tuple[float, int]]) -> float:
        """How long the comparisons of these faces may take, by the age of the oldest frame that shows one."""
        frames = {int(tracks.faces.frame_index[row]) for _, row in offered}
        captured_at = min(batch.frames[frame].captured_at for frame in frames)
        age_ms = 1000 * (self._now() - captured_at).total_seconds()
        if not 0 <= age_ms <= _OLDEST_MS:
            return self._rules.live_ms
        least_ms = _LEAST_SHARE * self._rules.live_ms
        return min(self._rules.live_ms, max(least_ms, self._rules.decided_ms - age_ms))

    def _value(self, batch: FrameBatch, tracks: Tracks, row: int, now_ms: float) -> float:
        """How likely a face is to change a decision, from 0 on."""
        key = _key(batch, tracks, row)
        if tracks.is_uncertain(row) and key in self._seen:
            self._seen[key] = _Seen()
        seen = self._seen.get(key)
        if seen is None or not seen.compared:
            return _FIRST
        due = min(_MOST_DUE, _NOVEL * (now_ms - seen.last_ms) / _LONG_MS)
        if seen.compared < _EARLY_FACES:
            return max(_EARLY, due)
        quality = tracks.quality
        turned = float(np.hypot(quality.yaw[row] - seen.yaw, quality.pitch[row] - seen.pitch))
        better = float(quality.score[row]) / max(seen.best_quality, 1.0) - 1
        novelty = min(1.0, max(0.0, better / _GAIN, turned / _TURN_DEG))
        return max(_NOVEL * novelty, due)

    def _by_score(self, batch: FrameBatch, tracks: Tracks, row: int, value: float) -> float:
        """The value with what the track has scored so far: a near miss is worth another face, a decision is not."""
        seen = self._seen.get(_key(batch, tracks, row))
        if seen is None or seen.compared < _EARLY_FACES:
            return value
        if seen.best_score >= self._threshold:
            return value * _DECIDED
        return max(value, _NEAR_VALUE) if seen.best_score >= self._threshold - _NEAR else value

    def _take(self, batch: FrameBatch, tracks: Tracks, row: int, now_ms: float) -> None:
        seen = self._seen.setdefault(_key(batch, tracks, row), _Seen())
        seen.last_ms = now_ms
        seen.compared += 1
        seen.best_quality = max(seen.best_quality, float(tracks.quality.score[row]))
        seen.yaw, seen.pitch = float(tracks.quality.yaw[row]), float(tracks.quality.pitch[row])

    def _carried(self, batch: FrameBatch, tracks: Tracks, rows: Int64) -> npt.NDArray[np.bool_]:
        """Which faces evidence begins anew with: an uncertain one that is not compared hands that on to the next."""
        anew = np.zeros(len(tracks), bool)
        if not self._doubted and (tracks.uncertain is None or not tracks.uncertain.any()):
            return anew
        chosen = set(rows.tolist())
        for row in np.flatnonzero(tracks.track_id >= 0).tolist():
            key = _key(batch, tracks, row)
            if tracks.is_uncertain(row):
                self._doubted.add(key)
            if row in chosen and key in self._doubted:
                self._doubted.remove(key)
                anew[row] = True
        return anew


def _key(batch: FrameBatch, tracks: Tracks, row: int) -> TrackKey:
    return TrackKey(camera=batch.frames[tracks.faces.frame_index[row]].camera, track_id=int(tracks.track_id[row]))
