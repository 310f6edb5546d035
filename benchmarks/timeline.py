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

from benchmarks.measure import print_machine, this_machine, write_results

QUANTILES = (0.5, 0.9, 0.99)
PHASES = ("decode", "queue", "detect", "hand over", "recognise")
# Frames so near to a quantile, of all, are looked at together.
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
    """One of the things that a frame waits for: milliseconds, and the cores in use meanwhile, by kind of thread."""

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
    spans = [each for each in events if each["ph"] == "X" and each["ts"] >= 1e6 * _WARM_UP_S]
    samples = [each for each in events if each["ph"] == "C" and each["ts"] >= 1e6 * _WARM_UP_S]
    of_row = {name: [each for each in spans if rows[each["tid"]] == name] for name in ("detection", "recognition")}
    moments = frame_moments(spans, rows, of_row)
    moments = moments[np.argsort(moments[:, -1] - moments[:, 0])]
    batches = {each["args"]["batch"] for each in of_row["detection"] if each["name"] == "detect"}
    queued = [each for each in spans if each["name"] == "queue"]
    since, until = min(each["ts"] for each in spans), max(each["ts"] + each["dur"] for each in spans)
    used = CoreUse(samples)
    stages: dict[str, list[int]] = {}
    for row in of_row.values():
        for each in row:
            stages.setdefault(each["name"], []).append(each["dur"])
    return Timeline(
        cameras=sum(name not in of_row for name in rows.values()),
        seconds=round((until - since) / 1e6, 1),
        frames=len(moments),
        frames_a_batch=round(len(queued) / max(1, len(batches)), 2),
        replaced=sum(each["name"] == "replaced" for each in spans),
        cores=used.between(float(since), float(until)),
        stages_ms={name: round(float(np.median(each)) / 1000, 2) for name, each in stages.items()},
        busy={
            name: round(1 - sum(each["dur"] for each in row if each["name"] == "wait") / (until - since), 3)
            for name, row in of_row.items()
        },
        waits=[waits_at(moments, used, quantile, cores=cores) for quantile in QUANTILES],
    )


def frame_moments(
    spans: Sequence[Event], rows: Mapping[int, str], of_row: Mapping[str, Sequence[Event]]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Of each frame with a compared face: when it was due, decoded, taken, detected in, compared from and decided on.

    float64 [N, 6], microseconds.
    """
    decoded = {(rows[each["tid"]], each["args"]["frame"]): each for each in spans if each["name"] == "decode"}
    detected = {each["args"]["batch"]: each for each in of_row["detection"] if each["name"] == "detect"}
    stages: dict[float, list[Event]] = {}
    for each in of_row["recognition"]:
        if each["name"] != "wait":
            stages.setdefault(each["args"]["batch"], []).append(each)
    found = []
    for queue in (each for each in spans if each["name"] == "queue"):
        decode = decoded.get((rows[queue["tid"]], queue["args"]["frame"]))
        detect = detected.get(queue["args"]["batch"])
        after = stages.get(queue["args"]["batch"], [])
        if decode is None or detect is None or not any(each["name"] == "embed" for each in after):
            continue
        began, ended = min(each["ts"] for each in after), max(each["ts"] + each["dur"] for each in after)
        taken, seen = queue["ts"] + queue["dur"], detect["ts"] + detect["dur"]
        found.append((decode["ts"], queue["ts"], taken, seen, began, ended))
    return np.array(found, np.float64)


class CoreUse:
    """Cores in use by kind of thread, from counters."""

    def __init__(self, samples: Sequence[Event]) -> None:
        self._at = np.array([each["ts"] for each in samples], np.float64)
        long = np.diff(self._at, append=self._at[-1])
        self._summed = {
            kind: np.concatenate([[0.0], np.cumsum([each["args"][kind] for each in samples] * long)[:-1]])
            for kind in samples[0]["args"]
        }

    def between(self, since: float, until: float) -> dict[str, float]:
        """The mean of each kind."""
        return {
            kind: round(float(np.diff(np.interp([since, until], self._at, summed))[0] / max(1.0, until - since)), 3)
            for kind, summed in self._summed.items()
        }


def waits_at(
    moments: np.ndarray[tuple[int, int], np.dtype[np.float64]], used: CoreUse, quantile: float, *, cores: int
) -> Waits:
    """The frames about a quantile; ``moments`` by latency."""
    place = min(len(moments) - 1, int(quantile * len(moments)))
    near = max(1, round(_NEAR * len(moments)))
    those = moments[max(0, place - near) : place + near + 1]
    phases = []
    for column, name in enumerate(PHASES):
        parts = [used.between(row[column], row[column + 1]) for row in those if row[column + 1] - row[column] > 1000]
        phases.append(
            Phase(
                name=name,
                ms=round(float((those[:, column + 1] - those[:, column]).mean()) / 1000, 1),
                cores={kind: round(float(np.mean([each[kind] for each in parts])), 2) for kind in parts[0]}
                if parts
                else {},
            )
        )
    busy = [sum(used.between(row[0], row[-1]).values()) for row in those]
    return Waits(
        quantile=quantile,
        latency_ms=round(float(moments[place, -1] - moments[place, 0]) / 1000, 1),
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
