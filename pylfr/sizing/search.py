"""The largest load that holds, with few trials: doubling, then bisection, then the full length to confirm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# A full-length trial that fails is tried again this much lower, so many times.
_STEP_DOWN = 0.08
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Largest:
    """``largest`` load that held, 0 where none did; ``confirmed`` says whether it held at full length too.

    ``at_most`` is true where the search stopped at its limit and more may hold.
    """

    largest: int
    confirmed: bool
    at_most: bool = False


def find_largest(holds: Callable[[int], bool], *, first: int, limit: int) -> Largest:
    """The largest of 1 to ``limit`` that ``holds``, where whatever is smaller holds too; begins at ``first``."""
    if not 1 <= first <= limit:
        raise ValueError(f"first must be 1 to {limit}, got {first}")
    good, bad = 0, limit + 1
    trial = first
    while good == 0 and trial >= 1:
        if holds(trial):
            good = trial
        else:
            bad, trial = trial, trial // 2
    if good == 0:
        return Largest(largest=0, confirmed=False)
    while bad > limit and good < limit:
        trial = min(2 * good, limit)
        if holds(trial):
            good = trial
        else:
            bad = trial
    while bad - good > 1 and good < limit:
        trial = (good + bad) // 2
        if holds(trial):
            good = trial
        else:
            bad = trial
    return Largest(largest=good, confirmed=False, at_most=good == limit)


def confirm(found: Largest, holds: Callable[[int], bool]) -> Largest:
    """``found`` after full-length trials: from its largest downward, until one holds or patience ends."""
    load = found.largest
    for _ in range(_ATTEMPTS):
        if load < 1:
            break
        if holds(load):
            return Largest(largest=load, confirmed=True, at_most=found.at_most and load == found.largest)
        load = min(load - 1, round(load * (1 - _STEP_DOWN)))
    return Largest(largest=max(load, 0), confirmed=False)
