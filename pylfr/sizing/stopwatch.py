"""Which stage used the time, and which kind of thread the processor, while an engine runs."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pylfr.engine.alert_policy import PossibleMatch
from pylfr.engine.observer import Comparison, Observer
from pylfr.types import Alert, Faces, FrameBatch, Int64, Recorded, Tracks

DECODE_THREADS = "pylfr-decode"
# Python's threads in which a runtime computes: what they use is the networks'.
NETWORK_THREADS = "pylfr-network"

# Linux numbers the processor clocks of threads by their native ids: of the scheduler, of one thread.
_OF_A_THREAD = 0b110


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Seconds that one stage took, by the clock and of the processor, without the stages inside it."""

    calls: int
    wall_s: float
    cpu_s: float


class Stopwatch(Observer):
    """Observes an engine and takes the time of its stages, on their threads: detect; track, plan, embed, decide.

    ``inside`` takes the time of what one of the latter calls, which then does not count for that stage.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[str, int] = defaultdict(int)
        self._wall: dict[str, float] = defaultdict(float)
        self._cpu: dict[str, float] = defaultdict(float)
        self._since = self._detecting_since = (0.0, 0.0)

    def batch_taken(self, batch: FrameBatch) -> None:  # noqa: ARG002
        self._detecting_since = _now()

    def faces_found(self, batch: FrameBatch, faces: Faces) -> None:  # noqa: ARG002
        since, now = self._detecting_since, _now()
        self._count("detect", now[0] - since[0], now[1] - since[1])

    def recognition_began(self, batch: FrameBatch) -> None:  # noqa: ARG002
        self._since = _now()

    def faces_tracked(self, batch: FrameBatch, tracks: Tracks) -> None:  # noqa: ARG002
        self._lap("track")

    def faces_selected(self, batch: FrameBatch, tracks: Tracks, rows: Int64) -> None:  # noqa: ARG002
        self._lap("plan")

    def faces_compared(self, comparison: Comparison) -> None:  # noqa: ARG002
        self._lap("embed")

    def matches_decided(self, comparison: Comparison, matches: Sequence[PossibleMatch]) -> None:  # noqa: ARG002
        self._lap("decide")

    def alert_recorded(self, recorded: Recorded[Alert]) -> None:  # noqa: ARG002
        self._lap("decide")

    @contextmanager
    def inside(self, stage: str) -> Iterator[None]:
        """Count what happens inside for ``stage`` instead of the stage that is under way."""
        wall, cpu = _now()
        try:
            yield
        finally:
            until_wall, until_cpu = _now()
            self._count(stage, until_wall - wall, until_cpu - cpu)
            self._since = (self._since[0] + until_wall - wall, self._since[1] + until_cpu - cpu)

    def spent(self) -> dict[str, Spent]:
        """What every stage took so far. May be called from any thread."""
        with self._lock:
            return {
                name: Spent(calls=calls, wall_s=self._wall[name], cpu_s=self._cpu[name])
                for name, calls in self._calls.items()
            }

    def _lap(self, stage: str) -> None:
        since, now = self._since, _now()
        self._count(stage, now[0] - since[0], now[1] - since[1])
        self._since = now

    def _count(self, stage: str, wall_s: float, cpu_s: float) -> None:
        with self._lock:
            self._calls[stage] += 1
            self._wall[stage] += wall_s
            self._cpu[stage] += cpu_s


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.thread_time()


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimes:
    """Processor seconds used so far: by decode threads, other Python threads, threads of libraries; by all programs.

    Threads in which networks run count as a library's.
    ``busy_s`` is what every program on this machine used, None where it cannot be read.
    """

    at_s: float
    decode_s: float
    python_s: float
    library_s: float
    busy_s: float | None

    @property
    def own_s(self) -> float:
        return self.decode_s + self.python_s + self.library_s


def cpu_times(*, without: frozenset[int] = frozenset()) -> CpuTimes:
    """The processor time of this process by kind of thread; ``without`` the threads of those native ids.

    Processes that this one has started count as decoding: that is what they are started for.
    """
    named = {thread.native_id: thread.name for thread in threading.enumerate()}
    decode = python = library = 0.0
    for task in Path("/proc/self/task").iterdir():
        number = int(task.name)
        if number in without:
            continue
        seconds = thread_cpu_s(number)
        if number not in named or named[number].startswith(NETWORK_THREADS):
            library += seconds
        elif named[number].startswith(DECODE_THREADS):
            decode += seconds
        else:
            python += seconds
        decode += sum(_process_seconds(child) for child in _children(task))
    return CpuTimes(at_s=time.monotonic(), decode_s=decode, python_s=python, library_s=library, busy_s=_busy_seconds())


def thread_cpu_s(native_id: int) -> float:
    """Processor seconds that a thread of this process has used so far, 0 where it has ended."""
    try:
        return time.clock_gettime((~native_id << 3) | _OF_A_THREAD)
    except OSError:
        return 0.0


def _process_seconds(process: int) -> float:
    return _stat_seconds(Path("/proc") / str(process) / "stat")


def _stat_seconds(stat: Path) -> float:
    try:
        after_name = stat.read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):  # it has ended meanwhile
        return 0.0


def _children(task: Path) -> list[int]:
    try:
        return [int(each) for each in (task / "children").read_text().split()]
    except OSError:
        return []


def _busy_seconds() -> float | None:
    try:
        user, nice, system, _, _, irq, softirq, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except (OSError, ValueError):
        return None
    return sum(map(int, (user, nice, system, irq, softirq))) / os.sysconf("SC_CLK_TCK")
