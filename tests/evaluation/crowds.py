"""People as templates without a picture: a random direction each, and pictures scattered around it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pylfr.evaluation.images.people import PeopleTemplates

MODEL = "ab" * 32


def people(
    count: int, pictures: int = 3, *, scatter: float = 0.6, dimension: int = 64, seed: int = 1
) -> PeopleTemplates:
    """``count`` people with as many ``pictures`` each."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(count, dimension))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    person = np.repeat(np.arange(count), pictures)
    vectors = centres[person] + scatter * draw.normal(size=(len(person), dimension)) / np.sqrt(dimension)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return PeopleTemplates(
        vectors=vectors.astype(np.float32),
        person=person.astype(np.int64),
        acquired=np.ones(len(person), bool),
        names=tuple(f"P{index}" for index in range(count)),
        paths=tuple(
            Path(f"P{index}/P{index}_{place + 1:04d}.jpg") for index in range(count) for place in range(pictures)
        ),
        unreadable=(),
        model=MODEL,
    )
