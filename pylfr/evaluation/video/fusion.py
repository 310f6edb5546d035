"""Rules that make one score of a track's many, compared offline at equal FPIR on what an engine has compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pylfr.engine.alert_policy import AlertRules, fuse_scores
from pylfr.errors import ConfigError
from pylfr.evaluation.video.passes import Box, Compared, PassRates, Raised, SubjectPass, own_tracks, score_passes

# Scores of one entry over a track so far, the qualities of those faces and whether they named the entry, in order of
# time, to one score; None while there is too little to decide on. A face whose full list of candidates does not name
# the entry scored it no higher than its last candidate, whose score is used instead.
Fuse = Callable[[Sequence[float], Sequence[float], Sequence[bool]], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """A rule at the threshold (cosine) that keeps its FPIR at the target, and what it then does."""

    rule: str
    threshold: float
    rates: PassRates
    alerts_per_alerted_pass: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A fused score of one entry at one moment of a track, seconds; ``owner`` is its pass, -1 where it has none."""

    camera: str
    track_id: int
    at_s: float
    box: Box
    entry: str
    score: float
    owner: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PassScores:
    """What a rule makes of every pass.

    ``best`` float64 [passes]: of a mated pass the highest fused score of its own entry, of another one that of any; -1
    where nothing was fused. ``steps`` in order of time within a track.
    """

    best: npt.NDArray[np.float64]
    steps: tuple[Step, ...]


def best_of(count: int, *, least: int = 1) -> Fuse:
    """The mean over the ``count`` best faces by quality, once ``least`` have been compared."""

    def fuse(scores: Sequence[float], qualities: Sequence[float], _: Sequence[bool]) -> float | None:
        if len(scores) < least:
            return None
        kept = np.argsort([-quality for quality in qualities], kind="stable")[:count]
        return float(np.mean([scores[index] for index in kept]))

    return fuse


def mean_of_best(count: int, *, among: int, least: int) -> Fuse:
    """The mean of the ``count`` best scores among the ``among`` best faces by quality.

    It says nothing until ``least`` faces, at least ``count``, have been compared.
    """

    def fuse(scores: Sequence[float], qualities: Sequence[float], _: Sequence[bool]) -> float | None:
        if len(scores) < least:
            return None
        kept = np.argsort([-quality for quality in qualities], kind="stable")[:among]
        return float(np.mean(sorted((scores[index] for index in kept), reverse=True)[:count]))

    return fuse


def best_or_mean(rules: AlertRules) -> Fuse:
    """The mean of the best scores over all faces, or the best one less a margin: what the engine does."""

    def fuse(scores: Sequence[float], _: Sequence[float], named: Sequence[bool]) -> float | None:
        best = sorted((score for score, is_named in zip(scores, named, strict=True) if is_named), reverse=True)
        return fuse_scores(best, rules) if best else None

    return fuse


def weighted(*, least: int = 2) -> Fuse:
    """The mean over all faces, weighted by quality."""

    def fuse(scores: Sequence[float], qualities: Sequence[float], _: Sequence[bool]) -> float | None:
        if len(scores) < least:
            return None
        return float(np.average(scores, weights=np.asarray(qualities) + 1e-6))

    return fuse


def consistent(count: int) -> Fuse:
    """The score that ``count`` faces reach: an alert needs as many faces above the threshold."""

    def fuse(scores: Sequence[float], _: Sequence[float], __: Sequence[bool]) -> float | None:
        return sorted(scores, reverse=True)[count - 1] if len(scores) >= count else None

    return fuse


def first_face() -> Fuse:
    """The latest face alone: the first one above the threshold alerts. Over a track that is the maximum."""
    return lambda scores, _qualities, _named: scores[-1]


