"""``pylfr try``: the main job in one line, on recorded material. A rehearsal: no authorisation, nothing kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pylfr.cli.present import chosen_network, chosen_runtime, print_alert, print_notices, print_summary, running
from pylfr.deployment.open import open_rehearsal
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.errors import ConfigError
from pylfr.protocols import Sink
from pylfr.sinks.evidence import open_evidence
from pylfr.sinks.jsonl import open_jsonl
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
        float | None, typer.Option(help="Cosine from -1 to 1; unset: the embedder's own suggestion, uncalibrated.")
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

    The exit status is 0 only if every video was read to its end.
    """
    console = Console(stderr=True)
    people = _people(person)
    _check_inputs(videos, people, json_file, detect_hz)
    finder = chosen_network("detect", detector, console)
    comparer = chosen_network("embed", embedder, console)
    print_notices([finder, comparer], console)
    if device not in ("cpu", "cuda"):
        raise ConfigError(f"--device must be cpu or cuda, got {device!r}")
    if threshold is not None and not -1 <= threshold <= 1:
        raise ConfigError(f"--threshold is a cosine from -1 to 1, got {threshold:g}: it is not a percentage")
    chosen: Device = "cpu" if device == "cpu" else "cuda"
    fastest = chosen_runtime(runtime, chosen, console)
    # Written beside, and renamed at the end: what was there stays until there is something to replace it.
    written = None if json_file is None else json_file.with_name(f".{json_file.name}.{os.getpid()}.part")
    try:
        sinks: list[Sink] = [open_jsonl(written)] if written is not None else []
        if out is not None:
            sinks.append(open_evidence(out))
        engine = open_rehearsal(
            videos,
            people,
            detector=finder,
            embedder=comparer,
            recognition=RecognitionSection(threshold=threshold, detect_hz=detect_hz),
            device=chosen,
            runtime=fastest,
            sinks=sinks,
        )
        with running(engine, console):
            for recorded in engine.run():
                print_alert(recorded.value, console)
        summary = engine.summary()
        if json_file is not None and written is not None:
            with written.open("a", encoding="utf-8") as file:
                file.write(summary.to_json() + "\n")
            written.replace(json_file)
    finally:
        if written is not None:
            written.unlink(missing_ok=True)
    print_summary(summary, console)
    if summary.errors:
        raise typer.Exit(1)


def _check_inputs(
    videos: Sequence[Path], people: Mapping[str, Sequence[Path]], json_file: Path | None, detect_hz: float
) -> None:
    """Raise ``ConfigError`` for what cannot be meant, before anything is opened or written."""
    for video in videos:
        # A path has lost one of the two strokes of an address.
        scheme, colon, _ = str(video).partition(":/")
        if colon and scheme in ("rtsp", "rtsps", "http", "https", "srt", "rtmp", "v4l2"):
            raise ConfigError(
                f"rehearsals are for recordings, got the address of a live camera ({scheme}://): record it first, or "
                "run a deployment (`pylfr run`)"
            )
    if not detect_hz > 0:
        raise ConfigError(f"--detect-hz must be more than 0 detections a second, got {detect_hz:g}")
    inputs = [*videos, *(image for images in people.values() for image in images)]
    if json_file is not None and any(_is_same(json_file, each) for each in inputs):
        raise ConfigError(f"--json must be a file of its own, got {json_file}, which is an input")


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def _people(given: Sequence[str]) -> dict[str, list[Path]]:
    """NAME=IMAGE pairs by name, in the order given."""
    people: dict[str, list[Path]] = {}
    for pair in given:
        name, separator, image = pair.partition("=")
        if not separator or not name or not image:
            raise ConfigError(f"--person must be NAME=IMAGE, got {pair!r}: for example --person 'Ada=ada.jpg'")
        people.setdefault(name, []).append(Path(image))
    return people
