"""Measure detectors on footage that nothing here was trained on: `python evaluate_detector.py student.onnx`.

Two truths, both by the teacher, since nobody has drawn boxes: its own faces on the same frames (how well it is
imitated), and its faces on frames enlarged twofold (a better look than either has). Matches overlap by half.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from people import media_dir
from teachers import DetectionTeacher, overlap

EVERY_NTH_FRAME = 1
SURE = 0.6  # what the teacher scores at least to count as true
FLOOR = 0.05  # what is looked at at all, to draw the whole curve
PRECISION = 0.95
NO_FACES = "one-by-one-person-detection.mp4"  # people from above: whatever is found there is a false alarm


def frames(path: Path, every: int = EVERY_NTH_FRAME) -> Iterator[NDArray[np.uint8]]:
    """BGR frames, every so manieth."""
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % every == 0:
                yield frame.to_ndarray(format="bgr24")


def compare(found: NDArray[np.float32], true: NDArray[np.float32]) -> tuple[list[tuple[float, bool]], list[float]]:
    """(score, is true) of each found face, best first, and the landmark error in face widths of each that is true."""
    taken = np.zeros(len(true), bool)
    marks, errors = [], []
    for face in found:
        shared = np.where(taken, 0, overlap(face, true)) if len(true) else np.zeros(0)
        hit = bool(len(true)) and shared.max() >= 0.5
        marks.append((float(face[14]), hit))
        if hit:
            which = shared.argmax()
            taken[which] = True
            off = np.linalg.norm((face[4:14] - true[which, 4:14]).reshape(5, 2), axis=1).mean()
            errors.append(float(off / (true[which, 2] - true[which, 0])))
    return marks, errors


def recall_at(marks: list[tuple[float, bool]], faces: int, precision: float) -> tuple[float, float, float]:
    """(recall, threshold) at the least threshold that keeps the precision, and the average precision."""
    marks = sorted(marks, reverse=True)
    hits = np.cumsum([hit for _, hit in marks])
    precisions = hits / np.arange(1, len(marks) + 1)
    best_after = np.maximum.accumulate(precisions[::-1])[::-1]
    average = float(np.sum(best_after * [hit for _, hit in marks]) / faces)
    good = np.flatnonzero(precisions >= precision)
    return (float(hits[good[-1]] / faces), marks[good[-1]][0], average) if len(good) else (0.0, 1.0, average)


def enlarged(teacher: DetectionTeacher, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The teacher's faces on the frame at twice its size, in the frame's pixels."""
    true = teacher.detect(cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), score=SURE)
    true[:, :14] /= 2
    return true


def main() -> None:
    """Measure the teacher and the detectors named."""
    teacher = DetectionTeacher()
    detectors = {"teacher": teacher, **{path: DetectionTeacher(path=path) for path in sys.argv[1:]}}
    videos = sorted((media_dir() / "video").glob("*.mp4"))
    truths = {
        "the teacher's faces": lambda frame: teacher.detect(frame, score=SURE),
        "its faces at twice the size": lambda frame: enlarged(teacher, frame),
    }
    faces = dict.fromkeys(truths, 0)
    marks = {(truth, name): [] for truth in truths for name in detectors}
    errors = {(truth, name): [] for truth in truths for name in detectors}
    by_video = {(truth, name, video.stem): [[], 0] for truth in truths for name in detectors for video in videos}
    for video in videos:
        for frame in frames(video, EVERY_NTH_FRAME if video.name != NO_FACES else 25):
            found = {name: detector.detect(frame, score=FLOOR) for name, detector in detectors.items()}
            for truth, look in truths.items():
                true = look(frame) if video.name != NO_FACES else np.zeros((0, 15), np.float32)
                faces[truth] += len(true)
                for name in detectors:
                    seen, off = compare(found[name], true)
                    marks[truth, name] += seen
                    errors[truth, name] += off
                    by_video[truth, name, video.stem][0].extend(seen)
                    by_video[truth, name, video.stem][1] += len(true)
    for truth in truths:
        sys.stdout.write(f"against {truth}: {faces[truth]} faces\n")
        for name in detectors:
            recall, threshold, average = recall_at(marks[truth, name], faces[truth], PRECISION)
            off = 100 * float(np.mean(errors[truth, name]))
            sys.stdout.write(
                f"  {name}: recall {recall:.3f} at precision {PRECISION} (threshold {threshold:.2f}), "
                f"AP50 {average:.3f}, landmarks {off:.1f} % of the width off\n"
            )
            for video in videos:
                seen, count = by_video[truth, name, video.stem]
                above = [hit for score, hit in seen if score >= threshold]
                sys.stdout.write(f"    {video.stem}: {sum(above)} of {count} found, {len(above) - sum(above)} false\n")


if __name__ == "__main__":
    main()
