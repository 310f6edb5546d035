"""Who walks where and when: in lanes, one person after the other, and what makes it hard to recognise them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pylfr.evaluation.crowd.painting import make_sprite
from pylfr.evaluation.crowd.walk import RATE, WIDTH, Turning, Walk, Walker

_OCCLUDED_SHARE = 0.25
# Nobody is in view for fewer frames before or after a cut.
_LEAST_FRAMES = 12
_BRIEF_FRAMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulties:
    """What makes a crowd hard: shares of the people who walk, from 0 to 1. By default there is none of it.

    - ``turning``: the head swings by 25 to 65 degrees to either side; ``averted``: it is turned away by 38 to 58
      degrees all the way
    - ``following``: half a head beside whoever walks in front, and close behind; ``crossing``: across other lanes
    - ``hidden``: out of sight behind something for 0.3 to 0.9 s
    - ``distant``: never nearer than a face of 34 to 46 pixels; ``brief``: in view for three frames only
    - ``shot_s``: the picture cuts after so many seconds, from and to: another street, and whoever was in view is
      replaced by somebody else at the same place, darker and softer. None: it never cuts.
    """

    turning: float = 0.0
    averted: float = 0.0
    following: float = 0.0
    crossing: float = 0.0
    hidden: float = 0.0
    distant: float = 0.0
    brief: float = 0.0
    shot_s: tuple[float, float] | None = None


HARD = Difficulties(
    turning=0.3, averted=0.12, following=0.2, crossing=0.15, hidden=0.15, distant=0.08, brief=0.06, shot_s=(6.0, 9.0)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdRules:
    """How the crowd walks. Sizes are the longer side of a face in pixels, from far to near.

    The picture is coded with ``crf`` and one of x264's presets, a key frame every ``key_every`` frames; "ultrafast" is
    the only preset that codes without a loop filter.
    """

    lanes: int = 6
    far_px: tuple[float, float] = (20.0, 36.0)
    near_px: tuple[float, float] = (90.0, 200.0)
    walk_s: tuple[float, float] = (3.0, 5.0)
    pause_s: tuple[float, float] = (0.2, 1.0)
    crf: int = 26
    preset: str = "ultrafast"
    key_every: int = 50
    difficulties: Difficulties = field(default_factory=Difficulties)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Everybody's walk, and the frames at which the picture cuts to another street, in order."""

    walks: tuple[Walk, ...]
    cuts: tuple[int, ...]


def plan_walks(walkers: Sequence[Walker], rules: CrowdRules, draw: np.random.Generator, *, seed: int) -> Plan:
    """One walk for each walker. Difficulties draw from numbers of their own: without any the walks are the same."""
    hard = np.random.default_rng((seed, 1))
    difficulties = rules.difficulties
    free = np.zeros(rules.lanes)
    in_lane: dict[int, Walk] = {}
    waiting = list(walkers)
    cuts: list[int] = []
    walks: list[Walk] = []
    while waiting:
        lane = int(np.argmin(free))
        walk = _walk(waiting.pop(0), lane, free, rules, draw)
        walk = _made_hard(walk, difficulties, hard, WIDTH / rules.lanes)
        leader = in_lane.get(lane)
        if (
            leader is not None
            and leader.leaves - leader.enters > _BRIEF_FRAMES
            and _chance(hard, difficulties.following)
        ):
            walk = _behind(walk, leader, hard)
        free[lane] = max(free[lane], walk.first + walk.frames)
        in_lane[lane] = walk
        while difficulties.shot_s is not None:
            cut = _cut_within(walk, cuts, difficulties.shot_s, hard)
            if cut is None:
                break
            if cut - walk.enters < _LEAST_FRAMES:
                walk = replace(walk, enters=cut)
                continue
            before = replace(walk, leaves=cut, hidden=_ended(walk.hidden, cut))
            if walk.leaves - cut < _LEAST_FRAMES or not waiting:
                walk = before
                continue
            walks.append(before)
            walk = _taken_over(walk, waiting.pop(0), cut, difficulties, hard)
            in_lane[lane] = walk
        walks.append(walk)
    last = max(walk.leaves for walk in walks)
    return Plan(walks=tuple(walks), cuts=tuple(cut for cut in cuts if cut < last))


