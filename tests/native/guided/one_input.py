"""One call of the core, made of the bytes that a guided fuzzer draws: called by ``core_fuzzer.cpp``."""

from __future__ import annotations

import contextlib
import random

from tests.native.damaged_calls import CALLS, REFUSALS
from tests.native.damaged_values import Chance

_NAMES = sorted(CALLS)
# Of a dozen arguments one or two are damaged.
_WILDNESS = (0.0, 0.04, 0.15, 0.3)


class Drawn(random.Random):
    """Numbers out of bytes, one after the other, and zeros behind them: like bytes make like calls."""

    def __init__(self, content: bytes) -> None:
        super().__init__(0)
        self._content, self._place = content, 0

    def getrandbits(self, k: int, /) -> int:
        count = (k + 7) // 8
        taken = self._content[self._place : self._place + count]
        self._place += count
        return int.from_bytes(taken, "little") & ((1 << k) - 1)

    def random(self) -> float:
        return self.getrandbits(16) / 65536


class DrawnChance(Chance):
    """As ``Chance``, of drawn bytes."""

    def __init__(self, content: bytes, wildness: float) -> None:
        super().__init__("", wildness)
        self.random = Drawn(content)


def one_input(content: bytes) -> None:
    """Make the call. Raises whatever is no refusal."""
    if len(content) < 2:
        return
    chance = DrawnChance(content[2:], _WILDNESS[content[1] % len(_WILDNESS)])
    with contextlib.suppress(*REFUSALS):
        CALLS[_NAMES[content[0] % len(_NAMES)]](chance)
