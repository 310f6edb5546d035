"""The numbers of cameras that were tried, one after the other, and what can be concluded from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pylfr.sizing.measured_load import Load
from pylfr.sizing.search import Largest


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTrial:
    """One number of cameras that was tried, and why it was too much ("" where it held)."""

    load: Load
    is_full_length: bool
    why_not: str

    @property
    def cameras(self) -> int:
        return self.load.cameras

    @property
    def held(self) -> bool:
        return not self.why_not


def largest_held(trials: Sequence[LoadTrial]) -> int:
    """The most cameras that held, below the fewest that did not; 0 where there are none."""
    fewest_failed = min((trial.cameras for trial in trials if not trial.held), default=None)
    held = (trial.cameras for trial in trials if trial.held)
    return max((cameras for cameras in held if fewest_failed is None or cameras < fewest_failed), default=0)


def least_failed(trials: Sequence[LoadTrial]) -> LoadTrial:
    """The latest trial of the fewest cameras that were too much; of the fewest tried where none was."""
    failed = [trial for trial in trials if not trial.held] or trials
    fewest = min(trial.cameras for trial in failed)
    return next(trial for trial in reversed(failed) if trial.cameras == fewest)


def load_found(found: Largest, trials: Sequence[LoadTrial]) -> Load:
    """The longest trial of the number found; that of the fewest cameras that failed where none held."""
    same = [trial.load for trial in trials if trial.held and trial.cameras == found.largest]
    return max(same, key=lambda load: load.seconds) if same else least_failed(trials).load


def memory_a_camera(trials: Sequence[LoadTrial]) -> float:
    """Megabytes that each further camera takes: the slope over all trials, or of the one there is."""
    added_mb = {trial.cameras: trial.load.memory_mb - trial.load.memory_before_mb for trial in trials}
    fewest, most = min(added_mb), max(added_mb)
    if fewest == most:
        return round(max(0.0, added_mb[fewest] / fewest), 1)
    return round(max(0.0, (added_mb[most] - added_mb[fewest]) / (most - fewest)), 1)
