"""What a running load counted between two moments, as one ``Load``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pylfr.engine.summary import Summary
from pylfr.sizing.machine import resident_mb
from pylfr.sizing.measured_load import Latency, Load
from pylfr.sizing.stopwatch import CpuTimes, Spent
from pylfr.video.batching.closer_look import CLOSER_LOOK_SHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Everything that counts up, at one moment."""

    summary: Summary
    spent: dict[str, Spent]
    cpu: CpuTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What was read while ``cameras``, of ``rate_hz`` frames a second, ran between two marks.

    ``decided`` and ``seen`` are latencies, each with the moment at which it was taken: seconds of the monotonic clock,
    and milliseconds. ``memory_mb`` was read again and again, ``memory_before_mb`` before the engine was opened.
    """

    cameras: int
    rate_hz: float
    first: Mark
    last: Mark
    decided: Sequence[tuple[float, float]]
    seen: Sequence[tuple[float, float]]
    memory_before_mb: float
    memory_mb: Sequence[float]
    watts: float | None
    watts_missing: str


def load_from(readings: Readings, *, decode_floor_ms: float) -> Load:
    """The load between the two marks; decoding one frame takes ``decode_floor_ms`` of the processor by itself."""
    first, last, cameras = readings.first, readings.last, readings.cameras
    since_s, until_s = first.cpu.at_s, last.cpu.at_s
    seconds = until_s - since_s
    spent = _difference(first.spent, last.spent)
    frames = last.summary.frames - first.summary.frames
    looked_at = [
        camera.detected_frames - first.summary.cameras[name].detected_frames
        for name, camera in last.summary.cameras.items()
    ]
    own_s = last.cpu.own_s - first.cpu.own_s
    cores_s = seconds * len(os.sched_getaffinity(0))
    return Load(
        cameras=cameras,
        seconds=round(seconds, 2),
        decided=_latency(readings.decided, since_s, until_s),
        seen=_latency(readings.seen, since_s, until_s),
        frames=frames,
        late=max(0.0, 1 - frames / max(1.0, cameras * readings.rate_hz * seconds)),
        looked_at=sum(looked_at),
        faces=last.summary.faces - first.summary.faces,
        recognised=last.summary.recognised - first.summary.recognised,
        not_compared=_not_compared(last.summary) - _not_compared(first.summary),
        alerts=last.summary.alerts - first.summary.alerts,
        dropped=frames_dropped(last.summary, first.summary),
        least_share=_least_share(looked_at, cameras),
        cpu_s=_cpu_by_stage(first.cpu, last.cpu, spent, frames * decode_floor_ms / 1000),
        stages=spent,
        cores_busy=own_s / cores_s,
        others_busy=_others_busy(first.cpu, last.cpu, own_s, cores_s),
        loop_busy=min(1.0, _busier_thread_s(spent) / seconds),
        memory_mb=float(np.median(readings.memory_mb)) if len(readings.memory_mb) else resident_mb(),
        memory_before_mb=readings.memory_before_mb,
        watts=readings.watts,
        watts_missing=readings.watts_missing,
        errors=last.summary.errors,
    )


def frames_dropped(after: Summary, before: Summary) -> dict[str, int]:
    """Frames lost between two moments, by cause, in whatever camera.

    Closer looks only use time that is left over: where there is none, nothing that was asked for is lost.
    """
    dropped: Counter[str] = Counter()
    for name, camera in after.cameras.items():
        was = before.cameras[name].dropped if name in before.cameras else {}
        for cause, count in camera.dropped.items():
            dropped[cause] += count - was.get(cause, 0)
    return {cause: count for cause, count in dropped.items() if count and cause not in ("stopped", CLOSER_LOOK_SHED)}


def _not_compared(summary: Summary) -> int:
    return summary.dropped.get("not_compared_budget", 0)


def _latency(readings: Sequence[tuple[float, float]], since_s: float, until_s: float) -> Latency:
    taken = np.array([ms for at_s, ms in readings if since_s <= at_s <= until_s])
    if not len(taken):
        return Latency(count=0, p50_ms=0.0, p99_ms=0.0, max_ms=0.0)
    p50, p99 = np.percentile(taken, (50, 99))
    return Latency(count=len(taken), p50_ms=float(p50), p99_ms=float(p99), max_ms=float(taken.max()))


def _least_share(looked_at: Sequence[int], cameras: int) -> float:
    """How many frames of the least analysed camera there were, as a share of the mean."""
    mean = sum(looked_at) / max(cameras, 1)
    return min(looked_at) / mean if mean else 0.0


def _others_busy(first: CpuTimes, last: CpuTimes, own_s: float, cores_s: float) -> float | None:
    """The share of the machine that other programs used; None where that cannot be read."""
    if first.busy_s is None or last.busy_s is None:
        return None
    return max(0.0, (last.busy_s - first.busy_s - own_s) / cores_s)


def _busier_thread_s(spent: dict[str, Spent]) -> float:
    """How long the thread that detects was busy, or the one that does the rest, whichever is longer."""
    detect_s = spent["detect"].wall_s if "detect" in spent else 0.0
    return max(detect_s, sum(each.wall_s for each in spent.values()) - detect_s)


def _difference(first: dict[str, Spent], last: dict[str, Spent]) -> dict[str, Spent]:
    none = Spent(calls=0, wall_s=0.0, cpu_s=0.0)
    return {
        name: Spent(
            calls=each.calls - first.get(name, none).calls,
            wall_s=each.wall_s - first.get(name, none).wall_s,
            cpu_s=each.cpu_s - first.get(name, none).cpu_s,
        )
        for name, each in last.items()
    }


def _cpu_by_stage(first: CpuTimes, last: CpuTimes, spent: dict[str, Spent], decode_floor_s: float) -> dict[str, float]:
    """Processor seconds by stage.

    Threads of libraries work for the networks: their time is divided in proportion to how long detection and embedding
    took. Python's part is what its threads used outside every stage, and what decoding used beyond the decoder's need.
    """

    def cpu(*names: str) -> float:
        return sum(spent[name].cpu_s for name in names if name in spent)

    def wall(name: str) -> float:
        return spent[name].wall_s if name in spent else 0.0

    library_s = last.library_s - first.library_s
    networks_s = wall("detect") + wall("embed")
    to_detect = wall("detect") / networks_s if networks_s else 0.5
    decode_s = last.decode_s - first.decode_s
    python_s = last.python_s - first.python_s - sum(each.cpu_s for each in spent.values())
    return {
        "decode": min(decode_s, decode_floor_s),
        "detect": cpu("detect") + library_s * to_detect,
        "track": cpu("track"),
        "embed": cpu("embed") + library_s * (1 - to_detect),
        "search": cpu("search"),
        "Python": max(0.0, python_s) + cpu("plan", "decide") + max(0.0, decode_s - decode_floor_s),
    }
