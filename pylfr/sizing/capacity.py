"""How many cameras a machine holds: adds cameras until it falls behind, and says which resource binds there."""

from __future__ import annotations

from collections.abc import Callable

from pylfr.sizing.answer import answer_of, notes_of
from pylfr.sizing.bottleneck import bottleneck_of, shares_of
from pylfr.sizing.decode_floor import decode_floor
from pylfr.sizing.gpu_plan import GpuPlan
from pylfr.sizing.load import Moment, Setting, run_load
from pylfr.sizing.machine import this_machine
from pylfr.sizing.measured_load import Load
from pylfr.sizing.result import Conditions, Sizing, SizingRules
from pylfr.sizing.search import Largest, confirm, find_largest
from pylfr.sizing.trace import LoadTimeline
from pylfr.sizing.trials import LoadTrial, largest_held, load_found, memory_a_camera

# The length of the run that is traced.
TRACED_S = 10.0


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
    trials = _Trials(setting, rules, floor_ms, on_moment, on_trial)
    interrupted = False
    try:
        found = _find(trials, rules)
        if timeline is not None and (traced := rules.only or found.largest):
            run_load(setting, traced, seconds=TRACED_S, decode_floor_ms=floor_ms, timeline=timeline)
    except KeyboardInterrupt:
        if not trials.made:
            raise
        interrupted = True
        found = Largest(largest=largest_held(trials.made), confirmed=False)
    load, machine = load_found(found, trials.made), this_machine()
    bottleneck = bottleneck_of(load)
    return Sizing(
        answer=answer_of(found, trials.made, rules, bottleneck, interrupted=interrupted),
        cameras=found.largest,
        confirmed=found.confirmed,
        interrupted=interrupted,
        binds=bottleneck.stage,
        shares=shares_of(load),
        memory_mb_a_camera=memory_a_camera(trials.made),
        decode_only_cameras=round(1000 * machine.cores / (floor_ms * setting.rate_hz), 1),
        load=load,
        trials=tuple(trials.made),
        conditions=conditions,
        rules=rules,
        machine=machine,
        notes=notes_of(load, conditions, found),
        gpu=plan(load),
    )


class _Trials:
    """Tries numbers of cameras, each for a short time or at full length, and records every trial."""

    def __init__(
        self,
        setting: Setting,
        rules: SizingRules,
        floor_ms: float,
        on_moment: Callable[[Moment], None],
        on_trial: Callable[[LoadTrial], None],
    ) -> None:
        self._setting = setting
        self._rules = rules
        self._floor_ms = floor_ms
        self._on_moment = on_moment
        self._on_trial = on_trial
        self.made: list[LoadTrial] = []

    def holds_briefly(self, cameras: int) -> bool:
        """Whether the machine held so many for ``probe_s``; a number that was tried before is not tried again."""
        known = next((trial for trial in reversed(self.made) if trial.cameras == cameras), None)
        trial = known or self._try(cameras, seconds=self._rules.probe_s, is_full_length=False)
        return trial.held

    def holds(self, cameras: int) -> bool:
        """Whether the machine held so many at full length."""
        return self._try(cameras, seconds=self._rules.seconds, is_full_length=True).held

    def _try(self, cameras: int, *, seconds: float, is_full_length: bool) -> LoadTrial:
        load = run_load(
            self._setting,
            cameras,
            seconds=seconds,
            decode_floor_ms=self._floor_ms,
            impatient=True,
            on_moment=self._on_moment,
        )
        trial = LoadTrial(load=load, is_full_length=is_full_length, why_not=load.why_not_held(self._rules.bound_ms))
        self.made.append(trial)
        self._on_trial(trial)
        return trial


def _find(trials: _Trials, rules: SizingRules) -> Largest:
    """Short trials find the largest number, trials at full length confirm it."""
    if rules.only is not None:
        is_held = trials.holds(rules.only)
        return Largest(largest=rules.only if is_held else 0, confirmed=is_held)
    if not trials.holds_briefly(1):
        return Largest(largest=0, confirmed=False)
    found = find_largest(trials.holds_briefly, first=_first_guess(trials.made[0].load, rules.limit), limit=rules.limit)
    return confirm(found, trials.holds)


def _first_guess(one: Load, limit: int) -> int:
    """Where the search begins: half as many as the processor would allow, judged by the load of one camera."""
    used = max(one.cores_busy, 1e-3)
    return max(1, min(limit, round(0.5 / used)))
