"""Material that cannot answer the question, as a user meets it: clear words, everything counted, never a NaN."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import pylfr
from tests.footage import BOTH, save_references, video

_DAMAGED = 1500


@pytest.fixture(scope="module")
def people(models_dir: Path, media_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people of LFW with two photographs each."""
    made = tmp_path_factory.mktemp("people")
    several = [each for each in sorted((media_dir / "lfw").iterdir()) if len(list(each.glob("*.jpg"))) > 1]
    for person in several[:8]:
        (made / person.name).mkdir()
        for image in sorted(person.glob("*.jpg"))[:2]:
            (made / person.name / image.name).symlink_to(image)
    return made


def test_damaged_pictures_among_thousands_are_named_skipped_and_counted(people: Path, tmp_path: Path) -> None:
    folder = tmp_path / "people"
    folder.mkdir()
    for person in people.iterdir():
        (folder / person.name).symlink_to(person)
    whole = next(iter(sorted(people.rglob("*.jpg")))).read_bytes()
    kinds = {
        "empty.jpg": b"",
        "cut.jpg": whole[: len(whole) // 2],
        "words.jpg": b"this is no picture",
        "head.png": b"\x89PNG",
    }
    for number in range(_DAMAGED // len(kinds)):
        (folder / f"Nobody_{number:04d}").mkdir()
        for name, content in kinds.items():
            (folder / f"Nobody_{number:04d}" / name).write_bytes(content)
    result = tmp_path / "result.json"
    done = pylfr(
        "evaluate", folder, "--json", result, "--out", tmp_path / "report", "--watchlist-size", "3", "--splits", "2"
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(result.read_text())
    assert (record["pictures"], len(record["unreadable"])) == (16, _DAMAGED)
    for name in kinds:
        assert f"Nobody_0007/{name}" in "\n".join(record["unreadable"])
    assert f"skipped {_DAMAGED} files in all" in done.stderr
    assert "NaN" not in result.read_text()
    # Names of files may be those of people.
    for written in (
        result,
        *((tmp_path / "report" / name) for name in ("evaluation.json", "report.md", "report.html")),
    ):
        assert written.stat().st_mode & 0o077 == 0, written
    report = (tmp_path / "report" / "report.md").read_text()
    assert f"files that could not be read: {_DAMAGED}" in report
    assert f"and {_DAMAGED - 20} more (see evaluation.json)" in report
    assert "nan" not in report.replace("non-mated", "")
    assert "Read FPIR" in report, "few false alerts stand behind any threshold of so few people, and it must say so"


def test_a_watchlist_of_everybody_leaves_nobody_and_is_refused(people: Path) -> None:
    done = pylfr("evaluate", people, "--watchlist-size", "8")
    assert done.returncode == 1
    assert "non-mated" in done.stderr
    assert "8" in done.stderr


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (f"{BOTH},man,yes,0,300", "all 1 passes are mated: FPIR is measured on people who are not on the watchlist"),
        ("elsewhere,woman,no,0,300", f"camera 'elsewhere' is unknown, there are {BOTH}"),
        (f"{BOTH},woman,no,nan,300", "it must start at 0 s or later and end after, got nan to 300"),
        (f"{BOTH},woman,no,5,1", "it must start at 0 s or later and end after, got 5 to 1"),
    ],
)
def test_calibrating_on_passes_that_cannot_be_is_refused_before_any_video_is_read(
    models_dir: Path, media_dir: Path, tmp_path: Path, row: str, said: str
) -> None:
    videos, references = tmp_path / "videos", tmp_path / "references" / "man"
    videos.mkdir()
    references.mkdir(parents=True)
    (videos / f"{BOTH}.mp4").symlink_to(video(media_dir, BOTH).resolve())
    save_references(media_dir, tmp_path)["man"][0].rename(references / "1.png")
    truth = tmp_path / "truth.csv"
    truth.write_text(f"camera,subject,mated,starts_s,ends_s\n{row}\n")
    done = pylfr(
        "calibrate", videos, "--truth", truth, "--references", tmp_path / "references",
        "--target-fpir", "0.01", "--watchlist-size", "1", "--out", tmp_path / "none.json",
    )  # fmt: skip
    assert done.returncode == 1
    assert said in " ".join(done.stderr.split())
    assert not (tmp_path / "none.json").exists()
