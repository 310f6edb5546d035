"""How many pools of memory the C library gives to the threads of a process."""

from __future__ import annotations

import ctypes

# mallopt(3): the number of arenas.
_ARENA_MAX = -8


def share_arenas(most: int = 2) -> None:
    """Let all threads share so many arenas: what one has freed serves the others.

    With one for each thread, as glibc has it, a process whose threads take turns holds the most that each ever held.
    Another C library keeps to its way.
    """
    try:
        ctypes.CDLL("libc.so.6").mallopt(_ARENA_MAX, most)
    except (OSError, AttributeError):
        return
