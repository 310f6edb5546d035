"""Loads as a machine of a known size would give them."""

from __future__ import annotations

from pylfr.sizing.measured_load import Latency, Load
from pylfr.sizing.result import Conditions
from pylfr.sizing.stopwatch import Spent

CONDITIONS = Conditions(
    video="clip.mp4", made_of="3 walking faces", codec="h264", width=1920, height=1080, rate_hz=25.0,
    megabits_a_second=4.0, watchlist=10_000, enrolled=3, detector="yunet_n", embedder="face_reid_0095", detect_hz=8.0,
    runtime="onnx", threads=0,
)  # fmt: skip


def load_of(cameras: int, *, most: int, seconds: float = 6.0, others: float = 0.0) -> Load:
    """``cameras`` on a machine that holds ``most``; decoding takes most of its processor."""
    busy = min(1.0, cameras / max(most, 1))
    latency = Latency(count=100, p50_ms=40.0, p99_ms=100.0 * busy if cameras <= most else 900.0, max_ms=1000.0)
    return Load(
        cameras=cameras, seconds=seconds, decided=latency, seen=latency, frames=int(25 * seconds) * cameras, late=0.0,
        looked_at=int(8 * seconds) * cameras, faces=24 * cameras, recognised=6 * cameras, not_compared=0, alerts=0,
        dropped={"superseded": 7} if cameras > 2 * most else {}, least_share=1.0,
        cpu_s={"decode": 5.0, "detect": 3.0, "track": 0.5, "embed": 1.0, "search": 0.2, "Python": 0.3},
        stages={"detect": Spent(calls=10, wall_s=1.0, cpu_s=1.0)}, cores_busy=busy, others_busy=others, loop_busy=0.5,
        memory_mb=200.0 + 40.0 * cameras, memory_before_mb=150.0, watts=None, watts_missing="no counter", errors=(),
    )  # fmt: skip
