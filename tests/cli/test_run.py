"""``pylfr run``: a deployment under its authorisation, people enrolled meanwhile, ended by Ctrl-C or its window."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.video.decoding.image_io import read_image
from tests.cli.command import PYLFR, pylfr
from tests.footage import MAN, WALKING_AND_PAUSE, save_references, video

pytestmark = pytest.mark.usefixtures("models_dir")


@pytest.fixture
def deployment(media_dir: Path, tmp_path: Path) -> Path:
    """A deployment of two looped recordings that play in real time; the man in blue is on its watchlist."""
    references = save_references(media_dir, tmp_path)
    embedder = open_embedder("face_reid_0095")
    with create_watchlist(tmp_path / "square.watchlist", embedder) as watchlist:
        watchlist.enrol("man", read_image(references["man"][0]), detector=open_detector("yunet_n"), embedder=embedder)
    return write(tmp_path, media_dir)


def write(
    folder: Path, media: Path, *, starts: timedelta = timedelta(minutes=-1), lasts: timedelta = timedelta(hours=1)
) -> Path:
    begin = datetime.now(UTC) + starts
    path = folder / "deployment.toml"
    path.write_text(f"""
name = "Square"
[authorisation]
purpose = "find a missing person"
place = "Square"
cameras = ["north", "south"]
starts_at = {begin.isoformat()}
ends_at = {(begin + lasts).isoformat()}
authorising_officer = "Superintendent A. Example"
legal_basis = "common law powers"
[models]
detector = "yunet_n"
embedder = "face_reid_0095"
[watchlist]
file = "square.watchlist"
poll_ms = 100
[audit]
path = "audit.jsonl"
[[cameras]]
name = "north"
source = "{video(media, WALKING_AND_PAUSE)}"
loop = true
[[cameras]]
name = "south"
source = "{video(media, MAN)}"
loop = true
[[sinks]]
type = "jsonl"
path = "alerts.jsonl"
[[sinks]]
type = "evidence"
folder = "evidence"
""")
    return path


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for_entry(path: Path, entry: str, process: subprocess.Popen[str], *, limit_s: float = 120) -> None:
    until = time.monotonic() + limit_s
    while not any(line["entry"] == entry for line in lines_of(path)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until, f"no alert for {entry} in {limit_s} s"
        time.sleep(0.2)


def test_enrolment_counts_while_it_runs_and_ctrl_c_ends_it_with_its_account(deployment: Path) -> None:
    folder = deployment.parent
    process = subprocess.Popen(
        [PYLFR, "run", deployment, "--summary", folder / "summary.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for_entry(folder / "alerts.jsonl", "man", process)
        enrolled = pylfr(
            "watchlist", "enrol", folder / "square.watchlist", "woman", folder / "woman.png", "--detector", "yunet_n"
        )
        assert enrolled.returncode == 0, enrolled.stdout + enrolled.stderr
        wait_for_entry(folder / "alerts.jsonl", "woman", process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, said
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["stopped_because"] == "stopped by SIGINT"
    assert not summary["rehearsal"]
    alerts = lines_of(folder / "alerts.jsonl")
    audit = lines_of(folder / "audit.jsonl")
    # Every alert stands in the record at the place that it names; the run's beginning and end stand around them.
    assert {alert["sequence"] for alert in alerts} < {entry["sequence"] for entry in audit}
    assert [entry["kind"] for entry in audit].count("alert") == len(alerts)
    assert [entry["kind"] for entry in audit].count("run-began") == 1
    assert [entry["kind"] for entry in audit].count("run-ended") == 1
    assert summary["alerts"] == len(alerts)
    assert all(alert["authorisation"] == summary["authorisation"] != "rehearsal" for alert in alerts)
    assert {alert["camera"] for alert in alerts if alert["entry"] == "woman"} == {"north"}
    assert len(list((folder / "evidence").iterdir())) == len(alerts)


def test_it_stops_by_itself_when_the_window_ends(deployment: Path, media_dir: Path) -> None:
    folder = deployment.parent
    write(folder, media_dir, lasts=timedelta(minutes=1, seconds=15))
    done = pylfr("run", deployment, "--summary", folder / "summary.json")
    assert done.returncode == 0, done.stderr
    assert "window ended" in json.loads((folder / "summary.json").read_text())["stopped_because"]


def test_it_refuses_before_and_after_its_window_and_without_an_authorisation(deployment: Path, media_dir: Path) -> None:
    write(deployment.parent, media_dir, starts=timedelta(hours=1))
    early = pylfr("run", deployment)
    write(deployment.parent, media_dir, starts=timedelta(hours=-2))
    late = pylfr("run", deployment)
    text = deployment.read_text()
    deployment.write_text(text[: text.index("[authorisation]")] + text[text.index("[models]") :])
    none = pylfr("run", deployment)
    for done, words in ((early, "starts at"), (late, "ended at"), (none, "no [authorisation]")):
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert not (deployment.parent / "alerts.jsonl").exists()


def test_a_watchlist_of_another_network_is_refused_by_name(deployment: Path) -> None:
    deployment.write_text(deployment.read_text().replace("face_reid_0095", "mobilefacenet_y1"))
    done = pylfr("run", deployment)
    assert done.returncode == 1
    assert "face_reid_0095" in done.stderr
    assert "mobilefacenet_y1" in done.stderr


def test_a_camera_that_sends_another_stream_than_was_agreed_is_recorded_and_the_others_go_on(deployment: Path) -> None:
    folder = deployment.parent
    text = deployment.read_text().replace("loop = true", 'pace = "as-fast-as-possible"')
    deployment.write_text(text.replace('name = "north"', 'name = "north"\nexpect = "hevc 480x270"'))
    done = pylfr("run", deployment, "--summary", folder / "summary.json")
    assert done.returncode == 1
    words = "authorised is hevc 480x270, it sends h264 480x270"
    assert words in " ".join(done.stderr.split())
    assert "the memory of this process is closed: it leaves no core dump" in " ".join(done.stderr.split())
    events = [(entry["kind"], entry["details"]) for entry in lines_of(folder / "audit.jsonl")]
    [turn] = [details for kind, details in events if kind == "camera-mismatched"]
    assert isinstance(turn, dict)
    assert (turn["camera"], turn["detail"]) == ("north", words)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["cameras"]["north"]["frames"] == 0
    assert summary["cameras"]["south"]["frames"] > 0


def test_memory_that_is_left_open_for_debugging_is_said_and_recorded(deployment: Path) -> None:
    folder = deployment.parent
    deployment.write_text(deployment.read_text().replace("loop = true", 'pace = "as-fast-as-possible"'))
    done = pylfr("run", "--debuggable", deployment)
    assert done.returncode == 0, done.stderr
    assert "the memory of this process is closed: it" not in " ".join(done.stderr.split())
    [details] = [entry["details"] for entry in lines_of(folder / "audit.jsonl") if entry["kind"] == "deployed"]
    assert isinstance(details, dict)
    assert not str(details["memory"]).startswith("closed: it")
