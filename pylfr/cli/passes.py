"""``pylfr evaluate --truth``: recordings whose passes are known, through the whole engine, scored by pass."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from rich.console import Console

from pylfr._internal.atomic_file import write_result
from pylfr.cli.console import say, warn
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.errors import ConfigError
from pylfr.evaluation.images.people import list_photographs
from pylfr.evaluation.statistics.rates import Rate
from pylfr.evaluation.video.passes import PassRates, SubjectPass, read_truth, score_passes
from pylfr.evaluation.video.replay import VideoReplay, run_replay

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm", ".ts"})


def evaluate_passes(
    folder: Path,
    truth_file: Path,
    references: Path | None,
    *,
    detector: str,
    embedder: str,
    threshold: float | None,
    runtime: str,
    json_file: Path | None,
    console: Console,
) -> None:
    """Score the videos of ``folder``, whose stems are the truth's cameras, against the people in ``references``."""
    people = people_of(references)
    videos = videos_of(folder)
    truth = read_truth(truth_file, [each.stem for each in videos])
    unknown = sorted({each.subject for each in truth if each.is_mated} - set(people))
    if unknown:
        raise ConfigError(f"{truth_file}: {unknown[0]!r} is mated, but {references} has no folder of that name")
    with console.status(f"{len(videos)} videos through the whole engine"):
        replay = run_replay(
            videos,
            people,
            detector=detector,
            embedder=embedder,
            recognition=RecognitionSection(threshold=threshold),
            runtime=runtime,
        )
    for error in replay.summary.errors:
        warn("notice", error)
    rates = score_passes(truth, replay.compared, replay.raised)
    _say(rates, truth, replay)
    if json_file is not None:
        write_result(json_file, _as_json(rates, truth, replay, len(people)).encode())


def videos_of(folder: Path) -> list[Path]:
    """The videos in ``folder``, in order. Raises ``ConfigError`` where there are none."""
    videos = (
        sorted(each for each in folder.iterdir() if each.suffix.lower() in VIDEO_SUFFIXES) if folder.is_dir() else []
    )
    if not videos:
        raise ConfigError(f"{folder} must hold videos ({', '.join(sorted(VIDEO_SUFFIXES))}) where --truth is given")
    return videos


def people_of(references: Path | None) -> dict[str, list[Path]]:
    """The pictures of everybody on the watchlist. Raises ``ConfigError`` where no folder of them is given."""
    if references is None:
        raise ConfigError("--truth needs --references: a folder of the people on the watchlist, one folder a person")
    people: dict[str, list[Path]] = {}
    for photograph in list_photographs(references):
        people.setdefault(photograph.person, []).append(photograph.path)
    return people


def _say(rates: PassRates, truth: tuple[SubjectPass, ...], replay: VideoReplay) -> None:
    say(f"{len(truth)} passes, {replay.summary.frames:,} frames, threshold {replay.summary.threshold:.3f}")
    say(f"TPIR {rates.tpir}, FPIR {rates.fpir}; by track, FPIR {rates.fpir_by_track}")
    say(
        f"{rates.alerts} alerts, {rates.false_alerts} false ({_number(rates.false_alerts_per_1000_faces)} per 1,000 "
        f"faces), {rates.strays} of no known pass; {rates.unseen} passes unseen"
    )
    say(
        f"tracks a pass {_number(rates.fragmentation)}; time to alert "
        f"{'no right alert' if rates.time_to_alert_s is None else f'{rates.time_to_alert_s:.2f} s (median)'}"
    )


def _number(value: float | None) -> str:
    return "no data" if value is None else f"{value:.2f}"


def _as_json(rates: PassRates, truth: tuple[SubjectPass, ...], replay: VideoReplay, watchlist_size: int) -> str:
    values = {field.name: getattr(rates, field.name) for field in fields(rates)}
    return json.dumps(
        {
            "type": "passes",
            "passes": len(truth),
            "watchlist_size": watchlist_size,
            "threshold": replay.summary.threshold,
            "detector": replay.summary.detector,
            "embedder": replay.summary.embedder,
            "runtime": replay.summary.runtime,
            **{name: value.as_json() if isinstance(value, Rate) else value for name, value in values.items()},
            "errors": list(replay.summary.errors),
        },
        indent=1,
        allow_nan=False,
    )
