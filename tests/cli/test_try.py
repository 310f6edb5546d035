"""``pylfr try`` on real footage, and what it says when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import pylfr
from tests.footage import MAN, WALKING_AND_PAUSE, frames_of, save_references, video

pytestmark = pytest.mark.usefixtures("models_dir")


@pytest.fixture(scope="module")
def references(media_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return save_references(media_dir, tmp_path_factory.mktemp("references"))


def test_alerts_and_summary_as_json_lines_and_pictures(
    media_dir: Path, references: dict[str, list[Path]], tmp_path: Path
) -> None:
    walking = video(media_dir, WALKING_AND_PAUSE)
    done = pylfr(
        "try",
        walking,
        "--person",
        f"Ada={references['woman'][0]}",
        "--json",
        tmp_path / "a.jsonl",
        "--out",
        tmp_path / "out",
    )
    assert done.returncode == 0, done.stderr
    alert, summary = (json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines())
    assert (alert["type"], alert["camera"], alert["entry"]) == ("alert", WALKING_AND_PAUSE, "Ada")
    assert alert["authorisation"] == "rehearsal"
    assert alert["score"] >= alert["threshold"]
    assert not alert["calibrated"]
    assert {"captured_at", "track", "box", "model"} <= set(alert)
    assert (summary["type"], summary["frames"], summary["alerts"]) == ("summary", frames_of(walking), 1)
    assert summary["rehearsal"]
    assert set(summary["dwell_ms"]) >= {"p50", "p99", "max"}
    assert {"faces", "tracks", "dropped", "fps"} <= set(summary)
    assert len(list((tmp_path / "out").iterdir())) == 1
    assert "rehearsal" in done.stderr.lower()
    assert "uncalibrated" in done.stderr
    assert "suggests for up to" in done.stderr
    assert "%" not in done.stderr


def test_a_threshold_lower_than_the_suggestion_is_named(
    media_dir: Path, references: dict[str, list[Path]], tmp_path: Path
) -> None:
    done = pylfr(
        "try", video(media_dir, MAN), "--person", f"B={references['man'][0]}", "--threshold", "0.2", "--detect-hz", "1",
        "--json", tmp_path / "a.jsonl",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "threshold 0.2 is lower than" in done.stderr
    assert "expect more false alerts" in done.stderr


def test_a_second_run_replaces_the_json_file(
    media_dir: Path, references: dict[str, list[Path]], tmp_path: Path
) -> None:
    for _ in range(2):
        done = pylfr(
            "try", video(media_dir, MAN), "--person", f"B={references['man'][0]}", "--json", tmp_path / "a.jsonl",
            "--threshold", "0.9", "--detect-hz", "3",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [line["type"] for line in lines].count("summary") == 1


def test_a_video_that_cannot_be_read_gives_a_summary_and_a_failing_status(
    media_dir: Path, references: dict[str, list[Path]], tmp_path: Path
) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a video")
    done = pylfr(
        "try", text, video(media_dir, MAN), "--person", f"B={references['man'][0]}", "--json", tmp_path / "a.jsonl"
    )
    assert done.returncode == 1
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [line["type"] for line in lines] == ["alert", "summary"]
    assert "notes.mp4" in lines[-1]["errors"][0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words", "status"),
    [
        (["--person", "Ada"], "--person must be NAME=IMAGE, got 'Ada'", 2),
        (["--person", "Ada=missing.jpg"], "missing.jpg", 1),
        (["--person", "Ada={woman}", "--detector", "yunet"], "yunet_n", 1),
        (["--person", "Ada={woman}", "--embedder", "yunet_n"], "'embed'", 1),
        (["--person", "Ada={woman}", "--device", "cuda"], "cuda", 1),
        (["--person", "Ada={woman}", "--device", "tpu"], "cpu or cuda, got 'tpu'", 2),
        (["--person", "Ada={woman}", "--threshold", "64"], "a cosine from -1 to 1, got 64", 2),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list[str], words: str, status: int, media_dir: Path, references: dict[str, list[Path]]
) -> None:
    given = [argument.format(woman=references["woman"][0]) for argument in arguments]
    done = pylfr("try", video(media_dir, MAN), *given)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_network_under_a_restricted_licence_says_so(media_dir: Path, references: dict[str, list[Path]]) -> None:
    done = pylfr(
        "try", video(media_dir, MAN), "--person", f"B={references['man'][0]}",
        "--detector", "scrfd_500m_kps", "--embedder", "mobilefacenet_y1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "non-commercial" in done.stderr
