"""What people type by mistake: one line that says what is wrong, and nothing that was there is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import pylfr
from tests.video.clips import write_clip


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["rtsp://192.0.2.1/a", "--person", "Ada=a.png"], "rehearsals are for recordings, got the address of a live"),
        (["{clip}", "--person", "Ada=a.png", "--detect-hz", "0"], "--detect-hz must be more than 0"),
        (["{clip}", "--person", "Ada={clip}", "--json", "{clip}"], "which is an input"),
        (["{clip}", "--person", "Ada"], "--person must be NAME=IMAGE"),
    ],
)
def test_a_mistyped_rehearsal_is_refused_in_one_line_and_touches_nothing(
    tmp_path: Path, words: list[str], complaint: str
) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=2)
    before = clip.read_bytes()
    done = pylfr("try", *(word.format(clip=clip) for word in words))
    assert done.returncode != 0
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert clip.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.usefixtures("models_dir")
def test_a_rehearsal_that_fails_leaves_the_results_of_the_one_before(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=2)
    (tmp_path / "a.jsonl").write_text("earlier\n")
    done = pylfr("try", clip, "--person", f"Ada={tmp_path / 'absent.png'}", "--json", tmp_path / "a.jsonl")
    assert done.returncode != 0
    assert (tmp_path / "a.jsonl").read_text() == "earlier\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "a.mp4"]
