"""``pylfr calibrate --truth`` and ``--crowd``: passes through the whole engine, to calibrate what a track fuses."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pylfr.cli.console import warn
from pylfr.cli.passes import people_of, videos_of
from pylfr.deployment.config import read_deployment
from pylfr.deployment.recognition import fusion_rules_of
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.errors import ConfigError
from pylfr.evaluation.crowd.cast import Roles, cast_crowd, cut_heads
from pylfr.evaluation.crowd.crowd import plan_crowd
from pylfr.evaluation.crowd.source import CrowdSource
from pylfr.evaluation.images.people import list_photographs
from pylfr.evaluation.video.passes import SubjectPass, read_truth
from pylfr.evaluation.video.replay import REPLAY_BEGAN, run_replay
from pylfr.evaluation.video.tracks import TrackMaterial, non_mated_tracks, require_non_mated
from pylfr.faces.detect import open_detector
from pylfr.governance.authorisation.certificates import CalibrationCertificate
from pylfr.protocols import Source

# So many walkers to a synthetic camera.
_PASSES_A_CAMERA = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSetting:
    """What a track is recognised with: the networks, and how its faces are chosen and fused."""

    detector: str
    embedder: str
    recognition: RecognitionSection
    runtime: str


def track_setting(deployment: Path | None, detector: str, embedder: str, runtime: str) -> TrackSetting:
    """The setting of a deployment file, or the usual one for two networks; ``runtime`` is taken where it is named."""
    if deployment is None:
        return TrackSetting(detector=detector, embedder=embedder, recognition=RecognitionSection(), runtime=runtime)
    described = read_deployment(deployment)
    if described.models.side_px is not None:
        raise ConfigError("tracks are measured at the detector's own size: leave [models] side_px out")
    if described.models.device != "cpu":
        raise ConfigError(f"tracks are measured on the CPU, {deployment} has device {described.models.device!r}")
    return TrackSetting(
        detector=described.models.detector,
        embedder=described.models.embedder,
        recognition=described.recognition,
        runtime=described.models.runtime if runtime == "auto" else runtime,
    )


def recorded_tracks(
    folder: Path, truth_file: Path, references: Path | None, setting: TrackSetting, console: Console
) -> TrackMaterial:
    """The non-mated passes of recorded videos, searched for on the watchlist of ``references``."""
    people = people_of(references)
    videos = videos_of(folder)
    truth = read_truth(truth_file, [each.stem for each in videos])
    # Before hours of video, not after them.
    require_non_mated(truth)
    with console.status(f"{len(videos)} videos through the whole engine"):
        return _run(videos, people, truth, setting)


def crowd_tracks(
    folder: Path, setting: TrackSetting, *, watchlist_size: int, seed: int, console: Console
) -> TrackMaterial:
    """Synthetic passes: some people of ``folder`` are on the watchlist, everybody else walks by once."""
    photographs = list_photographs(folder)
    with console.status(f"cut heads from {len(photographs):,} photographs"):
        heads = cut_heads(open_detector(setting.detector), photographs)
    size = min(watchlist_size, len(heads) // 2)
    with tempfile.TemporaryDirectory(prefix="pylfr-crowd-") as place:
        cast = cast_crowd(heads, Path(place), Roles(mated=0, non_mated=len(heads) - size, fillers=size), seed=seed)
        sources: list[Source] = []
        truth: list[SubjectPass] = []
        for number, start in enumerate(range(0, len(cast.walkers), _PASSES_A_CAMERA)):
            scene = plan_crowd(cast.walkers[start : start + _PASSES_A_CAMERA], seed=seed + number)
            camera = f"crowd-{number:03d}"
            sources.append(CrowdSource(scene, camera=camera, started_at=REPLAY_BEGAN))
            truth += scene.truth(camera)
        with console.status(f"{len(truth):,} passes through the whole engine"):
            return _run(sources, {name: [path] for name, path in cast.references.items()}, truth, setting)


def of_tracks(
    certificate: CalibrationCertificate, found: TrackMaterial, setting: TrackSetting
) -> CalibrationCertificate:
    """The certificate, bound to the way in which tracks were fused, with what the cameras saw."""
    fields = certificate.model_dump() | {
        "unit": "tracks",
        "rules": fusion_rules_of(setting.recognition),
        "conditions": dict(found.conditions),
    }
    return CalibrationCertificate.model_validate(fields)


def _run(
    videos: Sequence[Path | Source],
    people: Mapping[str, Sequence[Path]],
    truth: Sequence[SubjectPass],
    setting: TrackSetting,
) -> TrackMaterial:
    # Nothing may alert: an alert would be cooled down, and it is the scores that are wanted.
    replay = run_replay(
        videos,
        people,
        detector=setting.detector,
        embedder=setting.embedder,
        recognition=setting.recognition.model_copy(update={"threshold": 1.0}),
        runtime=setting.runtime,
    )
    for error in replay.summary.errors:
        warn("notice", error)
    return non_mated_tracks(truth, replay.compared, replay.fused, list(people))
