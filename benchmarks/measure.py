"""How benchmarks measure and report: medians with spread, the machine beside every number, one JSON file a program."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pylfr import ops

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median, smallest and largest of ``repeats`` measurements, after ``warmup`` that do not count."""

    median: float
    min: float
    max: float
    repeats: int
    warmup: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a number was measured on."""

    processor: str
    cores: int
    system: str
    python: str
    simd: str
    cuda_devices: int
    versions: dict[str, str]
    measured_at: str


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


def this_machine() -> Machine:
    """The machine that this program runs on."""
    names = ("pylfr", "numpy", "av", "onnxruntime", "faiss-cpu")
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        simd=ops.simd_level(),
        cuda_devices=ops.cuda_device_count(),
        versions=versions,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


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


def resident_mb() -> float:
    """Memory of this process that is in RAM now, in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
