"""What governance costs the pipeline: the same engine bare, governed, and governed with isolated decoding, in turn.

    python -m benchmarks.governance_cost [--rounds 6] [--cameras 3] [--runtime auto]

All read the same recordings with the same networks, as fast as they can, in one process: bare, governed, isolated, then
the other way round, so that a machine that slows down slows all. ``bare`` looks for the same people with no signed
authorisation, no audit log, no evidence, no records, no ceiling, no redaction and no wiping of templates.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from platformdirs import user_cache_path
from rich.progress import track

from benchmarks.governed import make_deployments
from benchmarks.measure import Spread, print_machine, spread_of, this_machine, write_results
from benchmarks.reel import RATE, make_reel, save_people
from pylfr import ops
from pylfr.deployment.open import open_engine, open_rehearsal
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.engine.engine import Engine
from pylfr.engine.summary import Summary
from pylfr.governance.adjudication.false_alert_limit import FalseAlertCeiling
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.authorisation.authority import Authorisation
from pylfr.sinks.delivery import DeliverySink
from pylfr.sinks.evidence import SealedEvidenceSink
from pylfr.video.open import open_file

# Every call of these is timed while a governed engine runs.
_STEPS: dict[str, tuple[type, str]] = {
    "the alert in the audit log, with its checkpoint": (AuditLog, "record"),
    "the alert on its way to the records": (DeliverySink, "send"),
    "the evidence drawn, sealed and written": (SealedEvidenceSink, "send"),
    "the authority asked, for each batch": (Authorisation, "require"),
    "the ceiling asked, for each batch": (FalseAlertCeiling, "require"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way of running: processor time of this process and its children a frame, and frames a second."""

    name: str
    cpu_ms_a_frame: Spread
    fps: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What ``name`` costs more than bare, round by round: shares of processor time, and of frames a second lost."""

    name: str
    cpu: Spread
    throughput: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A part of governance: calls in a run, and milliseconds of the engine's thread a call, by the clock."""

    name: str
    calls: int
    ms: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernanceCost:
    """``alerts`` and ``frames`` are of one run; ``decoder_start_s`` is processor time for one decoder to start.

    ``timed_share`` is what the steps took together, of the time of a bare run: free of the noise between two runs.
    """

    clip: str
    cameras: int
    frames: int
    alerts: int
    alerts_a_camera_minute: float
    detector: str
    embedder: str
    runtime: str
    detect_hz: float
    cases: list[Case]
    costs: list[Cost]
    steps: list[Step]
    timed_share: float
    decoder_start_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run, measured."""

    cpu_s: float
    wall_s: float
    summary: Summary

    @property
    def cpu_ms_a_frame(self) -> float:
        return self.cpu_s * 1000 / self.summary.frames

    @property
    def fps(self) -> float:
        return self.summary.frames / self.wall_s


def cpu_s() -> float:
    """Processor time of this process and of its children that have ended."""
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def measure(engine: Engine) -> Run:
    """One run to its end."""
    began_cpu, began = cpu_s(), time.perf_counter()
    for _ in engine.run():
        pass
    wall, cpu = time.perf_counter() - began, cpu_s() - began_cpu
    summary = engine.summary()
    if summary.errors:
        raise SystemExit("; ".join(summary.errors))
    return Run(cpu_s=cpu, wall_s=wall, summary=summary)


@contextmanager
def timed(taken: dict[str, list[float]]) -> Iterator[None]:
    """Note how long each call of each step takes."""
    patches = []
    for name, (kind, method) in _STEPS.items():
        patches.append(patch.object(kind, method, _timing(getattr(kind, method), taken.setdefault(name, []))))
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()


def _timing(call: Callable[..., object], taken: list[float]) -> Callable[..., object]:
    def timing(*given: object) -> object:
        began = time.perf_counter()
        try:
            return call(*given)
        finally:
            taken.append((time.perf_counter() - began) * 1000)

    return timing


def decoder_start_s(clip: Path) -> float:
    """Processor time until an isolated decoder has given its first picture, and is stopped."""
    before = cpu_s()
    frames = open_file(clip, camera="start", started_at=datetime.now(UTC)).frames()
    between = cpu_s()
    next(iter(frames))
    frames.close()  # type: ignore[attr-defined]
    # Opening checks the file in a process of its own; the run starts another.
    return min(cpu_s() - between, between - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--cameras", type=int, default=3)
    parser.add_argument("--detector", default="yunet_n")
    parser.add_argument("--embedder", default="face_reid_0095")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--threshold", type=float, default=0.568)
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    clip = make_reel()
    clips = [clip] * given.cameras
    # On a disk: what is forced to a memory file system costs nothing.
    scratch = user_cache_path("pylfr", ensure_exists=True)
    runs: dict[str, list[Run]] = {"bare": [], "governed": [], "governed, isolated decoding": []}
    taken: dict[str, list[float]] = {}
    recognition = RecognitionSection(threshold=given.threshold)
    networks = {"detector": given.detector, "embedder": given.embedder, "runtime": given.runtime}
    with tempfile.TemporaryDirectory(prefix="governance-cost-", dir=scratch) as name:
        folder = Path(name)
        people = save_people(folder)
        batch_size = min(16, max(4, given.cameras))
        files = make_deployments(folder, clips, people, threshold=given.threshold, batch_size=batch_size, **networks)
        started = decoder_start_s(clip)

        def bare() -> Run:
            now = datetime.now(UTC)
            sources = [
                open_file(path, camera=f"camera {number}", started_at=now, isolation="none")
                for number, path in enumerate(clips, start=1)
            ]
            # Templates are not wiped and faces not filled: for this measurement, on recorded material.
            with (
                patch.object(ops.TemplatePool, "wipe", lambda _: None),
                patch("pylfr.faces.redact.fill_faces", lambda *_, **__: None),
            ):
                engine = open_rehearsal(
                    sources, {who: [image] for who, image in people.items()}, recognition=recognition, **networks
                )
                return measure(engine)

        def governed() -> Run:
            engine = open_engine(files["none"])
            with timed(taken):
                return measure(engine)

        cases: dict[str, Callable[[], Run]] = {
            "bare": bare,
            "governed": governed,
            "governed, isolated decoding": lambda: measure(open_engine(files["process"])),
        }
        for turn in track(range(given.rounds + 1), description="bare, governed, isolated, in turn"):
            for case in cases if turn % 2 else reversed(cases):
                runs[case].append(cases[case]())
            if not turn:
                taken.clear()
    first = runs["bare"][0].summary
    for case, them in runs.items():
        for run in them:
            if (run.summary.alerts, run.summary.frames) != (first.alerts, first.frames) or not run.summary.alerts:
                raise SystemExit(f"{case} gave {run.summary.alerts} alerts, bare gave {first.alerts}: not comparable")
        del them[0]
    result = GovernanceCost(
        clip=f"{clip.stem}: {RATE} fps, H.264",
        cameras=given.cameras,
        frames=first.frames,
        alerts=first.alerts,
        alerts_a_camera_minute=round(first.alerts / (first.frames / RATE / 60), 2),
        detect_hz=recognition.detect_hz,
        cases=[
            Case(
                name=case,
                cpu_ms_a_frame=spread_of([run.cpu_ms_a_frame for run in them], warmup=1),
                fps=spread_of([run.fps for run in them], warmup=1),
            )
            for case, them in runs.items()
        ],
        costs=[
            Cost(
                name=case,
                cpu=spread_of(
                    [run.cpu_s / alone.cpu_s - 1 for run, alone in zip(them, runs["bare"], strict=True)], warmup=1
                ),
                throughput=spread_of(
                    [1 - run.fps / alone.fps for run, alone in zip(them, runs["bare"], strict=True)], warmup=1
                ),
            )
            for case, them in runs.items()
            if case != "bare"
        ],
        steps=[
            Step(name=step, calls=len(each) // given.rounds, ms=spread_of(each)) for step, each in taken.items() if each
        ],
        timed_share=sum(map(sum, taken.values())) / 1000 / sum(run.wall_s for run in runs["bare"]),
        decoder_start_s=round(started, 3),
        **networks,
    )
    print(f"{result.frames} frames and {result.alerts} alerts a run, {result.alerts_a_camera_minute} a camera-minute")
    for each in result.cases:
        print(f"{each.name}: {each.cpu_ms_a_frame.median:.2f} ms of processor a frame, {each.fps.median:.0f} fps")
    for cost in result.costs:
        cpu, lost = cost.cpu, cost.throughput
        print(
            f"{cost.name} costs {cpu.median:+.1%} processor time ({cpu.min:+.1%} to {cpu.max:+.1%}), "
            f"{lost.median:+.1%} throughput ({lost.min:+.1%} to {lost.max:+.1%})"
        )
    for step in result.steps:
        print(f"{step.name}: {step.calls} calls, {step.ms.median:.3f} ms ({step.ms.min:.3f} to {step.ms.max:.3f})")
    print(f"these steps together take {result.timed_share:.2%} of the time of a bare run")
    print(f"a decoder's start: {result.decoder_start_s:.2f} s of processor time")
    print(f"written to {write_results('governance_cost', machine, result)}")


if __name__ == "__main__":
    main()
