"""``pylfr size``: how many cameras this machine holds, found by running them, not by a formula."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import av
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from pylfr._internal.atomic_file import write_result
from pylfr._internal.heap import give_back_large_blocks
from pylfr.cli.console import escape, results, say, tell, warn
from pylfr.cli.present import chosen_network, print_notices
from pylfr.cli.result_files import require_result_files
from pylfr.deployment.sections.recognition import BatchSection, RecognitionSection
from pylfr.errors import MediaError, UsageError
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.sizing.capacity import TRACED_S, size_machine
from pylfr.sizing.footage import ClipRules, Codec, find_portraits, make_clip
from pylfr.sizing.gpu_plan import Demand, GpuPlan, plan_for_gpu, read_gpu_rates
from pylfr.sizing.load import Moment, Setting
from pylfr.sizing.measured_load import RATE, Load
from pylfr.sizing.report import as_json, sizing_plot
from pylfr.sizing.result import Conditions, Sizing, SizingRules
from pylfr.sizing.synthetic import synthetic_watchlist, walkers_templates
from pylfr.sizing.trace import LoadTimeline, breakdown
from pylfr.sizing.trials import LoadTrial


def size(
    seconds: Annotated[float, typer.Option(help="Seconds for which the answer must hold.", min=1)] = 60.0,
    bound_ms: Annotated[float, typer.Option(help="Bound on p99 from capture to alert, ms.", min=1)] = 250.0,
    limit: Annotated[int, typer.Option(help="Try no more cameras than this.", min=1)] = 200,
    cameras: Annotated[
        int | None, typer.Option(help="Try this number of cameras alone.", min=1, show_default="search for the largest")
    ] = None,
    faces: Annotated[int, typer.Option(help="Faces in every frame of the synthetic footage.", min=0)] = 3,
    still: Annotated[
        bool, typer.Option("--still", help="Faces walk through a still street; without it the street moves too.")
    ] = False,
    watchlist: Annotated[int, typer.Option(help="Size of the synthetic watchlist.", min=1)] = 10_000,
    codec: Annotated[str, typer.Option(help="h264 or hevc.")] = "h264",
    resolution: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the cameras.")] = "1920x1080",
    video: Annotated[
        Path | None, typer.Option(help="A recording of yours to play instead of synthetic footage.", show_default=False)
    ] = None,
    portraits: Annotated[
        Path | None,
        typer.Option(help="Folder of portraits for the footage.", show_default="any installed"),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="The network that finds faces.", show_default="best on this machine")
    ] = None,
    embedder: Annotated[
        str | None, typer.Option(help="The network that compares them.", show_default="best on this machine")
    ] = None,
    detect_hz: Annotated[float, typer.Option(help="Detections per second and camera.", min=0.1)] = 8.0,
    runtime: Annotated[str, typer.Option(help="What runs the networks.")] = "auto",
    threads: Annotated[int, typer.Option(help="Threads per network; 0: one per core.", min=0)] = 0,
    probe_s: Annotated[float, typer.Option(help="Length of the short trials.", min=1)] = 6.0,
    gpu: Annotated[
        Path | None, typer.Option(help="Plan for a GPU too, from its results file (benchmarks/gpu.py).")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every number as JSON.")] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            help=f"Run what is held, or --cameras, {TRACED_S:g} s more and write a timeline (Chrome's trace format)."
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a figure (PNG); needs the extra evaluation.")] = None,
) -> None:
    """Measure how many cameras this machine can run: a recording plays as ever more live ones until it falls behind.

    Takes three to five minutes. Ctrl-C prints what is known by then. The exit status is 1 where not one camera is held.
    """
    console = Console(stderr=True)
    width, height = _resolution(resolution)
    if codec not in ("h264", "hevc"):
        raise UsageError(f"--codec must be h264 or hevc, got {codec!r}")
    give_back_large_blocks()
    rates = read_gpu_rates(gpu) if gpu is not None else None
    require_result_files({"--json": json_file, "--plot": plot, "--trace": trace}, inputs=[video, portraits, gpu])
    # Every trial that is too much slows cameras down and says so: here that is counted, and shown as a trial's end.
    logging.getLogger("pylfr.video").setLevel(logging.ERROR)
    finder = chosen_network("detect", detector, console)
    comparer = chosen_network("embed", embedder, console)
    print_notices([finder, comparer], console)
    finds = open_detector(finder, runtime=runtime, threads=threads)
    compares = open_embedder(comparer, runtime=runtime, threads=threads)
    rules = SizingRules(seconds=seconds, probe_s=min(probe_s, seconds), bound_ms=bound_ms, limit=limit, only=cameras)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    ) as progress:
        shown = _Shown(progress)
        if video is None:
            look: Codec = "hevc" if codec == "hevc" else "h264"
            found = find_portraits(portraits, count=faces)
            clip = make_clip(
                ClipRules(faces=faces, codec=look, width=width, height=height, still=still),
                found,
                progress=shown.on_frame,
            )
            made_of = f"{faces} faces walking through a {'still' if still else 'moving'} street, from {found.source}"
            enrolled = walkers_templates(found.pictures, finds, compares)[:watchlist]
        else:
            clip, made_of, enrolled = video, f"the recording {video.name}", None
        gallery = synthetic_watchlist(watchlist, compares, enrolled=enrolled)
        conditions = _conditions(
            clip, made_of, watchlist=watchlist, enrolled=0 if enrolled is None else len(enrolled), detector=finder,
            embedder=comparer, detect_hz=detect_hz, runtime=runtime, threads=threads,
        )  # fmt: skip
        setting = Setting(
            video=clip,
            rate_hz=conditions.rate_hz,
            detector=finds,
            embedder=compares,
            gallery=gallery,
            recognition=RecognitionSection(detect_hz=detect_hz),
            batch=BatchSection(),
        )

        def plan(load: Load) -> GpuPlan | None:
            if rates is None:
                return None
            demand = Demand(
                codec=conditions.codec,
                width=conditions.width,
                height=conditions.height,
                rate_hz=conditions.rate_hz,
                detect_hz=detect_hz,
                embed_hz=load.recognised / max(load.seconds * load.cameras, 1e-6),
                watchlist=watchlist,
                dimension=compares.dimension,
            )
            return plan_for_gpu(rates, demand, detector=finder, embedder=comparer)

        timeline = LoadTimeline() if trace is not None else None
        sizing = size_machine(
            setting, conditions, rules, on_moment=shown.on_moment, on_trial=shown.on_trial, plan=plan, timeline=timeline
        )
    print_sizing(sizing)
    if not sizing.interrupted:
        if json_file is not None:
            write_result(json_file, as_json(sizing).encode())
            say(f"written to {json_file}")
        if plot is not None:
            write_result(plot, sizing_plot(sizing))
            say(f"drawn in {plot}")
        traced = cameras or sizing.cameras
        if trace is not None and timeline is not None and traced:
            write_result(trace, timeline.to_json())
            print_waits(timeline)
            say(f"timeline of {traced} cameras written to {trace}: open it in Perfetto or chrome://tracing")
    elif any(each is not None for each in (json_file, plot, trace)):
        warn("notice", "stopped halfway: nothing was written")
    if sizing.interrupted or not sizing.cameras:
        raise typer.Exit(1)


class _Shown:
    """The progress of a search: one line that moves, and one that stays for every trial."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def on_frame(self, done: int, total: int) -> None:
        self._show("making the footage (once)", done, total)

    def on_moment(self, moment: Moment) -> None:
        cameras = "1 camera" if moment.cameras == 1 else f"{moment.cameras} cameras"
        self._show(f"trying {cameras}, {moment.of_s:.0f} s", moment.elapsed_s, moment.of_s)

    def on_trial(self, trial: LoadTrial) -> None:
        load = trial.load
        became = f"too much: {trial.why_not}" if trial.why_not else "held"
        length = f"{load.seconds:.0f} s"
        cameras = f"{trial.cameras:4} camera{'' if trial.cameras == 1 else 's'}"
        tell(
            f"{cameras}, {length}: p50 {load.latency.p50_ms:.0f}, p99 {load.latency.p99_ms:.0f} ms, "
            f"processor {load.cores_busy:.0%}: {became}",
            self._progress.console,
        )

    def _show(self, words: str, done: float, total: float) -> None:
        if self._task is None:
            self._task = self._progress.add_task(words, total=total)
        self._progress.update(self._task, description=words, completed=done, total=total)


