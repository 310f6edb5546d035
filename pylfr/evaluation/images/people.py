"""A folder of people as templates in memory: one folder a person, as LFW lays them out. Nothing is written to disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pylfr.errors import ConfigError, MediaError
from pylfr.protocols import Detector, Embedder
from pylfr.types import Faces, Float32, Int64, UInt8, as_frames
from pylfr.video.decoding.image_io import read_image

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
_BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Photograph:
    """One picture file of one person."""

    person: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleTemplates:
    """One row a readable photograph; a photograph without a face has a row of zeros and is a failure to acquire.

    - ``vectors``: float32 [M, D] of unit length, or zero
    - ``person``: int64 [M], index into ``names``
    - ``acquired``: bool [M], whether a face was found
    - ``paths``: the files of the rows; ``unreadable``: what was skipped, each with the reason
    - ``model``: sha256 of the embedder
    """

    vectors: Float32
    person: Int64
    acquired: np.ndarray[tuple[int], np.dtype[np.bool_]]
    names: tuple[str, ...]
    paths: tuple[Path, ...]
    unreadable: tuple[str, ...]
    model: str

    def __post_init__(self) -> None:
        rows = len(self.vectors)
        if not rows == len(self.person) == len(self.acquired) == len(self.paths):
            raise ValueError(
                f"vectors, person, acquired and paths must have as many rows, got {rows}, {len(self.person)}, "
                f"{len(self.acquired)}, {len(self.paths)}"
            )
        if rows and not 0 <= int(self.person.min()) <= int(self.person.max()) < len(self.names):
            raise ValueError(f"person must index the {len(self.names)} names, got {self.person.max()}")

    def __len__(self) -> int:
        return len(self.vectors)

    def of_people(self, people: Int64) -> PeopleTemplates:
        """Only those people, numbered anew in that order."""
        new_number = np.full(len(self.names), -1, np.int64)
        new_number[people] = np.arange(len(people))
        rows = np.flatnonzero(new_number[self.person] >= 0)
        return PeopleTemplates(
            vectors=self.vectors[rows],
            person=new_number[self.person[rows]],
            acquired=self.acquired[rows],
            names=tuple(self.names[index] for index in people.tolist()),
            paths=tuple(self.paths[index] for index in rows.tolist()),
            unreadable=(),
            model=self.model,
        )


def list_photographs(folder: Path) -> list[Photograph]:
    """The photographs under ``folder``, one folder a person, in order of their names.

    Raises ``ConfigError`` where there are none.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} must be a folder of people, one folder a person: check the path")
    found = [
        Photograph(person=person.name, path=path)
        for person in sorted(each for each in folder.iterdir() if each.is_dir())
        for path in sorted(person.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not found:
        raise ConfigError(f"{folder} must hold one folder a person with pictures in it, got none: see LFW's layout")
    return found


def make_templates(
    photographs: Sequence[Photograph],
    open_networks: Callable[[], tuple[Detector, Embedder]],
    *,
    workers: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> PeopleTemplates:
    """Templates of the face nearest the middle of each photograph, made by ``workers`` threads (0: one a core).

    ``open_networks`` is called once per worker; ``progress`` is told how many
    photographs have been done since its last call. A file that is no picture is skipped and named.
    """
    workers = workers or os.cpu_count() or 1
    names = tuple(dict.fromkeys(photograph.person for photograph in photographs))
    number = {name: index for index, name in enumerate(names)}
    parts = [photographs[start : start + _BATCH] for start in range(0, len(photographs), _BATCH)]

    def work(mine: Sequence[Sequence[Photograph]]) -> list[_Done]:
        detector, embedder = open_networks()
        done = []
        for part in mine:
            done.append(_templates_of(part, detector, embedder))
            progress(len(part))
        return done

    with ThreadPoolExecutor(max_workers=workers) as pool:
        by_worker = list(pool.map(work, [parts[index::workers] for index in range(workers)]))
    done = [by_worker[index % workers][index // workers] for index in range(len(parts))]
    rows = [row for each in done for row in each.rows]
    if not rows:
        raise ConfigError(f"none of {len(photographs)} pictures could be read; the first: {done[0].unreadable[0]}")
    return PeopleTemplates(
        vectors=np.concatenate([each.vectors for each in done if len(each.rows)]),
        person=np.array([number[row.person] for row in rows], np.int64),
        acquired=np.concatenate([each.acquired for each in done]),
        names=names,
        paths=tuple(row.path for row in rows),
        unreadable=tuple(reason for each in done for reason in each.unreadable),
        model=done[0].model,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Done:
    """What became of one part of the photographs."""

    rows: list[Photograph]
    vectors: Float32
    acquired: np.ndarray[tuple[int], np.dtype[np.bool_]]
    unreadable: list[str]
    model: str


def _templates_of(part: Sequence[Photograph], detector: Detector, embedder: Embedder) -> _Done:
    rows, pictures, unreadable = [], [], []
    for photograph in part:
        try:
            pictures.append(read_image(photograph.path))
            rows.append(photograph)
        except MediaError as error:
            unreadable.append(str(error))
    faces = detector.detect(pictures)
    central = central_faces(pictures, faces)
    acquired = central >= 0
    vectors = np.zeros((len(rows), embedder.dimension), np.float32)
    chosen = faces.select(central[acquired])
    if len(chosen):
        vectors[acquired] = embedder.embed(embedder.align(as_frames(pictures), chosen)).vectors
    return _Done(rows=rows, vectors=vectors, acquired=acquired, unreadable=unreadable, model=embedder.model)


def central_faces(pictures: Sequence[UInt8], faces: Faces) -> Int64:
    """For each picture the row of ``faces`` nearest its middle, int64 [pictures]; -1 where there is none.

    Photographs of research sets are centred on their subject, and others stand beside it.
    """
    central = np.full(len(pictures), -1, np.int64)
    centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    for index, picture in enumerate(pictures):
        of_picture = np.flatnonzero(faces.frame_index == index)
        if len(of_picture):
            middle = np.array([picture.shape[1] / 2, picture.shape[0] / 2])
            central[index] = of_picture[np.argmin(np.square(centres[of_picture] - middle).sum(axis=1))]
    return central
