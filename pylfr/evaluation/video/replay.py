"""Recordings with a known truth through the whole engine: what was compared, what alerted, and how good that is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pylfr.deployment.open import open_rehearsal
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.engine.alert_policy import EndedTrack, PossibleMatch
from pylfr.engine.observer import Comparison, Observer
from pylfr.engine.summary import Summary
from pylfr.evaluation.video.passes import Box, Compared, Fused, Raised
from pylfr.protocols import Gallery, Source
from pylfr.types import Tracks

# All recordings of a replay begin here, so that times in it are seconds from the first frame.
REPLAY_BEGAN = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VideoReplay:
    """What the engine compared, raised and fused, and its account of the run. Names, scores and boxes; no template.

    ``processor_s`` are the processor seconds of this process and its children from the first frame to the last.
    """

    compared: tuple[Compared, ...]
    raised: tuple[Raised, ...]
    fused: tuple[Fused, ...]
    summary: Summary
    processor_s: float


class ReplayRecorder(Observer):
    """Notes every face that was compared, every alert and every fused score."""

    def __init__(self) -> None:
        self.compared: list[Compared] = []
        self.raised: list[Raised] = []
        self.fused: list[Fused] = []
        self._names: dict[int, str] = {}

    def faces_compared(self, comparison: Comparison) -> None:
        tracks, candidates = comparison.tracks, comparison.candidates
        for place, row in enumerate(comparison.rows.tolist()):
            listed = candidates.entry[place] >= 0
            names = [self._name(entry, comparison.gallery) for entry in candidates.entry[place][listed].tolist()]
            frame = comparison.batch.frames[tracks.faces.frame_index[row]]
            self.compared.append(
                Compared(
                    camera=frame.camera,
                    track_id=int(tracks.track_id[row]),
                    at_s=(frame.captured_at - REPLAY_BEGAN).total_seconds(),
                    box=_box(tracks, row),
                    quality=float(tracks.quality.score[row]),
                    interocular_px=float(tracks.quality.interocular_px[row]),
                    sharpness=float(tracks.quality.sharpness[row]),
                    brightness=float(tracks.quality.brightness[row]),
                    turn_deg=float(max(abs(tracks.quality.yaw[row]), abs(tracks.quality.pitch[row]))),
                    candidates=tuple(zip(names, candidates.scores[place][listed].tolist(), strict=True)),
                    is_full=bool(listed.all()),
                )
            )

    def matches_decided(self, comparison: Comparison, matches: Sequence[PossibleMatch]) -> None:
        for match in matches:
            frame = comparison.batch.frames[comparison.tracks.faces.frame_index[match.row]]
            self.raised.append(
                Raised(
                    camera=match.key.camera,
                    track_id=match.key.track_id,
                    at_s=(frame.captured_at - REPLAY_BEGAN).total_seconds(),
                    box=_box(comparison.tracks, match.row),
                    entry=self._name(match.entry, comparison.gallery),
                    score=match.score,
                )
            )

    def tracks_ended(self, ended: Sequence[EndedTrack]) -> None:
        self.fused += [
            Fused(
                camera=track.key.camera,
                track_id=track.key.track_id,
                score=track.best_score,
                entry=None if track.best_entry is None else self._names[track.best_entry],
            )
            for track in ended
        ]

    def _name(self, entry: int, gallery: Gallery) -> str:
        if entry not in self._names:
            self._names[entry] = gallery.reference(entry).name
        return self._names[entry]


def run_replay(
    videos: Sequence[Path | Source],
    people: Mapping[str, Sequence[Path]],
    *,
    detector: str,
    embedder: str,
    recognition: RecognitionSection | None = None,
    runtime: str = "auto",
    threads: int = 0,
    aggregates: Path | None = None,
) -> VideoReplay:
    """Run ``videos`` against ``people`` as a rehearsal. Cameras are named by the videos' stems.

    A source among them must begin at ``REPLAY_BEGAN``; ``aggregates`` is a folder for counts over tracks.
    Raises what ``open_rehearsal`` raises; a video that breaks off is named in ``summary.errors``.
    """
    recorder = ReplayRecorder()
    engine = open_rehearsal(
        videos,
        people,
        detector=detector,
        embedder=embedder,
        recognition=recognition,
        runtime=runtime,
        threads=threads,
        started_at=REPLAY_BEGAN,
        aggregates=aggregates,
        observers=(recorder,),
    )
    before = processor_s()
    for _ in engine.run():
        pass
    used_s = processor_s() - before
    return VideoReplay(
        compared=tuple(recorder.compared),
        raised=tuple(recorder.raised),
        fused=tuple(recorder.fused),
        summary=engine.summary(),
        processor_s=used_s,
    )


def processor_s() -> float:
    """Processor seconds so far of this process, and of its children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _box(tracks: Tracks, row: int) -> Box:
    x1, y1, x2, y2 = tracks.faces.boxes[row].tolist()
    return x1, y1, x2, y2
