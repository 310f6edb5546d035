"""How far a live stream runs behind its camera, and what to leave out until it is at the live edge again.

Frames carry the camera's own time stamps. Their distance to this machine's clock is smallest when nothing waits;
whatever it grows by is time that packets spent waiting, for the network or for a decoder that cannot keep up.
"""

from __future__ import annotations

# Somebody who walks past is still in the picture after this.
LONGEST_LAG_S = 1.0

# Decoding resumes at a key frame that is no older than this.
_CLOSE_S = 0.5

# What waited is read in a moment. A distance that stays for so long is no queue: a clock was set, or the way has become
# longer for good.
_LONGEST_CATCHING_UP_S = 5.0

# Clocks of cameras are wrong by some parts in a million; ten times that is forgiven.
_DRIFT = 500e-6


class LatencyCatchup:
    """Says of every packet whether to decode it. ``skipped`` counts those that were not."""

    def __init__(self) -> None:
        self.skipped = 0
        self._best_s: float | None = None
        self._seen_s = 0.0
        self._behind_since_s: float | None = None

    @property
    def is_behind(self) -> bool:
        """Whether packets are left out until it is at the live edge again."""
        return self._behind_since_s is not None

    def wants(self, stamp_s: float, now_s: float, *, is_key: bool) -> bool:
        """Whether a packet with the camera's time stamp, taken up at ``now_s``, both in seconds, should be decoded."""
        distance_s = now_s - stamp_s
        if self._best_s is None or distance_s < self._best_s:
            self._best_s = distance_s
        else:
            self._best_s = min(distance_s, self._best_s + _DRIFT * (now_s - self._seen_s))
        self._seen_s = now_s
        if self._behind_since_s is not None and now_s - self._behind_since_s > _LONGEST_CATCHING_UP_S:
            self._best_s = distance_s
        lag_s = distance_s - self._best_s
        if lag_s > LONGEST_LAG_S and self._behind_since_s is None:
            self._behind_since_s = now_s
        elif is_key and lag_s <= _CLOSE_S:
            self._behind_since_s = None
        self.skipped += self.is_behind
        return not self.is_behind
