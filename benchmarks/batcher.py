"""What a frame costs between its decoder and its batch: threads, queues and locks of many cameras, and nothing else.

Every camera gives small pictures: recordings as fast as they are taken, live cameras a steady number a second. Nothing
is decoded and no network runs, so processor time divided by frames is the cost of the batcher alone (with a live
camera's own sleep, which is measured beside it). Writes benchmarks/results/batcher.json.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.measure import Spread, print_machine, spread_of, this_machine, write_results
from pylfr.types import Frame
from pylfr.video.batching.batcher import Batcher

CAMERAS = (16, 64, 180, 256)
SIDE_PX = 64
FRAMES = 20_000
# A live camera gives so many frames, so many a second.
LIVE_FRAMES, LIVE_HZ = 24, 8.0
WARM_UP = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BatcherCost:
    """Processor time of the whole process, in microseconds a frame: recordings, live cameras, and their sleep alone."""

    cameras: int
    recordings_us: Spread
    live_us: Spread
    sleep_us: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class BatcherCosts:
    """Costs at one size of batch, of pictures of ``side_px`` by ``side_px``."""

    side_px: int
    batch: int
    costs: list[BatcherCost]


class SmallPictures:
    """A camera whose pictures are decoded already; a live one gives ``LIVE_HZ`` of them a second."""

    def __init__(self, camera: str, count: int, *, is_live: bool) -> None:
        self.camera = camera
        self.is_live = is_live
        began = datetime(2026, 1, 1, tzinfo=UTC)
        planes = (np.zeros((SIDE_PX, SIDE_PX), np.uint8), np.zeros((SIDE_PX // 2, SIDE_PX // 2, 2), np.uint8))
        self._frames = [
            Frame(
                camera=camera,
                sequence=number,
                captured_at=began + timedelta(seconds=number / LIVE_HZ),
                planes=planes,
                layout="nv12",
            )
            for number in range(count)
        ]

    def frames(self) -> Iterator[Frame]:
        began = time.perf_counter()
        for number, frame in enumerate(self._frames):
            if self.is_live:
                time.sleep(max(0.0, began + number / LIVE_HZ - time.perf_counter()))
            yield frame

    def close(self) -> None:
        """Nothing is open."""


def batched_us(cameras: int, frames: int, batch: int, *, is_live: bool) -> float:
    """Processor time in microseconds a frame, once."""
    sources = [SmallPictures(f"camera {number}", frames, is_live=is_live) for number in range(cameras)]
    with Batcher(sources, size=batch, detect_hz=None) as batches:
        began = time.process_time()
        taken = sum(len(one) for one in batches)
        spent = time.process_time() - began
    if not is_live and taken != frames * cameras:
        raise SystemExit(f"{frames * cameras} frames went in, {taken} came out")
    return spent / (frames * cameras) * 1e6


def slept_us(cameras: int, frames: int) -> float:
    """The same for live cameras whose frames nobody takes: threads that sleep and wake."""
    sources = [SmallPictures(f"camera {number}", frames, is_live=True) for number in range(cameras)]
    threads = [threading.Thread(target=deque, args=(source.frames(), 0)) for source in sources]
    began = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.process_time() - began) / (frames * cameras) * 1e6


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--repeats", type=int, default=5)
    given.add_argument("--batch", type=int, default=16)
    given.add_argument("--dry-run", action="store_true", help="write no results")
    options = given.parse_args()
    machine = this_machine()
    print_machine(machine)
    costs = []
    for cameras in CAMERAS:
        recordings, live, slept = [], [], []
        for _ in range(WARM_UP + options.repeats):
            recordings.append(batched_us(cameras, FRAMES // cameras, options.batch, is_live=False))
            live.append(batched_us(cameras, LIVE_FRAMES, options.batch, is_live=True))
            slept.append(slept_us(cameras, LIVE_FRAMES))
        cost = BatcherCost(
            cameras=cameras,
            recordings_us=spread_of(recordings[WARM_UP:], warmup=WARM_UP),
            live_us=spread_of(live[WARM_UP:], warmup=WARM_UP),
            sleep_us=spread_of(slept[WARM_UP:], warmup=WARM_UP),
        )
        costs.append(cost)
        print(f"{cameras:4} cameras, us of processor time a frame: recordings {cost.recordings_us.median:.1f}, "
              f"live {cost.live_us.median:.1f}, of which asleep {cost.sleep_us.median:.1f}")  # fmt: skip
    results = BatcherCosts(side_px=SIDE_PX, batch=options.batch, costs=costs)
    if not options.dry_run:
        print(f"written to {write_results('batcher', machine, results)}")


if __name__ == "__main__":
    main()
