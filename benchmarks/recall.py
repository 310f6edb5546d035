"""Does the engine find everybody whom a program finds that compares every face of every frame?

    python -m benchmarks.recall record FOLDER --crowd tuning|test|plain [--mated 120 --non-mated 240]
    python -m benchmarks.recall compare FOLDER [--name test] [--target-fpir 0.01]

`record` renders a crowd and runs both pairs of networks over every frame (`benchmarks.recorded`). `compare` replays the
engine's own tracker, selection and fusion on it, beside any single face of every frame, each at its own threshold of
equal FPIR by pass.

People of `tuning` walked in the crowds on which earlier rules were chosen; people of `test` and `plain` did not.
`plain` is the crowd of docs/accuracy.md; the others have every difficulty of `pylfr.evaluation.crowd.planning.HARD`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.crowd import FRESH
from benchmarks.footage import lfw_folder
from benchmarks.fusion import PAIRS, divide, fresh_crowd
from benchmarks.measure import print_machine, this_machine, write_results
from benchmarks.recorded import Recording, read_passes, read_recording, record, write_recording
from benchmarks.replayed import (
    Decided,
    Floats,
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
from pylfr.evaluation.crowd.cast import cut_heads
from pylfr.evaluation.crowd.crowd import plan_crowd, render_crowd
from pylfr.evaluation.crowd.planning import HARD, CrowdRules
from pylfr.evaluation.crowd.walk import RATE, Walker
from pylfr.evaluation.images.people import list_photographs
from pylfr.evaluation.video.passes import SubjectPass, write_truth
from pylfr.faces.best_shots import SelectionRules
from pylfr.faces.detect import open_detector
from pylfr.types import Int64, UInt8

_PASSES_A_CLIP = 60
_PLAIN = CrowdRules(lanes=8, walk_s=(2.5, 4.0))
_RULES = {"tuning": replace(_PLAIN, difficulties=HARD), "test": replace(_PLAIN, difficulties=HARD), "plain": _PLAIN}
_SEED = {"tuning": 31, "test": 47, "plain": 20_261}
# Of a face that nearer heads cover by more than this a detector need not find anything.
_LEAST_VISIBLE = 0.4
_COOLDOWN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class People:
    """Who walks, and the picture of everybody on the watchlist, uint8 [S, S, 3] RGB."""

    walkers: tuple[Walker, ...]
    references: Mapping[str, UInt8]


def draw_people(crowd: str, *, mated: int, non_mated: int) -> People:
    """The people of a crowd; names are replaced by numbers."""
    photographs = list_photographs(lfw_folder())
    if crowd == "tuning":
        detectors = [open_detector(name, threads=2) for name, _ in PAIRS]
        walked = divide(cut_heads(detectors[0], photographs)).walked
        heads = cut_heads(detectors[0], [each for each in photographs if each.person in walked])
        order = np.random.default_rng(_SEED[crowd]).permutation(sorted(heads)).tolist()
        references: dict[str, UInt8] = {}
        walkers: list[Walker] = []
        for name in order:
            mine = list(heads[name])
            clear = [n for n, head in enumerate(mine) if all(len(d.detect([head.picture])) == 1 for d in detectors)]
            if len(mine) > 1 and clear and len(references) < mated:
                references[name] = mine.pop(clear[0]).picture
            elif len(walkers) - len(references) >= non_mated:
                continue
            walkers.append(Walker(subject=name, is_mated=name in references, heads=tuple(mine)))
    else:
        fresh = fresh_crowd(photographs)
        references = {name: head.picture for name, head in fresh.references.items()}
        walkers = list(fresh.walkers)
    number = {walker.subject: f"{place:04d}" for place, walker in enumerate(walkers)}
    order = np.random.default_rng(_SEED[crowd]).permutation(len(walkers)).tolist()
    return People(
        walkers=tuple(replace(walkers[place], subject=number[walkers[place].subject]) for place in order),
        references={number[name]: picture for name, picture in references.items()},
    )


def record_crowd(folder: Path, crowd: str, people: People) -> None:
    """Render the crowd, and write truth.json and EMBEDDER.npz of each pair into ``folder``."""
    walkers = people.walkers
    with tempfile.TemporaryDirectory(prefix="pylfr-recall-") as place:
        jobs = [
            (f"crowd-{number:02d}", walkers[start : start + _PASSES_A_CLIP], Path(place), _SEED[crowd] + number, crowd)
            for number, start in enumerate(range(0, len(walkers), _PASSES_A_CLIP))
        ]
        with ProcessPoolExecutor(max_workers=len(PAIRS), mp_context=FRESH) as pool:
            began = time.perf_counter()
            truth = [each for part in pool.map(_render, jobs) for each in part]
            write_truth(truth, folder / "truth.json")
            print(f"{len(truth)} passes rendered in {time.perf_counter() - began:.0f} s", flush=True)
            videos = [Path(place) / f"{camera}.mp4" for camera, *_ in jobs]
            pairs = [(videos, people.references, *pair, folder) for pair in PAIRS]
            for words in pool.map(_record, pairs):
                print(words, flush=True)


def _render(job: tuple[str, Sequence[Walker], Path, int, str]) -> tuple[SubjectPass, ...]:
    """Truth keeps the boxes of faces that can be seen."""
    camera, walkers, folder, seed, crowd = job
    truth = render_crowd(walkers, folder, camera=camera, seed=seed, rules=_RULES[crowd])
    scene = plan_crowd(walkers, seed=seed, rules=_RULES[crowd])
    return tuple(
        replace(
            each,
            path=tuple(
                point for point in each.path if scene.visibility(walk, round(point[0] * RATE)) >= _LEAST_VISIBLE
            ),
        )
        for each, walk in zip(truth, scene.plan.walks, strict=True)
    )


def _record(job: tuple[Sequence[Path], Mapping[str, UInt8], str, str, Path]) -> str:
    videos, references, detector, embedder, folder = job
    began = time.perf_counter()
    recording = record(videos, references, detector=detector, embedder=embedder, threads=1)
    write_recording(recording, folder / f"{embedder}.npz")
    seconds = time.perf_counter() - began
    return f"{embedder}: {len(recording.at_s):,} frames, {len(recording.frame):,} faces in {seconds:.0f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallResult:
    """One way to select and decide, beside any single face of every frame.

    ``over_single`` is the paired difference in TPIR, with 95 % over resampled people, each resample with thresholds of
    its own. ``never_compared`` counts passes, ``undetected`` those in which no frame shows a face to the detector.
    ``alerts_per_alerting_pass`` counts once a track and entry. ``delay_s`` is the median from the start of a pass.
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
    faces_compared: int
    never_compared: int
    undetected: int
    alerts_per_alerting_pass: float
    alerts_cooled: float
    delay_s: float
    delay_over_single_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Every way on one crowd, with each pair of networks."""

    crowd: str
    target_fpir: float
    ways: tuple[RecallResult, ...]


def ways() -> dict[str, tuple[SelectionRules, AlertRules, float]]:
    """What is compared: the engine's defaults first, which are the candidate; the rest is shown for its price."""
    section = RecognitionSection()
    rules = AlertRules(threshold=0, best_scores=section.best_scores, lone_margin=section.lone_margin)
    everything = SelectionRules(comparisons_hz=section.comparisons_hz)
    return {
        "defaults": (everything, rules, section.detect_hz),
        "any single face of a track": (everything, AlertRules(threshold=0, best_scores=1), section.detect_hz),
        "mean of the best two, never one": (everything, replace(rules, lone_margin=2.0), section.detect_hz),
        "20 comparisons a second": (SelectionRules(comparisons_hz=20.0), rules, section.detect_hz),
        "10 comparisons a second": (SelectionRules(comparisons_hz=10.0), rules, section.detect_hz),
        "10 Hz": (everything, rules, 10.0),
        "every frame": (everything, rules, float(RATE)),
    }


