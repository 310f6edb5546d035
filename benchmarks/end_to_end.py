"""Frames a second of the whole engine against the time that decoding alone takes, and memory over many frames.

    python -m benchmarks.end_to_end [--cameras 4] [--repeats 5] [--memory-frames 10000] [--runtime onnx]

Both are run in turn, A B A B, in one process, so that a machine that slows down slows both; the ratio is the result.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import track

from benchmarks.footage import face_pictures, make_clip
from benchmarks.measure import Spread, print_machine, resident_mb, spread_of, this_machine, write_results
from pylfr.assemble import open_rehearsal
from pylfr.video.ffmpeg import open_file


@dataclass(frozen=True, slots=True, kw_only=True)
class EndToEnd:
    """``ratio`` is the engine's frames a second over those of decoding alone, pair by pair."""

    clip: str
    cameras: int
    frames: int
    detector: str
    embedder: str
    runtime: str
    detect_hz: float
    decode_fps: Spread
    engine_fps: Spread
    ratio: Spread
    cameras_at_25_fps: float
    memory_frames: int
    memory_mb: list[float]
    memory_growth_mb: float


def decode_alone(clips: list[Path]) -> float:
    """Frames a second when every clip is decoded by its own thread and nothing else happens."""
    counted = [0] * len(clips)

    def read(place: int) -> None:
        source = open_file(
            clips[place], camera=str(place), started_at=datetime.now(UTC), pace="as-fast-as-possible", isolation="none"
        )
        counted[place] = sum(1 for _ in source.frames())

    threads = [threading.Thread(target=read, args=(place,)) for place in range(len(clips))]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counted) / (time.perf_counter() - began)


def engine_fps(clips: list[Path], *, detector: str, embedder: str, runtime: str) -> tuple[float, int]:
    """Frames a second, and frames, of a rehearsal on the clips: as many cameras, detection at its default rate."""
    engine = open_rehearsal(
        clips, {"somebody": [face_pictures(2)[1]]}, detector=detector, embedder=embedder, runtime=runtime
    )
    for _ in engine.run():
        pass
    summary = engine.summary()
    return summary.fps, summary.frames


def memory_over(clip: Path, frames: int, *, detector: str, embedder: str, runtime: str) -> list[float]:
    """Resident megabytes, sampled ten times while one engine reads ``frames`` frames of the clip again and again."""
    seconds_of_clip = 250
    engine = open_rehearsal(
        [clip] * max(1, frames // seconds_of_clip),
        {"somebody": [face_pictures(2)[1]]},
        detector=detector,
        embedder=embedder,
        runtime=runtime,
    )
    samples: list[float] = []
    finished = threading.Event()

    def sample() -> Iterator[float]:
        while not finished.wait(0.5):
            yield resident_mb()

    watcher = threading.Thread(target=lambda: samples.extend(sample()))
    watcher.start()
    for _ in engine.run():
        pass
    finished.set()
    watcher.join()
    step = max(1, len(samples) // 10)
    return [round(value, 1) for value in samples[::step]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory-frames", type=int, default=10_000)
    parser.add_argument("--detector", default="yunet_n")
    parser.add_argument("--embedder", default="face_reid_0095")
    parser.add_argument("--runtime", default="auto")
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    clip = make_clip(faces=3, seconds=10)
    clips = [clip] * given.cameras
    decoded, engine, frames = [], [], 0
    for _ in track(range(given.repeats + 1), description="decode alone, engine, in turn"):
        decoded.append(decode_alone(clips))
        fps, frames = engine_fps(clips, detector=given.detector, embedder=given.embedder, runtime=given.runtime)
        engine.append(fps)
    decoded, engine = decoded[1:], engine[1:]
    print(f"one engine over {given.memory_frames} frames, memory sampled ...", flush=True)
    memory = memory_over(
        clip, given.memory_frames, detector=given.detector, embedder=given.embedder, runtime=given.runtime
    )
    result = EndToEnd(
        clip=f"{clip.stem}: 1920x1080, 25 fps, H.264",
        cameras=given.cameras,
        frames=frames,
        detector=given.detector,
        embedder=given.embedder,
        runtime=given.runtime,
        detect_hz=8.0,
        decode_fps=spread_of(decoded, warmup=1),
        engine_fps=spread_of(engine, warmup=1),
        ratio=spread_of([mine / alone for mine, alone in zip(engine, decoded, strict=True)], warmup=1),
        cameras_at_25_fps=statistics.median(engine) / 25,
        memory_frames=given.memory_frames,
        memory_mb=memory,
        memory_growth_mb=round(memory[-1] - memory[len(memory) // 2], 1),
    )
    print(f"decode alone {result.decode_fps.median:.0f} fps, engine {result.engine_fps.median:.0f} fps, ratio "
          f"{result.ratio.median:.2f} ({result.ratio.min:.2f} to {result.ratio.max:.2f}); "
          f"memory {memory} MB")  # fmt: skip
    print(f"written to {write_results('end_to_end', machine, result)}")


if __name__ == "__main__":
    main()