def print_sizing(sizing: Sizing) -> None:
    """The answer first, then the figures that it rests on, then what to know of them."""
    load, conditions = sizing.load, sizing.conditions
    say(sizing.answer)
    table = Table(
        show_header=False, title=f"At {load.cameras} camera{'' if load.cameras == 1 else 's'}", title_justify="left"
    )
    rows = {
        "latency": f"p50 {load.latency.p50_ms:.0f} ms, p99 {load.latency.p99_ms:.0f} ms, at most "
        f"{load.latency.max_ms:.0f} ms over {load.latency.count:,} frames (bound {sizing.rules.bound_ms:.0f})",
        "dropped": ", ".join(f"{count} {cause}" for cause, count in load.dropped.items()) or "nothing",
        "processor": ", ".join(f"{stage} {share:.0%}" for stage, share in sizing.shares.items()),
        "cores": f"{load.cores_busy:.0%} busy; the busier thread of the engine {load.loop_busy:.0%}",
        "decoding alone": f"would allow {sizing.decode_only_cameras:.0f} cameras",
        "memory": f"{sizing.memory_mb_a_camera:.0f} MB a camera, {load.memory_mb:.0f} MB in all",
        "power": f"{load.watts:.0f} W" if load.watts is not None else f"not readable: {load.watts_missing}",
        "seen": f"{load.faces_a_frame:.1f} faces per analysed frame, {load.recognised:,} compared, "
        f"{load.not_compared:,} not in time ({load.not_compared_share:.0%}), {load.alerts} alerts",
        "cameras": f"{conditions.width}x{conditions.height} {conditions.codec} at {conditions.rate_hz:g} frames a "
        f"second, {conditions.megabits_a_second:.1f} Mbit/s; {conditions.made_of}",
        "networks": f"{conditions.detector} at {conditions.detect_hz:g} Hz, {conditions.embedder}, "
        f"in {conditions.runtime}",
        "machine": sizing.machine.in_words(),
    }
    for name, text in rows.items():
        table.add_row(name, escape(text))
    results().print(table)
    if sizing.gpu is not None:
        say(sizing.gpu.answer)
        for part, cameras in sizing.gpu.by_part.items():
            say(f"  {part} alone: {cameras:,.0f} cameras")
        for reason in sizing.gpu.missing:
            warn("notice", f"not in the plan: {reason}")
    for note in sizing.notes:
        warn("notice", note)


