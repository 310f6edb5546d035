"""pylfr beside what people use instead: the same crowd on video, the same weights, one run, in turn, as ratios.

    python -m benchmarks.peers [--clips 3] [--mated 5] [--non-mated 11] [--cores 1]

Needs the group `peers` (insightface, OpenCV) and PYLFR_MEDIA/lfw. Whatever is compared runs on the same cores with as
many threads. Every clip is read by every contender before the next one begins; a ratio is taken clip by clip. Accuracy
is pooled over all clips: faster and worse is no win.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import Progress

from benchmarks import peer_pipelines
from benchmarks.footage import lfw_folder
from benchmarks.measure import Spread, print_machine, spread_of, this_machine, write_results
from benchmarks.peer_pipelines import Outcome
from pylfr.deployment.config import RecognitionSection
from pylfr.errors import ConfigError
from pylfr.evaluation.crowd.cast import Roles, cast_crowd, cut_heads
from pylfr.evaluation.crowd.crowd import render_crowd
from pylfr.evaluation.crowd.planning import CrowdRules
from pylfr.evaluation.images.people import list_photographs
from pylfr.evaluation.video.fusion import Fuse, compare_rules, first_face, mean_of_best
from pylfr.evaluation.video.passes import PassRates, SubjectPass, score_passes
from pylfr.evaluation.video.replay import run_replay
from pylfr.faces.detect import open_detector
from pylfr.models.store import open_store
from pylfr.runtimes.registry import choose_runtime
from pylfr.video.decoding.image_io import read_image

_RULES = CrowdRules(lanes=6, walk_s=(2.5, 4.0))
_EVERY_FRAME_HZ = 1000.0
# Every tracked face is embedded, whatever its quality and however often: the peers' amount of work.
_EVERY_FACE = RecognitionSection(detect_hz=_EVERY_FRAME_HZ, min_detect_hz=1.0, min_interocular_px=0)
# Of these the alerts are compared at equal FPIR too.
_TARGET_FPIR = 0.05
SCRFD, YUNET = ("scrfd_500m_kps", "mobilefacenet_y1"), ("yunet_n", "face_reid_0095")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Of all clips: ``suggested`` at the suggested threshold, ``equal_fpir`` where FPIR may be 5 % for everybody."""

    suggested: PassRates
    equal_fpir_threshold: float | None
    equal_fpir: PassRates | None
    unsupported: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One pipeline: frames a second over the clips, the faces it embedded, and its alerts."""

    name: str
    detector: str
    embedder: str
    runtime: str
    fps: Spread
    frames: int
    looked_at: int
    recognised: int
    accuracy: Accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """``one`` over ``other``: ``ratio`` of frames a second, clip by clip; is its TPIR no lower and FPIR no higher?"""

    name: str
    one: str
    other: str
    aim: float
    ratio: Spread
    alerts_no_worse: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """The whole run."""

    cores: int
    threads: int
    clips: int
    mated_passes: int
    non_mated_passes: int
    watchlist: int
    seconds: float
    contenders: list[Contender]
    comparisons: list[Comparison]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Runner:
    name: str
    networks: tuple[str, str]
    runtime: str
    run: Callable[[Path], Outcome]
    fuse: Fuse


def ours(
    name: str,
    networks: tuple[str, str],
    people: Mapping[str, Path],
    *,
    threads: int,
    all_faces: bool = False,
    runtime: str = "onnx",
) -> _Runner:
    recognition = _EVERY_FACE if all_faces else RecognitionSection()

    def run(video: Path) -> Outcome:
        replay = run_replay(
            [video],
            {person: [path] for person, path in people.items()},
            detector=networks[0],
            embedder=networks[1],
            recognition=recognition,
            runtime=runtime,
            threads=threads,
        )
        summary = replay.summary
        return Outcome(
            compared=replay.compared, raised=replay.raised, frames=summary.frames, looked_at=summary.detected_frames,
            recognised=summary.recognised, seconds=summary.seconds,
        )  # fmt: skip

    chosen = choose_runtime(runtime).name
    return _Runner(name=name, networks=networks, runtime=chosen, run=run, fuse=mean_of_best(2, among=8, least=2))


def theirs(
    name: str,
    networks: tuple[str, str],
    recognise: peer_pipelines.Recognise,
    people: Mapping[str, Path],
    *,
    runtime: str,
    detect_hz: float | None = None,
) -> _Runner:
    names, templates = peer_pipelines.enrol(recognise, people)
    threshold = suggested_threshold(networks[1])

    def run(video: Path) -> Outcome:
        return peer_pipelines.watch(recognise, video, names, templates, threshold=threshold, detect_hz=detect_hz)

    return _Runner(name=name, networks=networks, runtime=runtime, run=run, fuse=first_face())


def shows_one_face(path: Path) -> bool:
    """Whether every detector of this comparison sees one face in the picture, as enrolment asks."""
    picture = read_image(path)
    return all(len(open_detector(name, threads=1).detect([picture])) == 1 for name in (SCRFD[0], YUNET[0]))


def suggested_threshold(embedder: str) -> float:
    embed = open_store().manifest(embedder).embed
    if embed is None or embed.suggested_threshold is None:
        raise SystemExit(f"{embedder} suggests no threshold")
    return embed.suggested_threshold


def measure(given: argparse.Namespace, folder: Path) -> Peers:
    began = time.perf_counter()
    heads = cut_heads(open_detector(YUNET[0]), list_photographs(lfw_folder()))
    roles = Roles(mated=given.mated * given.clips, non_mated=given.non_mated * given.clips, fillers=given.fillers)
    cast = cast_crowd(heads, folder, roles, seed=given.seed)
    truth: list[SubjectPass] = []
    videos = []
    people = {name: path for name, path in cast.references.items() if shows_one_face(path)}
    # Somebody whose picture one side would not enrol walks for nobody.
    mated = [walker for walker in cast.walkers if walker.is_mated and walker.subject in people]
    others = [walker for walker in cast.walkers if not walker.is_mated]
    with Progress() as progress:
        task = progress.add_task("render the crowd", total=given.clips)
        for number in range(given.clips):
            walkers = mated[number :: given.clips] + others[number :: given.clips]
            walkers = [walkers[place] for place in np.random.default_rng(number).permutation(len(walkers))]
            truth += render_crowd(walkers, folder, camera=f"crowd-{number}", seed=given.seed + number, rules=_RULES)
            videos.append(folder / f"crowd-{number}.mp4")
            progress.advance(task)
        threads = given.cores
        insightface = peer_pipelines.open_insightface(*SCRFD, folder, threads=threads)
        opencv = peer_pipelines.open_opencv(*YUNET, threads=threads)
        runners = [
            theirs("insightface", SCRFD, insightface, people, runtime="onnx"),
            ours("pylfr, every face (scrfd)", SCRFD, people, threads=threads, all_faces=True),
            theirs("insightface at 8 Hz", SCRFD, insightface, people, runtime="onnx", detect_hz=8.0),
            ours("pylfr (scrfd)", SCRFD, people, threads=threads),
            ours(
                "pylfr as installed, every face (scrfd)", SCRFD, people, threads=threads, all_faces=True, runtime="auto"
            ),
            ours("pylfr as installed (scrfd)", SCRFD, people, threads=threads, runtime="auto"),
            theirs("OpenCV", YUNET, opencv, people, runtime="OpenCV"),
            ours("pylfr, every face (yunet)", YUNET, people, threads=threads, all_faces=True),
            ours("pylfr (yunet)", YUNET, people, threads=threads),
            ours("pylfr as installed (yunet)", YUNET, people, threads=threads, runtime="auto"),
        ]
        outcomes: dict[str, list[Outcome]] = {runner.name: [] for runner in runners}
        task = progress.add_task("", total=len(videos) * len(runners))
        for turn, video in enumerate(videos):
            # Another one begins each time, so that nobody always runs on the warmest processor.
            for runner in runners[turn % len(runners) :] + runners[: turn % len(runners)]:
                progress.update(task, description=f"clip {turn + 1}: {runner.name}")
                outcomes[runner.name].append(runner.run(video))
                progress.advance(task)
    contenders = [contender(runner, outcomes[runner.name], truth) for runner in runners]
    return Peers(
        cores=given.cores,
        threads=given.cores,
        clips=given.clips,
        mated_passes=sum(each.is_mated for each in truth),
        non_mated_passes=sum(not each.is_mated for each in truth),
        watchlist=len(people),
        seconds=round(time.perf_counter() - began, 1),
        contenders=contenders,
        comparisons=[
            compare("same work, same runtime, insightface's weights", 1, 0, 1.0, contenders, outcomes),
            compare("same work as installed, insightface's weights", 4, 0, 1.5, contenders, outcomes),
            compare("natural work, same runtime, insightface's weights", 3, 0, 8.0, contenders, outcomes),
            compare("natural work as installed, insightface's weights", 5, 0, 8.0, contenders, outcomes),
            compare("natural work against insightface at the same rate, same runtime", 3, 2, 1.0, contenders, outcomes),
            compare("same work, OpenCV's detector", 7, 6, 1.5, contenders, outcomes),
            compare("natural work, OpenCV's detector", 8, 6, 8.0, contenders, outcomes),
            compare("natural work as installed, OpenCV's detector", 9, 6, 8.0, contenders, outcomes),
        ],
    )


def contender(runner: _Runner, outcomes: Sequence[Outcome], truth: Sequence[SubjectPass]) -> Contender:
    return Contender(
        name=runner.name,
        detector=runner.networks[0],
        embedder=runner.networks[1],
        runtime=runner.runtime,
        fps=spread_of([each.frames / each.seconds for each in outcomes]),
        frames=sum(each.frames for each in outcomes),
        looked_at=sum(each.looked_at for each in outcomes),
        recognised=sum(each.recognised for each in outcomes),
        accuracy=accuracy(runner, outcomes, truth),
    )


def accuracy(runner: _Runner, outcomes: Sequence[Outcome], truth: Sequence[SubjectPass]) -> Accuracy:
    compared = [face for each in outcomes for face in each.compared]
    suggested = score_passes(truth, compared, [alert for each in outcomes for alert in each.raised])
    try:
        (equal,) = compare_rules(truth, compared, target_fpir=_TARGET_FPIR, rules={runner.name: runner.fuse})
    except ConfigError as error:
        return Accuracy(suggested=suggested, equal_fpir_threshold=None, equal_fpir=None, unsupported=str(error))
    return Accuracy(suggested=suggested, equal_fpir_threshold=equal.threshold, equal_fpir=equal.rates, unsupported="")


def compare(
    name: str, one: int, other: int, aim: float, contenders: Sequence[Contender], outcomes: Mapping[str, list[Outcome]]
) -> Comparison:
    mine, peer = contenders[one], contenders[other]
    ratios = [
        (a.frames / a.seconds) / (b.frames / b.seconds)
        for a, b in zip(outcomes[mine.name], outcomes[peer.name], strict=True)
    ]
    return Comparison(
        name=name,
        one=mine.name,
        other=peer.name,
        aim=aim,
        ratio=spread_of(ratios),
        alerts_no_worse=no_worse(mine, peer),
    )


def no_worse(mine: Contender, peer: Contender) -> bool:
    """At the suggested threshold: as many right alerts or more, and as many false ones or fewer."""
    a, b = mine.accuracy.suggested, peer.accuracy.suggested
    return (a.tpir.value or 0.0) >= (b.tpir.value or 0.0) and (a.fpir.value or 0.0) <= (b.fpir.value or 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--mated", type=int, default=5, help="passes a clip of people on the watchlist")
    parser.add_argument("--non-mated", type=int, default=11, help="passes a clip of others")
    parser.add_argument("--fillers", type=int, default=50)
    parser.add_argument("--cores", type=int, default=1, help="cores, and threads, for each contender")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    # Threads made from now on stay on these cores.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.cores])
    machine = this_machine(("pylfr", "numpy", "av", "onnxruntime", "openvino", "insightface", "opencv-python-headless"))
    print_machine(machine)
    with tempfile.TemporaryDirectory(prefix="pylfr-peers-") as folder:
        peers = measure(given, Path(folder))
    for each in peers.contenders:
        rates = each.accuracy.suggested
        equal = each.accuracy.equal_fpir
        print(f"{each.name:28} {each.fps.median:7.1f} fps, {each.recognised:6} faces embedded; TPIR {rates.tpir}, FPIR "
              f"{rates.fpir}; at equal FPIR {equal.tpir if equal else each.accuracy.unsupported}")  # fmt: skip
    for comparison in peers.comparisons:
        ratio = comparison.ratio
        print(f"{comparison.name}: {ratio.median:.2f} times ({ratio.min:.2f} to {ratio.max:.2f}), "
              f"aim {comparison.aim:g}; alerts {'no worse' if comparison.alerts_no_worse else 'WORSE'}")  # fmt: skip
    print(f"{peers.seconds:.0f} s; written to {write_results('peers', machine, peers)}")


if __name__ == "__main__":
    main()
