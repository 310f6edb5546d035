"""Who is enrolled and who walks in a synthetic crowd, drawn from a folder of photographs of people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pylfr.errors import ConfigError, MediaError
from pylfr.evaluation.crowd.walk import Head, Walker, cut_head
from pylfr.evaluation.images.people import Photograph, central_faces
from pylfr.protocols import Detector
from pylfr.types import UInt8
from pylfr.video.decoding.image_io import read_image, write_png


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """How many walk who are on the watchlist and who are not, and how many more are on it as fillers."""

    mated: int
    non_mated: int
    fillers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cast:
    """``references``: who is enrolled, with the picture that is; ``walkers`` in the order in which they walk."""

    references: Mapping[str, Path]
    walkers: tuple[Walker, ...]


def cut_heads(
    detector: Detector,
    photographs: Sequence[Photograph],
    progress: Callable[[int], None] = lambda _: None,
    *,
    margin: float = 1.9,
) -> dict[str, tuple[Head, ...]]:
    """The heads of everybody in the photographs who has one that shows a single face, as enrolment asks.

    A head is ``margin`` times as wide as its face: a narrower one shows fewer bystanders.
    ``progress`` is given the number of photographs done since its last call. Damaged pictures are skipped.
    """
    of: dict[str, list[Photograph]] = {}
    for photograph in photographs:
        of.setdefault(photograph.person, []).append(photograph)
    heads = {}
    for name, each in of.items():
        cut = _single_faces(detector, each, margin)
        progress(len(each))
        if cut:
            heads[name] = cut
    return heads


def cast_crowd(heads: Mapping[str, Sequence[Head]], folder: Path, roles: Roles, *, seed: int = 0) -> Cast:
    """Draw who is on the watchlist, each with one photograph that is written into ``folder``, and who walks.

    People on the watchlist who walk show their other photographs. Raises ``ConfigError`` where there are too few.
    """
    draw = np.random.default_rng(seed)
    enrolled_count = roles.mated + roles.fillers
    several = [name for name, each in heads.items() if len(each) > 1]
    if len(several) < roles.mated or len(heads) < enrolled_count + roles.non_mated:
        raise ConfigError(
            f"{roles.mated} mated and {roles.non_mated} non-mated walkers and {roles.fillers} fillers need "
            f"{roles.mated} people with two clear photographs and {enrolled_count + roles.non_mated} in all, got "
            f"{len(several)} and {len(heads)}"
        )
    mated = _drawn(draw, several, roles.mated)
    taken = set(mated)
    # Fillers too have several photographs while there are such people: who is not enrolled then shows one or a few.
    rest = _drawn(draw, [name for name in several if name not in taken], len(several))
    rest += _drawn(draw, [name for name in heads if len(heads[name]) == 1], len(heads))
    fillers, others = rest[: roles.fillers], rest[roles.fillers :][: roles.non_mated]
    references = {}
    for number, name in enumerate([*mated, *fillers]):
        references[name] = folder / f"reference-{number:05d}.png"
        write_png(references[name], heads[name][0].picture)
    walkers = [Walker(subject=name, is_mated=True, heads=tuple(heads[name][1:])) for name in mated]
    walkers += [Walker(subject=name, is_mated=False, heads=tuple(heads[name])) for name in others]
    return Cast(
        references=references, walkers=tuple(walkers[place] for place in draw.permutation(len(walkers)).tolist())
    )


def _drawn(draw: np.random.Generator, names: Sequence[str], count: int) -> list[str]:
    return [names[place] for place in draw.permutation(len(names))[:count].tolist()]


def _single_faces(detector: Detector, photographs: Sequence[Photograph], margin: float) -> tuple[Head, ...]:
    pictures: list[UInt8] = []
    for each in photographs:
        try:
            pictures.append(read_image(each.path))
        except MediaError:
            continue
    faces = detector.detect(pictures)
    central = central_faces(pictures, faces)
    heads = [
        cut_head(picture, faces.boxes[row], margin=margin)
        for picture, row in zip(pictures, central.tolist(), strict=True)
        if row >= 0
    ]
    again = detector.detect([head.picture for head in heads])
    alone = np.bincount(again.frame_index, minlength=len(heads)) == 1
    return tuple(head for head, is_alone in zip(heads, alone.tolist(), strict=True) if is_alone)
