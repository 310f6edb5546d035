"""Rules that make one score of a track's many, compared offline at equal FPIR on what an engine has compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pylfr.errors import ConfigError
from pylfr.evaluation.passes import Compared, PassRates, Raised, SubjectPass, own_tracks, score_passes

# Scores of one entry over a track so far and the qualities of those faces, in order of time, to one score; None while
# there is too little to decide on.
Fuse = Callable[[Sequence[float], Sequence[float]], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """A rule at the threshold (cosine) that keeps its FPIR at the target, and what it then does."""

    rule: str
    threshold: float
    rates: PassRates
    alerts_per_alerted_pass: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A fused score of one entry at one moment of a track."""

    face: Compared
    entry: str
    score: float


def best_of(count: int, *, least: int = 1) -> Fuse:
    """The mean over the ``count`` best faces by quality, once ``least`` have been compared."""

    def fuse(scores: Sequence[float], qualities: Sequence[float]) -> float | None:
        if len(scores) < least:
            return None
        kept = np.argsort([-quality for quality in qualities], kind="stable")[:count]
        return float(np.mean([scores[index] for index in kept]))

    return fuse


def mean_of_best(count: int, *, among: int) -> Fuse:
    """The mean of the ``count`` best scores among the ``among`` best faces by quality: what the engine does."""

    def fuse(scores: Sequence[float], qualities: Sequence[float]) -> float | None:
        if len(scores) < count:
            return None
        kept = np.argsort([-quality for quality in qualities], kind="stable")[:among]
        return float(np.mean(sorted((scores[index] for index in kept), reverse=True)[:count]))

    return fuse


def weighted(*, least: int = 2) -> Fuse:
    """The mean over all faces, weighted by quality."""

    def fuse(scores: Sequence[float], qualities: Sequence[float]) -> float | None:
        if len(scores) < least:
            return None
        return float(np.average(scores, weights=np.asarray(qualities) + 1e-6))

    return fuse


def consistent(count: int) -> Fuse:
    """The score that ``count`` faces reach: an alert needs as many faces above the threshold."""

    def fuse(scores: Sequence[float], _: Sequence[float]) -> float | None:
        return sorted(scores, reverse=True)[count - 1] if len(scores) >= count else None

    return fuse


def first_face() -> Fuse:
    """The latest face alone: the first one above the threshold alerts. Over a track that is the maximum."""
    return lambda scores, _: scores[-1]


ENGINES_RULE = "mean of the 2 best scores of best 8"
RULES: Mapping[str, Fuse] = {
    "any single face (first above, maximum)": first_face(),
    "best face by quality": best_of(1),
    "mean of best 3, at least 2": best_of(3, least=2),
    "mean of best 5, at least 2": best_of(5, least=2),
    "mean of best 5, at least 3": best_of(5, least=3),
    "mean of all, at least 2": best_of(10_000, least=2),
    "quality-weighted mean, at least 2": weighted(least=2),
    ENGINES_RULE: mean_of_best(2, among=8),
    "mean of the 3 best scores of best 8": mean_of_best(3, among=8),
    "2 faces above": consistent(2),
    "3 faces above": consistent(3),
}


def compare_rules(
    truth: Sequence[SubjectPass],
    compared: Sequence[Compared],
    *,
    target_fpir: float,
    rules: Mapping[str, Fuse] = RULES,
) -> tuple[RuleResult, ...]:
    """Every rule at the lowest threshold at which no more than ``target_fpir`` of non-mated passes alert.

    Each entry alerts once a track. Raises ``ConfigError`` where fewer than one non-mated pass may alert at the target.
    """
    others = sum(not each.is_mated for each in truth)
    allowed = int(np.floor(target_fpir * others + 1e-9))
    if allowed < 1:
        raise ConfigError(f"FPIR {target_fpir:g} needs {int(np.ceil(1 / target_fpir))} non-mated passes, got {others}")
    owner = own_tracks(truth, compared)
    tracks: dict[tuple[str, int], list[Compared]] = defaultdict(list)
    for face in sorted(compared, key=lambda each: each.at_s):
        tracks[face.camera, face.track_id].append(face)
    return tuple(_result(name, fuse, truth, compared, tracks, owner, allowed) for name, fuse in rules.items())


def _result(
    name: str,
    fuse: Fuse,
    truth: Sequence[SubjectPass],
    compared: Sequence[Compared],
    tracks: Mapping[tuple[str, int], list[Compared]],
    owner: Mapping[tuple[str, int], int],
    allowed: int,
) -> RuleResult:
    steps = {key: _steps(faces, fuse) for key, faces in tracks.items()}
    worst: dict[int, float] = {}
    for key, taken in steps.items():
        index = owner[key]
        if index >= 0 and not truth[index].is_mated:
            worst[index] = max([worst.get(index, -1.0), *(step.score for step in taken)])
    ordered = sorted(worst.values(), reverse=True)
    threshold = float(np.nextafter(ordered[allowed], 2)) if len(ordered) > allowed else -1.0
    raised = []
    for key, taken in steps.items():
        alerted: set[str] = set()
        for step in taken:
            if step.score >= threshold and step.entry not in alerted:
                alerted.add(step.entry)
                raised.append(
                    Raised(
                        camera=key[0],
                        track_id=key[1],
                        at_s=step.face.at_s,
                        box=step.face.box,
                        entry=step.entry,
                        score=step.score,
                    )
                )
    passes = {owner[alert.camera, alert.track_id] for alert in raised} - {-1}
    return RuleResult(
        rule=name,
        threshold=threshold,
        rates=score_passes(truth, compared, raised),
        alerts_per_alerted_pass=len(raised) / len(passes) if passes else None,
    )


def _steps(faces: Sequence[Compared], fuse: Fuse) -> list[_Step]:
    """The fused score of every entry that a face names, after that face: what an engine would decide on."""
    steps = []
    for number, face in enumerate(faces, start=1):
        qualities = [each.quality for each in faces[:number]]
        for entry, _ in face.candidates:
            score = fuse([_score_of(each, entry) for each in faces[:number]], qualities)
            if score is not None:
                steps.append(_Step(face=face, entry=entry, score=score))
    return steps


def _score_of(face: Compared, entry: str) -> float:
    """The entry's score; one that a full list does not name scored no higher than its last, so that stands in."""
    for name, score in face.candidates:
        if name == entry:
            return score
    return face.candidates[-1][1] if face.is_full and face.candidates else -1.0
