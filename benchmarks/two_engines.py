"""What it costs to give twelve recordings to two engines instead of one, on the same two cores.

    python -m benchmarks.two_engines

Ratios of processor time hold on a machine that others use meanwhile, those of wall time do not; the load is printed.
What opening an engine takes is left out.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks.measure import write_results
from pylfr.sizing.machine import this_machine

CLIPS = ("head-pose-face-detection-male", "head-pose-face-detection-female-and-male")
CAMERAS, REPEATS = 12, 3
DETECTOR, EMBEDDER = "pylfr_nano_detect", "pylfr_nano_embed"
# Seconds of wall and of processor time.
Spent = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginesResults:
    """Medians over the repeats: seconds of wall and processor time of one engine and of two, and their ratios."""

    load_before: float
    cameras: int
    frames: int
    one_wall_s: float
    one_cpu_s: float
    two_wall_s: float
    two_cpu_s: float
    cpu_ratio: float
    wall_ratio: float


def rehearse(videos: list[Path], image: Path, threads: int, open_: Barrier, spent: SimpleQueue[Spent]) -> None:
    """One engine over these recordings, as fast as it can, once all are open."""
    from pylfr.deployment.open import open_rehearsal

    with open_rehearsal(videos, {"man": [image]}, detector=DETECTOR, embedder=EMBEDDER, threads=threads) as engine:
        open_.wait()
        began, before = time.perf_counter(), cpu_s()
        for _ in engine.run():
            pass
    spent.put((time.perf_counter() - began, cpu_s() - before))


def cpu_s() -> float:
    """Processor seconds of this process and of its decoders that have ended."""
    used = [resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def timed(shares: list[list[Path]], image: Path, threads: int) -> Spent:
    """Wall and processor seconds of one engine for each share, all at once: the longest, and the sum."""
    open_ = multiprocessing.Barrier(len(shares))
    spent: SimpleQueue[Spent] = multiprocessing.SimpleQueue()
    processes = [
        multiprocessing.Process(target=rehearse, args=(share, image, threads, open_, spent)) for share in shares
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"an engine ended with status {process.exitcode}")
    walls, cpus = zip(*(spent.get() for _ in shares), strict=True)
    return max(walls), sum(cpus)


def main() -> None:
    from pylfr.video.decoding.image_io import write_png
    from tests.footage import MAN, frames_of, picture_of, video

    media = Path(os.environ["PYLFR_MEDIA"])
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "man.png"
        write_png(image, picture_of(video(media, MAN), 20))
        videos = [video(media, CLIPS[number % 2]) for number in range(CAMERAS)]
        one, two = [], []
        for _ in range(REPEATS):
            # By turns, so that both meet the same load of others.
            one.append(timed([videos], image, 2))
            two.append(timed([videos[: CAMERAS // 2], videos[CAMERAS // 2 :]], image, 1))
            print(f"one engine {one[-1][1]:.2f} s of processor, two {two[-1][1]:.2f} s", flush=True)
    one_wall, one_cpu = (statistics.median(each) for each in zip(*one, strict=True))
    two_wall, two_cpu = (statistics.median(each) for each in zip(*two, strict=True))
    results = EnginesResults(
        load_before=round(load, 1),
        cameras=CAMERAS,
        frames=sum(frames_of(each) for each in videos),
        one_wall_s=round(one_wall, 2),
        one_cpu_s=round(one_cpu, 2),
        two_wall_s=round(two_wall, 2),
        two_cpu_s=round(two_cpu, 2),
        cpu_ratio=round(two_cpu / one_cpu, 3),
        wall_ratio=round(two_wall / one_wall, 3),
    )
    print(results)
    write_results("two_engines", this_machine(), results)


if __name__ == "__main__":
    main()
