"""Twice the cameras that fit: is latency bounded, every drop counted, and no camera starved?

    python -m benchmarks.overload [--cameras 3] [--seconds 10]

The detector is made slow on purpose, so that ``--cameras`` fit by design on any machine: latency, drops and shares are
those of the engine's rules, not of the processor.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.loads import add_options, setting_of
from benchmarks.measure import print_machine, this_machine, write_results
from pylfr.engine import Stages
from pylfr.sizing.load import Load, run_load
from pylfr.types import Faces, Frame, UInt8


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """What came of the load that fits and of twice as many cameras."""

    fits: Load
    twice: Load
    least_share: float
    p99_ms: float


class _Slow:
    def __init__(self, stages: Stages, ms_a_frame: float) -> None:
        self._quick = stages.detector.detect
        self._s = ms_a_frame / 1000

    def __call__(self, images: Sequence[Frame | UInt8]) -> Faces:
        time.sleep(self._s * len(images))
        return self._quick(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    add_options(parser)
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    setting = setting_of(given)
    ms_a_frame = 0.7 * 1000 / (given.cameras * setting.recognition.detect_hz)

    def slow_down(stages: Stages) -> None:
        setattr(stages.detector, "detect", _Slow(stages, ms_a_frame))  # noqa: B010 - this instance alone

    fits, twice = (
        run_load(setting, count, seconds=given.seconds, decode_floor_ms=1.0, slow_down=slow_down)
        for count in (given.cameras, 2 * given.cameras)
    )
    result = Overload(fits=fits, twice=twice, least_share=twice.least_share, p99_ms=twice.seen.p99_ms)
    for name, load in (("fits", fits), ("twice", twice)):
        print(f"{name}: {load.cameras} cameras, p99 {load.seen.p99_ms:.0f} ms, dropped {load.dropped or 'nothing'}, "
              f"the least looked at got {load.least_share:.0%} of the mean")  # fmt: skip
    print(f"written to {write_results('overload', machine, result)}")


if __name__ == "__main__":
    main()
