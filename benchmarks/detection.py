"""Detectors on crowds with a known truth: small, turned, dim and covered faces, at equal precision.

    python -m benchmarks.detection [--detector NAME ...]
    python -m benchmarks.detection --tuning FOLDER [--detector NAME ...]

Walks people under PYLFR_MEDIA/lfw whom the shipped networks never learnt from, with every difficulty of
`pylfr.evaluation.crowd.planning.HARD`, in daylight and in an eighth of it, and asks each detector for the faces of
every fifth frame, letterboxed to a long side of 640 pixels as the engine does. Then pictures without a face, and an
astronaut, and what photographs of these people show below their chins.

With --tuning other people walk, on whom a score may be chosen, and the pictures of FOLDER, in which there is no face,
are searched instead (`training/prepare_faceless.py --to` makes such a folder). It prints what each score gives, and
writes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.faceless import clothes, faceless
from benchmarks.measure import print_machine, this_machine, write_results
from benchmarks.pairs import held_out_photographs, times_ms
from pylfr.evaluation.crowd.cast import cut_heads
from pylfr.evaluation.crowd.crowd import Scene, plan_crowd
from pylfr.evaluation.crowd.planning import HARD, CrowdRules
from pylfr.evaluation.crowd.walk import WIDTH, Walk, Walker
from pylfr.evaluation.images.people import Photograph
from pylfr.faces.detect import FaceDetector, open_detector
from pylfr.types import UInt8
from pylfr.video.decoding.image_io import read_image

_SIDE_PX = 640
_EVERY = 5
_FLOOR = 0.05
_PRECISIONS = (0.95, 0.99)
_OVERLAP = 0.4
# Of a face that nearer heads cover by more than this a detector need not find anything; nor of one smaller than that.
_LEAST_VISIBLE, _LEAST_PX = 0.5, 8.0
# As the crowd turns a head: a cylinder of this radius over the side of its picture.
_HEAD_RADIUS = 0.38

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueFace:
    """A face in the network's picture: its box, and which difficulties it has."""

    box: tuple[float, float, float, float]
    kinds: frozenset[str]
    is_doubtful: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorResult:
    """A detector on all crowds: ``threshold`` and ``recall`` by precision, and false faces by picture.

    ``by_kind`` is how many faces of a kind are found, of how many, at the threshold of the first precision.
    """

    detector: str
    ms_640: float
    threshold: dict[str, float]
    recall: dict[str, float]
    average_precision: float
    by_kind: dict[str, tuple[int, int]]
    suggested: float
    recall_at_suggested: float
    precision_at_suggested: float
    false_at_suggested: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """All detectors on the same frames; ``clothes`` counts the pieces of photographs that show no face but clothes."""

    people: int
    frames: int
    faces: int
    clothes: int
    detectors: tuple[DetectorResult, ...]


def true_faces(scene: Scene, number: int, *, is_dim: bool) -> list[TrueFace]:
    """Who can be seen in a frame."""
    found = []
    for walk in scene.plan.walks:
        if not walk.is_in_view(number):
            continue
        box = turned_box(walk, number)
        seen = scene.visibility(walk, number)
        size = walk.size_px(number) * _SIDE_PX / WIDTH
        doubtful = seen < _LEAST_VISIBLE or size < _LEAST_PX
        gone = (number - walk.first) / walk.frames
        covered = walk.occluded is not None and walk.occluded[0] <= gone < walk.occluded[1]
        yaw = abs(walk.yaw_deg(number))
        kinds = {
            "8 to 12 px": size < 12,
            "12 to 20 px": 12 <= size < 20,
            "20 px and more": size >= 20,
            "turned by 25 to 45 degrees": 25 <= yaw < 45,
            "turned by more": yaw >= 45,
            "covered": covered,
            "dim": is_dim,
            "none of these, 12 px and more": not (is_dim or covered) and yaw < 25 and size >= 12,
        }
        found.append(
            TrueFace(box=box, kinds=frozenset(kind for kind, is_so in kinds.items() if is_so), is_doubtful=doubtful)
        )
    return found


