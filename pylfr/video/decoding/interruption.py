"""Ends FFmpeg's waiting for a silent camera as soon as somebody closes it.

FFmpeg asks ten times a second whether it should go on. PyAV answers with a deadline, by the clock of its module
``av.container.core``, on the thread that waits. Here that thread's clock leaps ahead once its camera is closed, so that
every deadline is over. A PyAV that keeps its deadlines otherwise waits until they are over by themselves.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

from av.container import core

_LEAP_S = 1e9


class _Waiting(threading.local):
    """The camera that this thread waits for, if any, and how often its clock has leapt."""

    closed: threading.Event | None = None
    leaps = 0


_waiting = _Waiting()


def _monotonic() -> float:
    now_s = time.monotonic()
    if _waiting.closed is None or not _waiting.closed.is_set():
        return now_s
    # Each look at the clock finds it later again: a deadline that is set after the leap is over too.
    _waiting.leaps += 1
    return now_s + _LEAP_S * _waiting.leaps


@contextlib.contextmanager
def interrupted_by(closed: threading.Event) -> Iterator[None]:
    """Reads of PyAV on this thread that have a timeout end within a tenth of a second once ``closed`` is set.

    What was read so must be closed so: PyAV refuses a clock that has gone back.
    """
    _install()
    before, _waiting.closed = _waiting.closed, closed
    try:
        yield
    finally:
        _waiting.closed = before


def _install() -> None:
    if getattr(core, "time", _CLOCK) is not _CLOCK:
        # A name of PyAV's own module, which its stub does not list.
        setattr(core, "time", _CLOCK)  # noqa: B010


_CLOCK = SimpleNamespace(monotonic=_monotonic)
