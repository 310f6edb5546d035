"""Which stage used the time, and which thread the processor: measured around the engine's parts while they run."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

DECODE_THREADS = "pylfr-decode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Seconds that one stage took, by the clock and of the processor, without the stages inside it."""

    calls: int
    wall_s: float
    cpu_s: float


class Stopwatch:
    """Takes the time of methods, by stage; stages inside stages count for themselves. Undone when it is closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._local = threading.local()
        self._calls: dict[str, int] = defaultdict(int)
        self._wall: dict[str, float] = defaultdict(float)
        self._cpu: dict[str, float] = defaultdict(float)
        self._watched: list[tuple[object, str]] = []

    def watch(self, part: object, method: str, stage: str) -> None:
        """From now on every call of ``part.method`` counts for ``stage``."""
        inner: Callable[..., object] = getattr(part, method)

        def timed(*given: object, **named: object) -> object:
            with self.stage(stage):
                return inner(*given, **named)

        setattr(part, method, timed)
        self._watched.append((part, method))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside for ``name``."""
        inside: list[list[float]] = getattr(self._local, "inside", [])
        self._local.inside = inside
        mine = [0.0, 0.0]
        inside.append(mine)
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
            inside.pop()
            if inside:
                inside[-1][0] += wall
                inside[-1][1] += cpu
            with self._lock:
                self._calls[name] += 1
                self._wall[name] += wall - mine[0]
                self._cpu[name] += cpu - mine[1]

    def spent(self) -> dict[str, Spent]:
        """What every stage took so far."""
        with self._lock:
            return {
                name: Spent(calls=calls, wall_s=self._wall[name], cpu_s=self._cpu[name])
                for name, calls in self._calls.items()
            }

    def __enter__(self) -> Stopwatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for part, method in reversed(self._watched):
            delattr(part, method)
        self._watched.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimes:
    """Processor seconds used so far: by decode threads, other Python threads, threads of libraries; by all programs.

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
        seconds = _task_seconds(task)
        if number not in named:
            library += seconds
        elif named[number].startswith(DECODE_THREADS):
            decode += seconds
        else:
            python += seconds
        decode += sum(_process_seconds(child) for child in _children(task))
    return CpuTimes(at_s=time.monotonic(), decode_s=decode, python_s=python, library_s=library, busy_s=_busy_seconds())


def _task_seconds(task: Path) -> float:
    try:
        return int((task / "schedstat").read_text().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return _stat_seconds(task / "stat")


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
