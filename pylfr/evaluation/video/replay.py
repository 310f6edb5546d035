"""Recordings with a known truth through the whole engine: what was compared, what alerted, and how good that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pylfr.deployment.config import RecognitionSection
from pylfr.deployment.open import open_rehearsal
from pylfr.engine.alert_policy import AlertPolicy, AlertRules, EndedTrack, PossibleMatch
from pylfr.engine.engine import Stages
from pylfr.engine.summary import Summary
from pylfr.evaluation.video.passes import Box, Compared, Fused, Raised
from pylfr.faces.track import TrackKey
from pylfr.protocols import Gallery, GallerySource, Source
from pylfr.types import Candidates, FrameBatch, Int64, Tracks

# All recordings of a trial begin here, so that times in it are seconds from the first frame.
TRIAL_BEGAN = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """What the engine compared, raised and fused, and its account of the run. Names, scores and boxes; no template."""

    compared: tuple[Compared, ...]
    raised: tuple[Raised, ...]
    fused: tuple[Fused, ...]
    summary: Summary


class TrialDesk(AlertPolicy):
    """Decides as the engine does, and notes every face that was compared and every alert."""

    def __init__(self, rules: AlertRules, gallery: GallerySource) -> None:
        super().__init__(rules)
        self.compared: list[Compared] = []
        self.raised: list[Raised] = []
        self.fused: list[Fused] = []
        self._gallery = gallery
        self._names: dict[int, str] = {}

    def decide(self, batch: FrameBatch, tracks: Tracks, rows: Int64, candidates: Candidates) -> list[PossibleMatch]:
        gallery = self._gallery.snapshot()
        for place, row in enumerate(rows.tolist()):
            listed = candidates.entry[place] >= 0
            names = [self._name(entry, gallery) for entry in candidates.entry[place][listed].tolist()]
            frame = batch.frames[tracks.faces.frame_index[row]]
            self.compared.append(
                Compared(
                    camera=frame.camera,
                    track_id=int(tracks.track_id[row]),
                    at_s=(frame.captured_at - TRIAL_BEGAN).total_seconds(),
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
        matches = super().decide(batch, tracks, rows, candidates)
        for match in matches:
            frame = batch.frames[tracks.faces.frame_index[match.row]]
            self.raised.append(
                Raised(
                    camera=match.key.camera,
                    track_id=match.key.track_id,
                    at_s=(frame.captured_at - TRIAL_BEGAN).total_seconds(),
                    box=_box(tracks, match.row),
                    entry=self._name(match.entry, gallery),
                    score=match.score,
                )
            )
        return matches

    def forget(self, ended: Iterable[TrackKey]) -> list[EndedTrack]:
        closed = super().forget(ended)
        self.fused += [
            Fused(
                camera=track.key.camera,
                track_id=track.key.track_id,
                score=track.best_score,
                entry=None if track.best_entry is None else self._names[track.best_entry],
            )
            for track in closed
        ]
        return closed

    def _name(self, entry: int, gallery: Gallery) -> str:
        if entry not in self._names:
            self._names[entry] = gallery.reference(entry).name
        return self._names[entry]


def run_trial(
    videos: Sequence[Path | Source],
    people: Mapping[str, Sequence[Path]],
    *,
    detector: str,
    embedder: str,
    recognition: RecognitionSection | None = None,
    runtime: str = "auto",
    threads: int = 0,
    aggregates: Path | None = None,
    watch: Callable[[Stages], None] = lambda _: None,
) -> Trial:
    """Run ``videos`` against ``people`` as a rehearsal. Cameras are named by the videos' stems.

    A source among them must begin at ``TRIAL_BEGAN``; ``aggregates`` is a folder for counts over tracks; ``watch`` is
    shown the stages before it runs.

    Raises what ``open_rehearsal`` raises; a video that breaks off is named in ``summary.errors``.
    """
    desks: list[TrialDesk] = []

    def make_desk(rules: AlertRules, gallery: GallerySource) -> AlertPolicy:
        desks.append(TrialDesk(rules, gallery))
        return desks[-1]

    engine = open_rehearsal(
        videos,
        people,
        detector=detector,
        embedder=embedder,
        recognition=recognition,
        runtime=runtime,
        threads=threads,
        started_at=TRIAL_BEGAN,
        aggregates=aggregates,
        make_desk=make_desk,
        watch=watch,
    )
    for _ in engine.run():
        pass
    (desk,) = desks
    return Trial(
        compared=tuple(desk.compared), raised=tuple(desk.raised), fused=tuple(desk.fused), summary=engine.summary()
    )


def _box(tracks: Tracks, row: int) -> Box:
    x1, y1, x2, y2 = tracks.faces.boxes[row].tolist()
    return x1, y1, x2, y2
