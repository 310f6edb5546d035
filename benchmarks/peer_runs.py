"""Crowds and runs of `benchmarks.peers` in a folder: what is there is not run again.

Whatever is compared is described here: pylfr's pipelines and those of the peers, on the same networks and people.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from benchmarks import peer_pipelines
from benchmarks.crowd import FRESH
from benchmarks.footage import lfw_folder
from benchmarks.measure import DISTURBED
from benchmarks.networks import suggested_threshold
from benchmarks.peer_pipelines import Outcome
from benchmarks.recorded import read_passes
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.engine.alert_policy import AlertRules
from pylfr.engine.build import LOW_SCORE_SHARE
from pylfr.evaluation.crowd.cast import Roles, cast_crowd, cut_heads
from pylfr.evaluation.crowd.crowd import render_crowd
from pylfr.evaluation.crowd.planning import CrowdRules
from pylfr.evaluation.crowd.walk import Walker
from pylfr.evaluation.images.people import Photograph, list_photographs
from pylfr.evaluation.video.fusion import (
    Fuse,
    best_or_mean,
    first_face,
)
from pylfr.evaluation.video.passes import SubjectPass
from pylfr.evaluation.video.replay import processor_s, run_replay
from pylfr.faces.detect import open_detector
from pylfr.models.store import open_store
from pylfr.runtimes.registry import choose_runtime
from pylfr.sizing.stopwatch import cpu_times
from pylfr.video.decoding.image_io import read_image

_RULES = CrowdRules(lanes=6, walk_s=(2.5, 4.0))
_EVERY_FRAME_HZ = 1000.0
# Every tracked face is embedded, whatever its quality and however often: the peers' amount of work.
_EVERY_FACE = RecognitionSection(detect_hz=_EVERY_FRAME_HZ, min_detect_hz=1.0, min_interocular_px=0)
SCRFD, YUNET = ("scrfd_500m_kps", "mobilefacenet_y1"), ("yunet_n", "face_reid_0095")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One contender on one clip, and the share of the machine that others used meanwhile."""

    outcome: Outcome
    others: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Runner:
    """One pipeline: its networks, the rule by which it fuses scores, and the kinds of work in which it takes part."""

    name: str
    networks: tuple[str, str]
    runtime: str
    run: Callable[[Path], Outcome]
    fuse: Fuse
    work: frozenset[str]


def ours(
    name: str,
    networks: tuple[str, str],
    people: Mapping[str, Path],
    *,
    threads: int,
    all_faces: bool = False,
    runtime: str = "onnx",
    work: str = "",
) -> Runner:
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
            recognised=summary.recognised, seconds=summary.seconds, processor_s=replay.processor_s,
            failed="; ".join(summary.errors),
        )  # fmt: skip

    chosen = choose_runtime(runtime).name
    fuse = best_or_mean(AlertRules(threshold=0))
    return Runner(
        name=name, networks=networks, runtime=chosen, run=run, fuse=fuse, work=frozenset(work.split()) | {"all"}
    )


def theirs(
    name: str,
    networks: tuple[str, str],
    recognise: peer_pipelines.Recognise,
    people: Mapping[str, Path],
    *,
    runtime: str,
    detect_hz: float | None = None,
    work: str = "",
) -> Runner:
    names, templates = peer_pipelines.enrol(recognise, people)
    threshold = suggested_threshold(networks[1], len(people))

    def run(video: Path) -> Outcome:
        return peer_pipelines.watch(recognise, video, names, templates, threshold=threshold, detect_hz=detect_hz)

    return Runner(
        name=name, networks=networks, runtime=runtime, run=run, fuse=first_face(),
        work=frozenset(work.split()) | {"all"},
    )  # fmt: skip


def shows_one_face(path: Path) -> bool:
    """Whether every detector of this comparison sees one face in the picture, as enrolment asks."""
    picture = read_image(path)
    return all(len(open_detector(name, threads=1).detect([picture])) == 1 for name in (SCRFD[0], YUNET[0]))


