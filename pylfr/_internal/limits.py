"""Errors of a process that ran out of files, memory or threads, as one line that names the limit."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator

# How libraries word a lack of memory, threads or files in errors of their own.
_NO_MEMORY = (
    *("bad_alloc", "bad allocation", "cannot allocate memory", "failed to map segment", "out of memory"),
    *("failed to allocate", "malloc failure", "unable to allocate", "memory exhausted", "std::length_error"),
)
_NO_THREAD = ("can't start new thread", "resource temporarily unavailable", "pthread_create failed")
_NO_FILE = ("too many open files", "unable to open database file")
# Files that any command opens for a moment.
_A_FEW = 4
# A library may ask for so much at once. Where that was always left, it was not refused any.
_AT_ONCE_MB = 1000.0


def limit_met(error: BaseException) -> str:
    """The limit behind an error, and how it is raised; "" where there is none."""
    for each in _chain(error):
        words = str(each).lower()
        number = each.errno if isinstance(each, OSError) else None
        if number in (errno.EMFILE, errno.ENFILE) or _NO_FILE[0] in words:
            return files_are_used_up()
        if isinstance(each, MemoryError) or number == errno.ENOMEM or any(sign in words for sign in _NO_MEMORY):
            return memory_is_used_up()
        if any(sign in words for sign in _NO_THREAD):
            most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
            # The system uses these words too where there is no memory for another stack.
            return f"no further thread can be started, of {_number(most)}{_memory()} (`ulimit -u` shows and raises it)"
        # Where no file can be opened, Python finds no module, and SQLite no database: neither says why.
        if (isinstance(each, ImportError) or _NO_FILE[1] in words) and not _can_open():
            return files_are_used_up()
    return ""


def memory_is_used_up() -> str:
    """The line for a process without memory."""
    return f"out of memory{_memory()} (`ulimit -v` shows a limit; fewer cameras or a smaller batch need less)"


def files_are_used_up() -> str:
    """The line for a process that may open no more files."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return f"too many open files, the limit is {_number(most)} (`ulimit -n` shows and raises it)"


def memory_limit_mb() -> float | None:
    """How many megabytes a process may map; None where there is no limit."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if most == resource.RLIM_INFINITY else most / 1e6


def memory_may_be_short() -> bool:
    """Whether the limit on memory is so near that a library may have been refused some, whatever its error says."""
    most = memory_limit_mb()
    return most is not None and most - _peak_mb() < _AT_ONCE_MB


def _peak_mb() -> float:
    """How many megabytes this process had mapped at most; infinite where nobody can say."""
    try:
        with open("/proc/self/status", encoding="utf-8") as file:  # noqa: PTH123 - imported before anything else
            return int(file.read().partition("VmPeak:")[2].split()[0]) * 1024 / 1e6
    except (OSError, ValueError, IndexError, MemoryError):
        return float("inf")


def _memory() -> str:
    most = memory_limit_mb()
    return "" if most is None else f", {most:,.0f} MB may be used"


def _number(most: int) -> str:
    return "unlimited" if most == resource.RLIM_INFINITY else str(most)


def _can_open() -> bool:
    """Whether a few more files can be opened just now."""
    opened: list[int] = []
    try:
        while len(opened) < _A_FEW:
            opened += [os.open(os.devnull, os.O_RDONLY)]
    except OSError:
        return False
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return True


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, the nearest first."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__
