"""Where the system gives no more files, memory or threads, a command ends with one line that names the limit."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from pylfr.cli.limits import limit_met
from pylfr.errors import MediaError

FILES = """
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
try:
    while True:
        os.dup(0)
except OSError:
    pass
"""
MEMORY = """
import resource
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * resource.getpagesize() + 4_000_000
resource.setrlimit(resource.RLIMIT_AS, (most, most))
"""


@pytest.mark.parametrize(
    ("use_up", "words"),
    [(FILES, "too many open files, at most 40 may be (`ulimit -n`"), (MEMORY, "MB may be used (`ulimit -v`")],
    ids=["files", "memory"],
)
def test_a_command_under_a_limit_ends_with_one_line(use_up: str, words: str, tmp_path: Path) -> None:
    program = f"from pylfr.cli import main\n{use_up}\nmain()"
    ended = subprocess.run(
        [sys.executable, "-c", program, "watchlist", "list", str(tmp_path / "none")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    [line] = ended.stderr.splitlines()
    assert words in line


def raised_from(outer: Exception, cause: BaseException) -> Exception:
    outer.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (raised_from(MediaError("camera north cannot be opened"), OSError(errno.EMFILE, "Too many")), "ulimit -n"),
        (MemoryError(), "ulimit -v"),
        (RuntimeError("Exception during initialization: std::bad_alloc"), "ulimit -v"),
        (ImportError("libx.so: failed to map segment from shared object"), "ulimit -v"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (ValueError("a mistake of ours"), ""),
        (OSError(errno.ENOSPC, "No space left on device"), ""),
    ],
)
def test_the_limit_behind_an_error_is_named_and_nothing_else_is_called_one(error: Exception, words: str) -> None:
    found = limit_met(error)
    assert words in found
    assert bool(words) == bool(found)
