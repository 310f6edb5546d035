from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pylfr.cli import main


@pytest.fixture(autouse=True)
def _as_this_machine(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYLFR_MODELS", str(models_dir))


@pytest.fixture
def portrait(media_dir: Path) -> str:
    return str(media_dir / "lfw" / "Aaron_Peirsol" / "Aaron_Peirsol_0001.jpg")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new watchlist."""
    path = str(tmp_path / "people.watchlist")
    assert pylfr(monkeypatch, "create", path) == 0
    return path


def pylfr(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of ``pylfr watchlist``."""
    monkeypatch.setattr(sys, "argv", ["pylfr", "watchlist", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_an_entry_is_enrolled_listed_and_removed(
    file: str, portrait: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--category", "missing", "--justification", "case 7", "--expires", "2099-01-31")
    assert pylfr(monkeypatch, "enrol", file, "Aaron", portrait, *options) == 0
    said = capsys.readouterr().out
    for part in ("enrolled as 'Aaron'", "px between the eyes", "sharpness", "yaw", "contrast"):
        assert part in said
    assert pylfr(monkeypatch, "list", file, "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["embedder"], listed["revision"]) == ("face_reid_0095", 1)
    (entry,) = listed["entries"]
    assert (entry["name"], entry["category"], entry["justification"]) == ("Aaron", "missing", "case 7")
    assert entry["expires_at"] == "2099-01-31T00:00:00+00:00"
    assert not {"template", "picture"} & set(entry)
    assert pylfr(monkeypatch, "list", file) == 0
    assert "2099-01-31 00:00 UTC" in capsys.readouterr().out
    assert pylfr(monkeypatch, "remove", file, "Aaron") == 0
    assert "removed Aaron; revision 2" in capsys.readouterr().out


def test_a_refused_image_gives_its_reasons_and_status_1_and_the_others_are_enrolled(
    file: str, portrait: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.png"
    Image.fromarray(np.full((200, 200, 3), 127, np.uint8)).save(empty)
    text = tmp_path / "text.jpg"
    text.write_text("no picture")
    assert pylfr(monkeypatch, "enrol", file, "Aaron", str(empty), portrait, str(text)) == 1
    said = capsys.readouterr()
    assert "no face was found" in said.err
    assert "text.jpg must be a JPEG" in said.err
    assert "image 1, revision 1" in said.out
    assert pylfr(monkeypatch, "enrol", file, "Eve", portrait) == 1
    assert "enrolled already as 'Aaron': comparison score 1.000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("create", "FILE"), 1, "exists already"),
        (("list", "/nowhere.watchlist"), 1, "does not exist: make it with"),
        (("remove", "FILE", "Nobody"), 1, "has no entry 'Nobody'"),
        (("remove", "FILE"), 2, "give either NAME or --expired"),
        (("enrol", "FILE", "Ada", "x.jpg", "--expires", "soon"), 2, "--expires must be ISO 8601"),
        (("enrol", "FILE", "Ada", "x.jpg", "--expires", "2001-01-01"), 2, "must lie in the future"),
        (("enrol", "FILE", "Ada", "x.jpg", "--detector", "face_reid_0095"), 1, "name one for 'detect'"),
        (("enrol", "FILE", " ", "x.jpg"), 2, "must not be blank"),
    ],
)
def test_what_cannot_be_done_is_said_plainly(
    arguments: tuple[str, ...],
    status: int,
    said: str,
    file: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert pylfr(monkeypatch, *(file if each == "FILE" else each for each in arguments)) == status
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_removing_the_expired_says_whom(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pylfr(monkeypatch, "remove", file, "--expired") == 0
    assert "removed nobody; revision 0" in capsys.readouterr().out
