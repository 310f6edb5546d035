"""``pylfr calibrate``: a threshold that keeps a target FPIR, and the certificate that a deployment names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from pylfr.cli.console import say, warn
from pylfr.cli.evaluate import templates_of_folder
from pylfr.cli.present import print_notices
from pylfr.errors import ConfigError
from pylfr.evaluation.calibration import NonMated, Threshold, calibrate, search_non_mated
from pylfr.evaluation.drift import histogram_of
from pylfr.evaluation.people import PeopleTemplates
from pylfr.governance.certificates import CalibrationCertificate, Rate
from pylfr.models.store import open_store
from pylfr.terms import preprocessing_of

_CLOSEST_SHOWN = 5


def calibrate_command(
    folder: Annotated[Path, typer.Argument(help="A folder of people: one folder a person.", show_default=False)],
    target_fpir: Annotated[float, typer.Option(help="False alerts a non-mated search, such as 1e-3.")],
    watchlist_size: Annotated[int, typer.Option(help="People on the deployment's watchlist.", min=1)],
    detector: Annotated[str, typer.Option(help="The network that finds faces.")] = "yunet_n",
    embedder: Annotated[str, typer.Option(help="The network that compares them.")] = "face_reid_0095",
    out: Annotated[Path | None, typer.Option(help="Where the certificate goes (JSON).")] = None,
    material: Annotated[str, typer.Option(help="Words on what the pictures are, for the certificate.")] = "",
    days: Annotated[int, typer.Option(help="Days until the certificate expires.", min=1)] = 180,
    workers: Annotated[int, typer.Option(help="Threads; 0 for one a core.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="The same seed draws the same watchlists.")] = 0,
) -> None:
    """Find the threshold that keeps FPIR at or below the target, or say why these people cannot support it."""
    if not 0 < target_fpir < 1:
        raise ConfigError(f"--target-fpir lies between 0 and 1, got {target_fpir:g}: one in a thousand is 1e-3")
    console = Console(stderr=True)
    print_notices([detector, embedder], console)
    people = templates_of_folder(folder, detector, embedder, workers=workers, console=console)
    size = min(watchlist_size, len(people.names) // 2)
    non_mated = search_non_mated(people, size, seed=seed)
    threshold = calibrate(non_mated, target_fpir, watchlist_size=watchlist_size, seed=seed)
    for warning in threshold.warnings:
        warn("notice", warning)
    _say(threshold)
    for words in _closest(non_mated, people):
        say(f"check that these are two people: {words}")
    if out is not None:
        words = material or f"{len(people.names)} people, {len(people)} pictures in {folder.name}"
        certificate = _certificate(threshold, non_mated, people.model, embedder, f"{words}; {_how(threshold)}", days)
        out.write_text(certificate.model_dump_json(indent=1), encoding="utf-8")
        say(f"certificate: {out}, until {certificate.expires_at:%Y-%m-%d}")


def _say(threshold: Threshold) -> None:
    say(
        f"threshold {threshold.value:.4f}: FPIR at most {threshold.target_fpir:g} with {threshold.watchlist_size:,} on "
        f"the watchlist (expected {threshold.fpir:.2g}, 95 % interval {threshold.low:.2g} to {threshold.high:.2g})"
    )
    say(
        f"best guess without that margin {threshold.best_guess:.4f}, plain quantile {threshold.empirical:.4f}; "
        f"{threshold.searched_people:,} non-mated people a draw; {threshold.alerts:,} of {threshold.searches:,} "
        "searches reach it"
    )
    tail = threshold.tail
    say(
        f"tail from {tail.start:.3f} ({100 * tail.share:.1f} % of searches): shape {tail.shape:.2f}, scale "
        f"{tail.scale:.3f}, distance to the scores {threshold.misfit:.3f}"
    )


def _closest(non_mated: NonMated, people: PeopleTemplates) -> list[str]:
    """The pairs of different names that resemble each other most: one person under two names spoils a calibration."""
    pairs: dict[frozenset[int], float] = {}
    for index in np.argsort(-non_mated.best):
        pair = frozenset((int(non_mated.person[index]), int(non_mated.entry[index])))
        pairs.setdefault(pair, float(non_mated.best[index]))
        if len(pairs) == _CLOSEST_SHOWN:
            break
    return [
        f"{' and '.join(people.names[each] for each in sorted(pair))}, {score:.3f}" for pair, score in pairs.items()
    ]


def _how(threshold: Threshold) -> str:
    extrapolated = (
        "" if threshold.material_size == threshold.watchlist_size else f", extrapolated from {threshold.material_size}"
    )
    return (
        f"photographs, one search a person; generalised Pareto tail, shape {threshold.tail.shape:.2f}{extrapolated}; "
        "value is expected, low and high its 95 % interval, the counts those of the material"
    )


def _certificate(
    threshold: Threshold, non_mated: NonMated, model: str, embedder: str, material: str, days: int
) -> CalibrationCertificate:
    now = datetime.now(UTC).replace(microsecond=0)
    return CalibrationCertificate(
        type="calibration",
        model=model,
        preprocessing=preprocessing_of(open_store().manifest(embedder)),
        watchlist_size=threshold.watchlist_size,
        threshold=threshold.value,
        fpir=Rate(
            value=threshold.fpir,
            numerator=threshold.alerts,
            denominator=threshold.searches,
            low=threshold.low,
            high=threshold.high,
        ),
        material=material,
        non_mated_best=histogram_of(non_mated.best),
        issued_at=now,
        expires_at=now + timedelta(days=days),
    )
