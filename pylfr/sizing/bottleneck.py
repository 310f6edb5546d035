"""Which stage keeps a machine from more cameras, from what one load measured."""

from __future__ import annotations

from dataclasses import dataclass

from pylfr.sizing.measured_load import STAGES, Load

# A resource counts as exhausted from this share of its time on.
_EXHAUSTED = 0.8
# The stages of the engine's two threads, by the names under which their time was taken.
_TIMED_AS = {
    "detect": ("detect",),
    "track": ("track",),
    "embed": ("embed",),
    "search": ("search",),
    "Python": ("plan", "decide"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """The stage that binds, and how that shows, in words."""

    stage: str
    evidence: str


def bottleneck_of(load: Load) -> Bottleneck:
    """Where the processor or one of the engine's threads is exhausted; the costliest stage where neither is."""
    shares = shares_of(load)
    costliest = max(shares, key=lambda stage: shares[stage])
    of_processor = f"{shares[costliest]:.0%} of its processor time"
    if load.cores_busy + (load.others_busy or 0.0) >= _EXHAUSTED:
        return Bottleneck(stage=costliest, evidence=f"{of_processor}; the cores are {load.cores_busy:.0%} busy with it")
    if load.loop_busy >= _EXHAUSTED:
        wall_s = {
            stage: sum(load.stages[name].wall_s for name in names if name in load.stages)
            for stage, names in _TIMED_AS.items()
        }
        return Bottleneck(
            stage=max(wall_s, key=lambda stage: wall_s[stage]),
            evidence=f"one thread detects, one compares; the busier is {load.loop_busy:.0%} busy, most of it there",
        )
    return Bottleneck(stage=costliest, evidence=f"{of_processor}, though nothing is used up: latency comes first")


def shares_of(load: Load) -> dict[str, float]:
    """Each stage's share of the processor time used, in the order of the stages; all 0 where none was."""
    total = sum(load.cpu_s.values())
    return {stage: load.cpu_s.get(stage, 0.0) / total if total else 0.0 for stage in STAGES}
