"""Does the engine find everybody whom a program finds that compares every face of every frame?

    python -m benchmarks.recall record FOLDER --crowd tuning|test|plain [--mated 120 --non-mated 240] [--seed 147]
    python -m benchmarks.recall compare FOLDER... [--name test] [--target-fpir 0.01]

`record` renders a crowd and runs both pairs of networks over every frame (`benchmarks.recorded`). `compare` replays the
engine's own tracker, selection and fusion on it, beside any single face of every frame, each at its own threshold of
equal FPIR by pass.

People of `tuning` walked in the crowds on which earlier rules were chosen; people of `test` and `plain` did not.
`plain` is the crowd of docs/accuracy.md; the others have every difficulty of `pylfr.evaluation.crowd.planning.HARD`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.fusion import PAIRS
from benchmarks.measure import print_machine, this_machine, write_results
from benchmarks.networks import suggested_threshold
from benchmarks.recall_crowd import RULES, SEED, draw_people, record_crowd
from benchmarks.recorded import Recording, read_passes, read_recording
from benchmarks.replayed import (
    Decided,
    Floats,
    Way,
    alerts_of,
    decide,
    decide_singly,
    delays,
    owners,
    replay,
    resampled_gain,
    threshold_for,
)
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.engine.alert_policy import AlertRules
from pylfr.evaluation.crowd.walk import RATE
from pylfr.evaluation.video.passes import SubjectPass
from pylfr.faces.best_shots import SelectionRules
from pylfr.types import Int64

_COOLDOWN_S = 60.0
_FPIRS = (0.005, 0.01, 0.015, 0.02, 0.03)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallResult:
    """One way to select and decide, beside any single face of every frame.

    ``over_single`` is the paired difference in TPIR, with 95 % over resampled people, each resample with thresholds of
    its own. One FPIR rests on the few people who look most like somebody else: ``over_single_mean`` is the mean over
    several from 0.5 to 3 %, at which ``found_at`` so many are found. ``never_compared`` counts passes, ``undetected``
    those in which no frame shows a face to the detector. ``alerts_per_alerting_pass`` counts once a track and entry.
    ``delay_s`` is the median from the start of a pass.
    """

    embedder: str
    way: str
    threshold: float
    found: int
    mated: int
    non_mated: int
    over_single: float
    over_single_low: float
    over_single_high: float
    found_at: tuple[int, ...]
    over_single_mean: float
    over_single_mean_low: float
    over_single_mean_high: float
    frames: int
    faces_compared: int
    never_compared: int
    undetected: int
    alerts_per_alerting_pass: float
    alerts_cooled: float
    delay_s: float
    delay_over_single_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Every way on the crowds together, with each pair of networks."""

    crowd: str
    crowds: int
    target_fpir: float
    ways: tuple[RecallResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crowd:
    """A recorded crowd, who passes in it, and the pass of each face."""

    recording: Recording
    truth: tuple[SubjectPass, ...]
    owner: Int64

    def passes_of(self, faces: npt.NDArray[np.bool_]) -> int:
        """In how many passes there is one of these faces."""
        return len(np.unique(self.owner[faces & (self.owner >= 0)]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What one way makes of all crowds; ``decided`` in their order."""

    way: str
    decided: tuple[Decided, ...]
    frames: int
    faces: int
    passes_compared: int

    def best(self, crowds: Sequence[Crowd]) -> Floats:
        """The highest score of every pass of all crowds."""
        return np.concatenate(
            [each.best(crowd.truth, crowd.recording.people) for each, crowd in zip(self.decided, crowds, strict=True)]
        )


def ways(threshold: float) -> dict[str, Way]:
    """What is analysed and compared: the engine's defaults first, which are the candidate; the rest for its price."""
    section = RecognitionSection()
    alerts = AlertRules(threshold=threshold, best_scores=section.best_scores, lone_margin=section.lone_margin)
    everything = SelectionRules(comparisons_hz=section.comparisons_hz)
    default = Way(selection=everything, alerts=alerts, hz=section.detect_hz, closer_hz=section.closer_hz)
    return {
        "defaults": default,
        "without a closer look": replace(default, closer_hz=0.0),
        "any single face of a track": replace(default, alerts=replace(alerts, best_scores=1)),
        "mean of the best two, never one": replace(default, alerts=replace(alerts, lone_margin=2.0)),
        "20 comparisons a second": replace(default, selection=SelectionRules(comparisons_hz=20.0)),
        "closer look at 16 Hz": replace(default, closer_hz=16.0),
        "12.5 Hz": replace(default, hz=12.5, closer_hz=0.0),
        "every frame": replace(default, hz=float(RATE), closer_hz=0.0),
    }


def compare(folders: Sequence[Path], embedder: str, *, target_fpir: float) -> Iterator[RecallResult]:
    crowds = []
    for folder in folders:
        recording, truth = read_recording(folder / f"{embedder}.npz"), read_passes(folder / "truth.json")
        crowds.append(Crowd(recording=recording, truth=truth, owner=owners(recording, truth)))
    strong = [each.recording.scores >= each.recording.high_score for each in crowds]
    single = Outcome(
        way="any single face of every frame",
        decided=tuple(decide_singly(each.recording, each.owner) for each in crowds),
        frames=sum(len(each.recording.at_s) for each in crowds),
        faces=sum(int(np.count_nonzero(each)) for each in strong),
        passes_compared=sum(crowd.passes_of(each) for crowd, each in zip(crowds, strong, strict=True)),
    )
    yield _result(embedder, single, single, crowds, fpir=target_fpir)
    for name, way in ways(suggested_threshold(embedder, len(crowds[0].recording.people))).items():
        replayed = [replay(each.recording, way) for each in crowds]
        outcome = Outcome(
            way=name,
            decided=tuple(
                decide(crowd.recording, crowd.owner, each, way.alerts)
                for crowd, each in zip(crowds, replayed, strict=True)
            ),
            frames=sum(each.frames for each in replayed),
            faces=sum(int(each.compared.sum()) for each in replayed),
            passes_compared=sum(crowd.passes_of(each.compared) for crowd, each in zip(crowds, replayed, strict=True)),
        )
        yield _result(embedder, outcome, single, crowds, fpir=target_fpir)


def _result(embedder: str, outcome: Outcome, single: Outcome, crowds: Sequence[Crowd], *, fpir: float) -> RecallResult:
    truth = [each for crowd in crowds for each in crowd.truth]
    mated, person = np.array([each.is_mated for each in truth]), np.array([each.subject for each in truth])
    best, of_single = outcome.best(crowds), single.best(crowds)
    threshold, single_threshold = threshold_for(best, truth, fpir), threshold_for(of_single, truth, fpir)
    gain = resampled_gain(best, of_single, mated, (fpir, *_FPIRS), person=person)
    found_at, single_at = (
        [int((each[mated] >= threshold_for(each, truth, fpir)).sum()) for fpir in _FPIRS] for each in (best, of_single)
    )
    low, high = np.quantile(gain[:, 0], (0.025, 0.975)).tolist()
    mean_low, mean_high = np.quantile(gain[:, 1:].mean(axis=1), (0.025, 0.975)).tolist()
    by_track, cooled = (
        [alerts_of(each, threshold, cooldown_s=seconds) for each in outcome.decided] for seconds in (0.0, _COOLDOWN_S)
    )
    delay = _median_delay(outcome, crowds, threshold)
    return RecallResult(
        embedder=embedder,
        way=outcome.way,
        threshold=round(threshold, 4),
        found=int((best[mated] >= threshold).sum()),
        mated=int(mated.sum()),
        non_mated=int((~mated).sum()),
        over_single=float((best[mated] >= threshold).mean() - (of_single[mated] >= single_threshold).mean()),
        over_single_low=low,
        over_single_high=high,
        found_at=tuple(found_at),
        over_single_mean=(sum(found_at) - sum(single_at)) / (len(_FPIRS) * int(mated.sum())),
        over_single_mean_low=mean_low,
        over_single_mean_high=mean_high,
        frames=outcome.frames,
        faces_compared=outcome.faces,
        never_compared=len(truth) - outcome.passes_compared,
        undetected=len(truth) - single.passes_compared,
        alerts_per_alerting_pass=_repeats(by_track),
        alerts_cooled=_repeats(cooled),
        delay_s=delay,
        delay_over_single_s=delay - _median_delay(single, crowds, single_threshold),
    )


def _repeats(alerts: Sequence[Sequence[int]]) -> float:
    """Alerts a pass that alerts."""
    return sum(map(len, alerts)) / max(1, sum(len(set(each)) for each in alerts))


def _median_delay(outcome: Outcome, crowds: Sequence[Crowd], threshold: float) -> float:
    return float(
        np.median(
            [
                delay
                for each, crowd in zip(outcome.decided, crowds, strict=True)
                for delay in delays(each, crowd.truth, crowd.recording.people, threshold).values()
            ]
        )
    )


def _row(each: RecallResult) -> str:
    at_one = 100 * each.over_single, 100 * each.over_single_low, 100 * each.over_single_high
    mean = 100 * each.over_single_mean, 100 * each.over_single_mean_low, 100 * each.over_single_mean_high
    cells = (
        each.embedder,
        each.way,
        f"{each.threshold:.3f}",
        f"{each.found} of {each.mated}",
        "{:+.1f} ({:+.1f} to {:+.1f})".format(*at_one),
        f"{each.found_at}: " + "{:+.1f} ({:+.1f} to {:+.1f})".format(*mean),
        f"{each.frames:,}",
        f"{each.faces_compared:,}",
        f"{each.never_compared} ({each.undetected})",
        f"{each.alerts_per_alerting_pass:.3f}, {each.alerts_cooled:.3f}",
        f"{each.delay_s:.2f} ({each.delay_over_single_s:+.2f})",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["record", "compare"])
    parser.add_argument("folder", type=Path, nargs="+", help="where recordings are; several are compared as one crowd")
    parser.add_argument("--crowd", choices=sorted(RULES), default="tuning")
    parser.add_argument("--mated", type=int, default=120)
    parser.add_argument("--non-mated", type=int, default=240)
    parser.add_argument("--seed", type=int, help="other walks of the same people; unset: the crowd's own")
    parser.add_argument("--workers", type=int, default=len(PAIRS), help="processes")
    parser.add_argument("--target-fpir", type=float, default=0.01)
    parser.add_argument("--name", default="", help="the result is recall-NAME.json; without it nothing is written")
    given = parser.parse_args()
    if given.command == "record":
        (folder,) = given.folder
        folder.mkdir(parents=True, exist_ok=True)
        seed = SEED[given.crowd] if given.seed is None else given.seed
        people = draw_people(given.crowd, mated=given.mated, non_mated=given.non_mated, seed=seed)
        mated = sum(walker.is_mated for walker in people.walkers)
        print(json.dumps({"crowd": given.crowd, "mated": mated, "non_mated": len(people.walkers) - mated}), flush=True)
        record_crowd(folder, given.crowd, people, seed=seed, workers=given.workers)
        return
    machine = this_machine()
    print_machine(machine)
    results = []
    for _, embedder in PAIRS:
        for each in compare(given.folder, embedder, target_fpir=given.target_fpir):
            results.append(each)
            print(_row(each), flush=True)
    if given.name:
        recall = Recall(crowd=given.name, crowds=len(given.folder), target_fpir=given.target_fpir, ways=tuple(results))
        print(f"written to {write_results(f'recall-{given.name}', machine, recall)}")


if __name__ == "__main__":
    main()
