"""Verification accuracy of an embedder through pylfr's own detect, align and embed path, on pairs of LFW.

    python -m benchmarks.verification [--detector yunet_n --embedder face_reid_0095]

The ten-fold figure of ``pylfr evaluate`` alone, on the photographs under PYLFR_MEDIA/lfw: 300 mated and 300 non-mated
pairs a fold, no person in two folds, the threshold chosen on nine folds and tried on the tenth.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from benchmarks.footage import lfw_folder
from benchmarks.measure import print_machine, this_machine, write_results
from pylfr.evaluation.images.people import PeopleTemplates, list_photographs, make_templates
from pylfr.evaluation.images.verification import draw_pairs, pair_scores, ten_fold
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Accuracy and its spread over the folds, in per cent."""

    detector: str
    embedder: str
    photographs: int
    mated_pairs: int
    non_mated_pairs: int
    failures_to_acquire: int
    accuracy: float
    fold_deviation: float
    threshold: float


def measure(people: PeopleTemplates, *, detector: str, embedder: str, seed: int) -> Verification:
    pairs = draw_pairs(people, seed=seed)
    found = ten_fold(pair_scores(people, pairs), pairs)
    return Verification(
        detector=detector,
        embedder=embedder,
        photographs=len(people),
        mated_pairs=found.mated_pairs,
        non_mated_pairs=found.non_mated_pairs,
        failures_to_acquire=int((~people.acquired).sum()),
        accuracy=round(100 * (found.accuracy.value or 0), 2),
        fold_deviation=round(100 * found.fold_deviation, 2),
        threshold=round(found.threshold, 3),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--detector", default="yunet_n")
    parser.add_argument("--embedder", default="face_reid_0095")
    given = parser.parse_args()
    lfw = lfw_folder()
    machine = this_machine()
    print_machine(machine)
    people = make_templates(
        list_photographs(lfw),
        lambda: (open_detector(given.detector, threads=1), open_embedder(given.embedder, threads=1)),
    )
    result = measure(people, detector=given.detector, embedder=given.embedder, seed=given.seed)
    print(f"{result.embedder} behind {result.detector}: {result.accuracy} % (folds +-{result.fold_deviation}) on "
          f"{result.mated_pairs} mated and {result.non_mated_pairs} non-mated pairs, {result.failures_to_acquire} of "
          f"{result.photographs} photographs without a face, threshold {result.threshold}")  # fmt: skip
    print(f"written to {write_results(f'verification-{result.embedder}', machine, result)}")


if __name__ == "__main__":
    main()
