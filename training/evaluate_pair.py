"""Measure the pair together: `python evaluate_pair.py detector.onnx embedder.onnx`, beside the two teachers.

First the held-out portraits again, now found and aligned by the detector's own landmarks. Then footage: one picture of
each of two known people is enrolled, and every face of every video is compared with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import cv2
import numpy as np
from align import MASTER_PX, crop, master_template
from evaluate_detector import frames
from evaluate_embedder import WATCHLISTS, Embed, embedded, measure, onnx_embedder, teacher_embedder
from numpy.typing import NDArray
from people import images_of, lfw_dir, media_dir
from searches import found_at, search
from teachers import DetectionTeacher

# Who walks where: the dark-haired woman and the man in blue, by the footage's description.
REFERENCES = {"woman": "head-pose-face-detection-female.mp4", "man in blue": "head-pose-face-detection-male.mp4"}
FOOTAGE = (
    "face-demographics-walking-and-pause.mp4",
    "head-pose-face-detection-female-and-male.mp4",
    "head-pose-face-detection-female.mp4",
    "head-pose-face-detection-male.mp4",
)
NARROWEST_FACE_PX = 30

Detect = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def master_of(image: NDArray[np.uint8], face: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The master crop of one found face."""
    return crop(image, face[4:14].reshape(5, 2), master_template(), MASTER_PX)


def portraits(detect: Detect, embed: Embed) -> str:
    """The held-out people through detector and embedder."""
    masters, names, missed = [], [], 0
    for name, path in images_of(lfw_dir(), held_out=True):
        image = cv2.imread(str(path))
        found = detect(image)
        if not len(found):
            missed += 1
            continue
        middle = np.array([image.shape[1], image.shape[0]]) / 2
        best = found[np.argmin(np.linalg.norm((found[:, :2] + found[:, 2:4]) / 2 - middle, axis=1))]
        masters.append(master_of(image, best))
        names.append(name)
    vectors, whose = embedded(embed, np.stack(masters)), np.array(names)
    found = [
        f"{size} enrolled {found_at(search(vectors, vectors, whose, size=size, draws=draws), 0.01)}"
        for size, draws in WATCHLISTS.items()
    ]
    return f"{missed} portraits without a face; {measure(vectors, whose)}; TPIR at FPIR 1 %: {', '.join(found)}"


def footage(detect: Detect, embed: Embed) -> str:
    """For each enrolled person and video, the comparison scores of the left-most and right-most faces."""
    lines = []
    for person, reference in REFERENCES.items():
        best, image = max(
            ((face, frame) for frame in frames(media_dir() / "video" / reference) for face in detect(frame)),
            key=lambda pair: float(pair[0][14]),
        )
        enrolled = embed(master_of(image, best)[None])[0]
        for video in FOOTAGE:
            places, scores = [], []
            for frame in frames(media_dir() / "video" / video):
                for face in detect(frame):
                    if face[2] - face[0] >= NARROWEST_FACE_PX:
                        places.append((face[0] + face[2]) / 2 / frame.shape[1])
                        scores.append(float(embed(master_of(frame, face)[None])[0] @ enrolled))
            spread = []
            for low in (0.0, 1 / 3, 2 / 3):
                here = [s for s, at in zip(scores, places, strict=True) if low <= at < low + 1 / 3]
                spread.append(f"{np.median(here):.2f}/{max(here):.2f} ({len(here)})" if here else "-")
            lines.append(
                f"  {person} in {video}: median/highest (faces) left {spread[0]}, middle {spread[1]}, right {spread[2]}"
            )
    return "\n".join(lines)


def main() -> None:
    """Measure the teachers and the pair named."""
    detector, embedder = sys.argv[1:3]
    pairs: dict[str, tuple[DetectionTeacher, Embed]] = {
        "teachers": (DetectionTeacher(), teacher_embedder()),
        "students": (DetectionTeacher(path=detector), onnx_embedder(embedder)),
    }
    for name, (detector_of, embed) in pairs.items():
        sys.stdout.write(f"{name}: {portraits(detector_of.detect, embed)}\n{footage(detector_of.detect, embed)}\n")


if __name__ == "__main__":
    main()
