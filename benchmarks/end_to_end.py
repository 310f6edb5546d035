"""Frames a second of the whole engine against those of decoding alone, in every installed runtime.

    python -m benchmarks.end_to_end [--cameras 4] [--repeats 5]

All are run in turn in one process, so that a machine that slows down slows all of them; the ratio is the result.
"""

from __future__ import annotations

import argparse
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import track

from benchmarks.footage import face_pictures, make_clip
from benchmarks.measure import Spread, print_machine, spread_of, this_machine, write_results
from pylfr.deployment.open import open_rehearsal
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.runtimes.registry import choose_runtime
from pylfr.video.open import open_file


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpeed:
    """``ratio`` is the engine's frames a second over those of decoding alone, pair by pair."""

    runtime: str
    fps: Spread
    ratio: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class EndToEnd:
    """What ``cameras`` recordings at once gave, ``frames`` together."""

    clip: str
    cameras: int
    frames: int
    detector: str
    embedder: str
    detect_hz: float
    decode_fps: Spread
    engines: list[EngineSpeed]


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--detector", default="yunet_n")
    parser.add_argument("--embedder", default="face_reid_0095")
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    clip = make_clip(faces=3, seconds=10)
    clips = [clip] * given.cameras
    runtimes = list(dict.fromkeys(["onnx", choose_runtime("auto").name]))
    decoded: list[float] = []
    engines: dict[str, list[float]] = {runtime: [] for runtime in runtimes}
    frames = 0
    for _ in track(range(given.repeats + 1), description="decode alone, engine, in turn"):
        decoded.append(decode_alone(clips))
        for runtime in runtimes:
            fps, frames = engine_fps(clips, detector=given.detector, embedder=given.embedder, runtime=runtime)
            engines[runtime].append(fps)
    result = EndToEnd(
        clip=f"{clip.stem}: 1920x1080, 25 fps, H.264",
        cameras=given.cameras,
        frames=frames,
        detector=given.detector,
        embedder=given.embedder,
        detect_hz=RecognitionSection().detect_hz,
        decode_fps=spread_of(decoded[1:], warmup=1),
        engines=[
            EngineSpeed(
                runtime=runtime,
                fps=spread_of(fps[1:], warmup=1),
                ratio=spread_of([mine / alone for mine, alone in zip(fps[1:], decoded[1:], strict=True)], warmup=1),
            )
            for runtime, fps in engines.items()
        ],
    )
    print(f"decode alone {result.decode_fps.median:.0f} fps")
    for each in result.engines:
        print(f"engine, {each.runtime}: {each.fps.median:.0f} fps, ratio {each.ratio.median:.2f} "
              f"({each.ratio.min:.2f} to {each.ratio.max:.2f})")  # fmt: skip
    print(f"written to {write_results('end_to_end', machine, result)}")


if __name__ == "__main__":
    main()
