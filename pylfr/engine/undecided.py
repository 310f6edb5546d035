"""Which frames leave somebody undecided: on the watchlist or not, the next faces will tell."""

from __future__ import annotations

from dataclasses import dataclass

from pylfr.engine.alert_policy import AlertRules
from pylfr.types import Float32, FrameBatch, Tracks

# Somebody is new for so many faces.
_NEW_FACES = 2
# A best score this much below the threshold may reach it with a further face.
_NEAR = 0.08
# Whoever has not been seen for so long is not looked for.
_IN_VIEW_MS = 300.0


@dataclass(slots=True)
class _Person:
    """What is known of a track's current person: numbers only."""

    last_ms: float
    faces: int = 0
    best: float = -1.0


class Undecided:
    """Remembers of everybody in view how many faces were seen, and the best score. No template.

    Each frame is judged by itself and those before it, so that what belongs to one batch makes no difference.
    """

    def __init__(self) -> None:
        self._cameras: dict[str, dict[int, _Person]] = {}

    def judge(self, batch: FrameBatch, tracks: Tracks, best: Float32, rules: AlertRules) -> tuple[bool, ...]:
        """Of each frame of the batch whether it leaves somebody undecided, who is new or nearly reached the threshold.

        ``best`` is the best candidate's score of each face of ``tracks``, float32 [N], -1 where it was not compared.
        """
        verdicts = []
        tracked = tracks.faces.rows_by_frame(tracks.track_id >= 0, len(batch))
        for frame, rows in zip(batch.frames, tracked, strict=True):
            now_ms = frame.captured_at.timestamp() * 1000
            people = self._cameras.setdefault(frame.camera, {})
            for track_id in [key for key, person in people.items() if abs(now_ms - person.last_ms) > _IN_VIEW_MS]:
                del people[track_id]
            for row in rows:
                track_id = int(tracks.track_id[row])
                if track_id not in people or tracks.is_uncertain(row):
                    people[track_id] = _Person(last_ms=now_ms)
                person = people[track_id]
                person.last_ms = now_ms
                person.faces += 1
                person.best = max(person.best, float(best[row]))
            verdicts.append(any(_is_open(person, rules) for person in people.values()))
        return tuple(verdicts)


def _is_open(person: _Person, rules: AlertRules) -> bool:
    margin = rules.lone_margin if rules.best_scores > 1 else 0.0
    if person.best >= rules.threshold + margin:
        return False
    return person.faces < _NEW_FACES or person.best >= rules.threshold - _NEAR
