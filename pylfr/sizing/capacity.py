"""The largest number of cameras that a machine holds, found by trying, and which resource binds there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pylfr.sizing.gpu_plan import GpuPlan
from pylfr.sizing.load import RATE, STAGES, Load, Moment, Setting, decode_floor, run_load
from pylfr.sizing.machine import Machine, this_machine
from pylfr.sizing.search import Largest, confirm, find_largest
from pylfr.sizing.trace import LoadTimeline

# From this share of its time on a resource counts as used up.
_USED_UP = 0.8
# Other programs that take more than this share of the machine make the answer too small.
_DISTURBED = 0.1
# So long a run is traced.
TRACED_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingRules:
    """What "held" means: p99 latency within ``bound_ms`` and no drop, for ``seconds``.

    Trials of ``probe_s`` come first; ``limit`` cameras at most are tried. With ``only`` that number of cameras is
    tried, for ``seconds``, and no other.
    """

    seconds: float = 60.0
    probe_s: float = 6.0
    bound_ms: float = 250.0
    limit: int = 200
    only: int | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            given = getattr(self, name)
            if given is not None and not given > 0:
                raise ValueError(f"{name} must be more than 0, got {given}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTrial:
    """One number of cameras that was tried, and why it was too much ("" where it held)."""

    load: Load
    is_full_length: bool
    why_not: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What was asked for, in words and numbers, beside every result."""

    video: str
    made_of: str
    codec: str
    width: int
    height: int
    megabits_a_second: float
    watchlist: int
    enrolled: int
    detector: str
    embedder: str
    detect_hz: float
    runtime: str
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The answer and what it rests on. ``load`` is that of ``cameras``, or of the least that failed where none held."""

    answer: str
    cameras: int
    confirmed: bool
    interrupted: bool
    binds: str
    shares: dict[str, float]
    memory_mb_a_camera: float
    decode_only_cameras: float
    load: Load
    trials: tuple[LoadTrial, ...]
    conditions: Conditions
    rules: SizingRules
    machine: Machine
    notes: tuple[str, ...]
    gpu: GpuPlan | None = None


@dataclass(slots=True, eq=False)
class _Log:
    trials: list[LoadTrial] = field(default_factory=list)


def size_machine(
    setting: Setting,
    conditions: Conditions,
    rules: SizingRules,
    *,
    on_moment: Callable[[Moment], None] = lambda _: None,
    on_trial: Callable[[LoadTrial], None] = lambda _: None,
    plan: Callable[[Load], GpuPlan | None] = lambda _: None,
    timeline: LoadTimeline | None = None,
) -> Sizing:
    """Find and confirm the largest number of cameras. After Ctrl-C it gives what is known by then.

    A ``timeline`` gets a further run of what is held, or of the number that was asked for, however it ends. Raises
    ``KeyboardInterrupt`` where nothing is known yet, and ``MediaError`` where the video cannot be read.
    """
    floor_ms = decode_floor(setting.video)
    log = _Log()

    def holds(cameras: int, *, seconds: float, is_full_length: bool) -> bool:
        load = run_load(
            setting, cameras, seconds=seconds, decode_floor_ms=floor_ms, impatient=True, on_moment=on_moment
        )
        trial = LoadTrial(load=load, is_full_length=is_full_length, why_not=load.why_not_held(rules.bound_ms))
        log.trials.append(trial)
        on_trial(trial)
        return not trial.why_not

    def probe(cameras: int) -> bool:
        known = [each for each in log.trials if each.load.cameras == cameras]
        return not known[-1].why_not if known else holds(cameras, seconds=rules.probe_s, is_full_length=False)

    interrupted = False
    found = Largest(largest=0, confirmed=False)
    try:
        if rules.only is not None:
            if holds(rules.only, seconds=rules.seconds, is_full_length=True):
                found = Largest(largest=rules.only, confirmed=True)
        elif probe(1):
            first = first_guess(log.trials[0].load, rules.limit)
            found = find_largest(probe, first=first, limit=rules.limit)
            found = confirm(found, lambda cameras: holds(cameras, seconds=rules.seconds, is_full_length=True))
        if timeline is not None and (traced := rules.only or found.largest):
            run_load(setting, traced, seconds=TRACED_S, decode_floor_ms=floor_ms, timeline=timeline)
    except KeyboardInterrupt:
        if not log.trials:
            raise
        interrupted = True
        held = [each.load.cameras for each in log.trials if not each.why_not]
        failed = [each.load.cameras for each in log.trials if each.why_not]
        below = [count for count in held if not failed or count < min(failed)]
        found = Largest(largest=max(below, default=0), confirmed=False)
    return _sizing(found, log.trials, floor_ms, interrupted, conditions, rules, plan)


def first_guess(one: Load, limit: int) -> int:
    """Where to begin, from what one camera cost: half of what the processor would allow."""
    used = max(one.cores_busy, 1e-3)
    return max(1, min(limit, round(0.5 / used)))


def _sizing(
    found: Largest,
    trials: list[LoadTrial],
    floor_ms: float,
    interrupted: bool,
    conditions: Conditions,
    rules: SizingRules,
    plan: Callable[[Load], GpuPlan | None],
) -> Sizing:
    machine = this_machine()
    load = _load_of(found, trials)
    shares = shares_of(load)
    binds, why = what_binds(load)
    alone = 1000 * machine.cores / (floor_ms * RATE)
    sizing_notes = _notes(load, conditions, found)
    return Sizing(
        answer=_answer(found, trials, rules, binds, why, interrupted),
        cameras=found.largest,
        confirmed=found.confirmed,
        interrupted=interrupted,
        binds=binds,
        shares=shares,
        memory_mb_a_camera=memory_a_camera(trials),
        decode_only_cameras=round(alone, 1),
        load=load,
        trials=tuple(trials),
        conditions=conditions,
        rules=rules,
        machine=machine,
        notes=sizing_notes,
        gpu=plan(load),
    )


def shares_of(load: Load) -> dict[str, float]:
    """Each stage's share of the processor time used, in the order of the stages; all 0 where none was."""
    total = sum(load.cpu_s.values())
    return {stage: load.cpu_s.get(stage, 0.0) / total if total else 0.0 for stage in STAGES}