def turned_box(walk: Walk, number: int) -> tuple[float, float, float, float]:
    """The box of a face on its turned head, in the frame."""
    x1, y1, x2, y2 = walk.face(number)
    left, _, side = walk.place(number)
    axis, radius = left + side / 2, _HEAD_RADIUS * side
    angle = np.arcsin(np.clip((np.array([x1, x2]) - axis) / radius, -1, 1)) + np.radians(walk.yaw_deg(number))
    x1, x2 = (axis + radius * np.sin(np.clip(angle, -1.5, 1.5))).tolist()
    return x1, y1, x2, y2


def dimmed(picture: UInt8, number: int) -> UInt8:
    """An eighth of the light, with a camera's noise."""
    noise = np.random.default_rng(number).normal(0, 2.5, picture.shape)
    dark: UInt8 = np.clip(picture / 8 + noise, 0, 255).astype(np.uint8)
    return dark


def overlaps(box: Sequence[float], boxes: Floats) -> Floats:
    """Intersection over union of one box with many, float64 [N]."""
    one = np.asarray(box)
    both = np.clip(np.minimum(one[2:], boxes[:, 2:]) - np.maximum(one[:2], boxes[:, :2]), 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    shared: Floats = both / ((one[2:] - one[:2]).prod() + areas - both + 1e-9)
    return shared


class Marks:
    """What one detector found: each face's score and whether it is true, and which true faces, at which score."""

    def __init__(self) -> None:
        self.scores: list[float] = []
        self.true: list[bool] = []
        self.kinds: list[frozenset[str]] = []
        self.found_at: list[float] = []

    def add(self, boxes: Floats, scores: Sequence[float], truth: Sequence[TrueFace]) -> None:
        """Match the faces of one frame, best first, to the truth."""
        places = np.array([each.box for each in truth]).reshape(-1, 4)
        taken = np.zeros(len(truth), bool)
        found_at = np.zeros(len(truth))
        for box, score in zip(boxes, scores, strict=True):
            shared = np.where(taken, 0, overlaps(box, places)) if len(truth) else np.zeros(0)
            best = int(shared.argmax()) if len(truth) else -1
            hit = best >= 0 and shared[best] >= _OVERLAP
            if hit:
                taken[best] = True
                found_at[best] = score
                if truth[best].is_doubtful:
                    continue
            self.scores.append(score)
            self.true.append(hit)
        for each, score in zip(truth, found_at.tolist(), strict=True):
            if not each.is_doubtful:
                self.kinds.append(each.kinds)
                self.found_at.append(score)

    def curve(self) -> tuple[Floats, Floats, Floats]:
        """Thresholds from the highest down, and precision and recall at each."""
        order = np.argsort(-np.array(self.scores))
        hits = np.cumsum(np.array(self.true)[order])
        return np.array(self.scores)[order], hits / np.arange(1, len(hits) + 1), hits / len(self.found_at)

    def result(self, detector: FaceDetector, ms: float, suggested: float, false: dict[str, int]) -> DetectorResult:
        thresholds, precisions, recalls = self.curve()
        threshold, recall = {}, {}
        for wanted in _PRECISIONS:
            good = np.flatnonzero(precisions >= wanted)
            last = int(good[-1]) if len(good) else 0
            threshold[f"{wanted:.2f}"] = round(float(thresholds[last]), 3)
            recall[f"{wanted:.2f}"] = round(float(recalls[last]) if len(good) else 0.0, 4)
        first = threshold[f"{_PRECISIONS[0]:.2f}"]
        kinds = sorted({kind for each in self.kinds for kind in each})
        found = np.array(self.found_at)
        by_kind = {}
        for kind in kinds:
            mine = np.array([kind in each for each in self.kinds])
            by_kind[kind] = (int((found[mine] >= first).sum()), int(mine.sum()))
        best_after = np.maximum.accumulate(precisions[::-1])[::-1]
        above = int((thresholds >= suggested).sum())
        return DetectorResult(
            detector=detector.manifest.name,
            ms_640=ms,
            threshold=threshold,
            recall=recall,
            average_precision=round(float(np.trapezoid(best_after, recalls)), 4),
            by_kind=by_kind,
            suggested=suggested,
            recall_at_suggested=round(float(recalls[above - 1]), 4) if above else 0.0,
            precision_at_suggested=round(float(precisions[above - 1]), 4) if above else 1.0,
            false_at_suggested=false,
        )


def people_to_detect(*, is_tuning: bool) -> list[Photograph]:
    """Half of the people whom no shipped network learnt from; on the other half a score is chosen."""

    def is_for_tuning(person: str) -> bool:
        return hashlib.sha1(f"tuning {person}".encode(), usedforsecurity=False).digest()[0] % 2 == 1

    return [each for each in held_out_photographs() if is_for_tuning(each.person) == is_tuning]


def crowds(photographs: Sequence[Photograph], people: int, seed: int) -> Iterator[tuple[Scene, bool]]:
    """The crowd by day and the crowd in the dark."""
    heads = cut_heads(open_detector("yunet_n", threads=1), photographs)
    names = np.random.default_rng(seed).permutation(sorted(heads)).tolist()
    rules = CrowdRules(lanes=8, walk_s=(2.5, 4.0), difficulties=replace(HARD, turning=0.4, averted=0.2))
    for part, is_dim in enumerate((False, True)):
        mine = names[part * people : (part + 1) * people]
        walkers = [Walker(subject=name, is_mated=False, heads=heads[name]) for name in mine]
        yield plan_crowd(walkers, seed=seed + part, rules=rules), is_dim


def scores_in(pictures: Iterable[UInt8], detectors: Sequence[FaceDetector]) -> list[Floats]:
    """The scores of everything that each detector finds in pictures."""
    found: list[list[float]] = [[] for _ in detectors]
    for picture in pictures:
        for detector, mine in zip(detectors, found, strict=True):
            mine += detector.with_score_floor(_FLOOR).detect([picture]).scores.tolist()
    return [np.array(each) for each in found]


def print_scores(name: str, marks: Marks, on_clothes: Floats, false: Floats) -> None:
    """What each score gives: recall, false faces in the crowd, on clothes and in the pictures without one."""
    scores, true, found_at = np.array(marks.scores), np.array(marks.true), np.array(marks.found_at)
    print(f"| {name} | recall | false in the crowds | on clothes | in the pictures |")
    for score in np.arange(0.5, 0.9, 0.01).round(2).tolist():
        wrong = [int((each >= score).sum()) for each in (scores[~true], on_clothes, false)]
        recall = 100 * float((found_at >= score).mean())
        print(f"| {score:.2f} | {recall:.1f} % | {' | '.join(map(str, wrong))} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", action="append", help="a name; repeat (default: the shipped one and YuNet-n)")
    parser.add_argument("--people", type=int, default=60, help="who walk, by day and as many in the dark")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--tuning", type=Path, metavar="FOLDER", help="choose a score: pictures without a face")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    names = given.detector or ["yunet_n", "pylfr_nano_detect"]
    detectors = [open_detector(name, threads=1) for name in names]
    marks = [Marks() for _ in detectors]
    photographs = people_to_detect(is_tuning=given.tuning is not None)
    frames = 0
    for scene, is_dim in crowds(photographs, given.people, given.seed):
        for number in range(0, len(scene), _EVERY):
            truth = true_faces(scene, number, is_dim=is_dim)
            if not truth:
                continue
            frames += 1
            painted = scene.paint(number)
            picture = dimmed(painted, number) if is_dim else painted
            for detector, mine in zip(detectors, marks, strict=True):
                faces = detector.with_score_floor(_FLOOR).detect([picture])
                mine.add(faces.boxes.astype(np.float64), faces.scores.tolist(), truth)
    pieces = list(clothes(photographs))
    on_clothes = scores_in(pieces, detectors)
    if given.tuning:
        false = scores_in(map(read_image, sorted(given.tuning.iterdir())), detectors)
        for name, mine, *wrong in zip(names, marks, on_clothes, false, strict=True):
            print_scores(name, mine, *wrong)
        return
    times = times_ms(detectors, [])
    results = []
    pictures = faceless()
    for detector, mine, below, ms in zip(detectors, marks, on_clothes, times, strict=True):
        false_faces = {"clothes": int((below >= detector.score_floor).sum())} | {
            name: max(0, len(detector.detect([picture]).scores) - faces) for name, (picture, faces) in pictures.items()
        }
        results.append(mine.result(detector, ms, detector.score_floor, false_faces))
        print(asdict(results[-1]), flush=True)
    detection = Detection(
        people=2 * given.people,
        frames=frames,
        faces=len(marks[0].found_at),
        clothes=len(pieces),
        detectors=tuple(results),
    )
    if not given.dry:
        print(f"written to {write_results('detection', machine, detection)}")


if __name__ == "__main__":
    main()
