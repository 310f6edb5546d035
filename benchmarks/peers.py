"""pylfr beside what people use instead: the same crowds on video, the same weights, one run, in turn, as ratios.

    python -m benchmarks.peers FOLDER [--work installed|natural|same|all] [--clip 1] [--again]

Needs the group `peers` (insightface, OpenCV) and PYLFR_MEDIA/lfw. Whatever is compared runs on the same cores with as
many threads. Every clip is a crowd with another seed, and is read by every contender before the next one begins; a
ratio is taken clip by clip. Accuracy is pooled over all clips and compared pass by pass: faster and worse is no win.

FOLDER keeps crowds and runs, so that it may be stopped and gone on with: with `--clip` one crowd at a time. Alerts hold
under any load; what was timed while other programs were busy is run again with `--again`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.measure import DISTURBED, Spread, print_machine, spread_of, this_machine, write_results
from benchmarks.peer_pipelines import Outcome
from benchmarks.peer_runs import Run, Runner, contenders_of, crowds_of, run_of
from benchmarks.replayed import resampled_gain
from pylfr.errors import ConfigError
from pylfr.evaluation.video.fusion import (
    compare_rules,
    pass_scores,
    threshold_at,
)
from pylfr.evaluation.video.passes import PassRates, SubjectPass, own_faces, score_passes

# Of these the alerts are compared at equal FPIR too.
_TARGET_FPIR = 0.05
# A loss that no interval may reach, as a share of the passes.
_NO_WORSE = 0.01
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Of all clips: ``suggested`` at the suggested threshold, ``equal_fpir`` where FPIR may be 5 % for everybody."""

    suggested: PassRates
    equal_fpir_threshold: float | None
    equal_fpir: PassRates | None
    unsupported: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One pipeline: frames a second by the clock and of processor time over the clips, its faces and its alerts."""

    name: str
    detector: str
    embedder: str
    runtime: str
    fps: Spread
    processor_fps: Spread
    frames: int
    looked_at: int
    recognised: int
    accuracy: Accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A paired difference over the passes, a share, with its 95 % interval over resampled people."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """``one`` over ``other``: ``ratio`` of frames a second, clip by clip, and what it costs in accuracy.

    ``processor_ratio`` is that of frames a second of processor time, which other programs disturb less.
    ``tpir`` and ``fpir`` are differences at the suggested threshold, ``equal`` is that of TPIR at equal FPIR.
    ``alerts_no_worse``: no interval shows a loss of more than a point.
    """

    name: str
    one: str
    other: str
    aim: float
    ratio: Spread
    processor_ratio: Spread
    tpir: Difference
    fpir: Difference
    equal: Difference
    alerts_no_worse: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """All crowds. ``others_busy`` is the greatest share of the machine that other programs used during a run."""

    cores: int
    threads: int
    clips: int
    mated_passes: int
    non_mated_passes: int
    watchlist: int
    others_busy: float
    contenders: list[Contender]
    comparisons: list[Comparison]


def measure(given: argparse.Namespace, scratch: Path) -> Peers | None:
    """Run what is not in the folder yet, one crowd after the other; None while crowds are left for another call."""
    people, truth = crowds_of(given)
    videos = [given.folder / f"crowd-{number}.mp4" for number in range(given.clips)]
    # Those of NumPy's BLAS, which are there already, as much as the threads and processes that follow.
    cores = sorted(os.sched_getaffinity(0))[: given.cores]
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)
    runners = [each for each in contenders_of(people, scratch, given.cores) if given.work in each.work]
    runs: dict[str, list[Run]] = {runner.name: [] for runner in runners}
    for turn, video in enumerate(videos):
        # Another one begins each time, so that nobody always runs on the warmest processor.
        for runner in runners[turn % len(runners) :] + runners[: turn % len(runners)]:
            runs[runner.name].append(run_of(runner, video, given))
            run = runs[runner.name][-1]
            print(
                f"clip {turn + 1}, {runner.name}: {run.outcome.seconds:.1f} s, others used {run.others:.0%}", flush=True
            )
        if given.clip is not None and turn + 1 == given.clip < given.clips:
            return None
    outcomes = {name: [each.outcome for each in of_name] for name, of_name in runs.items()}
    contenders = {runner.name: contender(runner, outcomes[runner.name], truth) for runner in runners}
    return Peers(
        cores=given.cores,
        threads=given.cores,
        clips=given.clips,
        mated_passes=sum(each.is_mated for each in truth),
        non_mated_passes=sum(not each.is_mated for each in truth),
        watchlist=len(people),
        others_busy=max(each.others for of_name in runs.values() for each in of_name),
        contenders=list(contenders.values()),
        comparisons=[
            compare(name, one, other, aim, {runner.name: runner for runner in runners}, runs, truth)
            for name, one, other, aim in COMPARISONS
            if one in contenders and other in contenders
        ],
    )


COMPARISONS = (
    ("same work, same runtime, insightface's weights", "pylfr, every face (scrfd)",
     "insightface, faint faces too", 1.3),
    ("same work as installed, insightface's weights", "pylfr as installed, every face (scrfd)",
     "insightface, faint faces too", 1.5),
    ("natural work, same runtime, insightface's weights", "pylfr (scrfd)", "insightface", 8.0),
    ("natural work as installed, insightface's weights", "pylfr as installed (scrfd)", "insightface", 10.0),
    ("natural work against insightface at the same rate, same runtime", "pylfr (scrfd)", "insightface at 8 Hz", 1.0),
    ("same work, OpenCV's detector", "pylfr, every face (yunet)", "OpenCV, faint faces too", 1.2),
    ("natural work, OpenCV's detector", "pylfr (yunet)", "OpenCV", 8.0),
    ("natural work as installed, OpenCV's detector", "pylfr as installed (yunet)", "OpenCV", 8.0),
)  # fmt: skip


def contender(runner: Runner, outcomes: Sequence[Outcome], truth: Sequence[SubjectPass]) -> Contender:
    return Contender(
        name=runner.name,
        detector=runner.networks[0],
        embedder=runner.networks[1],
        runtime=runner.runtime,
        fps=spread_of([each.frames / each.seconds for each in outcomes]),
        processor_fps=spread_of([each.frames / each.processor_s for each in outcomes]),
        frames=sum(each.frames for each in outcomes),
        looked_at=sum(each.looked_at for each in outcomes),
        recognised=sum(each.recognised for each in outcomes),
        accuracy=accuracy(runner, outcomes, truth),
    )


def accuracy(runner: Runner, outcomes: Sequence[Outcome], truth: Sequence[SubjectPass]) -> Accuracy:
    compared = [face for each in outcomes for face in each.compared]
    suggested = score_passes(truth, compared, [alert for each in outcomes for alert in each.raised])
    try:
        (equal,) = compare_rules(truth, compared, target_fpir=_TARGET_FPIR, rules={runner.name: runner.fuse})
    except ConfigError as error:
        return Accuracy(suggested=suggested, equal_fpir_threshold=None, equal_fpir=None, unsupported=str(error))
    return Accuracy(suggested=suggested, equal_fpir_threshold=equal.threshold, equal_fpir=equal.rates, unsupported="")


def compare(
    name: str,
    one: str,
    other: str,
    aim: float,
    runners: Mapping[str, Runner],
    runs: Mapping[str, list[Run]],
    truth: Sequence[SubjectPass],
) -> Comparison:
    outcomes = {each: [run.outcome for run in runs[each]] for each in (one, other)}
    ratios = [
        (a.frames / a.seconds) / (b.frames / b.seconds) for a, b in zip(outcomes[one], outcomes[other], strict=True)
    ]
    by_processor = [
        (a.frames / a.processor_s) / (b.frames / b.processor_s)
        for a, b in zip(outcomes[one], outcomes[other], strict=True)
    ]
    mated = np.array([each.is_mated for each in truth])
    alerted = [_alerted(outcomes[each], truth) for each in (one, other)]
    tpir = _difference(alerted[0][mated], alerted[1][mated])
    fpir = _difference(alerted[0][~mated], alerted[1][~mated])
    equal = _at_equal_fpir([_best(runners[each], outcomes[each], truth) for each in (one, other)], mated)
    return Comparison(
        name=name,
        one=one,
        other=other,
        aim=aim,
        ratio=spread_of(ratios),
        processor_ratio=spread_of(by_processor),
        tpir=tpir,
        fpir=fpir,
        equal=equal,
        alerts_no_worse=tpir.low >= -_NO_WORSE and equal.low >= -_NO_WORSE and fpir.high <= _NO_WORSE,
    )


def _alerted(outcomes: Sequence[Outcome], truth: Sequence[SubjectPass]) -> npt.NDArray[np.bool_]:
    """Of each pass whether it alerts at the suggested threshold: a mated one for its own entry, another for any."""
    owner_of = own_faces(truth)
    alerted = np.zeros(len(truth), bool)
    for alert in (alert for each in outcomes for alert in each.raised):
        index = owner_of(alert)
        if index >= 0 and (not truth[index].is_mated or truth[index].subject == alert.entry):
            alerted[index] = True
    return alerted


def _best(runner: Runner, outcomes: Sequence[Outcome], truth: Sequence[SubjectPass]) -> npt.NDArray[np.float64]:
    return pass_scores(truth, [face for each in outcomes for face in each.compared], runner.fuse).best


def _difference(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> Difference:
    gain = one.astype(float) - other
    draw = np.random.default_rng(1)
    resampled = draw.choice(gain, (_RESAMPLES, len(gain))).mean(axis=1)
    low, high = np.quantile(resampled, (0.025, 0.975)).tolist()
    return Difference(value=float(gain.mean()), low=low, high=high)


def _at_equal_fpir(best: Sequence[npt.NDArray[np.float64]], mated: npt.NDArray[np.bool_]) -> Difference:
    allowed = int(np.floor(_TARGET_FPIR * np.count_nonzero(~mated) + 1e-9))
    found = [each[mated] >= threshold_at(each[~mated], allowed) for each in best]
    gain = resampled_gain(best[0], best[1], mated, [_TARGET_FPIR])[:, 0]
    low, high = np.quantile(gain, (0.025, 0.975)).tolist()
    return Difference(value=float(found[0].mean() - found[1].mean()), low=low, high=high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="keeps crowds and runs: what is there is not run again")
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--clip", type=int, help="go on to the end of this one, from 1")
    parser.add_argument("--again", action="store_true", help="run again what was timed while other programs were busy")
    parser.add_argument("--mated", type=int, default=36, help="passes a clip of people on the watchlist")
    parser.add_argument("--non-mated", type=int, default=67, help="passes a clip of others")
    parser.add_argument("--work", choices=["installed", "natural", "same", "all"], default="all")
    parser.add_argument("--fillers", type=int, default=50)
    parser.add_argument("--cores", type=int, default=1, help="cores, and threads, for each contender")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    machine = this_machine(("pylfr", "numpy", "av", "onnxruntime", "openvino", "insightface", "opencv-python-headless"))
    print_machine(machine)
    given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pylfr-peers-") as scratch:
        peers = measure(given, Path(scratch))
    if peers is None:
        return
    for each in peers.contenders:
        rates = each.accuracy.suggested
        equal = each.accuracy.equal_fpir
        print(f"{each.name:28} {each.fps.median:7.1f} fps, {each.recognised:6} faces embedded; TPIR {rates.tpir}, FPIR "
              f"{rates.fpir}; at equal FPIR {equal.tpir if equal else each.accuracy.unsupported}")  # fmt: skip
    for comparison in peers.comparisons:
        ratio = comparison.ratio
        words = "no worse" if comparison.alerts_no_worse else "NOT SHOWN to be no worse"
        print(f"{comparison.name}: {ratio.median:.2f} times ({ratio.min:.2f} to {ratio.max:.2f}), by processor time "
              f"{comparison.processor_ratio.median:.2f}, aim {comparison.aim:g}; TPIR {_points(comparison.tpir)}, FPIR "
              f"{_points(comparison.fpir)}, TPIR at equal FPIR {_points(comparison.equal)}: {words}")  # fmt: skip
    name = "peers" if given.work == "all" else f"peers-{given.work}"
    if peers.others_busy > DISTURBED:
        print(f"Other programs used up to {peers.others_busy:.0%} of the machine: compare by processor time (--again)")
    print(f"written to {write_results(name, machine, peers)}")


def _points(difference: Difference) -> str:
    value, low, high = (100 * each for each in (difference.value, difference.low, difference.high))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f}) points"


if __name__ == "__main__":
    main()