def what_binds(load: Load) -> tuple[str, str]:
    """The stage that keeps this machine from more cameras, and how that shows."""
    shares = shares_of(load)
    largest = max(shares, key=lambda stage: shares[stage])
    if load.cores_busy + (load.others_busy or 0.0) >= _USED_UP:
        return largest, f"{shares[largest]:.0%} of its processor time; the cores are {load.cores_busy:.0%} busy with it"
    if load.loop_busy >= _USED_UP:
        by_clock = {
            "detect": _wall(load, "detect"),
            "track": _wall(load, "track"),
            "embed": _wall(load, "embed"),
            "search": _wall(load, "search"),
            "Python": _wall(load, "plan", "decide"),
        }
        slowest = max(by_clock, key=lambda stage: by_clock[stage])
        return slowest, f"one thread detects, one compares; the busier is {load.loop_busy:.0%} busy, most of it there"
    return largest, f"{shares[largest]:.0%} of its processor time, though nothing is used up: latency comes first"


def memory_a_camera(trials: list[LoadTrial]) -> float:
    """Megabytes that each further camera takes: the slope over all trials, or of the one there is."""
    points = {each.load.cameras: each.load.memory_mb - each.load.memory_before_mb for each in trials}
    low, high = min(points), max(points)
    if low == high:
        return round(max(0.0, points[low] / low), 1)
    return round(max(0.0, (points[high] - points[low]) / (high - low)), 1)


def _wall(load: Load, *names: str) -> float:
    return sum(load.stages[name].wall_s for name in names if name in load.stages)


def _load_of(found: Largest, trials: list[LoadTrial]) -> Load:
    """The longest trial of the number found; of the least that failed where none held."""
    same = [each for each in trials if each.load.cameras == found.largest and not each.why_not]
    return max(same, key=lambda each: each.load.seconds).load if same else _least_failed(trials).load


def _least_failed(trials: list[LoadTrial]) -> LoadTrial:
    """The latest trial of the fewest cameras that was too much; of the fewest tried where none was."""
    failed = [each for each in trials if each.why_not] or trials
    least = min(each.load.cameras for each in failed)
    return next(each for each in reversed(failed) if each.load.cameras == least)


def _answer(
    found: Largest, trials: list[LoadTrial], rules: SizingRules, binds: str, why: str, interrupted: bool
) -> str:
    limit = " or more" if found.at_most or (rules.only is not None and found.largest) else ""
    cameras = "1 camera" if found.largest == 1 else f"{found.largest} cameras"
    if found.largest == 0 and not interrupted:
        least = _least_failed(trials)
        if rules.only is not None:
            return f"This machine does not hold {rules.only}: {least.why_not}; {binds} binds ({why})."
        return f"This machine holds no camera: with {least.load.cameras}, {least.why_not}; {binds} binds ({why})."
    if interrupted:
        failed = [each.load.cameras for each in trials if each.why_not and each.load.cameras > found.largest]
        but = f", not {min(failed)}" if failed else ""
        return f"Stopped halfway: in short trials this machine held {cameras}{but}; {binds} takes most so far."
    if not found.confirmed:
        return (
            f"This machine may hold {cameras}, which is not confirmed: over {rules.seconds:g} s more failed, and this "
            f"was only tried briefly; {binds} binds ({why})."
        )
    return f"This machine holds {cameras}{limit}; {binds} binds ({why})."


def _notes(load: Load, conditions: Conditions, found: Largest) -> tuple[str, ...]:
    notes = [
        f"The watchlist of {conditions.watchlist:,} is made of random templates"
        + (f", {conditions.enrolled} of them replaced by people who walk in the clip" if conditions.enrolled else "")
        + ": search costs the same, accuracy cannot be read from it."
    ]
    if load.others_busy is not None and load.others_busy > _DISTURBED:
        notes.append(
            f"Other programs used {load.others_busy:.0%} of this machine meanwhile: on a quiet one it holds more."
        )
    if not load.faces:
        notes.append("No face was found in the footage: detection is measured, recognition is not.")
    if load.watts is None:
        notes.append(f"Power is not readable: {load.watts_missing}.")
    if found.at_most:
        notes.append("The search stopped at its limit: --limit raises it.")
    return tuple(notes)
