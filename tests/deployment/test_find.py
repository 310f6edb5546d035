"""Who of these people is in this video: the matches of a rehearsal, and its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

import pylfr
from pylfr.errors import EnrolmentError, MediaError
from tests.footage import BOTH, MAN, WALKING_AND_PAUSE, save_references, video

pytestmark = pytest.mark.usefixtures("models_dir")


@pytest.fixture(scope="module")
def people(media_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return save_references(media_dir, tmp_path_factory.mktemp("references"))


def test_people_are_found_in_the_videos_that_they_are_in(media_dir: Path, people: dict[str, list[Path]]) -> None:
    matches = list(pylfr.find(people, [video(media_dir, WALKING_AND_PAUSE), video(media_dir, BOTH)]))
    assert sorted((match.name, match.video) for match in matches) == [
        ("man", BOTH), ("woman", WALKING_AND_PAUSE), ("woman", BOTH)
    ]  # fmt: skip
    for match in matches:
        assert match.score >= match.threshold
        assert 0 <= match.at_s < 10
        assert match.alert.authorisation == "rehearsal"
        assert match.draw().width > 500
        assert "crop" not in repr(match)


def test_one_image_and_one_video_may_be_plain_paths(media_dir: Path, people: dict[str, list[Path]]) -> None:
    matches = pylfr.find({"man": str(people["man"][0])}, str(video(media_dir, MAN)), runtime="onnx")
    assert next(matches).name == "man"


def test_a_threshold_that_nobody_reaches_finds_nobody(media_dir: Path, people: dict[str, list[Path]]) -> None:
    assert list(pylfr.find(people, video(media_dir, MAN), threshold=0.9999)) == []


def test_an_image_without_a_face_is_refused_before_anything_is_decoded(media_dir: Path, tmp_path: Path) -> None:
    import numpy as np

    from pylfr.video.decoding.image_io import write_png

    write_png(tmp_path / "wall.png", np.full((200, 200, 3), 120, np.uint8))
    with pytest.raises(EnrolmentError, match="face"):
        pylfr.find({"wall": tmp_path / "wall.png"}, video(media_dir, MAN))


def test_a_video_that_cannot_be_read_is_an_error_after_the_matches_of_the_others(
    media_dir: Path, people: dict[str, list[Path]], tmp_path: Path
) -> None:
    (tmp_path / "notes.mp4").write_text("not a video")
    matches = pylfr.find(people, [tmp_path / "notes.mp4", video(media_dir, MAN)])
    assert next(matches).name == "man"
    with pytest.raises(MediaError, match=r"notes\.mp4"):
        list(matches)
