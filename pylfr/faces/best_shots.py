"""Which faces are worth recognising now: the best few of each track, not every face of every frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from pylfr.faces.quality import QualityGate
from pylfr.faces.track import TrackKey
from pylfr.types import FrameBatch, Int64, Tracks


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionRules:
    """How often the face of one track is recognised.

    The first ``best_k`` faces that pass the gate, at least ``gap_ms`` apart; then only a face whose quality beats the
    poorest of those kept by ``gain``, or any face once ``recheck_ms`` have gone by.
    """

    best_k: int = 8
    gap_ms: float = 200.0
    gain: float = 1.15
    recheck_ms: float = 3000.0
    gate: QualityGate = field(default_factory=QualityGate)

    def __post_init__(self) -> None:
        if self.best_k < 1:
            raise ValueError(f"best_k must be at least 1, got {self.best_k}")


@dataclass(slots=True)
class _Seen:
    """What is remembered of a track: when it was recognised last and how good its best faces were. No template."""

    last_ms: float
    kept: list[float]


class BestShotSelector:
    """Chooses the faces that are due, and counts by cause the faces that never can be."""

    def __init__(self, rules: RecognitionRules) -> None:
        self._rules = rules
        self._seen: dict[TrackKey, _Seen] = {}
        self.refused: Counter[str] = Counter()

    def due(self, batch: FrameBatch, tracks: Tracks) -> Int64:
        """Rows of ``tracks`` to recognise now, int64 [M], in order; faces of no track are never due."""
        worth = tracks.track_id >= 0
        for cause, refused in self._rules.gate.refused(tracks.quality).items():
            self.refused[cause] += int(np.count_nonzero(refused & worth))
            worth &= ~refused
        rows = [
            int(row)
            for row in np.flatnonzero(worth)
            if self._is_due(
                TrackKey(camera=batch.frames[tracks.faces.frame_index[row]].camera, track_id=int(tracks.track_id[row])),
                float(tracks.quality.score[row]),
                batch.frames[tracks.faces.frame_index[row]].captured_at.timestamp() * 1000,
            )
        ]
        return np.array(rows, np.int64)

    def forget(self, ended: Iterable[TrackKey]) -> None:
        """Drop what is remembered of tracks that have ended."""
        for key in ended:
            self._seen.pop(key, None)

    def _is_due(self, key: TrackKey, quality: float, now_ms: float) -> bool:
        rules, seen = self._rules, self._seen.get(key)
        if seen is None:
            self._seen[key] = _Seen(last_ms=now_ms, kept=[quality])
            return True
        since_ms = now_ms - seen.last_ms
        if since_ms < rules.gap_ms:
            return False
        if len(seen.kept) < rules.best_k:
            seen.kept.append(quality)
        elif quality > min(seen.kept) * rules.gain:
            seen.kept[seen.kept.index(min(seen.kept))] = quality
        elif since_ms < rules.recheck_ms:
            return False
        seen.last_ms = now_ms
        return True
