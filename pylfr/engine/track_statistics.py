"""What a deployment's cameras see, as counts over tracks: no face, no name, no order, no time finer than an hour.

Drift is detected from these counts. A track enters each histogram once, when it has ended. An hour of a camera with
fewer than ``LEAST_TRACKS`` waits for the next ones, and is dropped if the run ends first; at the ends of a histogram,
bins of fewer than ``LEAST_IN_BIN`` are added to the next one inwards, so that no track is alone at an edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, ValidationError

from pylfr._internal.regular_file import read_file
from pylfr._internal.strict_json import parse_json
from pylfr._internal.toml_model import ConfigModel, explain
from pylfr.engine.alert_policy import EndedTrack
from pylfr.engine.observer import Comparison, Observer
from pylfr.errors import ConfigError
from pylfr.faces.track import TrackKey
from pylfr.governance.authorisation.authority import Digest, Moment

LEAST_TRACKS = 50
LEAST_IN_BIN = 5

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramRange:
    """A histogram's name and its ``bins`` equal bins from ``low`` to ``high``; what lies outside is in the last one."""

    name: str
    low: float
    high: float
    bins: int

    def count(self, values: npt.ArrayLike) -> Counts:
        """The values counted in the bins, int64 [bins]."""
        edges = np.linspace(self.low, self.high, self.bins + 1)
        counts, _ = np.histogram(np.clip(np.asarray(values, np.float64), self.low, self.high), edges)
        return counts.astype(np.int64)


# Scores of tracks that raised no alert: the fused one, and that of their best face alone against any entry.
FUSED_SCORE = HistogramRange(name="fused_score", low=-1, high=1, bins=200)
FACE_SCORE = HistogramRange(name="face_score", low=-1, high=1, bins=200)
# Of the best face of every track. Sharpness is counted as the natural logarithm of one more than it.
CONDITIONS = (
    HistogramRange(name="quality", low=0, high=100, bins=25),
    HistogramRange(name="interocular_px", low=0, high=120, bins=30),
    HistogramRange(name="log_sharpness", low=0, high=10, bins=25),
    HistogramRange(name="brightness", low=0, high=1, bins=25),
)
MEASURES = (FUSED_SCORE, FACE_SCORE, *CONDITIONS)


class CameraAggregate(ConfigModel):
    """One camera's counts: compared ``tracks``, those that ``alerted``, and histograms by the names in ``MEASURES``."""

    tracks: int = Field(ge=0)
    alerted: int = Field(ge=0)
    histograms: dict[str, tuple[NonNegativeInt, ...]]


