"""Where the system gives no more files, memory or threads, a command ends with one line that names the limit."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pylfr._internal.limits import limit_met
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
    [(FILES, "too many open files, the limit is 40 (`ulimit -n`"), (MEMORY, "MB may be used (`ulimit -v`")],
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


def ended_under(limit: str, most: int, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of its own process, under a limit that it is started with."""
    program = (
        f"import resource, runpy; resource.setrlimit(resource.{limit}, ({most}, {most})); "
        "runpy.run_module('pylfr', run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False, timeout=240
    )


def require_one_line(ended: subprocess.CompletedProcess[str], sign: str) -> None:
    """Raise ``AssertionError`` unless it did what it should, or one line of error names the limit."""
    notices = ("notice ", "networks run in ", "detect: ", "embed: ")
    lines = [line for line in ended.stderr.splitlines() if not line.startswith(notices)]
    assert ended.returncode == 1, (ended.returncode, ended.stderr)
    [line] = lines
    assert line.startswith(("error ", "error: ")), ended.stderr
    assert sign in line, ended.stderr


# From where Python itself starts to where the command has what it needs.
@pytest.mark.parametrize("most_mb", [60, 120, 200, 280])
def test_a_command_that_is_started_with_little_memory_ends_with_one_line(most_mb: int, tmp_path: Path) -> None:
    ended = ended_under("RLIMIT_AS", most_mb * 1_000_000, "watchlist", "list", str(tmp_path / "none"))
    require_one_line(ended, "ulimit -v")


BROKEN = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({most_mb} * 1_000_000,) * 2)
from pylfr._internal import under_limit
from pylfr import cli
from pylfr.cli import watchlist
def broken(*_, **__):
    raise KeyError("a mistake of ours")
watchlist.open_watchlist = broken
sys.argv = ["pylfr", *sys.argv[1:]]
under_limit.run_under_limit(cli.main)
"""


def ended_broken(most_mb: int, *words: str) -> subprocess.CompletedProcess[str]:
    """`pylfr watchlist list` with a mistake in it, under a limit on memory."""
    return subprocess.run(
        [sys.executable, "-c", BROKEN.format(most_mb=most_mb), *words, "watchlist", "list", "none"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_mistake_of_ours_has_its_traceback_where_memory_is_limited_and_left() -> None:
    ended = ended_broken(64_000)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Traceback")
    assert ended.stderr.endswith("KeyError: 'a mistake of ours'\n")


def test_where_memory_is_nearly_used_up_an_unexplained_error_is_one_line_and_the_log_has_its_traceback() -> None:
    ended = ended_broken(900)
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert "'a mistake of ours'; 900 MB may be used, which may be too little (`ulimit -v`)" in line
    assert "`pylfr --log-level debug`" in line
    said = ended_broken(900, "--log-level", "debug").stderr
    assert 'raise KeyError("a mistake of ours")' in said or "in broken" in said


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("os.abort()", "a library ended the process (SIGABRT)"),
        ("os.write(2, b'terminate called\\nwhat(): bad_alloc\\n'); os.abort()", "(SIGABRT: terminate called)"),
        ("os.write(2, b'OpenBLAS error: no memory\\n'); os._exit(1)", "(exit status 1: OpenBLAS error: no memory)"),
        ("os.kill(os.getpid(), 9)", "(SIGKILL)"),
    ],
)
def test_what_a_library_ends_without_memory_its_parent_says(does: str, words: str) -> None:
    program = f"""
import os, resource
resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9))
from pylfr._internal.under_limit import run_under_limit
def command():
    {does}
run_under_limit(command)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert words in line
    assert "1,000 MB may be used (`ulimit -v`" in line


def test_under_a_limit_on_memory_a_command_ends_as_it_does_without() -> None:
    program = """
import os, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9))
from pylfr._internal.under_limit import run_under_limit
def command():
    os.write(2, b"a library's notice\\n")
    print("ready", flush=True)
    time.sleep(60)
run_under_limit(command)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        [child] = map(int, Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split())
        parent.terminate()
        assert parent.wait(30) == -signal.SIGTERM
        assert not Path(f"/proc/{child}").exists()
    done = subprocess.run(
        [sys.executable, "-c", program.replace("time.sleep(60)", "sys.exit(3)")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "ready\n")
