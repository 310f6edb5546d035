"""``pylfr evaluate``: how accurate a pair of networks is on a folder of people, with intervals and a report."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pylfr._internal.atomic_file import write_result
from pylfr.cli.console import say, warn
from pylfr.cli.measured import MeasurerKeyOption, MeasurerOption, signed_by
from pylfr.cli.passes import evaluate_passes
from pylfr.cli.passphrase import PassphraseOption
from pylfr.cli.present import print_notices
from pylfr.cli.result_files import require_result_files, require_result_folder
from pylfr.deployment.recognition import preprocessing_of
from pylfr.errors import ConfigError, UsageError
from pylfr.evaluation.cohorts import CohortReport, compare_groups, read_groups
from pylfr.evaluation.images.evaluation import Evaluation, as_json, measure_identification
from pylfr.evaluation.images.identification import Identification
from pylfr.evaluation.images.people import PeopleTemplates, list_photographs, make_templates
from pylfr.evaluation.images.verification import (
    TenFold,
    acquisition,
    draw_pairs,
    pair_scores,
    read_pairs,
    roc,
    ten_fold,
)
from pylfr.evaluation.report import write_report
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.governance.authorisation.certificates import CertifiedRate, CohortCertificate
from pylfr.models.store import open_store
from pylfr.runtimes.registry import choose_runtime
from pylfr.types import Arithmetic

_DEFAULT_SIZES = (100, 500)
_NAMED_IN_TERMINAL = 5


def evaluate(
    folder: Annotated[Path, typer.Argument(help="Photographs, one folder per person; with --truth: videos.")],
    detector: Annotated[str, typer.Option(help="The network that finds faces.")] = "yunet_n",
    embedder: Annotated[str, typer.Option(help="The network that compares them.")] = "face_reid_0095",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every number as JSON.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the report: HTML, Markdown, CSV, figures.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="Pair list in LFW's format; unset: pairs are drawn.")] = None,
    watchlist_size: Annotated[
        list[int] | None, typer.Option(help="People enrolled; repeat for more sizes.", show_default="100 and 500")
    ] = None,
    splits: Annotated[int, typer.Option(help="Random draws of who is enrolled.", min=1)] = 10,
    groups: Annotated[Path | None, typer.Option(help="CSV with the columns person and group: your own labels.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="The deployed threshold, for groups; unset: that of FPIR 1 %.")
    ] = None,
    cohort_certificate: Annotated[
        Path | None, typer.Option(help="With --groups: file for the cohort certificate (JSON).")
    ] = None,
    conclusion: Annotated[
        str, typer.Option(help="Your conclusion about the groups, in words, for the certificate.")
    ] = "",
    days: Annotated[int, typer.Option(help="Days until the cohort certificate expires.", min=1)] = 365,
    truth: Annotated[
        Path | None, typer.Option(help="FOLDER holds videos; this JSON or CSV says who passes when.")
    ] = None,
    references: Annotated[
        Path | None, typer.Option(help="With --truth: a folder of the people on the watchlist.")
    ] = None,
    runtime: Annotated[
        str, typer.Option(help="What runs the networks; a cohort certificate holds for its arithmetic only.")
    ] = "auto",
    workers: Annotated[int, typer.Option(help="Threads; 0: one per core.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the drawn splits.")] = 0,
    key: MeasurerKeyOption = None,
    by: MeasurerOption = None,
    passphrase_env: PassphraseOption = None,
) -> None:
    """Measure verification and open-set identification on a folder of people, or passes on videos (--truth)."""
    files = {"--json": json_file, "--cohort-certificate": cohort_certificate}
    inputs = [folder, pairs, groups, truth, references, key]
    require_result_files(files, inputs=inputs)
    require_result_folder("--out", out, inputs=inputs)
    console = Console(stderr=True)
    print_notices([detector, embedder], console)
    if truth is not None:
        photographs = {"--out": out, "--cohort-certificate": cohort_certificate, "--groups": groups, "--pairs": pairs}
        for option, given in photographs.items():
            if given is not None:
                raise UsageError(f"{option} is for photographs: leave it out where --truth names the passes of videos")
        evaluate_passes(
            folder,
            truth,
            references,
            detector=detector,
            embedder=embedder,
            threshold=threshold,
            runtime=runtime,
            json_file=json_file,
            console=console,
        )
        return
    if cohort_certificate is not None and (groups is None or not conclusion.strip()):
        raise UsageError("a cohort certificate needs --groups and --conclusion: somebody has to say what follows")
    group_of = read_groups(groups) if groups is not None else None
    began = time.perf_counter()
    choice = choose_runtime(runtime)
    people = templates_of_folder(folder, detector, embedder, workers=workers, console=console, runtime=choice.name)
    sizes = _sizes(watchlist_size, people)
    store = open_store()
    verification, missing = _verification(people, pairs, seed)
    identification = measure_identification(people, sizes, splits=splits, seed=seed) if sizes else ()
    evaluation = Evaluation(
        detector=detector,
        embedder=embedder,
        runtime=choice.name,
        detector_sha256=store.resolve(detector).sha256,
        embedder_sha256=people.model,
        source=folder.resolve().name,
        people=len(people.names),
        pictures=len(people),
        unreadable=people.unreadable,
        fta=acquisition(people),
        verification=verification,
        verification_missing=missing,
        roc=roc(people, seed=seed),
        identification=identification,
        cohorts=_cohorts(people, group_of, identification, threshold, seed),
        seconds=time.perf_counter() - began,
        made_at=datetime.now(UTC),
    )
    _print(evaluation)
    if cohort_certificate is not None and evaluation.cohorts is not None:
        certificate = _cohort_certificate(
            evaluation.cohorts, people.model, embedder, choice.arithmetic, conclusion, days
        )
        measured_on = [place for place in (folder, groups) if place is not None]
        results = hashlib.sha256(as_json(evaluation).encode()).hexdigest()
        certificate = signed_by(certificate, key, by, passphrase_env, material=measured_on, result_sha256=results)
        write_result(cohort_certificate, certificate.model_dump_json(indent=1).encode())
        say(f"cohort certificate: {cohort_certificate}, until {certificate.expires_at:%Y-%m-%d}")
    if json_file is not None:
        write_result(json_file, as_json(evaluation).encode(), is_private=evaluation.names_people)
    if out is not None:
        write_report(evaluation, out)
        say(f"report: {out / 'report.html'}")


def templates_of_folder(
    folder: Path, detector: str, embedder: str, *, workers: int, console: Console, runtime: str = "onnx"
) -> PeopleTemplates:
    """The templates of a folder of people, with a progress bar; what could not be read is named and counted."""
    photographs = list_photographs(folder)
    with Progress(
        TextColumn("detect, align, embed"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    ) as progress:
        task = progress.add_task("", total=len(photographs))
        people = make_templates(
            photographs,
            lambda: (
                open_detector(detector, runtime=runtime, threads=1),
                open_embedder(embedder, runtime=runtime, threads=1),
            ),
            workers=workers,
            progress=lambda done: progress.advance(task, done),
        )
    for reason in people.unreadable[:_NAMED_IN_TERMINAL]:
        warn("notice", f"skipped: {reason}")
    if len(people.unreadable) > _NAMED_IN_TERMINAL:
        warn("notice", f"skipped {len(people.unreadable)} files in all; the JSON and the report name every one")
    return people


def _sizes(asked: Sequence[int] | None, people: PeopleTemplates) -> Sequence[int]:
    """The sizes asked for, or of the usual ones those that leave half of the people non-mated."""
    if asked:
        return asked
    usual = [size for size in _DEFAULT_SIZES if 2 * size <= len(people.names)]
    return usual or ([len(people.names) // 2] if len(people.names) > 1 else [])


def _verification(people: PeopleTemplates, pairs: Path | None, seed: int) -> tuple[TenFold | None, str]:
    try:
        chosen = draw_pairs(people, seed=seed) if pairs is None else read_pairs(pairs, people)
    except ConfigError as error:
        if pairs is not None:
            raise
        return None, str(error)
    return ten_fold(pair_scores(people, chosen), chosen), ""


def _cohorts(
    people: PeopleTemplates,
    group_of: dict[str, str] | None,
    identification: Sequence[Identification],
    threshold: float | None,
    seed: int,
) -> CohortReport | None:
    if group_of is None:
        return None
    if not identification:
        raise ConfigError("groups are compared at a watchlist size, and the folder is too small for any")
    first = identification[0]
    if threshold is None:
        if not first.points:
            raise ConfigError("the material supports no target FPIR: give --threshold to compare the groups at")
        threshold = min(first.points, key=lambda point: abs(point.target_fpir - 0.01)).threshold
    return compare_groups(people, group_of, threshold=threshold, watchlist_size=first.watchlist_size, seed=seed)


def _cohort_certificate(
    report: CohortReport, model: str, embedder: str, arithmetic: Arithmetic, conclusion: str, days: int
) -> CohortCertificate:
    now = datetime.now(UTC).replace(microsecond=0)
    return CohortCertificate(
        type="cohorts",
        model=model,
        preprocessing=preprocessing_of(open_store().manifest(embedder)),
        arithmetic=arithmetic,
        threshold=report.threshold,
        groups={
            each.group: CertifiedRate(
                value=each.fpir.value or 0.0,
                numerator=each.fpir.numerator,
                denominator=each.fpir.denominator,
                low=each.fpir.low,
                high=each.fpir.high,
            )
            for each in report.groups
        },
        conclusion=conclusion,
        issued_at=now,
        expires_at=now + timedelta(days=days),
    )


def _print(evaluation: Evaluation) -> None:
    say(
        f"{evaluation.embedder} behind {evaluation.detector}: {evaluation.people:,} people, "
        f"{evaluation.pictures:,} pictures, {len(evaluation.unreadable)} skipped; FTA {evaluation.fta}"
    )
    if evaluation.verification is not None:
        say(f"verification: accuracy {evaluation.verification.accuracy}")
    else:
        say(f"verification: not measured, {evaluation.verification_missing}")
    for each in evaluation.identification:
        for point in each.points:
            say(f"N = {each.watchlist_size:,}, FPIR {point.fpir}: TPIR {point.tpir}, threshold {point.threshold:.3f}")
        for reason in each.unsupported:
            say(f"N = {each.watchlist_size:,}: {reason}")
    if evaluation.cohorts is not None:
        for group in evaluation.cohorts.groups:
            caution = f" ({group.caution})" if group.caution else ""
            say(f"group {group.group}: FPIR {group.fpir}, TPIR {group.tpir}{caution}")
