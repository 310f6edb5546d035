"""Pictures lost right before a key frame: picture numbers do not show them, but regular key frames do."""

from __future__ import annotations

from collections import Counter

# So many runs between key frames, and such a share of one length, show that a coder keeps to it.
_LEAST_RUNS = 3
_SAME_SHARE = 0.75
# A recorder's pause rarely lasts a whole number of pictures.
_ROUNDED = 0.1


class RegularRuns:
    """Told of every picture in the order of decoding; knows at the end which runs were cut short by a loss.

    Where time passes without pictures inside a run, the encoder itself skips some, and nothing is concluded.
    """

    def __init__(self) -> None:
        self._pictures = 0
        self._whole: Counter[int] = Counter()
        self._short: list[tuple[int, float, float]] = []
        self._leaves_out = False
        self._has_begun = False

    def picture(self, *, is_key: bool, missing: float, at_s: float) -> None:
        """One more picture, before which time passed for so many others."""
        if is_key:
            if missing:
                self._short.append((self._pictures, missing, at_s))
            elif self._has_begun:
                self._whole[self._pictures] += 1
            self._pictures, self._has_begun = 0, True
        elif missing:
            self._leaves_out = True
        self._pictures += 1

    def lost(self) -> list[tuple[int, float]]:
        """How many pictures are missing before which time."""
        runs = sum(self._whole.values())
        if self._leaves_out or runs < _LEAST_RUNS:
            return []
        ((length, count),) = self._whole.most_common(1)
        if count < _SAME_SHARE * runs:
            return []
        return [
            (round(missing), at_s)
            for pictures, missing, at_s in self._short
            if abs(missing - round(missing)) < _ROUNDED
            and pictures < length
            and (pictures + round(missing)) % length == 0
        ]
