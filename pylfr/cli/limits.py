"""What the system refused for want of files, memory or threads, as one line that names the limit."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator

# How libraries say that there was no memory, or no thread, in errors of their own.
_NO_MEMORY = ("bad_alloc", "bad allocation", "cannot allocate memory", "failed to map segment", "out of memory")
_NO_THREAD = ("can't start new thread", "resource temporarily unavailable", "pthread_create failed")


def limit_met(error: BaseException) -> str:
    """Which limit is behind an error, with what raises it; "" where none is."""
    for each in _chain(error):
        words = str(each).lower()
        number = each.errno if isinstance(each, OSError) else None
        if number in (errno.EMFILE, errno.ENFILE) or "too many open files" in words:
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            return f"too many open files, at most {most} may be (`ulimit -n` shows and raises it)"
        if isinstance(each, MemoryError) or number == errno.ENOMEM or any(sign in words for sign in _NO_MEMORY):
            most = resource.getrlimit(resource.RLIMIT_AS)[0]
            allowed = "" if most == resource.RLIM_INFINITY else f", {most / 1e6:,.0f} MB may be used"
            return f"out of memory{allowed} (`ulimit -v` shows a limit; fewer cameras or a smaller batch need less)"
        if any(sign in words for sign in _NO_THREAD):
            most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
            return f"no further thread can be started, of {most} (`ulimit -u` shows and raises it)"
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came of."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__
