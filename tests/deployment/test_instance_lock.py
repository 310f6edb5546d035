"""A deployment runs once at a time: a second start is refused by name, and no end of a run leaves the lock held."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pylfr.deployment.instance_lock import lock_instance
from pylfr.errors import ConfigError
from pylfr.governance.audit.audit import open_audit, read_audit
from pylfr.types import Event
from tests.samples import NOON


def test_a_second_run_is_refused_and_named_the_first_one_and_may_start_after_it(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    first = lock_instance(log, name="Square", run="ab12", now=NOON)
    with pytest.raises(ConfigError, match=rf"'Square' is already running \(process {os.getpid()}, run ab12, since"):
        lock_instance(log, name="Square", run="cd34", now=NOON)
    lock_instance(log, name="Station", run="ef56", now=NOON).release()
    first.release()
    first.release()
    lock_instance(log, name="Square", run="cd34", now=NOON).release()


def test_a_run_that_is_killed_leaves_no_lock_behind(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from datetime import UTC, datetime\n"
        "from pylfr.deployment.instance_lock import lock_instance\n"
        "held = lock_instance(Path(sys.argv[1]), name='Square', run='ab12', now=datetime.now(UTC))\n"
        "print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, tmp_path / "audit.log"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"locked\n"
        with pytest.raises(ConfigError, match=f"process {child.pid}"):
            lock_instance(tmp_path / "audit.log", name="Square", run="cd34", now=NOON)
        child.send_signal(signal.SIGKILL)
        child.wait()
    lock_instance(tmp_path / "audit.log", name="Square", run="cd34", now=NOON).release()


def test_each_entry_of_a_run_names_it_and_an_older_log_without_names_reads_as_before(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    for run in (None, "ab12"):
        log = open_audit(path, run=run)
        log.note(Event(kind="deployed", details={}))
        log.close()
    found = read_audit(path)
    assert found.flaws == ()
    assert [entry.run for entry in found.entries] == [None, "ab12"]
    assert b'"run"' not in path.read_bytes().splitlines()[0]
