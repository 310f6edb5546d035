"""Cut out what a detector takes for faces: `python prepare_mistaken.py DETECTOR.onnx`. Such pieces teach it most.

It looks at textures and clutter, at every faceless square (`prepare_faceless.py`) and at the portraits of people who
may be learnt from: what it finds below the lowest face there, even of those that the teacher doubts, is clothes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import cv2
import numpy as np
from compose_scenes import clutter, texture
from numpy.typing import NDArray
from people import lfw_dir, work_dir
from portraits import faceless_pictures, found_faces
from teachers import DetectionTeacher
from tqdm import tqdm

SCORE = 0.3  # from which on something is taken for a face
SIDE_PX = 192  # of a piece, at the scale at which it was mistaken
MOST_OF_ONE = 4  # pieces of one picture
LARGEST_SCALE = 2.0
DRAWN = 1500  # pictures

Image = NDArray[np.uint8]


def mistaken(detector: DetectionTeacher, picture: Image) -> Iterator[Image]:
    """Squares of a BGR picture without a face, each around something that is found."""
    found = detector.detect(picture, score=SCORE)
    middles = (found[:, :2] + found[:, 2:4]) / 2
    side = min(SIDE_PX, *picture.shape[:2])
    corners = np.clip(middles - side / 2, 0, np.array(picture.shape[1::-1]) - side).astype(int)
    for x, y in corners[:MOST_OF_ONE].tolist():
        yield picture[y : y + side, x : x + side]


def clothes(picture: Image, faces: NDArray[np.float32]) -> Image:
    """A portrait below its lowest face, even of those [n, 15] that the teacher doubts."""
    return picture[int(np.ceil(faces[:, 3].max())) + 4 :]


def scaled(picture: Image, scale: float) -> Image:
    """The picture larger."""
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)


def main() -> None:
    """Look at all that is faceless."""
    cv2.setNumThreads(1)
    detector, rng = DetectionTeacher(threads=1, path=sys.argv[1]), np.random.default_rng(0)
    target = work_dir() / "mistaken"
    target.mkdir(exist_ok=True)
    kept = 0

    def keep(pieces: Iterator[Image]) -> None:
        nonlocal kept
        for piece in pieces:
            cv2.imwrite(str(target / f"{kept:05d}.png"), piece)
            kept += 1

    for _ in tqdm(range(DRAWN), desc="drawn"):
        draw = texture if rng.random() < 0.6 else clutter
        keep(mistaken(detector, draw(rng, 2 * SIDE_PX)))
    for picture in tqdm(faceless_pictures(), desc="faceless"):
        keep(mistaken(detector, picture))
        keep(mistaken(detector, scaled(picture, float(rng.uniform(1.2, LARGEST_SCALE)))))
    for path, faces in tqdm(found_faces().items(), desc="clothes"):
        below = clothes(cv2.imread(str(lfw_dir() / path)), faces)
        if min(below.shape[:2]) >= 32:
            keep(mistaken(detector, scaled(below, float(rng.uniform(1.0, LARGEST_SCALE)))))
    tqdm.write(f"{target}: {kept} pieces")


if __name__ == "__main__":
    main()
