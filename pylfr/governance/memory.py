"""Keeps what is in memory in memory: a process that holds a watchlist leaves no core dump behind."""

from __future__ import annotations

import resource


def refuse_core_dumps() -> None:
    """From now on, and for every program started from here, a crash writes no memory to a disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
