"""Ends what FFmpeg does for a camera as soon as it should do no more of it.

FFmpeg asks ten times a second whether it should go on, and before it connects or sends anything. PyAV answers with a
deadline, by the clock of its module ``av.container.core``, on the thread that waits. The core gives it a clock that
leaps ahead once that thread is over with its camera (``csrc/core/interruption.cpp``), so that every deadline is over. A
PyAV that keeps its deadlines otherwise waits until they are over by themselves. While the core reads in PyAV's place,
it ends its reads itself (``csrc/core/read_watch.cpp``).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

from av.container import core

from pylfr import ops


class Closing(threading.Event):
    """Set once a camera is to be closed: then what FFmpeg does for it ends within two tenths of a second."""

    def __init__(self) -> None:
        super().__init__()
        self.interruption = ops.Interruption()

    def set(self) -> None:
        # Whoever is interrupted finds it set.
        super().set()
        self.interruption.interrupt()


@contextlib.contextmanager
def interrupted_by(closing: Closing) -> Iterator[None]:
    """What PyAV does on this thread with a timeout ends soon after ``closing`` is set, or FFmpeg was redirected.

    What was read so must be closed so: PyAV refuses a clock that has gone back.
    """
    _install()
    before = ops.interrupted_by(closing.interruption)
    try:
        yield
    finally:
        ops.interrupted_by(before)


def _install() -> None:
    if getattr(core, "time", None) is time:
        # A name of PyAV's own module, which its stub does not list.
        setattr(core, "time", SimpleNamespace(monotonic=ops.waiting_clock))  # noqa: B010
