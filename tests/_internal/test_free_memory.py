"""How much memory is free is the least that the machine, a control group or the process's own limit leaves."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from pylfr._internal.free_memory import free_memory_bytes


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A machine with 8 MiB left, whose process is in a group inside another."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 16384 kB\nMemAvailable: 8192 kB\n")
    (tmp_path / "proc/self/cgroup").write_text("1:name=old:/elsewhere\n0::/outer/inner\n")
    (tmp_path / "groups/outer/inner").mkdir(parents=True)
    return tmp_path


def free(system: Path) -> int | None:
    return free_memory_bytes(proc=system / "proc", groups=system / "groups")


def limit(group: Path, *, most: str, used: int, cached: int = 0) -> None:
    (group / "memory.max").write_text(f"{most}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")


def test_without_limits_it_is_what_the_machine_has_left(system: Path) -> None:
    assert free(system) == 8 << 20
    limit(system / "groups/outer/inner", most="max", used=1)
    assert free(system) == 8 << 20


def test_a_group_and_each_group_above_it_may_have_less(system: Path) -> None:
    limit(system / "groups/outer/inner", most=str(4 << 20), used=1 << 20)
    assert free(system) == 3 << 20
    limit(system / "groups/outer", most=str(4 << 20), used=3 << 20, cached=1 << 20)
    assert free(system) == 2 << 20
    limit(system / "groups/outer", most="1000", used=2000)
    assert free(system) == 0


def test_the_limit_of_the_process_counts(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (system / "proc/self/statm").write_text("1 1 1 1 1 1 1\n")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.getpagesize() + 77, resource.RLIM_INFINITY))
    assert free(system) == 77


def test_where_nobody_says_it_is_not_known(tmp_path: Path) -> None:
    assert free(tmp_path) is None


def test_this_machine_says_it() -> None:
    assert free_memory_bytes()
