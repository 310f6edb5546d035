"""What a number was measured on: processor, cores, versions, memory and, where it can be read, power."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pylfr import ops

_POWERCAP = Path("/sys/class/powercap")
_PACKAGES = ("pylfr", "numpy", "av", "onnxruntime", "openvino", "faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs")


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

    def in_words(self) -> str:
        """The machine in one line."""
        return f"{self.processor}, {self.cores} cores, {self.system}, Python {self.python}, {self.simd}; " + ", ".join(
            f"{name} {version}" for name, version in self.versions.items()
        )


def this_machine(packages: Sequence[str] = _PACKAGES) -> Machine:
    """The machine that this program runs on, with the versions of those packages that are installed."""
    versions = {}
    for name in packages:
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


def resident_mb() -> float:
    """Memory of this process that is in RAM now, in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class PowerMeter:
    """Mean watts of the processor packages since it was made, from the counters of RAPL."""

    def __init__(self, folder: Path = _POWERCAP) -> None:
        self._zones = sorted(folder.glob("intel-rapl:[0-9]*"))
        self._zones = [zone for zone in self._zones if zone.name.count(":") == 1]
        self._began = time.monotonic()
        self._joules = [self._read(zone) for zone in self._zones]

    def watts(self) -> tuple[float | None, str]:
        """Watts, and "" where they could be read; else None and why not."""
        if not self._zones:
            return None, "this system shows no RAPL power counters"
        now = [self._read(zone) for zone in self._zones]
        seconds = time.monotonic() - self._began
        total = 0.0
        for zone, before, after in zip(self._zones, self._joules, now, strict=True):
            if before is None or after is None:
                return None, f"{zone / 'energy_uj'} may be read by root only"
            # The counter goes round.
            total += (
                after - before if after >= before else after - before + (self._read(zone, "max_energy_range_uj") or 0)
            )
        return round(total / max(seconds, 1e-6), 1), ""

    @staticmethod
    def _read(zone: Path, counter: str = "energy_uj") -> float | None:
        try:
            return int((zone / counter).read_text()) / 1e6
        except (OSError, ValueError):
            return None


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