class Aggregate(ConfigModel):
    """The counts of some hours of one run, and what they were made with. ``begins`` and ``ends`` are whole hours."""

    type: Literal["aggregates"] = "aggregates"
    detector: Digest
    embedder: Digest
    preprocessing: Digest
    threshold: float = Field(ge=-1, le=1)
    watchlist_size: int = Field(ge=0)
    begins: Moment
    ends: Moment
    cameras: dict[str, CameraAggregate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What the counts are made with: digests of the networks and of how the embedder is fed, and the threshold."""

    detector: str
    embedder: str
    preprocessing: str
    threshold: float


@dataclass(slots=True)
class _Best:
    """The best face of a live track so far: its measures and its best candidate's score. No template, no entry."""

    quality: float
    interocular_px: float
    log_sharpness: float
    brightness: float
    face_score: float


@dataclass(slots=True)
class _Camera:
    """Counts since the camera was last written."""

    begins: datetime
    tracks: int = 0
    alerted: int = 0
    histograms: dict[str, Counts] = field(
        default_factory=lambda: {each.name: np.zeros(each.bins, np.int64) for each in MEASURES}
    )


class TrackStatistics(Observer):
    """Counts the tracks of a run and writes the counts of each whole hour into ``folder``."""

    def __init__(self, folder: Path, made: Provenance) -> None:
        self._folder = folder
        self._made = made
        self._live: dict[TrackKey, _Best] = {}
        self._cameras: dict[str, _Camera] = {}
        self._hour: datetime | None = None
        self._watchlist_size = 0

    def faces_compared(self, comparison: Comparison) -> None:
        """Remember of each track that was compared what its best face is like."""
        batch, tracks = comparison.batch, comparison.tracks
        rows, candidates = comparison.rows, comparison.candidates
        self._watchlist_size = len(comparison.gallery)
        hour = _hour_of(batch.captured_at[1])
        if self._hour is not None and hour > self._hour:
            self._write(hour)
        self._hour = hour if self._hour is None else max(hour, self._hour)
        quality = tracks.quality
        for place, row in enumerate(rows.tolist()):
            camera = batch.frames[tracks.faces.frame_index[row]].camera
            key = TrackKey(camera=camera, track_id=int(tracks.track_id[row]))
            score = float(quality.score[row])
            if key not in self._live or score > self._live[key].quality:
                self._live[key] = _Best(
                    quality=score,
                    interocular_px=float(quality.interocular_px[row]),
                    log_sharpness=float(np.log1p(max(float(quality.sharpness[row]), 0.0))),
                    brightness=float(quality.brightness[row]),
                    face_score=float(candidates.scores[place, 0]) if candidates.scores.shape[1] else -1.0,
                )

    def tracks_ended(self, ended: Sequence[EndedTrack]) -> None:
        """Count tracks that have ended, and forget them."""
        for track in ended:
            best = self._live.pop(track.key, None)
            if best is None or self._hour is None:
                continue
            camera = self._cameras.setdefault(track.key.camera, _Camera(begins=self._hour))
            camera.tracks += 1
            camera.alerted += track.has_alerted
            for measure in CONDITIONS:
                camera.histograms[measure.name] += measure.count([getattr(best, measure.name)])
            if not track.has_alerted:
                camera.histograms[FACE_SCORE.name] += FACE_SCORE.count([best.face_score])
                if track.best_score is not None:
                    camera.histograms[FUSED_SCORE.name] += FUSED_SCORE.count([track.best_score])

    def run_ended(self) -> None:
        """Write the counts that are large enough and forget the rest. Raises ``ConfigError`` where it cannot."""
        if self._hour is not None:
            self._write(self._hour + timedelta(hours=1))
        self._live.clear()
        self._cameras.clear()

    def _write(self, until: datetime) -> None:
        enough = {name: each for name, each in self._cameras.items() if each.tracks >= LEAST_TRACKS}
        if not enough:
            return
        begins = min(each.begins for each in enough.values())
        aggregate = Aggregate(
            detector=self._made.detector,
            embedder=self._made.embedder,
            preprocessing=self._made.preprocessing,
            threshold=self._made.threshold,
            watchlist_size=self._watchlist_size,
            begins=begins,
            ends=until,
            cameras={
                name: CameraAggregate(
                    tracks=each.tracks,
                    alerted=each.alerted,
                    histograms={of: coarse(counts) for of, counts in each.histograms.items()},
                )
                for name, each in sorted(enough.items())
            },
        )
        for name in enough:
            del self._cameras[name]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _free_path(self._folder, begins).write_text(aggregate.model_dump_json(indent=1), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"aggregates cannot be written into {self._folder}: {error.strerror}") from error


def coarse(counts: npt.ArrayLike) -> tuple[int, ...]:
    """The counts with their outermost bins added inwards until each end holds ``LEAST_IN_BIN``; the sum stays."""
    whole = np.array(counts, np.int64)
    for ends in (whole, whole[::-1]):
        carried = 0
        for place in range(len(ends)):
            carried += int(ends[place])
            ends[place] = 0
            if carried >= LEAST_IN_BIN or place == len(ends) - 1:
                ends[place] = carried
                break
    return tuple(int(count) for count in whole)


def read_aggregate(path: Path) -> Aggregate:
    """The counts that a run has written. Raises ``ConfigError`` naming what is wrong with the file."""
    try:
        found = Aggregate.model_validate(parse_json(read_file(path)))
    except OSError as error:
        raise ConfigError(f"aggregates {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ConfigError(f"aggregates {path}: " + "; ".join(explain(each) for each in error.errors())) from error
    except ValueError as error:
        raise ConfigError(f"aggregates {path} must be JSON that a run has written: {error}") from error
    for name, camera in found.cameras.items():
        for measure in MEASURES:
            if len(camera.histograms.get(measure.name, ())) != measure.bins:
                raise ConfigError(f"aggregates {path}: camera {name!r} must have {measure.bins} bins of {measure.name}")
    return found


def total(cameras: Sequence[CameraAggregate]) -> Mapping[str, Counts]:
    """The histograms of several cameras added up, by name."""
    added = {each.name: np.zeros(each.bins, np.int64) for each in MEASURES}
    for camera in cameras:
        for name, counts in added.items():
            counts += np.array(camera.histograms[name], np.int64)
    return added


def _hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _free_path(folder: Path, begins: datetime) -> Path:
    stem, number = f"{begins:%Y%m%dT%H}Z", 1
    path = folder / f"{stem}.json"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.json"
    return path
