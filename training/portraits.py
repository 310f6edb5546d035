"""Portraits with every face in them: those that the teacher sees at once, and those that it may see in a larger one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from labels import Labels
from numpy.typing import NDArray
from people import images_of, lfw_dir, work_dir
from teachers import DetectionTeacher, suppress
from tqdm import tqdm

SURE, PERHAPS = 0.6, 0.2  # the teacher's scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """One picture, BGR; `main` is the face in its middle."""

    image: NDArray[np.uint8]
    faces: Labels
    main: int


def load_portraits() -> list[Portrait]:
    """Everybody who may be learnt from. The first call reads all portraits with the teacher: two minutes."""
    found = found_faces()
    portraits = []
    for path, rows in tqdm(found.items(), desc="portraits"):
        image = cv2.imread(str(lfw_dir() / path))
        middle = np.array([image.shape[1], image.shape[0]]) / 2
        faces = Labels(boxes=rows[:, :4], points=rows[:, 4:14].reshape(-1, 5, 2), sure=rows[:, 14] >= SURE)
        main = int(np.argmin(np.linalg.norm((rows[:, :2] + rows[:, 2:4]) / 2 - middle, axis=1)))
        if faces.sure[main]:
            portraits.append(Portrait(image=image, faces=faces, main=main))
    return portraits


def faceless_pictures() -> list[NDArray[np.uint8]]:
    """Pictures without a face, BGR, if there are any: what lies in `faceless/` in the work folder."""
    return _pictures_in("faceless")


def mistaken_pictures() -> list[NDArray[np.uint8]]:
    """Squares around what was taken for a face, BGR, if there are any: `mistaken/` in the work folder."""
    return _pictures_in("mistaken")


def _pictures_in(folder: str) -> list[NDArray[np.uint8]]:
    paths = sorted((work_dir() / folder).glob("*.*"))
    return [image for path in paths if (image := cv2.imread(str(path))) is not None]


def found_faces() -> dict[str, NDArray[np.float32]]:
    """The teacher's faces [n, 15] of every portrait that shows any, by path under the portraits' folder."""
    target = work_dir() / "portrait_faces.npz"
    if not target.exists():
        teacher, found = DetectionTeacher(threads=1), {}
        for name, path in tqdm(images_of(lfw_dir(), held_out=False), desc="faces of portraits"):
            rows = _look_twice(teacher, path)
            if len(rows):
                found[f"{name}/{path.name}"] = rows
        part = target.with_suffix(".part.npz")
        np.savez(
            part,
            rows=np.concatenate(list(found.values())),
            ends=np.cumsum([len(rows) for rows in found.values()]),
            paths=np.array(list(found)),
        )
        part.rename(target)
    with np.load(target) as file:
        return dict(zip(file["paths"].tolist(), np.split(file["rows"], file["ends"][:-1]), strict=True))


def _look_twice(teacher: DetectionTeacher, path: Path) -> NDArray[np.float32]:
    """The teacher's faces [n, 15], as the picture is and enlarged twofold, which shows small bystanders."""
    image = cv2.imread(str(path))
    larger = teacher.detect(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), score=PERHAPS)
    larger[:, :14] /= 2
    return suppress(np.concatenate([teacher.detect(image, score=PERHAPS), larger]), 0.4)