ENGINES_RULE = "best two scores, or one by a margin"
RULES: Mapping[str, Fuse] = {
    "any single face (first above, maximum)": first_face(),
    "best face by quality": best_of(1),
    "mean of best 3, at least 2": best_of(3, least=2),
    "mean of best 5, at least 2": best_of(5, least=2),
    "mean of best 5, at least 3": best_of(5, least=3),
    "mean of all, at least 2": best_of(10_000, least=2),
    "quality-weighted mean, at least 2": weighted(least=2),
    "best score of best 8, at least 2": mean_of_best(1, among=8, least=2),
    ENGINES_RULE: best_or_mean(AlertRules(threshold=0)),
    "mean of the 2 best scores of best 8": mean_of_best(2, among=8, least=2),
    "mean of the 3 best scores of best 8": mean_of_best(3, among=8, least=3),
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
    return tuple(_result(name, fuse, truth, compared, allowed) for name, fuse in rules.items())


def pass_scores(truth: Sequence[SubjectPass], compared: Sequence[Compared], fuse: Fuse) -> PassScores:
    """Fuse every track as far as it has come after each of its faces, and give the highest of each pass."""
    owner = own_tracks(truth, compared)
    tracks: dict[tuple[str, int], list[Compared]] = defaultdict(list)
    for face in sorted(compared, key=lambda each: each.at_s):
        tracks[face.camera, face.track_id].append(face)
    steps = [step for key, faces in tracks.items() for step in _steps(faces, fuse, owner[key])]
    best = np.full(len(truth), -1.0)
    for step in steps:
        if step.owner >= 0 and (not truth[step.owner].is_mated or truth[step.owner].subject == step.entry):
            best[step.owner] = max(best[step.owner], step.score)
    return PassScores(best=best, steps=tuple(steps))


def threshold_at(non_mated: npt.NDArray[np.float64], allowed: int) -> float:
    """The lowest threshold that no more than ``allowed`` of the scores reach."""
    return float(np.nextafter(np.sort(non_mated)[::-1][allowed], 2))


def _result(
    name: str, fuse: Fuse, truth: Sequence[SubjectPass], compared: Sequence[Compared], allowed: int
) -> RuleResult:
    scores = pass_scores(truth, compared, fuse)
    threshold = threshold_at(scores.best[[not each.is_mated for each in truth]], allowed)
    first: dict[tuple[str, int, str], Raised] = {}
    for step in scores.steps:
        if step.score >= threshold:
            raised = Raised(
                camera=step.camera, track_id=step.track_id, at_s=step.at_s, box=step.box, entry=step.entry,
                score=step.score,
            )  # fmt: skip
            first.setdefault((step.camera, step.track_id, step.entry), raised)
    alerting = {step.owner for step in scores.steps if step.score >= threshold} - {-1}
    return RuleResult(
        rule=name,
        threshold=threshold,
        rates=score_passes(truth, compared, list(first.values())),
        alerts_per_alerted_pass=len(first) / len(alerting) if alerting else None,
    )


def _steps(faces: Sequence[Compared], fuse: Fuse, owner: int) -> list[Step]:
    """The fused score of every entry that a face names, after that face: what an engine would decide on."""
    steps = []
    for number, face in enumerate(faces, start=1):
        qualities = [each.quality for each in faces[:number]]
        for entry, _ in face.candidates:
            score = fuse([_score_of(each, entry) for each in faces[:number]], qualities, _named(faces[:number], entry))
            if score is not None:
                steps.append(
                    Step(
                        camera=face.camera,
                        track_id=face.track_id,
                        at_s=face.at_s,
                        box=face.box,
                        entry=entry,
                        score=score,
                        owner=owner,
                    )
                )
    return steps


def _score_of(face: Compared, entry: str) -> float:
    """The entry's score; one that a full list does not name scored no higher than its last, which is used."""
    for name, score in face.candidates:
        if name == entry:
            return score
    return face.candidates[-1][1] if face.is_full and face.candidates else -1.0


def _named(faces: Sequence[Compared], entry: str) -> list[bool]:
    return [any(name == entry for name, _ in face.candidates) for face in faces]
