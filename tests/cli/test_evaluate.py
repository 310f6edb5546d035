"""The evaluate, calibrate and drift commands as a user runs them, on a few dozen real photographs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pylfr.governance.authorisation.certificates import read_cohorts
from tests.cli.command import pylfr
from tests.footage import BOTH, save_references, video

RATE_KEYS = {"value", "numerator", "denominator", "low", "high", "method"}


@pytest.fixture(scope="module")
def folder(models_dir: Path, media_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty people of LFW, half of them with two photographs, and one file that is no picture."""
    made = tmp_path_factory.mktemp("people")
    people = [(each, sorted(each.glob("*.jpg"))) for each in sorted((media_dir / "lfw").iterdir())]
    several = [(each, images[:2]) for each, images in people if len(images) > 1][:15]
    single = [(each, images) for each, images in people if len(images) == 1][:15]
    for person, images in several + single:
        (made / person.name).mkdir()
        for image in images:
            (made / person.name / image.name).symlink_to(image)
    (made / several[0][0].name / "broken.jpg").write_bytes(b"no picture")
    return made


def test_evaluate_writes_rates_that_can_be_checked(folder: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    names = sorted(each.name for each in folder.iterdir())
    groups.write_text(
        "person,group\n" + "".join(f"{name},{'few' if n < 3 else 'many'}\n" for n, name in enumerate(names))
    )
    result = tmp_path / "result.json"
    done = pylfr(
        "evaluate", folder, "--json", result, "--out", tmp_path / "report", "--watchlist-size", "8",
        "--splits", "3", "--groups", groups, "--threshold", "0.4",
        "--cohort-certificate", tmp_path / "cohorts.json", "--conclusion", "too few people",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "broken.jpg" in done.stderr
    assert "FPIR rests on 3 people" in done.stdout
    assert "too few to conclude anything" in done.stdout
    record = json.loads(result.read_text())
    for name in ("tpir", "fnir", "fpir", "fta"):
        assert record[name].keys() == RATE_KEYS
        assert record[name]["low"] <= record[name]["value"] <= record[name]["high"]
    assert record["people"] == 30
    assert record["pictures"] == 45
    assert len(record["unreadable"]) == 1
    assert "ten folds" in record["verification"]["missing"]
    assert record["cohorts"]["groups"]["few"]["fpir"]["denominator"] == 3
    assert "NaN" not in result.read_text()
    cohorts, _ = read_cohorts(tmp_path / "cohorts.json")
    assert cohorts.groups["few"].denominator == 3
    assert cohorts.conclusion == "too few people"
    html = (tmp_path / "report" / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 4
    words = html[: html.index("data:image")]
    assert "nan %" not in words
    assert "nan (" not in words
    assert (tmp_path / "report" / "report.md").read_text().startswith("# Accuracy of face_reid_0095 behind yunet_n")
    with (tmp_path / "report" / "rates.csv").open(newline="") as file:
        assert {row["measure"] for row in csv.DictReader(file)} >= {"fta", "fpir", "tpir", "fnir"}


def test_calibrate_refuses_thirty_people_with_what_it_would_need(folder: Path, tmp_path: Path) -> None:
    done = pylfr(
        "calibrate", folder, "--target-fpir", "1e-3", "--watchlist-size", "10000", "--out", tmp_path / "none.json"
    )
    assert done.returncode == 1
    assert "15 non-mated people cannot support FPIR 0.001 at 10,000 on the watchlist" in done.stderr
    assert "3,000 (rule of 3)" in done.stderr
    assert not (tmp_path / "none.json").exists()


def test_evaluate_scores_videos_by_pass(models_dir: Path, media_dir: Path, tmp_path: Path) -> None:
    videos, references = tmp_path / "videos", tmp_path / "references" / "man"
    videos.mkdir()
    references.mkdir(parents=True)
    (videos / f"{BOTH}.mp4").symlink_to(video(media_dir, BOTH).resolve())
    save_references(media_dir, tmp_path)["man"][0].rename(references / "1.png")
    truth = tmp_path / "truth.csv"
    truth.write_text(f"camera,subject,mated,starts_s,ends_s\n{BOTH},man,yes,0,300\n")
    result = tmp_path / "passes.json"
    options = ("--truth", truth, "--references", tmp_path / "references", "--json", result)
    done = pylfr("evaluate", videos, *options)
    assert done.returncode == 0, done.stderr
    record = json.loads(result.read_text())
    assert record["tpir"]["numerator"] == 1
    assert record["fpir"]["value"] is None
    truth.write_text("camera,subject,mated,starts_s,ends_s\nelsewhere,man,yes,0,300\n")
    refused = pylfr("evaluate", videos, *options)
    assert refused.returncode == 1
    assert f"camera 'elsewhere' is unknown, there are {BOTH}" in refused.stderr


def test_a_folder_of_one_picture_a_person_is_refused_in_words(folder: Path, tmp_path: Path) -> None:
    for person in sorted(folder.iterdir())[:6]:
        (tmp_path / person.name).mkdir()
        image = sorted(each for each in person.glob("*.jpg") if each.name != "broken.jpg")[0]
        (tmp_path / person.name / image.name).symlink_to(image.resolve())
    done = pylfr("evaluate", tmp_path)
    assert done.returncode == 1
    assert "mated searches need people with two or more" in done.stderr
