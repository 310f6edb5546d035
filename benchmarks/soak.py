"""One camera, looped for an hour: does memory stay flat, is anything dropped, do threads or open files pile up?

    python -m benchmarks.soak [--minutes 60] [--cameras 1]

It plays in real time through the whole engine. Growth is the median of the last fifth against that of the second, after
everything has warmed up. Other programs on the machine disturb the drops, not the memory.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from benchmarks.measure import print_machine, resident_mb, this_machine, write_results
from pylfr.deployment.open import open_load
from pylfr.engine.engine import Engine
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.sizing.footage import ClipRules, find_portraits, make_clip
from pylfr.sizing.synthetic import synthetic_watchlist
from pylfr.video.sources.looped import LoopedRecording

EVERY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How the run stood after ``minute`` minutes."""

    minute: float
    memory_mb: float
    frames: int
    recognised: int
    dropped: int
    threads: int
    open_files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """``growth_mb`` compares the last fifth of the run with the second, medians."""

    cameras: int
    minutes: float
    detector: str
    embedder: str
    watchlist: int
    samples: tuple[Sample, ...]
    growth_mb: float
    dropped: dict[str, int]
    dwell_max_ms: float
    errors: tuple[str, ...]


def growth_mb(memory: list[float]) -> float:
    """Megabytes that the last fifth of the samples holds over the second fifth. Raises ``ValueError`` below ten."""
    if len(memory) < 10:
        raise ValueError(f"a soak needs ten samples or more to speak of growth, got {len(memory)}: let it run longer")
    fifth = len(memory) // 5
    return round(statistics.median(memory[-fifth:]) - statistics.median(memory[fifth : 2 * fifth]), 1)


def watch(engine: Engine, minutes: float, samples: list[Sample], finished: threading.Event) -> None:
    """Take a sample now and then, and stop the engine at its time."""
    began = time.monotonic()
    with Progress() as progress:
        task = progress.add_task("soaking", total=minutes)
        while (passed := (time.monotonic() - began) / 60) < minutes and not finished.wait(EVERY_S):
            summary = engine.summary()
            samples.append(
                Sample(
                    minute=round(passed, 2),
                    memory_mb=round(resident_mb(), 1),
                    frames=summary.frames,
                    recognised=summary.recognised,
                    dropped=sum(summary.dropped.values()),
                    threads=threading.active_count(),
                    open_files=len(list(Path("/proc/self/fd").iterdir())),
                )
            )
            progress.update(task, completed=passed, description=f"soaking, {samples[-1].memory_mb:.0f} MB")
    engine.stop("the soak is over")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--watchlist", type=int, default=10_000)
    parser.add_argument("--detector", default="yunet_n")
    parser.add_argument("--embedder", default="face_reid_0095")
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    portraits = find_portraits(None, count=3)
    clip = make_clip(ClipRules(faces=3), portraits)
    detector, embedder = open_detector(given.detector, threads=1), open_embedder(given.embedder, threads=1)
    gallery = synthetic_watchlist(given.watchlist, embedder)
    engine = open_load(
        [LoopedRecording(clip, camera=f"camera-{at}", starts_after_s=0.37 * at) for at in range(given.cameras)],
        detector=detector,
        embedder=embedder,
        gallery=gallery,
    )
    samples: list[Sample] = []
    finished = threading.Event()
    watcher = threading.Thread(target=watch, args=(engine, given.minutes, samples, finished))
    watcher.start()
    try:
        for _ in engine.run():
            pass
    finally:
        finished.set()
        watcher.join()
    summary = engine.summary()
    result = Soak(
        cameras=given.cameras,
        minutes=given.minutes,
        detector=given.detector,
        embedder=given.embedder,
        watchlist=given.watchlist,
        samples=tuple(samples),
        growth_mb=growth_mb([sample.memory_mb for sample in samples]),
        dropped=dict(summary.dropped),
        dwell_max_ms=summary.dwell_ms.max,
        errors=summary.errors,
    )
    print(f"{given.minutes:g} minutes, {summary.frames:,} frames: memory grew by {result.growth_mb} MB to "
          f"{samples[-1].memory_mb} MB; dropped {result.dropped or 'nothing'}")  # fmt: skip
    print(f"written to {write_results('soak', machine, result)}")


if __name__ == "__main__":
    main()
