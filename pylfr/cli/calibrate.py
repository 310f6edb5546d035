"""``pylfr calibrate``: a threshold that keeps a target FPIR, and the certificate that a deployment names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from pylfr._internal.atomic_file import write_result
from pylfr.cli.console import say, warn
from pylfr.cli.evaluate import templates_of_folder
from pylfr.cli.measured import MeasurerKeyOption, MeasurerOption, signed_by
from pylfr.cli.passphrase import PassphraseOption
from pylfr.cli.present import print_notices, say_runtime
from pylfr.cli.result_files import require_result_files
from pylfr.cli.tracks import TrackSetting, crowd_tracks, of_tracks, recorded_tracks, track_setting
from pylfr.deployment.recognition import preprocessing_of
from pylfr.errors import UsageError
from pylfr.evaluation.calibration import NonMated, Threshold, calibrate, search_non_mated
from pylfr.evaluation.drift import histogram_of
from pylfr.evaluation.video.tracks import TrackMaterial
from pylfr.governance.authorisation.certificates import CalibrationCertificate, CertifiedRate
from pylfr.models.store import open_store
from pylfr.runtimes.registry import choose_runtime
from pylfr.types import Arithmetic

_CLOSEST_SHOWN = 5


def calibrate_command(
    folder: Annotated[
        Path, typer.Argument(help="Photographs, one folder per person; with --truth: videos.", show_default=False)
    ],
    target_fpir: Annotated[float, typer.Option(help="False alerts per non-mated search or pass, such as 1e-3.")],
    watchlist_size: Annotated[int, typer.Option(help="People on the deployment's watchlist.", min=1)],
    detector: Annotated[str, typer.Option(help="The network that finds faces.")] = "yunet_n",
    embedder: Annotated[str, typer.Option(help="The network that compares them.")] = "face_reid_0095",
    out: Annotated[Path | None, typer.Option(help="File for the certificate (JSON).")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Calibrate tracks: FOLDER holds videos; this JSON or CSV says who passes when.")
    ] = None,
    references: Annotated[
        Path | None, typer.Option(help="With --truth: the people on the watchlist, one folder per person.")
    ] = None,
    crowd: Annotated[
        bool, typer.Option("--crowd", help="Calibrate tracks: the people of FOLDER walk past on synthetic video.")
    ] = False,
    deployment: Annotated[
        Path | None, typer.Option(help="For tracks: take [recognition] and [models] from this deployment file.")
    ] = None,
    runtime: Annotated[
        str, typer.Option(help="What runs the networks; the certificate holds for its arithmetic alone.")
    ] = "auto",
    material: Annotated[str, typer.Option(help="What the material is, in words, for the certificate.")] = "",
    days: Annotated[int, typer.Option(help="Days until the certificate expires.", min=1)] = 180,
    workers: Annotated[int, typer.Option(help="Threads; 0: one per core.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the drawn watchlists and crowds.")] = 0,
    key: MeasurerKeyOption = None,
    by: MeasurerOption = None,
    passphrase_env: PassphraseOption = None,
) -> None:
    """Find the threshold that keeps FPIR at or below the target, or say why these people cannot support it.

    From photographs, one search a person; or from tracks, one pass through the whole engine, fused as it will be.
    """
    if not 0 < target_fpir < 1:
        raise UsageError(f"--target-fpir lies between 0 and 1, got {target_fpir:g}: one in a thousand is 1e-3")
    if crowd and truth is not None:
        raise UsageError("--crowd makes its own passes and --truth names recorded ones: give one of them")
    if deployment is not None and not crowd and truth is None:
        raise UsageError("--deployment says how tracks are fused: give --truth or --crowd too")
    require_result_files({"--out": out}, inputs=[folder, truth, references, deployment, key])
    console = Console(stderr=True)
    setting = track_setting(deployment, detector, embedder, runtime)
    print_notices([setting.detector, setting.embedder], console)
    choice = choose_runtime(setting.runtime)
    say_runtime(choice, console)
    tracks: TrackMaterial | None = None
    if truth is not None:
        tracks = recorded_tracks(folder, truth, references, setting, console)
    elif crowd:
        tracks = crowd_tracks(folder, setting, watchlist_size=watchlist_size, seed=seed, console=console)
    if tracks is not None:
        non_mated, names = tracks.non_mated, tracks.names
        words, unit = f"{tracks.passes} non-mated passes, {folder.name}", "passes"
    else:
        people = templates_of_folder(folder, detector, embedder, workers=workers, console=console, runtime=choice.name)
        non_mated = search_non_mated(people, min(watchlist_size, len(people.names) // 2), seed=seed)
        names = people.names
        words, unit = f"{len(names)} people, {len(people)} pictures in {folder.name}", "searches"
    threshold = calibrate(non_mated, target_fpir, watchlist_size=watchlist_size, seed=seed)
    for warning in threshold.warnings:
        warn("notice", warning)
    _say(threshold, unit)
    for pair in _closest(non_mated, names):
        say(f"check that these are two people: {pair}")
    if out is not None:
        described = f"{material or words}; {choice.name}; {_how(threshold)}"
        certificate = _certificate(threshold, non_mated, setting, choice.arithmetic, described, days)
        if tracks is not None:
            certificate = of_tracks(certificate, tracks, setting)
        measured_on = [place for place in (folder, truth, references) if place is not None]
        certificate = signed_by(certificate, key, by, passphrase_env, material=measured_on)
        write_result(out, certificate.model_dump_json(indent=1, exclude_none=True).encode())
        say(f"certificate for {certificate.unit}: {out}, until {certificate.expires_at:%Y-%m-%d}")


def _say(threshold: Threshold, unit: str) -> None:
    say(
        f"threshold {threshold.value:.4f}: FPIR at most {threshold.target_fpir:g} with {threshold.watchlist_size:,} on "
        f"the watchlist (expected {threshold.fpir:.2g}, 95 % interval {threshold.low:.2g} to {threshold.high:.2g})"
    )
    say(
        f"best guess without that margin {threshold.best_guess:.4f}, plain quantile {threshold.empirical:.4f}; "
        f"{threshold.searched_people:,} non-mated people a draw; {threshold.alerts:,} of {threshold.searches:,} "
        f"{unit} reach it"
    )
    tail = threshold.tail
    say(
        f"tail from {tail.start:.3f} ({100 * tail.share:.1f} % of {unit}): shape {tail.shape:.2f}, scale "
        f"{tail.scale:.3f}, distance to the scores {threshold.misfit:.3f}"
    )


def _closest(non_mated: NonMated, names: Sequence[str]) -> list[str]:
    """The pairs of different names that resemble each other most: one person under two names spoils a calibration."""
    pairs: dict[frozenset[int], float] = {}
    for index in np.argsort(-non_mated.best):
        pair = frozenset((int(non_mated.person[index]), int(non_mated.entry[index])))
        pairs.setdefault(pair, float(non_mated.best[index]))
        if len(pairs) == _CLOSEST_SHOWN:
            break
    return [f"{' and '.join(names[each] for each in sorted(pair))}, {score:.3f}" for pair, score in pairs.items()]


def _how(threshold: Threshold) -> str:
    extrapolated = (
        "" if threshold.material_size == threshold.watchlist_size else f", extrapolated from {threshold.material_size}"
    )
    return (
        f"generalised Pareto tail, shape {threshold.tail.shape:.2f}{extrapolated}; "
        "value is expected, low and high its 95 % interval, the counts those of the material"
    )


def _certificate(
    threshold: Threshold, non_mated: NonMated, setting: TrackSetting, arithmetic: Arithmetic, material: str, days: int
) -> CalibrationCertificate:
    now = datetime.now(UTC).replace(microsecond=0)
    store = open_store()
    return CalibrationCertificate(
        type="calibration",
        model=store.resolve(setting.embedder).sha256,
        preprocessing=preprocessing_of(store.manifest(setting.embedder)),
        arithmetic=arithmetic,
        watchlist_size=threshold.watchlist_size,
        threshold=threshold.value,
        fpir=CertifiedRate(
            value=threshold.fpir,
            numerator=threshold.alerts,
            denominator=threshold.searches,
            low=threshold.low,
            high=threshold.high,
        ),
        material=material,
        detector=store.resolve(setting.detector).sha256,
        non_mated_best=histogram_of(non_mated.best),
        issued_at=now,
        expires_at=now + timedelta(days=days),
    )
