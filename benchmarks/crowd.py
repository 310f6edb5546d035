"""Pass-level accuracy on a synthetic crowd, through the whole engine, and fusion rules at equal FPIR.

    python -m benchmarks.crowd [--mated 300] [--non-mated 600] [--fillers 100] [--pair yunet_n face_reid_0095 ...]
    python -m benchmarks.crowd --held-out --hard --mated 90 --non-mated 180 --fillers 50 --pair ... --pair ...

Draws people from the photographs under PYLFR_MEDIA/lfw: those on the watchlist are enrolled with one photograph and
walk with their others. Videos lie in a temporary folder and are gone at the end. With --held-out nobody walks whom a
shipped network learnt from; with --hard the crowd has every difficulty. All pairs see the same film, and a head is left
out in which the detector of one of them sees none or several faces.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.progress import track

from benchmarks.footage import lfw_folder
from benchmarks.measure import print_machine, this_machine, write_results
from benchmarks.pairs import held_out_photographs
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.evaluation.crowd.cast import Cast, Roles, cast_crowd, cut_heads
from pylfr.evaluation.crowd.crowd import plan_crowd, render_crowd
from pylfr.evaluation.crowd.planning import HARD, CrowdRules
from pylfr.evaluation.crowd.walk import RATE, Head, Walker
from pylfr.evaluation.images.people import list_photographs
from pylfr.evaluation.statistics.rates import percent
from pylfr.evaluation.video.fusion import RuleResult, compare_rules
from pylfr.evaluation.video.passes import PassRates, SubjectPass, score_passes
from pylfr.evaluation.video.replay import VideoReplay, run_replay
from pylfr.faces.detect import open_detector

# A fork of a process whose networks have threads hangs as soon as it frees one of them.
FRESH = get_context("spawn")
_PASSES_A_CLIP = 50
_PAIR = ("yunet_n", "face_reid_0095")
_CUTS_HEADS = "yunet_n"
_RULES = CrowdRules(lanes=8, walk_s=(2.5, 4.0))
HARD_RULES = replace(_RULES, difficulties=HARD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """One measurement: the engine's own rules, and every rule at each target FPIR."""

    detector: str
    embedder: str
    watchlist_size: int
    mated_passes: int
    non_mated_passes: int
    frames: int
    detected_frames: int
    faces: int
    render_s: float
    engine_s: float
    default: PassRates
    threshold: float
    rules: dict[str, tuple[RuleResult, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """Clips that were rendered, and who walks in them when."""

    videos: tuple[Path, ...]
    truth: tuple[SubjectPass, ...]


def render_clips(
    walkers: Sequence[Walker],
    folder: Path,
    *,
    seed: int,
    rules: CrowdRules = _RULES,
    passes_a_clip: int = _PASSES_A_CLIP,
    least_visible: float = 0.0,
) -> Film:
    """Render everybody, so many to a clip, on every core.

    The truth has no face of which nearer heads leave less than ``least_visible`` to be seen.
    """
    jobs = [
        (f"crowd-{number:02d}", walkers[start : start + passes_a_clip], folder, seed + number, rules, least_visible)
        for number, start in enumerate(range(0, len(walkers), passes_a_clip))
    ]
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=FRESH) as pool:
        truth = [
            each for part in track(pool.map(_render, jobs), total=len(jobs), description="render") for each in part
        ]
    return Film(videos=tuple(folder / f"{camera}.mp4" for camera, *_ in jobs), truth=tuple(truth))


def _render(job: tuple[str, Sequence[Walker], Path, int, CrowdRules, float]) -> tuple[SubjectPass, ...]:
    camera, walkers, folder, seed, rules, least_visible = job
    truth = render_crowd(walkers, folder, camera=camera, seed=seed, rules=rules)
    if not least_visible:
        return truth
    scene = plan_crowd(walkers, seed=seed, rules=rules)
    return tuple(
        replace(
            each,
            path=tuple(point for point in each.path if scene.visibility(walk, round(point[0] * RATE)) >= least_visible),
        )
        for each, walk in zip(truth, scene.plan.walks, strict=True)
    )


def clear_to_all(heads: Mapping[str, Sequence[Head]], detectors: Collection[str]) -> dict[str, tuple[Head, ...]]:
    """The heads in which every detector sees one face, as enrolment asks: each may be somebody's reference."""
    opened = [open_detector(name) for name in sorted(set(detectors) - {_CUTS_HEADS})]
    clear = {}
    for name, mine in heads.items():
        pictures = [head.picture for head in mine]
        counts = [np.bincount(each.detect(pictures).frame_index, minlength=len(mine)) for each in opened]
        kept = tuple(head for place, head in enumerate(mine) if all(count[place] == 1 for count in counts))
        if kept:
            clear[name] = kept
    return clear


def measure(given: argparse.Namespace, lfw: Path, folder: Path) -> Iterator[Crowd]:
    """Each pair on the same film."""
    photographs = held_out_photographs() if given.held_out else list_photographs(lfw)
    pairs = given.pair or [_PAIR]
    heads = clear_to_all(cut_heads(open_detector(_CUTS_HEADS), photographs), {detector for detector, _ in pairs})
    roles = Roles(mated=given.mated, non_mated=given.non_mated, fillers=given.fillers)
    cast = cast_crowd(heads, folder, roles, seed=given.seed)
    began = time.perf_counter()
    film = render_clips(cast.walkers, folder, seed=given.seed, rules=HARD_RULES if given.hard else _RULES)
    render_s = time.perf_counter() - began
    for detector, embedder in pairs:
        began = time.perf_counter()
        replay = run_replay(
            film.videos,
            {name: [path] for name, path in cast.references.items()},
            detector=detector,
            embedder=embedder,
            recognition=RecognitionSection(threshold=given.threshold),
        )
        seconds = time.perf_counter() - began
        yield _crowd((detector, embedder), given, cast, film.truth, replay, render_s, seconds)


def _crowd(
    pair: tuple[str, str], given: argparse.Namespace, cast: Cast, truth: Sequence[SubjectPass], replay: VideoReplay,
    render_s: float, engine_s: float,
) -> Crowd:  # fmt: skip
    return Crowd(
        detector=pair[0],
        embedder=pair[1],
        watchlist_size=len(cast.references),
        mated_passes=sum(each.is_mated for each in truth),
        non_mated_passes=sum(not each.is_mated for each in truth),
        frames=replay.summary.frames,
        detected_frames=replay.summary.detected_frames,
        faces=replay.summary.faces,
        render_s=round(render_s, 1),
        engine_s=round(engine_s, 1),
        default=score_passes(truth, replay.compared, replay.raised),
        threshold=replay.summary.threshold,
        rules={
            f"{target:g}": compare_rules(truth, replay.compared, target_fpir=target) for target in given.target_fpir
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mated", type=int, default=300)
    parser.add_argument("--non-mated", type=int, default=600)
    parser.add_argument("--fillers", type=int, default=100)
    parser.add_argument("--target-fpir", type=float, nargs="+", default=[0.05, 0.01])
    parser.add_argument("--threshold", type=float, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pair", nargs=2, action="append", metavar=("DETECTOR", "EMBEDDER"), help="repeat for more")
    parser.add_argument("--held-out", action="store_true", help="only people whom no shipped network learnt from")
    parser.add_argument("--hard", action="store_true", help="with every difficulty")
    given = parser.parse_args()
    lfw = lfw_folder()
    machine = this_machine()
    print_machine(machine)
    name = "crowd" + ("-held-out" if given.held_out else "") + ("-hard" if given.hard else "")
    with tempfile.TemporaryDirectory(prefix="pylfr-crowd-") as folder:
        for crowd in measure(given, lfw, Path(folder)):
            _print(crowd)
            print(f"written to {write_results(f'{name}-{crowd.embedder}', machine, crowd)}", flush=True)


def _print(crowd: Crowd) -> None:
    print(crowd.detector, crowd.embedder, asdict(crowd.default))
    for target, results in crowd.rules.items():
        print(f"FPIR {target}:")
        for each in results:
            seconds = each.rates.time_to_alert_s
            print(f"| {each.rule} | {each.threshold:.3f} | {each.rates.tpir} | {each.rates.fpir} | "
                  f"{percent(each.rates.fpir_by_track.value or 0)} | {each.alerts_per_alerted_pass or 0:.2f} | "
                  f"{'' if seconds is None else f'{seconds:.2f}'} |")  # fmt: skip


if __name__ == "__main__":
    main()
