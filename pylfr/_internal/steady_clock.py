"""The time of day as a run keeps it: the system's clock at its start, carried on by a clock that nobody sets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

# On Linux it goes on while the machine sleeps; CLOCK_MONOTONIC does not.
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def system_now() -> datetime:
    """The time by the system's clock, UTC, which somebody may set at any moment."""
    return datetime.now(UTC)


def since_boot_s() -> float:
    """Seconds since the machine was started, on a clock that nobody sets."""
    return time.clock_gettime(_BOOT_CLOCK)


class SteadyClock:
    """Tells the time without ever stepping. ``held`` sets it by the system's clock, for as long as it is used."""

    def __init__(
        self, *, system: Callable[[], datetime] = system_now, steady_s: Callable[[], float] = since_boot_s
    ) -> None:
        self._system = system
        self._steady_s = steady_s
        self._lock = threading.Lock()
        self._holders = 0
        self._set()

    def now(self) -> datetime:
        """The time, UTC. Between two calls it advances by what has passed, whatever happened to the system's clock."""
        return self._began + timedelta(seconds=self._steady_s() - self._began_s)

    def step_s(self) -> float:
        """By how many seconds the system's clock is ahead of this one: it was set meanwhile. Negative: set back."""
        return (self._system() - self.now()).total_seconds()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Set the clock by the system's, unless somebody else holds it already, and do not set it again inside."""
        with self._lock:
            if not self._holders:
                self._set()
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1

    def _set(self) -> None:
        self._began, self._began_s = self._system(), self._steady_s()


# All of a process that stamps frames and entries goes by this one.
STEADY = SteadyClock()


def steady_now() -> datetime:
    """The time by the process's steady clock, UTC."""
    return STEADY.now()
