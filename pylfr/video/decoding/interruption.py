"""Ends what FFmpeg does for a camera as soon as it should do no more of it.

FFmpeg asks ten times a second whether it should go on, and before it connects or sends anything. PyAV answers with a
deadline, by the clock of its module ``av.container.core``, on the thread that waits. Here that thread's clock leaps
ahead once it is over with its camera, so that every deadline is over. A PyAV that keeps its deadlines otherwise waits
until they are over by themselves.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

from av.container import core

_LEAP_S = 1e9


class _Waiting(threading.local):
    """What tells whether this thread need not wait any more, if it waits at all, and how often its clock has leapt."""

    is_over: Callable[[], bool] | None = None
    leaps = 0


_waiting = _Waiting()


def _monotonic() -> float:
    now_s = time.monotonic()
    if _waiting.is_over is None or not _waiting.is_over():
        return now_s
    # Each look at the clock finds it later again: a deadline that is set after the leap is over too.
    _waiting.leaps += 1
    return now_s + _LEAP_S * _waiting.leaps


@contextlib.contextmanager
def interrupted_by(is_over: Callable[[], bool]) -> Iterator[None]:
    """What PyAV does on this thread with a timeout ends within a tenth of a second once ``is_over()``.

    What was read so must be closed so: PyAV refuses a clock that has gone back.
    """
    _install()
    before, _waiting.is_over = _waiting.is_over, is_over
    try:
        yield
    finally:
        _waiting.is_over = before


def _install() -> None:
    if getattr(core, "time", _CLOCK) is not _CLOCK:
        # A name of PyAV's own module, which its stub does not list.
        setattr(core, "time", _CLOCK)  # noqa: B010


_CLOCK = SimpleNamespace(monotonic=_monotonic)
