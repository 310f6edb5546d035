"""How benchmarks measure and report: medians with spread, the machine beside every number, one JSON file a program."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from pylfr.sizing.machine import Machine, resident_mb, this_machine

__all__ = [
    "DISTURBED",
    "Machine",
    "Spread",
    "print_machine",
    "read_results",
    "resident_mb",
    "spread_of",
    "this_machine",
    "time_ms",
    "write_results",
]

Kind = TypeVar("Kind")

RESULTS = Path(__file__).parent / "results"
# Where other programs use more than this share of the machine, times by the clock cannot be compared.
DISTURBED = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median, smallest and largest of ``repeats`` measurements, after ``warmup`` that do not count."""

    median: float
    min: float
    max: float
    repeats: int
    warmup: int


def spread_of(values: Sequence[float], *, warmup: int = 0) -> Spread:
    """The spread of measurements that have been made already."""
    return Spread(
        median=statistics.median(values), min=min(values), max=max(values), repeats=len(values), warmup=warmup
    )


def time_ms(work: Callable[[], object], *, repeats: int, warmup: int = 3) -> Spread:
    """Milliseconds that ``work`` takes, wall clock."""
    taken = []
    for turn in range(warmup + repeats):
        began = time.perf_counter()
        work()
        if turn >= warmup:
            taken.append((time.perf_counter() - began) * 1000)
    return spread_of(taken, warmup=warmup)


def print_machine(machine: Machine) -> None:
    """The machine in two lines, before anything is measured."""
    print(f"{machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python}, {machine.simd}")
    print(", ".join(f"{name} {version}" for name, version in machine.versions.items()))


def write_results(name: str, machine: Machine, results: object) -> Path:
    """Write ``results``, a dataclass, with its machine into benchmarks/results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    record = {"benchmark": name, "machine": asdict(machine), "results": asdict(results)}  # type: ignore[call-overload]
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def read_results(name: str, kind: type[Kind]) -> Kind | None:
    """What ``write_results`` wrote, to be added to; None where nothing was written yet."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return None
    return TypeAdapter(kind).validate_python(json.loads(path.read_text(encoding="utf-8"))["results"])
