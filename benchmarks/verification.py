"""Verification accuracy of an embedder through pylfr's own detect, align and embed path, on pairs of LFW.

    python -m benchmarks.verification [--pairs 3000] [--detector yunet_n --embedder face_reid_0095]

Draws as many mated as non-mated pairs from the photographs under PYLFR_MEDIA/lfw, seeded, and reports ten-fold
verification accuracy: the threshold is chosen on nine folds and scored on the tenth. Of several faces the one nearest
the middle is taken, as the photographs are centred on their subject. A photograph without a face counts as a failure
to acquire, and its pairs score -1.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from benchmarks.footage import lfw_folder
from benchmarks.measure import print_machine, this_machine, write_results
from pylfr.faces.detect import FaceDetector, open_detector
from pylfr.faces.embed import FaceEmbedder, open_embedder
from pylfr.types import Faces, Float32
from pylfr.video.still import read_image

FOLDS = 10
_BATCH = 16


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


def photographs(lfw: Path) -> dict[str, list[Path]]:
    """Photographs by person."""
    return {folder.name: sorted(folder.glob("*.jpg")) for folder in sorted(lfw.iterdir()) if folder.is_dir()}


def draw_pairs(people: dict[str, list[Path]], count: int, *, seed: int) -> list[tuple[Path, Path, bool]]:
    """``count`` mated and ``count`` non-mated pairs in random order, no pair twice."""
    draw = np.random.default_rng(seed)
    several = [images for images in people.values() if len(images) > 1]
    names = list(people)
    pairs: dict[tuple[Path, Path], bool] = {}
    while sum(pairs.values()) < count:
        images = several[draw.integers(len(several))]
        one, other = sorted(draw.choice(len(images), 2, replace=False))
        pairs[images[one], images[other]] = True
    while len(pairs) < 2 * count:
        one, other = sorted(draw.choice(len(names), 2, replace=False))
        left, right = people[names[one]], people[names[other]]
        pairs[left[draw.integers(len(left))], right[draw.integers(len(right))]] = False
    listed = [(one, other, mated) for (one, other), mated in pairs.items()]
    return [listed[index] for index in draw.permutation(len(listed))]


def central_faces(detector: FaceDetector, images: list[Path]) -> tuple[list[int], Faces, list[np.ndarray]]:
    """Of each picture the face nearest its middle; gives the pictures that have one, and all pictures read."""
    pictures = [read_image(image) for image in images]
    faces = detector.detect(pictures)
    rows, found = [], []
    for index, picture in enumerate(pictures):
        of_picture = np.flatnonzero(faces.frame_index == index)
        if len(of_picture):
            centres = (faces.boxes[of_picture, :2] + faces.boxes[of_picture, 2:]) / 2
            middle = np.array([picture.shape[1] / 2, picture.shape[0] / 2])
            rows.append(of_picture[np.argmin(np.square(centres - middle).sum(axis=1))])
            found.append(index)
    return found, faces.select(np.array(rows, np.int64)), pictures


def templates_of(detector: FaceDetector, embedder: FaceEmbedder, images: list[Path]) -> dict[Path, Float32]:
    """The template of every photograph that shows a face. They are LFW's public photographs, held in memory only."""
    templates: dict[Path, Float32] = {}
    for start in track(range(0, len(images), _BATCH), description="detect, align, embed"):
        part = images[start : start + _BATCH]
        found, faces, pictures = central_faces(detector, part)
        vectors = embedder.embed(embedder.align(pictures, faces)).vectors
        templates.update({part[index]: vector for index, vector in zip(found, vectors, strict=True)})
    return templates


def ten_fold(scores: Float32, mated: np.ndarray) -> tuple[float, float, float]:
    """Mean accuracy, its deviation over the folds, and the mean threshold."""
    accuracies, thresholds = [], []
    folds = np.arange(len(scores)) * FOLDS // len(scores)
    for fold in range(FOLDS):
        learn = folds != fold
        candidates = np.unique(scores[learn])
        rights = [np.mean((scores[learn] >= threshold) == mated[learn]) for threshold in candidates]
        threshold = candidates[int(np.argmax(rights))]
        thresholds.append(float(threshold))
        accuracies.append(float(np.mean((scores[~learn] >= threshold) == mated[~learn])))
    return float(np.mean(accuracies)), float(np.std(accuracies)), float(np.mean(thresholds))


def measure(*, detector_name: str, embedder_name: str, pairs: int, seed: int, lfw: Path) -> Verification:
    detector, embedder = open_detector(detector_name), open_embedder(embedder_name)
    drawn = draw_pairs(photographs(lfw), pairs, seed=seed)
    images = sorted({image for one, other, _ in drawn for image in (one, other)})
    templates = templates_of(detector, embedder, images)
    scores = np.array(
        [float(templates[a] @ templates[b]) if a in templates and b in templates else -1.0 for a, b, _ in drawn],
        np.float32,
    )
    accuracy, deviation, threshold = ten_fold(scores, np.array([mated for *_, mated in drawn]))
    return Verification(
        detector=detector_name,
        embedder=embedder_name,
        photographs=len(images),
        mated_pairs=pairs,
        non_mated_pairs=pairs,
        failures_to_acquire=len(images) - len(templates),
        accuracy=round(100 * accuracy, 2),
        fold_deviation=round(100 * deviation, 2),
        threshold=round(threshold, 3),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--detector", default="yunet_n")
    parser.add_argument("--embedder", default="face_reid_0095")
    given = parser.parse_args()
    lfw = lfw_folder()
    machine = this_machine()
    print_machine(machine)
    result = measure(
        detector_name=given.detector,
        embedder_name=given.embedder,
        pairs=given.pairs,
        seed=given.seed,
        lfw=lfw,
    )
    print(f"{result.embedder} behind {result.detector}: {result.accuracy} % (folds +-{result.fold_deviation}) on "
          f"{result.mated_pairs} mated and {result.non_mated_pairs} non-mated pairs, {result.failures_to_acquire} of "
          f"{result.photographs} photographs without a face, threshold {result.threshold}")  # fmt: skip
    print(f"written to {write_results(f'verification-{result.embedder}', machine, result)}")


if __name__ == "__main__":
    main()
