"""How much more memory this process can allocate, as the system reports it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path


def free_memory_bytes(*, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The least of what is left on the machine, in the control groups of the process, and under its own limit.

    None where the system reports none of these.
    """
    known = [*_of_machine(proc), *_of_groups(proc, groups), *_of_process(proc)]
    return max(0, min(known)) if known else None


def _of_machine(proc: Path) -> Iterator[int]:
    for line in _lines(proc / "meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _of_groups(proc: Path, groups: Path) -> Iterator[int]:
    """Control groups v2: each, and each above it, may have a limit. Pages that are only cached count as free."""
    for line in _lines(proc / "self/cgroup"):
        number, _, place = line.split(":", 2)
        if number != "0":
            continue
        group = groups / place.lstrip("/")
        while group == groups or groups in group.parents:
            most, used = _lines(group / "memory.max"), _lines(group / "memory.current")
            if most and used and most[0] != "max":
                cached = sum(
                    int(each.split()[1]) for each in _lines(group / "memory.stat") if each.startswith("inactive_file ")
                )
                yield int(most[0]) - int(used[0]) + cached
            group = group.parent


def _of_process(proc: Path) -> Iterator[int]:
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = _lines(proc / "self/statm")
    if most != resource.RLIM_INFINITY and pages:
        yield most - int(pages[0].split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []
