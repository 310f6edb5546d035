"""Pairs of networks beside each other, for `pylfr models recommend`: accuracy through pylfr's own stages, and time.

    python -m benchmarks.pairs [--only DETECTOR EMBEDDER ...]

On the people under PYLFR_MEDIA/lfw whom the shipped networks never learnt from. Writes benchmarks/results/pairs.json,
and what the package carries of it: pylfr/models/measured.json. With --only the accuracy of the other pairs stays as it
is there, if it is of the same files; times are of all networks, anew.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.footage import lfw_folder
from benchmarks.measure import Machine, print_machine, spread_of, this_machine, write_results
from pylfr.evaluation.images.evaluation import HEADLINE_FPIR, measure_identification
from pylfr.evaluation.images.identification import Identification
from pylfr.evaluation.images.people import Photograph, list_photographs, make_templates
from pylfr.evaluation.images.verification import draw_pairs, pair_scores, ten_fold
from pylfr.faces.detect import FaceDetector, open_detector
from pylfr.faces.embed import FaceEmbedder, open_embedder
from pylfr.models.measured import Measured, MeasuredPair, MeasuredSearch, read_measured
from pylfr.models.store import open_store

PAIRS = (
    ("pylfr_nano_detect", "pylfr_nano_embed"),
    ("yunet_n", "pylfr_nano_embed"),
    ("pylfr_nano_detect", "face_reid_0095"),
    ("yunet_n", "face_reid_0095"),
    ("scrfd_500m_kps", "mobilefacenet_y1"),
)
CARRIED = Path(__file__).parents[1] / "pylfr" / "models" / "measured.json"
_SIZES = (10, 100, 243, 500)
_SPLITS = 20
_TURNS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class PairResults:
    """What was measured, as it is carried, and how many people and pictures it rests on."""

    people: int
    pictures: int
    splits: int
    measured: dict[str, object]


def is_held_out(person: str) -> bool:
    """One person in four by name, as in training/people.py: no shipped network ever saw them."""
    return int(hashlib.sha1(person.encode(), usedforsecurity=False).hexdigest(), 16) % 4 == 0


def held_out_photographs() -> list[Photograph]:
    """The photographs of people whom no shipped network learnt from."""
    return [each for each in list_photographs(lfw_folder()) if is_held_out(each.person)]


def times_ms(detectors: Sequence[FaceDetector], embedders: Sequence[FaceEmbedder]) -> list[float]:
    """Milliseconds of processor time of one picture or crop each: medians, all networks taken in turn."""
    draw = np.random.default_rng(0)
    picture = draw.integers(0, 256, (640, 640, 3), dtype=np.uint8)
    works: list[Callable[[], object]] = [lambda each=each: each.detect([picture]) for each in detectors]  # type: ignore[misc]
    for each in embedders:
        crop = draw.standard_normal((1, 3, each.side_px, each.side_px), np.float32)
        works.append(lambda each=each, crop=crop: each.embed(crop))  # type: ignore[misc]
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(_TURNS + 3):
        for work, mine in zip(works, taken, strict=True):
            began = time.process_time()
            work()
            mine.append((time.process_time() - began) * 1000)
    return [round(spread_of(each[3:]).median, 2) for each in taken]


def measure_pair(
    photographs: Sequence[Photograph], detector: FaceDetector, embedder: FaceEmbedder, times: dict[str, float]
) -> MeasuredPair:
    people = make_templates(photographs, lambda: (detector, embedder), workers=1)
    pairs = draw_pairs(people, seed=1)
    detector_name, embedder_name = detector.manifest.name, embedder.manifest.name
    return MeasuredPair(
        detector=detector_name,
        embedder=embedder_name,
        detector_sha256=detector.model,
        embedder_sha256=embedder.model,
        verification=round(ten_fold(pair_scores(people, pairs), pairs).accuracy.value or 0.0, 4),
        not_acquired=int((~people.acquired).sum()),
        detect_ms=times[detector_name],
        embed_ms=times[embedder_name],
        searches=tuple(_search(each) for each in measure_identification(people, _SIZES, splits=_SPLITS)),
    )


def _search(found: Identification) -> MeasuredSearch:
    point = next(each for each in found.points if each.target_fpir == HEADLINE_FPIR)
    return MeasuredSearch(
        watchlist=found.watchlist_size,
        tpir=round(point.tpir.value or 0.0, 4),
        low=round(point.tpir.low, 4),
        high=round(point.tpir.high, 4),
        threshold=round(point.threshold, 3),
    )


def known_accuracy(pair: tuple[str, str]) -> MeasuredPair | None:
    """What the package carries of a pair, where it is of the files that are here."""
    store = open_store()
    detector, embedder = (store.manifest(name) for name in pair)
    return next((each for each in read_measured().pairs if each.is_of(detector, embedder)), None)


def measure(photographs: Sequence[Photograph], machine: Machine, only: Sequence[tuple[str, str]] | None) -> Measured:
    detectors = {name: open_detector(name, threads=1) for name, _ in PAIRS}
    embedders = {name: open_embedder(name, threads=1) for _, name in PAIRS}
    load = os.getloadavg()[0]
    times = dict(zip([*detectors, *embedders], times_ms([*detectors.values()], [*embedders.values()]), strict=True))
    print(", ".join(f"{name} {ms:.2f} ms" for name, ms in times.items()), flush=True)
    pairs = []
    for pair in PAIRS:
        known = known_accuracy(pair) if only is not None and pair not in only else None
        detector, embedder = detectors[pair[0]], embedders[pair[1]]
        if known is None:
            pairs.append(measure_pair(photographs, detector, embedder, times))
        else:
            pairs.append(known.model_copy(update={"detect_ms": times[pair[0]], "embed_ms": times[pair[1]]}))
        print(pairs[-1].model_dump_json(), flush=True)
    people = len({each.person for each in photographs})
    return Measured(
        material=f"{len(photographs):,} photographs of {people} people of LFW whom the shipped networks never saw",
        machine=f"{machine.processor}, one thread, ONNX Runtime {machine.versions.get('onnxruntime', '')}, a machine "
        f"of {machine.cores} cores under a load of {load:.1f}",
        fpir=HEADLINE_FPIR,
        pairs=tuple(pairs),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs=2, action="append", metavar=("DETECTOR", "EMBEDDER"), help="repeat for more")
    given = parser.parse_args()
    only = None if given.only is None else [(detector, embedder) for detector, embedder in given.only]
    machine = this_machine()
    print_machine(machine)
    photographs = held_out_photographs()
    measured = measure(photographs, machine, only)
    CARRIED.write_text(measured.model_dump_json(indent=1) + "\n", encoding="utf-8")
    results = PairResults(
        people=len({each.person for each in photographs}),
        pictures=len(photographs),
        splits=_SPLITS,
        measured=measured.model_dump(mode="json"),
    )
    print(f"written to {CARRIED} and {write_results('pairs', machine, results)}")


if __name__ == "__main__":
    main()
