"""``pylfr size`` answers first, on any machine, with the networks that come with pylfr; nonsense is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import pylfr

# As on a user's machine: no networks, no footage.
BARE = {"PYLFR_MODELS": "", "PYLFR_MEDIA": ""}


def test_it_answers_and_writes_every_number(tmp_path: Path) -> None:
    out, trace = tmp_path / "size.json", tmp_path / "trace.json"
    done = pylfr(
        "size", "--seconds", "1", "--probe-s", "1", "--limit", "1", "--resolution", "640x360", "--watchlist", "100",
        "--detector", "pylfr_nano_detect", "--embedder", "pylfr_nano_embed", "--json", out,
        "--trace", trace,
        environment={**BARE, "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )  # fmt: skip
    # A machine under load may not hold even this one: that is an answer too, with another exit status.
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout.startswith("This machine "), done.stderr
    record = json.loads(out.read_text())
    assert record["answer"] in " ".join(done.stdout.split("\n"))
    assert (record["cameras"] >= 1) == (done.returncode == 0)
    assert record["conditions"]["width"] == 640
    assert record["trials"]
    assert "random templates" in done.stderr
    assert trace.exists() == (done.returncode == 0)
    if trace.exists():
        assert {event["name"] for event in json.loads(trace.read_text())["traceEvents"]} >= {
            "decode",
            "queue",
            "detect",
        }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--codec", "mpeg4"], "--codec must be h264 or hevc"),
        (["--resolution", "full"], "--resolution must be WIDTHxHEIGHT"),
        (["--json", "/nowhere/at/all.json"], "the folder /nowhere/at does not exist"),
        (["--gpu", "/nowhere.json"], "GPU results /nowhere.json cannot be read"),
        (["--detector", "scrfd_10g"], "scrfd_10g"),
        (["--portraits", "/nowhere"], "must be a folder of portraits"),
        (["--video", "/nowhere.mp4"], "/nowhere.mp4 cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_measured(given: list[str], expected: str) -> None:
    done = pylfr("size", *given, environment=BARE)
    assert done.returncode == (2 if given[0] in ("--codec", "--resolution") else 1)
    assert expected in " ".join(done.stderr.split())
    assert not done.stdout
