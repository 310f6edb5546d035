"""Gather pictures without a face: `python prepare_faceless.py [--to NAME] FOLDER...`. They teach what no face is.

Every picture in the folders (and in the archives there) is cut into squares of 384 px, near and far. A
square in which the teacher may see a face is left out. They go to NAME in the work folder: what lies in `faceless` is
learnt from, what is gathered under another name is not, and can be measured on.
"""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from people import work_dir
from teachers import DetectionTeacher
from tqdm import tqdm

SIDE_PX = 384
DOUBT = 0.4  # what the teacher may score at most
ARCHIVES = (".pk3", ".wz", ".zip")
SUFFIXES = (".jpg", ".jpeg", ".png", ".tga", ".webp")
MOST_OF_ONE = 6  # squares of one picture


def pictures(folder: Path) -> Iterator[NDArray[np.uint8]]:
    """BGR pictures of the folder and its archives, those that can be read."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in ARCHIVES and path.is_file():
            with zipfile.ZipFile(path) as archive:
                for name in sorted(archive.namelist()):
                    if name.lower().endswith(SUFFIXES):
                        yield from _read(archive.read(name))
        elif path.suffix.lower() in SUFFIXES and path.is_file() and not path.is_symlink():
            yield from _read(path.read_bytes())


def squares(rng: np.random.Generator, picture: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Squares of a picture, between its finest and its whole."""
    h, w = picture.shape[:2]
    if min(h, w) < 96:
        return
    for _ in range(min(MOST_OF_ONE, 1 + h * w // SIDE_PX**2)):
        size = int(np.exp(rng.uniform(np.log(min(h, w, SIDE_PX)), np.log(min(h, w)))))
        x, y = int(rng.integers(0, w - size + 1)), int(rng.integers(0, h - size + 1))
        side = min(SIDE_PX, size)
        yield cv2.resize(picture[y : y + size, x : x + size], (side, side), interpolation=cv2.INTER_AREA)


def _read(content: bytes) -> Iterator[NDArray[np.uint8]]:
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if picture is not None:
        yield picture


def main() -> None:
    """Cut the pictures of the folders named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--to", default="faceless")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    teacher, rng = DetectionTeacher(threads=1), np.random.default_rng(0)
    target = work_dir() / options.to
    target.mkdir(exist_ok=True)
    kept = left_out = 0
    for folder in options.folder:
        for picture in tqdm(pictures(folder), desc=folder.name):
            for square in squares(rng, picture):
                if len(teacher.detect(square, score=DOUBT)):
                    left_out += 1
                    continue
                cv2.imwrite(str(target / f"{kept:05d}.jpg"), square, [cv2.IMWRITE_JPEG_QUALITY, 92])
                kept += 1
    tqdm.write(f"{target}: {kept} squares; {left_out} in which the teacher may see a face left out")


if __name__ == "__main__":
    main()