def print_waits(timeline: LoadTimeline) -> None:
    """What the frames of a traced run waited for, at each quantile of their latency."""
    parts = breakdown(timeline)
    if not parts:
        return
    title = f"What {parts[0].frames:,} frames with a face waited for, ms"
    table = Table("", "in all", "decode", "queue", "detect", "hand over", "recognise", "cores left idle", title=title)
    for each in parts:
        waits = (each.decode_ms, each.queue_ms, each.detect_ms, each.hand_over_ms, each.recognise_ms)
        table.add_row(
            f"p{100 * each.quantile:g}",
            f"{each.latency_ms:.0f}",
            *(f"{wait:.0f}" for wait in waits),
            f"{each.idle_cores:.2f}",
        )
    results().print(table)


def _conditions(
    clip: Path,
    made_of: str,
    *,
    watchlist: int,
    enrolled: int,
    detector: str,
    embedder: str,
    detect_hz: float,
    runtime: str,
    threads: int,
) -> Conditions:
    try:
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            seconds = float(container.duration or 0) / av.time_base
            codec, width, height = stream.codec_context.name, stream.width, stream.height
            rate_hz = float(stream.average_rate or RATE)
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise MediaError(f"video {clip} cannot be read ({error}): give a recording that FFmpeg can play") from error
    return Conditions(
        video=clip.name, made_of=made_of, codec=codec, width=width, height=height, rate_hz=rate_hz,
        megabits_a_second=8 * clip.stat().st_size / 1e6 / seconds if seconds else 0.0,
        watchlist=watchlist, enrolled=enrolled, detector=detector, embedder=embedder, detect_hz=detect_hz,
        runtime=runtime, threads=threads,
    )  # fmt: skip


def _resolution(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not width.isdigit() or not height.isdigit():
        raise UsageError(f"--resolution must be WIDTHxHEIGHT, for example 1920x1080, got {text!r}")
    return int(width), int(height)
