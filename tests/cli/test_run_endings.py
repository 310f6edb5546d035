"""``pylfr run`` goes on without its reader, its terminal or its watchlist, runs once, and says truly why it ended."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.sizing.footage import ClipRules, find_portraits, make_clip
from tests.cli.command import PYLFR, pylfr

PATIENCE_S = 60.0
Entries = list[dict[str, object]]


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One looped recording, in real time, of somebody who is on the watchlist: an alert every second or two."""
    monkeypatch.delenv("PYLFR_MEDIA", raising=False)
    portraits = find_portraits(None, count=1)
    clip = make_clip(ClipRules(faces=1, seconds=2, width=640, height=360), portraits, folder=tmp_path)
    detector, embedder = open_detector("pylfr_nano_detect"), open_embedder("pylfr_nano_embed")
    with create_watchlist(tmp_path / "square.watchlist", embedder) as watchlist:
        watchlist.enrol("Eileen", portraits.pictures[0], detector=detector, embedder=embedder)
    return write(tmp_path / "deployment.toml", clip, ends_at=datetime.now(UTC) + timedelta(hours=1))


def write(path: Path, clip: Path, *, ends_at: datetime) -> Path:
    path.write_text(f"""
name = "Square"
[authorisation]
purpose = "find a missing person"
place = "Square"
cameras = ["north"]
starts_at = {(datetime.now(UTC) - timedelta(minutes=1)).isoformat()}
ends_at = {ends_at.isoformat()}
authorising_officer = "Superintendent A. Example"
legal_basis = "common law powers"
[models]
detector = "pylfr_nano_detect"
embedder = "pylfr_nano_embed"
runtime = "onnx"
[watchlist]
file = "square.watchlist"
poll_ms = 50
grace_s = 30
[recognition]
threshold = 0.2
cooldown_s = 0
[audit]
path = "audit.log"
[[cameras]]
name = "north"
source = "{clip}"
loop = true
""")
    return path


@contextmanager
def running(deployment: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([PYLFR, "run", deployment], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None and not stream.closed:
                stream.close()


def entries(deployment: Path) -> Entries:
    log = deployment.with_name("audit.log")
    return [json.loads(line) for line in log.read_bytes().splitlines()] if log.exists() else []


def wait_for(deployment: Path, process: subprocess.Popen[bytes], reached: Callable[[list[str]], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not reached([str(entry["kind"]) for entry in entries(deployment)]):
        assert process.poll() is None, "it ended"
        assert time.monotonic() < until, entries(deployment)
        time.sleep(0.1)


def ending(deployment: Path) -> object:
    [details] = [entry["details"] for entry in entries(deployment) if entry["kind"] == "run-ended"]
    assert isinstance(details, dict)
    return details["because"]


def test_it_goes_on_when_nobody_reads_its_output_and_says_why_it_ended(deployment: Path) -> None:
    with running(deployment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while b"possible match" not in process.stderr.readline():
            assert process.poll() is None
        process.stderr.close()
        process.stdout.close()
        wait_for(deployment, process, lambda kinds: kinds[kinds.index("output-lost") :].count("alert") >= 2
                 if "output-lost" in kinds else False)  # fmt: skip
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert ending(deployment) == "stopped by SIGTERM"
    lost = [entry["details"] for entry in entries(deployment) if entry["kind"] == "output-lost"]
    assert lost == [{"stream": "stderr"}]


def test_it_rides_out_a_lost_watchlist_and_a_hangup_and_cannot_be_started_twice(deployment: Path) -> None:
    watchlist = deployment.with_name("square.watchlist")
    with running(deployment) as process:
        wait_for(deployment, process, lambda kinds: "alert" in kinds)
        twice = pylfr("run", deployment)
        assert twice.returncode == 1
        assert f"'Square' is already running (process {process.pid}, run" in twice.stderr

        with closing(sqlite3.connect(watchlist, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            wait_for(deployment, process, lambda kinds: kinds.count("watchlist-unreachable") == 1)
            other.execute("ROLLBACK")
        wait_for(deployment, process, lambda kinds: kinds.count("watchlist-recovered") == 1)
        watchlist.rename(watchlist.with_suffix(".away"))
        wait_for(deployment, process, lambda kinds: kinds.count("watchlist-unreachable") == 2)
        so_far = [entry["kind"] for entry in entries(deployment)].count("alert")
        wait_for(deployment, process, lambda kinds: kinds.count("alert") > so_far)
        watchlist.with_suffix(".away").rename(watchlist)
        wait_for(deployment, process, lambda kinds: kinds.count("watchlist-recovered") == 2)

        deployment.write_text(deployment.read_text().replace("threshold = 0.2", "threshold = 0.3"))
        process.send_signal(signal.SIGHUP)
        wait_for(deployment, process, lambda kinds: "reloaded" in kinds)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    assert ending(deployment) == "stopped by SIGINT"
    [reloaded] = [entry["details"] for entry in entries(deployment) if entry["kind"] == "reloaded"]
    assert isinstance(reloaded, dict)
    assert reloaded["detail"] == "watchlist revision 1; changed, and waiting for a restart: recognition"
    runs = {str(entry["run"]) for entry in entries(deployment)}
    assert len(runs) == 1
    assert len(runs.pop()) == 8


@pytest.mark.parametrize("year", [2500, 9999])
def test_a_window_that_ends_in_another_age_is_refused_by_the_policy_without_a_traceback(
    deployment: Path, year: int
) -> None:
    write(deployment, deployment.with_name("x.mp4"), ends_at=datetime(year, 12, 31, tzinfo=UTC))
    done = pylfr("run", deployment)
    assert done.returncode == 1
    assert "authorisation.ends_at: research allows a window of 31 days, this one has" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
