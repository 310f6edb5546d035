"""Passes through the whole engine as non-mated material: what fused scores reach, and how people were seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pylfr.engine.track_statistics import CONDITIONS
from pylfr.errors import ConfigError
from pylfr.evaluation.calibration import NonMated
from pylfr.evaluation.video.passes import Compared, Fused, SubjectPass, own_tracks

# For a pass without a fused track: below every possible threshold.
_NEVER = -1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackMaterial:
    """Non-mated passes to calibrate on. ``names`` are those that ``non_mated`` numbers; ``conditions`` histograms."""

    non_mated: NonMated
    names: tuple[str, ...]
    passes: int
    conditions: Mapping[str, tuple[int, ...]]


def non_mated_tracks(
    truth: Sequence[SubjectPass], compared: Sequence[Compared], fused: Sequence[Fused], enrolled: Sequence[str]
) -> TrackMaterial:
    """The highest fused score of every non-mated pass; passes that were never fused count, and reach nothing.

    ``enrolled`` are the names on the watchlist. Raises ``ConfigError`` where nobody passes who is not on it.
    """
    require_non_mated(truth)
    passes = [index for index, each in enumerate(truth) if not each.is_mated]
    names = tuple(dict.fromkeys([*enrolled, *(truth[index].subject for index in passes)]))
    number = {name: place for place, name in enumerate(names)}
    owner = own_tracks(truth, compared)
    best = dict.fromkeys(passes, (_NEVER, 0))
    for track in fused:
        index = owner.get((track.camera, track.track_id), -1)
        if index in best and track.score is not None and track.entry is not None:
            best[index] = max(best[index], (track.score, number[track.entry]))
    return TrackMaterial(
        non_mated=NonMated(
            best=np.array([best[index][0] for index in passes]),
            person=np.array([number[truth[index].subject] for index in passes], np.int64),
            entry=np.array([best[index][1] for index in passes], np.int64),
            people=len(names),
            searched=len({truth[index].subject for index in passes}),
            watchlist_size=len(enrolled),
        ),
        names=names,
        passes=len(passes),
        conditions=conditions_of(compared),
    )


def require_non_mated(truth: Sequence[SubjectPass]) -> None:
    """Raise ``ConfigError`` where nobody passes who is not on the watchlist."""
    if all(each.is_mated for each in truth):
        raise ConfigError(f"all {len(truth)} passes are mated: FPIR is measured on people who are not on the watchlist")


def conditions_of(compared: Sequence[Compared]) -> dict[str, tuple[int, ...]]:
    """Histograms of the best face of every track, as a deployment's aggregates count them."""
    best: dict[tuple[str, int], Compared] = {}
    for face in compared:
        key = face.camera, face.track_id
        if key not in best or face.quality > best[key].quality:
            best[key] = face
    seen = list(best.values())
    values = {
        "quality": [each.quality for each in seen],
        "interocular_px": [each.interocular_px for each in seen],
        "log_sharpness": [float(np.log1p(max(each.sharpness, 0.0))) for each in seen],
        "brightness": [each.brightness for each in seen],
    }
    return {measure.name: tuple(measure.count(values[measure.name]).tolist()) for measure in CONDITIONS}
