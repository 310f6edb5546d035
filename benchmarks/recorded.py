"""What both networks found in every frame of a crowd, so that tracking, selection and fusion can be replayed on it.

A recording holds numbers of people, times, boxes, measures and candidate scores, and a coarse luma thumbnail of each
frame. It holds no template, no name and no picture of anybody.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pylfr import ops
from pylfr.deployment.models import open_networks
from pylfr.engine.build import LOW_SCORE_SHARE
from pylfr.evaluation.video.passes import SubjectPass
from pylfr.evaluation.video.replay import REPLAY_BEGAN
from pylfr.faces.changed_regions import ChangedRegionDetector
from pylfr.faces.detect import FaceDetector
from pylfr.protocols import Detector, Embedder
from pylfr.types import Candidates, Faces, Float32, Frame, FrameBatch, Int32, Int64, UInt8
from pylfr.video.decoding.frame_sampler import Sampler
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions
from pylfr.video.open import open_file

_CANDIDATES = 5
_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """F frames of all cameras, each camera's in order, with N faces.

    - ``high_score``, ``low_score``: the detector's own threshold, and the lowest score that was recorded
    - ``cameras``: names; ``camera`` int32 [F] numbers them; ``at_s`` float64 [F]; ``thumbnails`` uint8 [F, 18, 32]
    - ``frame`` int32 [N], ``boxes`` float32 [N, 4], ``scores`` float32 [N], ``measures`` float32 [N, 7]
    - ``people``: the names of the watchlist's entries
    - ``entry`` int64 [N, K], ``similarity`` float32 [N, K]: candidates
    """

    high_score: float
    low_score: float
    cameras: tuple[str, ...]
    people: tuple[str, ...]
    camera: Int32
    at_s: npt.NDArray[np.float64]
    thumbnails: UInt8
    frame: Int32
    boxes: Float32
    scores: Float32
    measures: Float32
    entry: Int64
    similarity: Float32

    def batches(
        self, *, hz: float | None, is_due: Callable[[str, datetime], bool] | None = None
    ) -> Iterator[tuple[FrameBatch, Int64]]:
        """One frame after the other, with the rows of its faces: ``hz`` a second, or those that ``is_due`` wants.

        It is asked of a camera and a time when everything before has been taken.
        """
        first = np.searchsorted(self.frame, np.arange(len(self.at_s) + 1))
        samplers = [Sampler(hz) for _ in self.cameras]
        for number, at_s in enumerate(self.at_s.tolist()):
            camera = int(self.camera[number])
            captured_at = REPLAY_BEGAN + timedelta(seconds=at_s)
            wanted = is_due(self.cameras[camera], captured_at) if is_due else samplers[camera].is_due(captured_at)
            if not wanted:
                continue
            plane = self.thumbnails[number]
            half = np.full((plane.shape[0] // 2, plane.shape[1] // 2), 128, np.uint8)
            frame = Frame(
                camera=self.cameras[camera], sequence=number, captured_at=captured_at,
                planes=(plane, half, half), layout="i420",
            )  # fmt: skip
            yield FrameBatch(frames=(frame,)), np.arange(first[number], first[number + 1], dtype=np.int64)

    def faces(self, rows: Int64) -> Faces:
        """Those faces, as of one frame. Landmarks are not recorded: they are zero."""
        return Faces(
            frame_index=np.zeros(len(rows), np.int32), boxes=self.boxes[rows], scores=self.scores[rows],
            landmarks=np.zeros((len(rows), 5, 2), np.float32), measures=self.measures[rows],
        )  # fmt: skip

    def candidates(self, rows: Int64) -> Candidates:
        return Candidates(scores=self.similarity[rows], entry=self.entry[rows])


def record(
    videos: Sequence[Path],
    references: Mapping[str, UInt8],
    *,
    detector: str,
    embedder: str,
    threads: int,
    picture: PictureOptions = AS_SENT,
    full_look_s: float = 0.0,
    candidates: int = _CANDIDATES,
) -> Recording:
    """Detect, measure and compare every face of every frame. Cameras are named by the videos' stems.

    ``candidates`` entries are kept of each face.

    With ``full_look_s`` only what has changed is analysed in between, as the engine does.
    """
    networks = open_networks(detector, embedder, device="cpu", runtime="auto", threads=threads)
    high = networks.detector.score_floor
    finder: Detector = networks.detector.with_score_floor(high * LOW_SCORE_SHARE)
    if full_look_s and isinstance(finder, FaceDetector):
        finder = ChangedRegionDetector(finder, full_look_s=full_look_s, counts=Counter())
    gallery = np.empty((len(references), networks.embedder.dimension), np.float32)
    for place, shown in enumerate(references.values()):
        found = networks.detector.detect([shown])
        best = found.select(np.array([int(np.argmax(found.scores))], np.int64))
        networks.embedder.embed(networks.embedder.align([Frame.still(shown)], best), out=gallery[place : place + 1])
    columns: dict[str, list[np.ndarray]] = {
        name: []
        for name in ("camera", "at_s", "thumbnails", "frame", "boxes", "scores", "measures", "entry", "similarity")
    }
    frames_before = 0
    for number, video in enumerate(videos):
        for frames in _grouped(open_file(video, camera=video.stem, started_at=REPLAY_BEGAN, picture=picture).frames()):
            faces = finder.detect(frames)
            entry, similarity = _search(networks.embedder, frames, faces, gallery, candidates)
            columns["camera"].append(np.full(len(frames), number, np.int32))
            columns["at_s"].append(np.array([(each.captured_at - REPLAY_BEGAN).total_seconds() for each in frames]))
            columns["thumbnails"].append(ops.measure_scenes(frames).round().astype(np.uint8))
            columns["frame"].append(faces.frame_index + np.int32(frames_before))
            columns["boxes"].append(faces.boxes)
            columns["scores"].append(faces.scores)
            columns["measures"].append(ops.measure_quality(frames, faces))
            columns["entry"].append(entry)
            columns["similarity"].append(similarity)
            frames_before += len(frames)
    return Recording(
        high_score=high,
        low_score=high * LOW_SCORE_SHARE,
        cameras=tuple(video.stem for video in videos),
        people=tuple(references),
        **{name: np.concatenate(parts) for name, parts in columns.items()},
    )


def _search(
    embedder: Embedder, frames: Sequence[Frame], faces: Faces, gallery: Float32, candidates: int
) -> tuple[Int64, Float32]:
    entry = np.full((len(faces), candidates), -1, np.int64)
    similarity = np.full((len(faces), candidates), -1, np.float32)
    for start in range(0, len(faces), 64):
        rows = np.arange(start, min(start + 64, len(faces)), dtype=np.int64)
        probes = np.empty((len(rows), embedder.dimension), np.float32)
        embedder.embed(embedder.align(frames, faces.select(rows)), out=probes)
        scores = probes @ gallery.T
        probes.fill(0)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :candidates]
        entry[rows, : best.shape[1]] = best
        similarity[rows, : best.shape[1]] = np.take_along_axis(scores, best, axis=1)
    return entry, similarity


def _grouped(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    group: list[Frame] = []
    for frame in frames:
        group.append(frame)
        if len(group) == _AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def write_recording(recording: Recording, path: Path) -> None:
    np.savez_compressed(path, **{each.name: getattr(recording, each.name) for each in fields(Recording)})


def read_recording(path: Path) -> Recording:
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return Recording(
        high_score=float(arrays.pop("high_score")),
        low_score=float(arrays.pop("low_score")),
        cameras=tuple(arrays.pop("cameras").tolist()),
        people=tuple(arrays.pop("people").tolist()),
        **arrays,
    )


def read_passes(path: Path) -> tuple[SubjectPass, ...]:
    """The passes in which the face can be seen at all: somebody may be covered from first to last."""
    return tuple(
        SubjectPass(
            camera=each["camera"],
            subject=each["subject"],
            is_mated=each["mated"],
            starts_s=each["starts_s"],
            ends_s=each["ends_s"],
            path=tuple((t, x1, y1, x2, y2) for t, x1, y1, x2, y2 in each["path"]),
        )
        for each in json.loads(path.read_text(encoding="utf-8"))["passes"]
        if each["path"]
    )
