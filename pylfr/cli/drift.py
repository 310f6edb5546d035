"""``pylfr drift``: what a deployment's cameras counted, beside what its threshold was measured on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from pylfr.cli.console import say, warn
from pylfr.engine.track_statistics import (
    CONDITIONS,
    FACE_SCORE,
    FUSED_SCORE,
    Aggregate,
    HistogramRange,
    read_aggregate,
    total,
)
from pylfr.errors import ConfigError
from pylfr.evaluation.drift import compare, compare_scores, false_alert_alarm
from pylfr.governance.authorisation.certificates import CalibrationCertificate, read_calibration


def drift(
    certificate: Annotated[Path, typer.Argument(help="The calibration certificate (JSON).", show_default=False)],
    counts: Annotated[
        list[Path],
        typer.Argument(
            help="Files that runs wrote into the folder of [aggregates], in order of time.", show_default=False
        ),
    ],
    false_alerts: Annotated[
        list[int] | None,
        typer.Option(help="Adjudicated false alerts of each file, in order: --false-alerts 0 --false-alerts 2."),
    ] = None,
) -> None:
    """Check whether a deployment still sees what its threshold was measured on; exit status 1 if not."""
    certified, _ = read_calibration(certificate)
    if not certified.non_mated_best:
        raise ConfigError(f"{certificate} holds no histogram of scores: make it anew with `pylfr calibrate`")
    periods = [read_aggregate(path) for path in counts]
    for earlier, later in pairwise(periods):
        if later.begins < earlier.begins:
            raise ConfigError(f"files must stand in order of time: {later.begins} comes after {earlier.begins}")
    found = [
        *_made_otherwise(certified, periods),
        *_scores(certified, periods),
        *_conditions(certified, periods),
        *_false_alerts(certified, periods, false_alerts),
    ]
    for each in found:
        warn("drift", each)
    if found:
        raise typer.Exit(1)
    say("no drift is seen")


def _made_otherwise(certified: CalibrationCertificate, periods: Sequence[Aggregate]) -> Iterator[str]:
    for each in periods:
        if (each.embedder, each.preprocessing) != (certified.model, certified.preprocessing):
            yield f"{each.begins:%Y-%m-%d %H:%M}: another network or preprocessing than was certified: calibrate again"
        elif certified.detector is not None and each.detector != certified.detector:
            yield f"{each.begins:%Y-%m-%d %H:%M}: another detector than was certified: calibrate again"


def _scores(certified: CalibrationCertificate, periods: Sequence[Aggregate]) -> Iterator[str]:
    """Fused scores beside a certificate of tracks, scores of the best face beside one of photographs."""
    measure = FUSED_SCORE if certified.unit == "tracks" else FACE_SCORE
    scores = total([camera for period in periods for camera in period.cameras.values()])[measure.name]
    found = compare_scores(certified.non_mated_best, scores.tolist(), threshold=certified.threshold)
    shift = found.shift
    say(
        f"{found.searches:,} tracks without an alert; {measure.name.replace('_', ' ')}: stability index "
        f"{shift.stability:.3f} (chance alone: up to {shift.chance:.3f}), distance {shift.distance:.3f}"
    )
    for share, before, now in found.quantiles:
        say(f"{100 * share:g} % of best scores lie below {now:.2f}, in the certificate below {before:.2f}")
    say(found.verdict)
    if found.calls_for_calibration:
        yield found.verdict


def _conditions(certified: CalibrationCertificate, periods: Sequence[Aggregate]) -> Iterator[str]:
    """Quality, size, sharpness and light: all cameras beside the certificate, each camera beside its first file."""
    first: dict[str, Aggregate] = {}
    for period in periods:
        when = f"{period.begins:%Y-%m-%d %H:%M}"
        if certified.conditions:
            everywhere = total(list(period.cameras.values()))
            for measure in CONDITIONS:
                said = _moved(measure, certified.conditions[measure.name], everywhere[measure.name].tolist())
                if said:
                    yield f"{when}: {said} in the certificate's material: look at the cameras, then calibrate again"
        for name, camera in period.cameras.items():
            if name not in first:
                first[name] = period
                continue
            begun = first[name].cameras[name]
            for measure in CONDITIONS:
                said = _moved(measure, begun.histograms[measure.name], camera.histograms[measure.name])
                if said:
                    yield f"{when}, camera {name}: {said} on {first[name].begins:%Y-%m-%d %H:%M}: look at the camera"


def _moved(measure: HistogramRange, before: Sequence[int], now: Sequence[int]) -> str:
    """What has moved, in words; nothing where it has not."""
    shift = compare(before, now)
    if not shift.has_moved:
        return ""
    width = (measure.high - measure.low) / measure.bins
    old, new = (measure.low + (each + 0.5) * width for each in shift.medians)
    name = measure.name.replace("_", " ")
    return f"{name} has moved (stability index {shift.stability:.2f}): its median is about {new:.3g}, it was {old:.3g}"


def _false_alerts(
    certified: CalibrationCertificate, periods: Sequence[Aggregate], counted: Sequence[int] | None
) -> Iterator[str]:
    if counted is None:
        return
    if len(counted) != len(periods):
        raise ConfigError(f"--false-alerts must be given once a file: {len(periods)} files, {len(counted)} counts")
    tracks = [sum(camera.tracks for camera in period.cameras.values()) for period in periods]
    rate = max(certified.fpir.value, 1e-9)
    expected = [rate * count for count in tracks]
    say(f"{sum(counted)} false alerts, {sum(expected):.2f} expected of {sum(tracks):,} tracks")
    alarm = false_alert_alarm(counted, expected)
    if alarm >= 0:
        yield (
            f"false alerts have risen above what was certified by {periods[alarm].begins:%Y-%m-%d %H:%M}: calibrate "
            "again before the next deployment"
        )
