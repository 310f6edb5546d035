"""Live cameras decoded where they are analysed: from the network, by NVDEC or on the CPU, to the engine's decisions."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from benchmarks.gpu_decoding import decoder_on
from benchmarks.gpu_results import LiveLoad, Results, Size
from benchmarks.idle_stages import idle_engine_running
from benchmarks.live_streams import RATE_HZ, Pictures, sending, source_of
from pylfr import ops
from pylfr._internal.steady_clock import steady_now
from pylfr.engine.engine import Engine
from pylfr.engine.observer import Observer
from pylfr.errors import MediaError
from pylfr.types import FrameBatch
from pylfr.video.batching.batcher import Batcher
from pylfr.video.decoding.backend import ON_CPU, Decoding
from pylfr.video.decoding.nvdec import Nvdec

DETECT_HZ, CLOSER_HZ, BATCH = 8.0, 30.0, 64
KILOBITS_A_SECOND = 4_000
WARM_UP_S = 2.0
# So long all cameras together may take until each has sent a picture.
PATIENCE_S = 15.0
HELD_MS, HELD_SHARE = 250.0, 0.98


def measure_live(results: Results, stream: ops.Stream, size: Size) -> None:
    """Cameras of 25 pictures per second, sampled at 8 Hz, with networks that do nothing."""
    decode = decoder_on(stream, results, "live cameras")
    if decode is None:
        return
    decoding: Decoding = Nvdec() if decode == "nvdec" else ON_CPU
    for cameras in size.cameras:
        try:
            results.add_live(_load(cameras, decoding, size))
        except MediaError as error:
            results.leave_out(f"{cameras} live cameras: {error}")


class _Waits(Observer):
    """How long each frame that was analysed has waited since it was decoded, in ms."""

    def __init__(self) -> None:
        self.ms: list[float] = []

    def batch_ended(self, batch: FrameBatch) -> None:
        now = steady_now()
        self.ms += [1000 * (now - frame.captured_at).total_seconds() for frame in batch.frames]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What was counted until a moment."""

    at_s: float
    cpu_s: float
    sent: int
    came: int
    lost: int
    waits: int


def _load(cameras: int, decoding: Decoding, size: Size) -> LiveLoad:
    width, height = size.frame
    pictures = Pictures(width=width, height=height, kilobits_a_second=KILOBITS_A_SECOND)
    waits = _Waits()
    sources = [source_of(number, decoding) for number in range(cameras)]
    batcher = Batcher(sources, size=BATCH, detect_hz=DETECT_HZ, closer_hz=CLOSER_HZ)
    with (
        sending(cameras, "in turn", pictures) as sent,
        idle_engine_running(batcher, faces_a_frame=1, observers=(waits,)) as engine,
    ):

        def seen() -> _Seen:
            counts = engine.cameras().values()
            return _Seen(
                at_s=time.monotonic(),
                cpu_s=time.process_time(),
                sent=sent.value,
                came=sum(each.came for each in counts),
                lost=sum(sum(each.dropped.values()) for each in counts),
                waits=len(waits.ms),
            )

        _await_all(engine)
        time.sleep(WARM_UP_S)
        before = seen()
        time.sleep(size.seconds)
        after = seen()
    return _load_between(before, after, waits.ms[before.waits : after.waits], cameras, decoding, pictures)


def _await_all(engine: Engine) -> None:
    """Wait until every camera has sent a picture. Raises ``MediaError`` where one fails, or does not in time."""
    until_s = time.monotonic() + PATIENCE_S
    while True:
        counts = engine.cameras().values()
        failed = [each.error for each in counts if each.error]
        if failed:
            raise MediaError(failed[0])
        silent = sum(not each.came for each in counts)
        if not silent:
            return
        if time.monotonic() > until_s:
            raise MediaError(f"{silent} of {len(counts)} gave no picture within {PATIENCE_S:g} s")
        time.sleep(0.1)


def _load_between(
    before: _Seen, after: _Seen, waits_ms: list[float], cameras: int, decoding: Decoding, pictures: Pictures
) -> LiveLoad:
    seconds = after.at_s - before.at_s
    p50, p99 = (float(each) for each in np.percentile(waits_ms or [1000 * seconds], [50, 99]))
    decoded_hz, lost = (after.came - before.came) / seconds, after.lost - before.lost
    return LiveLoad(
        decoder=decoding.name,
        width=pictures.width,
        height=pictures.height,
        cameras=cameras,
        sent_hz=(after.sent - before.sent) / seconds,
        decoded_hz=decoded_hz,
        analysed_hz=(after.waits - before.waits) / seconds,
        lost=lost,
        p50_ms=p50,
        p99_ms=p99,
        cores=(after.cpu_s - before.cpu_s) / seconds,
        is_held=decoded_hz >= HELD_SHARE * cameras * RATE_HZ and p99 < HELD_MS and not lost,
    )
