"""Twice the cameras that fit: is latency bounded, every drop counted, no camera starved, and how soon is it over?

    python -m benchmarks.overload [--cameras 3] [--seconds 10]

The detector is made slow on purpose, so that ``--cameras`` fit by design on any machine: latency, drops, shares and
recovery are those of the engine's rules, not of the processor.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.loads import add_options, setting_of
from benchmarks.measure import print_machine, this_machine, write_results
from pylfr.deployment.open import open_load
from pylfr.engine.engine import Engine
from pylfr.engine.observer import Observer
from pylfr.sizing.load import STAGGER_S, Setting, run_load
from pylfr.sizing.measured_load import Load
from pylfr.types import Faces, FrameBatch
from pylfr.video.sources.looped import LoopedRecording

# So much of the time detection takes for the cameras that fit; comparing faces comes on top, and some room is left.
_BUSY = 0.6
_POLL_S = 0.02
_WATCHED_S = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """``seconds`` from the moment at which half of the cameras left to the last frame that was dropped.

    ``dropped_before`` and ``dropped_after`` are frames a second, before that moment and once it was over.
    """

    seconds: float
    dropped_before: float
    dropped_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """What came of the load that fits, of twice as many cameras, and after half of them had left."""

    fits: Load
    twice: Load
    least_share: float
    p99_ms: float
    recovery: Recovery


class SlowDetection(Observer):
    """Makes detection take ``ms_a_frame``, however fast it is."""

    def __init__(self, ms_a_frame: float) -> None:
        self._s = ms_a_frame / 1000
        self._until = 0.0

    def batch_taken(self, batch: FrameBatch) -> None:
        self._until = time.monotonic() + self._s * len(batch)

    def faces_found(self, batch: FrameBatch, faces: Faces) -> None:  # noqa: ARG002
        time.sleep(max(0.0, self._until - time.monotonic()))


class _Leaving:
    """Lets half of the cameras leave in the middle of a run, and watches what is dropped before and after."""

    def __init__(
        self, engine: Engine, staying: Sequence[LoopedRecording], leaving: Sequence[LoopedRecording], *, after_s: float
    ) -> None:
        self._engine = engine
        self._staying = [camera.camera for camera in staying]
        self._leaving = leaving
        self._after_s = after_s
        self._thread = threading.Thread(target=self._run, name="pylfr-supervisor", daemon=True)
        self.recovery: Recovery | None = None

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        time.sleep(self._after_s / 2)
        dropped = self._dropped()
        time.sleep(self._after_s / 2)
        before = (self._dropped() - dropped) / (self._after_s / 2)
        for camera in self._leaving:
            camera.close()
        began = last = time.monotonic()
        dropped = self._dropped()
        counted = [(began, dropped)]
        while (now := time.monotonic()) < began + _WATCHED_S:
            if (count := self._dropped()) > dropped:
                last, dropped = now, count
            counted.append((now, count))
            time.sleep(_POLL_S)
        half = next(count for at, count in counted if at >= began + _WATCHED_S / 2)
        self.recovery = Recovery(
            seconds=round(last - began, 2),
            dropped_before=round(before, 1),
            dropped_after=round((dropped - half) / (_WATCHED_S / 2), 2),
        )
        self._engine.stop("measured")

    def _dropped(self) -> int:
        """Of the cameras that stay."""
        cameras = self._engine.summary().cameras
        return sum(sum(cameras[name].dropped.values()) for name in self._staying)


def recover(setting: Setting, cameras: int, *, seconds: float, ms_a_frame: float) -> Recovery:
    """Twice as many cameras as fit for ``seconds``, then ``cameras``: how soon nothing is dropped any more."""
    sources = [
        LoopedRecording(setting.video, camera=f"camera-{number:03d}", starts_after_s=STAGGER_S * number / (2 * cameras))
        for number in range(2 * cameras)
    ]
    engine = open_load(
        sources,
        detector=setting.detector,
        embedder=setting.embedder,
        gallery=setting.gallery,
        recognition=setting.recognition,
        batch=setting.batch,
        observers=(SlowDetection(ms_a_frame),),
    )
    leaving = _Leaving(engine, sources[:cameras], sources[cameras:], after_s=STAGGER_S + seconds)
    leaving.start()
    for _ in engine.run():
        pass
    leaving.join()
    if leaving.recovery is None:
        raise SystemExit("the cameras ended before recovery could be watched")
    return leaving.recovery


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    add_options(parser)
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    setting = setting_of(given)
    ms_a_frame = _BUSY * 1000 / (given.cameras * setting.recognition.detect_hz)
    fits, twice = (
        run_load(
            setting,
            count,
            seconds=given.seconds,
            decode_floor_ms=1.0,
            observers=(SlowDetection(ms_a_frame),),
        )
        for count in (given.cameras, 2 * given.cameras)
    )
    recovery = recover(setting, given.cameras, seconds=given.seconds, ms_a_frame=ms_a_frame)
    result = Overload(
        fits=fits, twice=twice, least_share=twice.least_share, p99_ms=twice.seen.p99_ms, recovery=recovery
    )
    for name, load in (("fits", fits), ("twice", twice)):
        print(f"{name}: {load.cameras} cameras, p99 {load.seen.p99_ms:.0f} ms, dropped {load.dropped or 'nothing'}, "
              f"the least analysed got {load.least_share:.0%} of the mean")  # fmt: skip
    print(f"after half of the cameras had left: {recovery.seconds:.2f} s to the last drop, {recovery.dropped_before:g} "
          f"dropped a second before, {recovery.dropped_after:g} afterwards")  # fmt: skip
    print(f"written to {write_results('overload', machine, result)}")


if __name__ == "__main__":
    main()
