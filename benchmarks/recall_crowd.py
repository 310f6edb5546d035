"""The crowds of `benchmarks.recall`: who walks, and what both pairs of networks find in every frame, in a folder."""

from __future__ import annotations

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
from benchmarks.recorded import record, write_recording
from pylfr.evaluation.crowd.cast import cut_heads
from pylfr.evaluation.crowd.crowd import plan_crowd, render_crowd
from pylfr.evaluation.crowd.planning import HARD, CrowdRules
from pylfr.evaluation.crowd.walk import RATE, Walker
from pylfr.evaluation.images.people import list_photographs
from pylfr.evaluation.video.passes import SubjectPass, write_truth
from pylfr.faces.detect import open_detector
from pylfr.types import UInt8

_PASSES_A_CLIP = 60
_PLAIN = CrowdRules(lanes=8, walk_s=(2.5, 4.0))
RULES = {"tuning": replace(_PLAIN, difficulties=HARD), "test": replace(_PLAIN, difficulties=HARD), "plain": _PLAIN}
SEED = {"tuning": 31, "test": 47, "plain": 20_261}
# Of a face that nearer heads cover by more than this a detector need not find anything.
_LEAST_VISIBLE = 0.4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class People:
    """Who walks, and the picture of everybody on the watchlist, uint8 [S, S, 3] RGB."""

    walkers: tuple[Walker, ...]
    references: Mapping[str, UInt8]


def draw_people(crowd: str, *, mated: int, non_mated: int, seed: int) -> People:
    """The people of a crowd; names are replaced by numbers, which are the same for every ``seed``."""
    photographs = list_photographs(lfw_folder())
    if crowd == "tuning":
        detectors = [open_detector(name, threads=2) for name, _ in PAIRS]
        walked = divide(cut_heads(detectors[0], photographs)).walked
        heads = cut_heads(detectors[0], [each for each in photographs if each.person in walked])
        order = np.random.default_rng(SEED[crowd]).permutation(sorted(heads)).tolist()
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
    order = np.random.default_rng(seed).permutation(len(walkers)).tolist()
    return People(
        walkers=tuple(replace(walkers[place], subject=number[walkers[place].subject]) for place in order),
        references={number[name]: picture for name, picture in references.items()},
    )


def record_crowd(folder: Path, crowd: str, people: People, *, seed: int, workers: int) -> None:
    """Render the crowd, and write truth.json and EMBEDDER.npz of each pair into ``folder``."""
    walkers = people.walkers
    with tempfile.TemporaryDirectory(prefix="pylfr-recall-") as place:
        jobs = [
            (f"crowd-{number:02d}", walkers[start : start + _PASSES_A_CLIP], Path(place), seed + number, crowd)
            for number, start in enumerate(range(0, len(walkers), _PASSES_A_CLIP))
        ]
        with ProcessPoolExecutor(max_workers=workers, mp_context=FRESH) as pool:
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
    truth = render_crowd(walkers, folder, camera=camera, seed=seed, rules=RULES[crowd])
    scene = plan_crowd(walkers, seed=seed, rules=RULES[crowd])
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
