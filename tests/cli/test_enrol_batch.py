"""``watchlist enrol --from``: thousands at once, with a reason for each row that fails, and again without harm."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pylfr.cli.enrol_batch import Proposal, read_proposals
from pylfr.errors import ConfigError
from pylfr.governance.authorisation.enrolment import Origin
from pylfr.video.decoding.image_io import write_png
from tests.cli.command import pylfr

COMMON = Proposal(where="", name="", image=Path(), origin=Origin(), justification="case 7")


def proposals(path: Path) -> list[Proposal]:
    return read_proposals(path, COMMON)


def test_a_table_gives_a_proposal_a_row(tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    table.write_text(
        "name,image,expires,justification\nŽofie,a.jpg,2099-01-31,\nBo,sub/b.png,,case 8\n", encoding="utf-8-sig"
    )
    first, second = proposals(table)
    assert (first.name, first.image, first.where) == ("Žofie", tmp_path / "a.jpg", "people.csv line 2")
    assert (first.justification, second.justification) == ("case 7", "case 8")
    assert first.expires_at is not None
    assert first.expires_at.tzinfo is not None
    assert second.expires_at is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name,photo\nAda,a.jpg\n", "must have the columns name and image"),
        (b"name,image,colour\nAda,a.jpg,red\n", "and no others than"),
        (b"", "got none"),
        (b"name,image\n", "must hold reference images, got none"),
        ("name,image\nJosé,a.jpg\n".encode("latin-1"), "must be UTF-8"),
        (b"name,image,expires\nAda,a.jpg,soon\n", r"people.csv line 2: .*soon"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_before_anything_is_enrolled(
    tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "people.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        proposals(tmp_path / "people.csv")


def test_a_folder_names_people_by_subfolder_or_file(tmp_path: Path) -> None:
    for name in ("Ada/1.jpg", "Ada/2.JPG", "Bo.png", "Bo-2.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert sorted((each.name, each.image.name) for each in proposals(tmp_path)) == [
        ("Ada", "1.jpg"), ("Ada", "2.JPG"), ("Bo", "Bo-2.png"), ("Bo", "Bo.png"),
    ]  # fmt: skip


@pytest.mark.usefixtures("models_dir")
def test_many_are_enrolled_refused_with_reasons_and_left_alone_the_second_time(media_dir: Path, tmp_path: Path) -> None:
    people = sorted(path for path in (media_dir / "lfw").iterdir() if path.is_dir())[:6]
    folder = tmp_path / "people"
    folder.mkdir()
    for person in people:
        shutil.copy(sorted(person.glob("*.jpg"))[0], folder / f"{person.name}.jpg")
    shutil.copy(folder / f"{people[0].name}.jpg", folder / "Somebody else.jpg")
    write_png(folder / "Nobody.png", np.zeros((80, 80, 3), np.uint8))
    (folder / "Torn.jpg").write_bytes((folder / f"{people[1].name}.jpg").read_bytes()[:900])
    file = tmp_path / "list.watchlist"
    assert pylfr("watchlist", "create", file).returncode == 0
    first = pylfr("watchlist", "enrol", file, "--from", folder)
    assert first.returncode == 1
    assert "Somebody else.jpg: the same file is enrolled as" in first.stderr
    assert "Nobody.png: " in first.stderr
    assert "no face was found" in first.stderr
    assert "Torn.jpg: image" in first.stderr
    enrolled = int(first.stdout.split(" pictures enrolled")[0].split()[-1])
    assert enrolled >= 4
    second = pylfr("watchlist", "enrol", file, "--from", folder)
    assert f"0 pictures enrolled, {enrolled} were enrolled before" in second.stdout


@pytest.mark.usefixtures("models_dir")
def test_a_similar_entry_is_allowed_by_name_and_with_a_reason(media_dir: Path, tmp_path: Path) -> None:
    several = next(path for path in sorted((media_dir / "lfw").iterdir()) if len(list(path.glob("*.jpg"))) > 1)
    first, second = sorted(several.glob("*.jpg"))[:2]
    file = tmp_path / "list.watchlist"
    assert pylfr("watchlist", "create", file).returncode == 0
    assert pylfr("watchlist", "enrol", file, "Ada", first).returncode == 0
    refused = pylfr("watchlist", "enrol", file, "Twin", second)
    assert "probably enrolled already as 'Ada'" in refused.stderr
    assert "needs a reason" in pylfr("watchlist", "enrol", file, "Twin", second, "--allow-similar", "Ada").stderr
    allowed = pylfr(
        "watchlist", "enrol", file, "Twin", second, "--allow-similar", "Ada", "--justification", "her sister, case 7"
    )
    assert allowed.returncode == 0, allowed.stderr
