"""Pass-level accuracy on a made-up crowd, through the whole engine, and fusion rules at equal FPIR.

    python -m benchmarks.crowd [--mated 300] [--non-mated 600] [--fillers 100] [--detector yunet_n --embedder ...]

Draws people from the photographs under PYLFR_MEDIA/lfw: those on the watchlist are enrolled with one photograph and
walk with their others. Videos lie in a temporary folder and are gone at the end.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from benchmarks.footage import lfw_folder
from benchmarks.measure import print_machine, this_machine, write_results
from pylfr.config import RecognitionSection
from pylfr.evaluation.crowd import CrowdRules, Head, Walker, cut_head, render_crowd
from pylfr.evaluation.fusion import RuleResult, compare_rules
from pylfr.evaluation.passes import PassRates, SubjectPass, score_passes
from pylfr.evaluation.people import Photograph, central_faces, list_photographs
from pylfr.evaluation.rates import percent
from pylfr.faces.detect import FaceDetector, open_detector
from pylfr.trial import Trial, run_trial
from pylfr.video.still import read_image, write_png

_BATCH = 16
_PASSES_A_CLIP = 50
_RULES = CrowdRules(lanes=8, walk_s=(2.5, 4.0))


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cast:
    """Who is enrolled, with the picture that is, and who walks."""

    references: dict[str, Path]
    walkers: list[Walker]


def cast_people(
    detector: FaceDetector, photographs: Sequence[Photograph], folder: Path, *, mated: int, non_mated: int,
    fillers: int, seed: int,
) -> Cast:  # fmt: skip
    """Draw the people of a crowd. Photographs without one clear face are passed over."""
    draw = np.random.default_rng(seed)
    of: dict[str, list[Photograph]] = {}
    for photograph in photographs:
        of.setdefault(photograph.person, []).append(photograph)
    several = [name for name, each in of.items() if len(each) > 1]
    single = [name for name, each in of.items() if len(each) == 1]
    names = [several[index] for index in draw.permutation(len(several))]
    names += [single[index] for index in draw.permutation(len(single))]
    references: dict[str, Path] = {}
    walkers: list[Walker] = []
    wanted = mated + fillers + non_mated
    for name in track(names, description="cut heads"):
        if len(walkers) == mated + non_mated and len(references) == mated + fillers:
            break
        heads = _heads(detector, of[name])
        enrols = len(references) < mated + fillers
        if not heads or (enrols and len(heads) < 2):
            continue
        if enrols:
            path = folder / f"{name}.png"
            write_png(path, heads[0].picture)
            references[name] = path
            if len(walkers) < mated:
                walkers.append(Walker(subject=name, is_mated=True, heads=tuple(heads[1:])))
        else:
            walkers.append(Walker(subject=name, is_mated=False, heads=tuple(heads)))
    if len(walkers) < mated + non_mated:
        raise SystemExit(
            f"{wanted} people with a clear face are needed, the folder has {len(references) + len(walkers)}"
        )
    return Cast(references=references, walkers=[walkers[index] for index in draw.permutation(len(walkers))])


def _heads(detector: FaceDetector, photographs: Sequence[Photograph]) -> list[Head]:
    """The heads that show one face and no other once they are cut out, as enrolment asks."""
    pictures = [read_image(each.path) for each in photographs]
    faces = detector.detect(pictures)
    central = central_faces(pictures, faces)
    heads = [
        cut_head(picture, faces.boxes[row]) for picture, row in zip(pictures, central.tolist(), strict=True) if row >= 0
    ]
    again = detector.detect([head.picture for head in heads])
    alone = np.bincount(again.frame_index, minlength=len(heads)) == 1
    return [head for head, is_alone in zip(heads, alone, strict=True) if is_alone]


def clips(walkers: Sequence[Walker]) -> Iterator[tuple[str, Sequence[Walker]]]:
    for number, start in enumerate(range(0, len(walkers), _PASSES_A_CLIP)):
        yield f"crowd-{number:02d}", walkers[start : start + _PASSES_A_CLIP]


def _render(job: tuple[str, Sequence[Walker], Path, int]) -> tuple[SubjectPass, ...]:
    camera, walkers, folder, seed = job
    return render_crowd(walkers, folder, camera=camera, seed=seed, rules=_RULES)


def measure(given: argparse.Namespace, lfw: Path, folder: Path) -> Crowd:
    detector = open_detector(given.detector)
    cast = cast_people(
        detector, list_photographs(lfw), folder,
        mated=given.mated, non_mated=given.non_mated, fillers=given.fillers, seed=given.seed,
    )  # fmt: skip
    began = time.perf_counter()
    jobs = [(camera, part, folder, given.seed + number) for number, (camera, part) in enumerate(clips(cast.walkers))]
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        truth = [
            each for part in track(pool.map(_render, jobs), total=len(jobs), description="render") for each in part
        ]
    rendered = time.perf_counter()
    trial = run_trial(
        [folder / f"{camera}.mp4" for camera, *_ in jobs],
        {name: [path] for name, path in cast.references.items()},
        detector=given.detector,
        embedder=given.embedder,
        recognition=RecognitionSection(threshold=given.threshold),
    )
    return _crowd(given, cast, truth, trial, rendered - began, time.perf_counter() - rendered)


def _crowd(
    given: argparse.Namespace, cast: Cast, truth: Sequence[SubjectPass], trial: Trial, render_s: float,
    engine_s: float,
) -> Crowd:  # fmt: skip
    return Crowd(
        detector=given.detector,
        embedder=given.embedder,
        watchlist_size=len(cast.references),
        mated_passes=sum(each.is_mated for each in truth),
        non_mated_passes=sum(not each.is_mated for each in truth),
        frames=trial.summary.frames,
        detected_frames=trial.summary.detected_frames,
        faces=trial.summary.faces,
        render_s=round(render_s, 1),
        engine_s=round(engine_s, 1),
        default=score_passes(truth, trial.compared, trial.raised),
        threshold=trial.summary.threshold,
        rules={f"{target:g}": compare_rules(truth, trial.compared, target_fpir=target) for target in given.target_fpir},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mated", type=int, default=300)
    parser.add_argument("--non-mated", type=int, default=600)
    parser.add_argument("--fillers", type=int, default=100)
    parser.add_argument("--target-fpir", type=float, nargs="+", default=[0.05, 0.01])
    parser.add_argument("--threshold", type=float, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--detector", default="yunet_n")
    parser.add_argument("--embedder", default="face_reid_0095")
    given = parser.parse_args()
    lfw = lfw_folder()
    machine = this_machine()
    print_machine(machine)
    with tempfile.TemporaryDirectory(prefix="pylfr-crowd-") as folder:
        crowd = measure(given, lfw, Path(folder))
    print(asdict(crowd.default))
    for target, results in crowd.rules.items():
        print(f"FPIR {target}:")
        for each in results:
            seconds = each.rates.time_to_alert_s
            print(f"| {each.rule} | {each.threshold:.3f} | {each.rates.tpir} | {each.rates.fpir} | "
                  f"{percent(each.rates.fpir_by_track.value or 0)} | {each.alerts_per_alerted_pass or 0:.2f} | "
                  f"{'' if seconds is None else f'{seconds:.2f}'} |")  # fmt: skip
    print(f"written to {write_results(f'crowd-{crowd.embedder}', machine, crowd)}")


if __name__ == "__main__":
    main()
