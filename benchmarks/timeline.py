"""What frames waited for, and what the cores did meanwhile, read from timelines of `pylfr size --trace`.

    python -m benchmarks.timeline trace-8.json [trace-11.json ...] [--dry-run]

Writes benchmarks/results/timeline.json. Cores are shares of one core that this process used, by kind of thread.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from benchmarks.measure import print_machine, this_machine, write_results
from pylfr.sizing.trace import DETECTION, RECOGNITION, Span, frame_moments

QUANTILES = (0.5, 0.9, 0.99)
PHASES = ("decode", "queue", "detect", "hand over", "recognise")
# The share of all frames on each side of a quantile that is averaged with it.
_NEAR = 0.01
# Cameras begin within so long; until then there are fewer of them.
_WARM_UP_S = 11.5


class Event(TypedDict, total=False):
    """An event of Chrome's trace format, times in microseconds."""

    ph: str
    tid: int
    name: str
    ts: int
    dur: int
    args: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase of a frame's latency: milliseconds, and the cores in use meanwhile, by kind of thread."""

    name: str
    ms: float
    cores: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What the frames about one quantile of latency waited for, and how many cores were left idle meanwhile."""

    quantile: float
    latency_ms: float
    phases: list[Phase]
    idle_cores: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One run. ``cores`` are those in use in the mean; ``stages_ms`` is the median length of each stage of a batch.

    ``busy`` is the share of time in which detection, or recognition, did not wait for work.
    """

    cameras: int
    seconds: float
    frames: int
    frames_a_batch: float
    replaced: int
    cores: Mapping[str, float]
    stages_ms: Mapping[str, float]
    busy: Mapping[str, float]
    waits: list[Waits]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timelines:
    """Runs with one number of cameras each, on a machine with so many ``cores``."""

    cores: int
    timelines: list[Timeline]


def read(path: Path, *, cores: int) -> Timeline:
    """The waits in one file."""
    events: list[Event] = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    rows = {each["tid"]: str(each["args"]["name"]) for each in events if each["ph"] == "M"}
    warm = [each for each in events if each["ph"] in "XC" and each["ts"] >= 1e6 * _WARM_UP_S]
    spans = [span_of(each, rows) for each in warm if each["ph"] == "X"]
    of_row = {name: [each for each in spans if each.row == name] for name in (DETECTION, RECOGNITION)}
    moments = frame_moments(spans)
    batches = {each.about["batch"] for each in of_row[DETECTION] if each.name == "detect"}
    queued = [each for each in spans if each.name == "queue"]
    since_s, until_s = min(each.since_s for each in spans), max(each.until_s for each in spans)
    used = CoreUse([each for each in warm if each["ph"] == "C"])
    stages: dict[str, list[float]] = {}
    for row in of_row.values():
        for each in row:
            stages.setdefault(each.name, []).append(each.until_s - each.since_s)
    return Timeline(
        cameras=sum(name not in of_row for name in rows.values()),
        seconds=round(until_s - since_s, 1),
        frames=len(moments),
        frames_a_batch=round(len(queued) / max(1, len(batches)), 2),
        replaced=sum(each.name == "replaced" for each in spans),
        cores=used.between(since_s, until_s),
        stages_ms={name: round(1000 * float(np.median(each)), 2) for name, each in stages.items()},
        busy={
            name: round(
                1 - sum(each.until_s - each.since_s for each in row if each.name == "wait") / (until_s - since_s), 3
            )
            for name, row in of_row.items()
        },
        waits=[waits_at(moments, used, quantile, cores=cores) for quantile in QUANTILES],
    )


def span_of(event: Event, rows: Mapping[int, str]) -> Span:
    """The span that the event was written for, in seconds from the first one on."""
    return Span(
        row=rows[event["tid"]],
        name=event["name"],
        since_s=event["ts"] / 1e6,
        until_s=(event["ts"] + event["dur"]) / 1e6,
        about=event["args"],
    )


class CoreUse:
    """Cores in use by kind of thread, from counters."""

    def __init__(self, samples: Sequence[Event]) -> None:
        self._at_s = np.array([each["ts"] for each in samples]) / 1e6
        long_s = np.diff(self._at_s, append=self._at_s[-1])
        self._summed = {
            kind: np.concatenate([[0.0], np.cumsum([each["args"][kind] for each in samples] * long_s)[:-1]])
            for kind in samples[0]["args"]
        }

    def between(self, since_s: float, until_s: float) -> dict[str, float]:
        """The mean of each kind."""
        long_s = max(1e-6, until_s - since_s)
        return {
            kind: round(float(np.diff(np.interp([since_s, until_s], self._at_s, summed))[0] / long_s), 3)
            for kind, summed in self._summed.items()
        }


def waits_at(moments: npt.NDArray[np.float64], used: CoreUse, quantile: float, *, cores: int) -> Waits:
    """The frames about a quantile; ``moments`` as ``frame_moments`` gives them."""
    place = min(len(moments) - 1, int(quantile * len(moments)))
    near = max(1, round(_NEAR * len(moments)))
    those = moments[max(0, place - near) : place + near + 1]
    phases = []
    for column, name in enumerate(PHASES):
        parts = [used.between(row[column], row[column + 1]) for row in those if row[column + 1] - row[column] > 0.001]
        phases.append(
            Phase(
                name=name,
                ms=round(1000 * float((those[:, column + 1] - those[:, column]).mean()), 1),
                cores={kind: round(float(np.mean([each[kind] for each in parts])), 2) for kind in parts[0]}
                if parts
                else {},
            )
        )
    busy = [sum(used.between(row[0], row[-1]).values()) for row in those]
    return Waits(
        quantile=quantile,
        latency_ms=round(1000 * float(moments[place, -1] - moments[place, 0]), 1),
        phases=phases,
        idle_cores=round(max(0.0, cores - float(np.mean(busy))), 2),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", type=Path, nargs="+")
    parser.add_argument("--dry-run", action="store_true", help="write no results")
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    timelines = [read(path, cores=machine.cores) for path in given.traces]
    for each in timelines:
        print(f"{each.cameras} cameras, {each.frames} frames, {each.frames_a_batch} a batch, {each.replaced} replaced; "
              f"busy {each.busy}; cores {each.cores}; stages {each.stages_ms}")  # fmt: skip
        for waits in each.waits:
            print(f"  p{100 * waits.quantile:g} {waits.latency_ms:.0f} ms, {waits.idle_cores} cores idle")
            for phase in waits.phases:
                print(f"    {phase.name:10} {phase.ms:6.1f} ms; {phase.cores}")
    if not given.dry_run:
        path = write_results("timeline", machine, Timelines(cores=machine.cores, timelines=timelines))
        print(f"written to {path}")


if __name__ == "__main__":
    main()