def compare(folder: Path, embedder: str, *, target_fpir: float) -> list[RecallResult]:
    recording = read_recording(folder / f"{embedder}.npz")
    truth = read_passes(folder / "truth.json")
    owner = owners(recording, truth)
    single = decide_singly(recording, owner)
    best_single = single.best(truth, recording.people)
    strong = recording.scores >= recording.high_score
    seen = np.unique(owner[strong & (owner >= 0)])
    results = [_result(embedder, "any single face of every frame", single, best_single, best_single, truth, recording,
                       faces=int(np.count_nonzero(strong)), compared=seen, seen=seen, fpir=target_fpir)]  # fmt: skip
    for way, (selection, rules, hz) in ways().items():
        replayed = replay(recording, rules=selection, hz=hz)
        decided = decide(recording, owner, replayed, rules)
        compared = np.unique(owner[replayed.compared & (owner >= 0)])
        best = decided.best(truth, recording.people)
        results.append(
            _result(embedder, way, decided, best, best_single, truth, recording, faces=int(replayed.compared.sum()),
                    compared=compared, seen=seen, fpir=target_fpir)
        )  # fmt: skip
    return results


def _result(
    embedder: str,
    way: str,
    decided: Decided,
    best: Floats,
    single: Floats,
    truth: Sequence[SubjectPass],
    recording: Recording,
    *,
    faces: int,
    compared: Int64,
    seen: Int64,
    fpir: float,
) -> RecallResult:
    mated = np.array([each.is_mated for each in truth])
    threshold, of_single = threshold_for(best, truth, fpir), threshold_for(single, truth, fpir)
    gain = resampled_gain(best, single, mated, fpir)
    by_track, cooled = (alerts_of(decided, threshold, cooldown_s=seconds) for seconds in (0.0, _COOLDOWN_S))
    first = delays(decided, truth, recording.people, threshold)
    earlier = delays(decide_singly(recording, owners(recording, truth)), truth, recording.people, of_single)
    delay = float(np.median(list(first.values())))
    return RecallResult(
        embedder=embedder,
        way=way,
        threshold=round(threshold, 4),
        found=int((best[mated] >= threshold).sum()),
        mated=int(mated.sum()),
        non_mated=int((~mated).sum()),
        over_single=float((best[mated] >= threshold).mean() - (single[mated] >= of_single).mean()),
        over_single_low=float(np.quantile(gain, 0.025)),
        over_single_high=float(np.quantile(gain, 0.975)),
        faces_compared=faces,
        never_compared=len(truth) - len(compared),
        undetected=len(truth) - len(seen),
        alerts_per_alerting_pass=len(by_track) / max(1, len(set(by_track))),
        alerts_cooled=len(cooled) / max(1, len(set(cooled))),
        delay_s=delay,
        delay_over_single_s=delay - float(np.median(list(earlier.values()))),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["record", "compare"])
    parser.add_argument("folder", type=Path, help="where recordings are")
    parser.add_argument("--crowd", choices=sorted(_RULES), default="tuning")
    parser.add_argument("--mated", type=int, default=120)
    parser.add_argument("--non-mated", type=int, default=240)
    parser.add_argument("--target-fpir", type=float, default=0.01)
    parser.add_argument("--name", default="", help="the result is recall-NAME.json; without it nothing is written")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.command == "record":
        people = draw_people(given.crowd, mated=given.mated, non_mated=given.non_mated)
        mated = sum(walker.is_mated for walker in people.walkers)
        print(json.dumps({"crowd": given.crowd, "mated": mated, "non_mated": len(people.walkers) - mated}), flush=True)
        record_crowd(given.folder, given.crowd, people)
        return
    machine = this_machine()
    print_machine(machine)
    results = []
    for _, embedder in PAIRS:
        for each in compare(given.folder, embedder, target_fpir=given.target_fpir):
            results.append(each)
            alerts = f"{each.alerts_per_alerting_pass:.3f}, {each.alerts_cooled:.3f}"
            print(f"| {embedder} | {each.way} | {each.threshold:.3f} | {each.found} of {each.mated} | "
                  f"{100 * each.over_single:+.1f} ({100 * each.over_single_low:+.1f} to "
                  f"{100 * each.over_single_high:+.1f}) | {each.faces_compared:,} | {each.never_compared} "
                  f"({each.undetected}) | {alerts} | {each.delay_s:.2f} "
                  f"({each.delay_over_single_s:+.2f}) |", flush=True)  # fmt: skip
    if given.name:
        recall = Recall(crowd=given.name, target_fpir=given.target_fpir, ways=tuple(results))
        print(f"written to {write_results(f'recall-{given.name}', machine, recall)}")


if __name__ == "__main__":
    main()
