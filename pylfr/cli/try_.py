"""``pylfr try``: the main job in one line, on recorded material. A rehearsal: no authorisation, nothing kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pylfr._internal.atomic_file import write_result
from pylfr._internal.names import name_fault
from pylfr.cli.present import (
    chosen_network,
    chosen_runtime,
    print_alert,
    print_notice,
    print_notices,
    print_summary,
    running,
    signal_status,
)
from pylfr.cli.result_files import require_result_files, require_result_folder
from pylfr.deployment.open import open_rehearsal
from pylfr.deployment.recognition import threshold_in_words
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.errors import UsageError
from pylfr.models.store import open_store
from pylfr.sinks.evidence import open_evidence
from pylfr.sinks.record import alert_json
from pylfr.types import Device


def try_(
    videos: Annotated[
        list[Path], typer.Argument(help="Recorded videos; each plays the part of one camera.", show_default=False)
    ],
    person: Annotated[
        list[str],
        typer.Option(
            help="Somebody to look for, NAME=IMAGE; repeat for more people or more images.", show_default=False
        ),
    ],
    detector: Annotated[
        str | None, typer.Option(help="The network that finds faces.", show_default="best on this machine")
    ] = None,
    embedder: Annotated[
        str | None, typer.Option(help="The network that compares them.", show_default="best on this machine")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Cosine from -1 to 1; unset: the embedder's suggestion for so many people, uncalibrated."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; never falls back.")] = "cpu",
    runtime: Annotated[
        str, typer.Option(help="onnx, openvino, openvino-bf16 or torch; auto takes the fastest.")
    ] = "auto",
    detect_hz: Annotated[float, typer.Option(help="Detections per second of video.")] = 8.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write JSON lines: every alert, then the summary.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for evidence pictures, one per alert.")] = None,
) -> None:
    """Look for people in recorded videos: a rehearsal. An alert is a possible match for a person to review.

    The exit status is 0 only if every video was read to its end; 130 after Ctrl-C.
    """
    console = Console(stderr=True)
    if device not in ("cpu", "cuda"):
        raise UsageError(f"--device must be cpu or cuda, got {device!r}")
    if threshold is not None and not -1 <= threshold <= 1:
        raise UsageError(f"--threshold is a cosine from -1 to 1, got {threshold:g}: it is not a percentage")
    people = _people(person)
    _check_inputs(videos, people, json_file, out, detect_hz)
    finder = chosen_network("detect", detector, console)
    comparer = chosen_network("embed", embedder, console)
    print_notices([finder, comparer], console)
    recognition = RecognitionSection(threshold=threshold, detect_hz=detect_hz)
    references = sum(len(images) for images in people.values())
    print_notice(threshold_in_words(recognition, open_store().manifest(comparer), references=references), console)
    chosen: Device = "cpu" if device == "cpu" else "cuda"
    fastest = chosen_runtime(runtime, chosen, console)
    engine = open_rehearsal(
        videos,
        people,
        detector=finder,
        embedder=comparer,
        recognition=recognition,
        device=chosen,
        runtime=fastest,
        sinks=[open_evidence(out)] if out is not None else [],
    )
    lines = []
    with running(engine, console):
        for recorded in engine.run():
            lines.append(alert_json(recorded, pictures=False))
            print_alert(recorded.value, console)
    summary = engine.summary()
    if json_file is not None:
        # Not before the end: what an earlier run left stays until there is something to replace it.
        write_result(json_file, "".join(f"{line}\n" for line in (*lines, summary.to_json())).encode(), is_private=True)
    print_summary(summary, console)
    if signal_status(summary):
        raise typer.Exit(signal_status(summary))
    if summary.errors:
        raise typer.Exit(1)


def _check_inputs(
    videos: Sequence[Path],
    people: Mapping[str, Sequence[Path]],
    json_file: Path | None,
    out: Path | None,
    detect_hz: float,
) -> None:
    """Raise ``UsageError`` for what cannot be meant, before anything is opened or written."""
    for video in videos:
        # A path has lost one of the two strokes of an address.
        scheme, colon, _ = str(video).partition(":/")
        if colon and scheme in ("rtsp", "rtsps", "http", "https", "srt", "rtmp", "v4l2"):
            raise UsageError(
                f"rehearsals are for recordings, got the address of a live camera ({scheme}://): record it first, or "
                "run a deployment (`pylfr run`)"
            )
    if not detect_hz > 0:
        raise UsageError(f"--detect-hz must be more than 0 detections a second, got {detect_hz:g}")
    inputs = [*videos, *(image for images in people.values() for image in images)]
    require_result_files({"--json": json_file}, inputs=inputs)
    require_result_folder("--out", out, inputs=inputs)


def _people(given: Sequence[str]) -> dict[str, list[Path]]:
    """NAME=IMAGE pairs by name, in the order given."""
    people: dict[str, list[Path]] = {}
    for pair in given:
        name, separator, image = pair.partition("=")
        if not separator or not name or not image:
            raise UsageError(f"--person must be NAME=IMAGE, got {pair!r}: for example --person 'Ada=ada.jpg'")
        if (fault := name_fault(name)) is not None:
            raise UsageError(f"--person: a name {fault}, got {name!r}")
        people.setdefault(name, []).append(Path(image))
    return people
