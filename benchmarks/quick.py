"""Has anything become slower? Stages against fixed reference work, in turn, in one run: ratios, never milliseconds.

    python -m benchmarks.quick [--accept]          (make bench-quick)

Stages are compared with an earlier run on this processor; what pylfr adds or saves (`benchmarks.quick_pairs`), with the
same thing without it and a fixed bound.

Exit status: 0 nothing is slower, 1 something is, 2 there is nothing to compare with (``--accept`` stores this run).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measure import RESULTS, print_machine, this_machine, write_results
from benchmarks.quick_pairs import Pair, pairs
from pylfr import ops
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.faces.quality import measure_quality
from pylfr.faces.track import FaceTracker, TrackRules
from pylfr.sizing.synthetic import random_templates
from pylfr.types import Faces, FrameBatch
from tests.samples import faces_at, sample_frame

# A stage is slower where its ratio to the reference has grown by more than this.
TOLERANCE = 1.6
_ROUNDS = 25
_PAIR_ROUNDS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Quick:
    """Time of each stage over the time of the reference beside it: the median of all rounds."""

    ratios: dict[str, float]


def reference() -> Callable[[], object]:
    """Work that no change of pylfr touches: a matrix product and a pass over memory, both by NumPy."""
    draw = np.random.default_rng(0)
    left = draw.standard_normal((384, 384)).astype(np.float32)
    wide = draw.standard_normal(1_500_000).astype(np.float32)
    return lambda: (left @ left, wide * 2.0)


def stages() -> Mapping[str, Callable[[], object]]:
    """One call of each stage on synthetic input, with the networks that come with pylfr."""
    detector, embedder = open_detector("pylfr_nano_detect", threads=1), open_embedder("pylfr_nano_embed", threads=1)
    frame = sample_frame(width=1920, height=1080)
    batch = FrameBatch(frames=(frame,))
    faces: Faces = faces_at([[40.0 + 180 * each, 300, 160.0 + 180 * each, 440] for each in range(8)])
    crops = embedder.align(batch.frames, faces)
    tensor, _ = detector.letterbox(batch.frames)
    references = random_templates(20_000, embedder.dimension)
    probes = references[:4].copy()
    tracker = FaceTracker(TrackRules(high_score=0.6, low_score=0.3))
    quality = measure_quality(batch.frames, faces)
    return {
        "letterbox": lambda: detector.letterbox(batch.frames, out=tensor),
        "detect network": lambda: detector.run(tensor),
        "detect, whole": lambda: detector.detect(batch.frames),
        "track": lambda: tracker.associate(batch, faces, quality),
        "quality": lambda: measure_quality(batch.frames, faces),
        "align": lambda: embedder.align(batch.frames, faces),
        "embed": lambda: embedder.embed(crops),
        "search": lambda: ops.search_exact(probes, references, 5),
    }


def measure_ratios(
    parts: Mapping[str, Callable[[], object]], beside: Callable[[], object], *, rounds: int = _ROUNDS
) -> dict[str, float]:
    """Median time of each part over that of ``beside``, both taken right after each other in every round."""
    ratios: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(rounds + 2):
        for name, work in parts.items():
            unit, mine = _seconds(beside), _seconds(work)
            if turn >= 2:
                ratios[name].append(mine / unit)
    return {name: statistics.median(values) for name, values in ratios.items()}


def measure_pairs(of: Mapping[str, Pair], *, rounds: int = _PAIR_ROUNDS) -> dict[str, float]:
    """Median ratio of each pair's work to what it is measured against, the two in turn."""
    ratios: dict[str, list[float]] = {name: [] for name in of}
    for turn in range(rounds + 1):
        for name, pair in of.items():
            beside, mine = (_measure(each, pair.clock) for each in (pair.beside, pair.work))
            if turn >= 1:
                ratios[name].append(mine / beside)
    return {name: statistics.median(values) for name, values in ratios.items()}


def over_bound(ratios: Mapping[str, float], of: Mapping[str, Pair]) -> list[str]:
    """Which pairs are over their bound, in words."""
    return [
        f"{name}: {ratio:.2f} times, at most {of[name].most:g} are accepted"
        for name, ratio in ratios.items()
        if ratio > of[name].most
    ]


def slower(now: Mapping[str, float], before: Mapping[str, float], *, tolerance: float = TOLERANCE) -> list[str]:
    """What has become slower, in words; a stage that is no longer measured counts too."""
    found = [
        f"{name}: {now[name] / before[name]:.2f} times as slow as before, against the same reference"
        for name in before
        if name in now and now[name] > tolerance * before[name]
    ]
    return found + [f"{name}: was measured before and is not any more" for name in before if name not in now]


def _measure(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """What ``work`` measures itself, where that is a float; else how long it took by that clock."""
    began = clock()
    measured = work()
    return measured if isinstance(measured, float) else clock() - began


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", action="store_true", help="store this run as what later ones are compared with")
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    now = measure_ratios(stages(), reference())
    for name, ratio in now.items():
        print(f"{name:16} {ratio:8.3f} times the reference")
    with tempfile.TemporaryDirectory(prefix="pylfr-quick-") as folder:
        bounded = pairs(Path(folder))
        beside = measure_pairs(bounded)
    for name, ratio in beside.items():
        print(f"{name:32} {ratio:6.2f} times (at most {bounded[name].most:g})")
    too_much = over_bound(beside, bounded)
    for line in too_much:
        print(f"OVER {line}", file=sys.stderr)
    path = RESULTS / "quick.json"
    if given.accept:
        print(f"stored in {write_results('quick', machine, Quick(ratios=now))}")
        return
    if not path.exists():
        print(f"there is no {path} to compare with: run with --accept on a quiet machine", file=sys.stderr)
        sys.exit(2)
    stored = json.loads(path.read_text(encoding="utf-8"))
    if (stored["machine"]["processor"], stored["machine"]["simd"]) != (machine.processor, machine.simd):
        print(f"the stored run is of another processor ({stored['machine']['processor']}): ratios differ between "
              "processors, store one of this one with --accept", file=sys.stderr)  # fmt: skip
        sys.exit(2)
    found = slower(now, stored["results"]["ratios"])
    for line in found:
        print(f"SLOWER {line}", file=sys.stderr)
    if found or too_much:
        sys.exit(1)
    print(f"nothing is slower (tolerance {TOLERANCE:g} times)")


if __name__ == "__main__":
    main()
