"""How fast the planes of a batch are packed for their one upload: by one thread, and by more, in turn.

Sixteen NV12 pictures of 1080p, as a decoder leaves them, into one buffer. The device is the CPU, whose upload is a copy
too and counts for all alike: what is compared is the part before it. Writes benchmarks/results/packing.json.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from benchmarks.measure import Spread, print_machine, spread_of, this_machine, write_results
from pylfr import ops
from pylfr.types import Frame

BATCH, WIDTH, HEIGHT = 16, 1920, 1080
THREADS = (1, 2, 4)
WARM_UP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """Milliseconds a batch, and how many times as fast as one thread in the same turn."""

    threads: int
    ms: Spread
    ratio: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """``copies`` of the batch are made: into the buffer, and out of it by the device."""

    megabytes: float
    copies: int
    packing: list[Packing]


def pictures() -> list[Frame]:
    """Rows padded as decoders pad them."""
    draw = np.random.default_rng(0)
    return [
        Frame(
            camera=f"camera {number}",
            sequence=0,
            captured_at=datetime.now(UTC),
            planes=(
                draw.integers(0, 256, (HEIGHT, WIDTH + 64), dtype=np.uint8)[:, :WIDTH],
                draw.integers(0, 256, (HEIGHT // 2, WIDTH // 2 + 32, 2), dtype=np.uint8)[:, : WIDTH // 2],
            ),
            layout="nv12",
        )
        for number in range(BATCH)
    ]


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--repeats", type=int, default=60)
    repeats = given.parse_args().repeats
    machine = this_machine()
    print_machine(machine)
    frames = pictures()
    stream = ops.Stream("cpu")
    stagings = {threads: ops.Staging(stream, threads=threads) for threads in THREADS}
    taken: dict[int, list[float]] = {threads: [] for threads in THREADS}
    for turn in range(WARM_UP + repeats):
        for threads, staging in stagings.items():
            began = time.perf_counter()
            ops.upload(frames, staging)
            if turn >= WARM_UP:
                taken[threads].append((time.perf_counter() - began) * 1000)
    packing = [
        Packing(
            threads=threads,
            ms=spread_of(each, warmup=WARM_UP),
            ratio=spread_of([one / other for one, other in zip(taken[1], each, strict=True)], warmup=WARM_UP),
        )
        for threads, each in taken.items()
    ]
    for one in packing:
        print(f"{one.threads} threads: {one.ms.median:.2f} ms ({one.ms.min:.2f} to {one.ms.max:.2f}), "
              f"{one.ratio.median:.2f} times as fast as one")  # fmt: skip
    report = Report(megabytes=BATCH * WIDTH * HEIGHT * 1.5 / 1e6, copies=2, packing=packing)
    print(f"written to {write_results('packing', machine, report)}")


if __name__ == "__main__":
    main()