def contenders_of(people: Mapping[str, Path], folder: Path, threads: int) -> list[Runner]:
    insightface = peer_pipelines.open_insightface(*SCRFD, folder, threads=threads)
    opencv = peer_pipelines.open_opencv(*YUNET, threads=threads)
    # What pylfr follows and so compares, down to which score: fainter faces than the peers do by themselves.
    faint_insightface = peer_pipelines.open_insightface(
        *SCRFD, folder, threads=threads, least_score=_followed_score(SCRFD[0])
    )
    faint_opencv = peer_pipelines.open_opencv(*YUNET, threads=threads, least_score=_followed_score(YUNET[0]))
    peers = "installed natural"
    return [
        theirs("insightface", SCRFD, insightface, people, runtime="onnx", work=peers),
        theirs("insightface, faint faces too", SCRFD, faint_insightface, people, runtime="onnx", work="same"),
        ours("pylfr, every face (scrfd)", SCRFD, people, threads=threads, all_faces=True, work="same"),
        theirs("insightface at 8 Hz", SCRFD, insightface, people, runtime="onnx", detect_hz=8.0, work="natural"),
        ours("pylfr (scrfd)", SCRFD, people, threads=threads, work="natural"),
        ours("pylfr as installed, every face (scrfd)", SCRFD, people, threads=threads, all_faces=True,
             runtime="auto", work="same"),
        ours("pylfr as installed (scrfd)", SCRFD, people, threads=threads, runtime="auto", work="installed"),
        theirs("OpenCV", YUNET, opencv, people, runtime="OpenCV", work=peers),
        theirs("OpenCV, faint faces too", YUNET, faint_opencv, people, runtime="OpenCV", work="same"),
        ours("pylfr, every face (yunet)", YUNET, people, threads=threads, all_faces=True, work="same"),
        ours("pylfr (yunet)", YUNET, people, threads=threads, work="natural"),
        ours("pylfr as installed (yunet)", YUNET, people, threads=threads, runtime="auto", work="installed"),
    ]  # fmt: skip


def _followed_score(detector: str) -> float:
    return open_store().manifest(detector).detection.score_threshold * LOW_SCORE_SHARE


def _render(job: tuple[str, Sequence[Walker], Path, int]) -> None:
    camera, walkers, folder, seed = job
    render_crowd(walkers, folder, camera=camera, seed=seed, rules=_RULES)


def crowds_of(given: argparse.Namespace) -> tuple[dict[str, Path], tuple[SubjectPass, ...]]:
    """The picture of everybody enrolled, and who passes in which crowd; drawn and rendered once into the folder."""
    listed = given.folder / "people.json"
    if not listed.is_file():
        people = _render_crowds(given)
        listed.write_text(json.dumps({name: path.name for name, path in people.items()}), encoding="utf-8")
    people = {name: given.folder / file for name, file in json.loads(listed.read_text(encoding="utf-8")).items()}
    truth = [each for number in range(given.clips) for each in read_passes(given.folder / f"crowd-{number}.json")]
    return people, tuple(truth)


def _render_crowds(given: argparse.Namespace) -> dict[str, Path]:
    folder = given.folder
    roles = Roles(mated=given.mated * given.clips, non_mated=given.non_mated * given.clips, fillers=given.fillers)
    heads = cut_heads(open_detector(YUNET[0]), _enough(list_photographs(lfw_folder()), roles, given.seed))
    cast = cast_crowd(heads, folder, roles, seed=given.seed)
    people = {name: path for name, path in cast.references.items() if shows_one_face(path)}
    # Somebody whose picture one side would not enrol walks for nobody.
    mated = [walker for walker in cast.walkers if walker.is_mated and walker.subject in people]
    others = [walker for walker in cast.walkers if not walker.is_mated]
    jobs = []
    for number in range(given.clips):
        walkers = mated[number :: given.clips] + others[number :: given.clips]
        walkers = [walkers[place] for place in np.random.default_rng(number).permutation(len(walkers))]
        jobs.append((f"crowd-{number}", walkers, folder, given.seed + number))
    with ProcessPoolExecutor(max_workers=len(os.sched_getaffinity(0)), mp_context=FRESH) as pool:
        list(pool.map(_render, jobs))
    return people


def run_of(runner: Runner, video: Path, given: argparse.Namespace) -> Run:
    """What is in the folder of this runner and clip, or a new run; with ``again`` where it was timed among others."""
    words = "".join(letter if letter.isalnum() else "-" for letter in runner.name)
    path = given.folder / f"{video.stem}-{words}.json"
    if path.is_file():
        known = TypeAdapter(Run).validate_json(path.read_bytes())
        if not (given.again and known.others > DISTURBED):
            return known
    before = _used()
    outcome = runner.run(video)
    at_s, own_s, all_s = (after - earlier for after, earlier in zip(_used(), before, strict=True))
    run = Run(outcome=outcome, others=max(0.0, all_s - own_s) / (at_s * (os.cpu_count() or 1)))
    if outcome.frames and not outcome.failed:
        path.write_bytes(TypeAdapter(Run).dump_json(run))
    return run


def _used() -> tuple[float, float, float]:
    """Now, and processor seconds so far of this process with its children that have ended, and of all programs."""
    return time.monotonic(), processor_s(), cpu_times().busy_s or 0.0


def _enough(photographs: Sequence[Photograph], roles: Roles, seed: int) -> list[Photograph]:
    """The photographs of so many people that the crowd can be drawn from them: not every head is clear."""
    several = Counter(each.person for each in photographs)
    people = sorted(several)
    order = [people[place] for place in np.random.default_rng(seed).permutation(len(people))]
    mated = [name for name in order if several[name] > 1][: 2 * roles.mated]
    others = [name for name in order if name not in set(mated)][: round(1.5 * (roles.non_mated + roles.fillers))]
    drawn = {*mated, *others}
    return [each for each in photographs if each.person in drawn]