def _walk(walker: Walker, lane: int, free: np.ndarray, rules: CrowdRules, draw: np.random.Generator) -> Walk:
    width = WIDTH / rules.lanes
    frames = int(draw.uniform(*rules.walk_s) * RATE)
    first = int(free[lane] + draw.uniform(*rules.pause_s) * RATE)
    free[lane] = first + frames
    begin = float(draw.uniform(0.0, 0.7))
    return Walk(
        walker=walker,
        sprites=tuple(make_sprite(head) for head in walker.heads),
        first=first,
        frames=frames,
        enters=first,
        leaves=first + frames,
        far_px=float(draw.uniform(*rules.far_px)),
        near_px=float(draw.uniform(*rules.near_px)),
        from_x=(lane + 0.5) * width + float(draw.uniform(-0.25, 0.25)) * width,
        drift_px=float(draw.uniform(-0.35, 0.35)) * width,
        bob_px=float(draw.uniform(4, 12)),
        gain=float(draw.uniform(0.6, 1.15)),
        occluded=(begin, begin + 0.3) if draw.random() < _OCCLUDED_SHARE else None,
    )


def _chance(hard: np.random.Generator, share: float) -> bool:
    return bool(hard.random() < share)


def _turning(difficulties: Difficulties, hard: np.random.Generator) -> Turning:
    side = 1.0 if _chance(hard, 0.5) else -1.0
    swing, rest, phase = float(hard.uniform(25, 65)), float(hard.uniform(38, 58)), float(hard.uniform())
    which, hz = hard.random(), float(hard.uniform(0.25, 0.5))
    if which < difficulties.averted:
        return Turning(rest_deg=side * rest, swing_deg=4.0, hz=hz, phase=phase)
    if which < difficulties.averted + difficulties.turning:
        return Turning(swing_deg=swing, hz=hz, phase=phase)
    return Turning()


def _made_hard(walk: Walk, difficulties: Difficulties, hard: np.random.Generator, lane_px: float) -> Walk:
    walk = replace(walk, turning=_turning(difficulties, hard))
    if _chance(hard, difficulties.crossing):
        towards = 1.0 if walk.from_x < WIDTH / 2 else -1.0
        walk = replace(walk, drift_px=towards * float(hard.uniform(1.2, 2.5)) * lane_px)
    if _chance(hard, difficulties.distant):
        walk = replace(walk, near_px=float(hard.uniform(34, 46)), far_px=min(walk.far_px, 30.0))
    if _chance(hard, difficulties.hidden):
        begin = walk.first + int(hard.uniform(0.3, 0.7) * walk.frames)
        walk = replace(walk, hidden=(begin, begin + int(hard.uniform(0.3, 0.9) * RATE)))
    if _chance(hard, difficulties.brief):
        enters = walk.first + int(hard.uniform(0.5, 0.9) * walk.frames)
        walk = replace(walk, enters=enters, leaves=enters + _BRIEF_FRAMES, hidden=(0, 0))
    return walk


def _behind(walk: Walk, leader: Walk, hard: np.random.Generator) -> Walk:
    """The same walk close behind ``leader`` and half a head beside."""
    later = leader.first + int(hard.uniform(0.25, 0.6) * RATE) - walk.first
    beside = float(hard.uniform(-0.5, 0.5)) * leader.near_px
    return replace(
        walk,
        first=walk.first + later,
        frames=leader.frames,
        enters=walk.enters + later,
        leaves=min(walk.leaves + later, walk.first + later + leader.frames),
        hidden=(walk.hidden[0] + later, walk.hidden[1] + later) if walk.hidden[1] else (0, 0),
        far_px=leader.far_px,
        near_px=min(walk.near_px, leader.near_px),
        from_x=leader.from_x + beside,
        drift_px=leader.drift_px,
    )


def _cut_within(walk: Walk, cuts: list[int], shot_s: tuple[float, float], hard: np.random.Generator) -> int | None:
    """The first cut while the walk is in view; cuts are drawn on as far as they are needed."""
    while not cuts or cuts[-1] < walk.leaves:
        cuts.append((cuts[-1] if cuts else 0) + int(hard.uniform(*shot_s) * RATE))
    within = [cut for cut in cuts if walk.enters < cut < walk.leaves]
    return within[0] if within else None


def _taken_over(walk: Walk, walker: Walker, cut: int, difficulties: Difficulties, hard: np.random.Generator) -> Walk:
    """The rest of a walk after a cut, with somebody else's head, darker and softer."""
    return replace(
        walk,
        walker=walker,
        sprites=tuple(make_sprite(head) for head in walker.heads),
        enters=cut,
        gain=walk.gain * float(hard.uniform(0.55, 0.85)),
        softness_px=float(hard.uniform(0.0, 1.2)),
        turning=_turning(difficulties, hard),
    )


def _ended(hidden: tuple[int, int], cut: int) -> tuple[int, int]:
    return (hidden[0], min(hidden[1], cut)) if hidden[0] < cut else (0, 0)
