"""Footage can be made on any machine, once, whole or not at all; and what the detector sees in it are faces."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from pylfr.errors import ConfigError
from pylfr.faces.detect import open_detector
from pylfr.sizing import footage
from pylfr.sizing.footage import ClipRules, Portraits, find_portraits, make_clip
from pylfr.types import UInt8
from pylfr.video.decoding.image_io import write_png


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Portraits:
    """What a machine finds that has no portraits at all."""
    monkeypatch.delenv("PYLFR_MEDIA", raising=False)
    monkeypatch.setattr(footage, "find_spec", lambda _: None)
    return find_portraits(None, count=3)


def pictures(path: Path) -> list[UInt8]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


def test_without_any_portrait_a_drawn_face_stands_in_and_the_shipped_detector_finds_it(
    drawn: Portraits, tmp_path: Path
) -> None:
    assert "drawn" in drawn.source
    clip = make_clip(ClipRules(faces=2, seconds=1), drawn, folder=tmp_path)
    faces = open_detector("pylfr_nano_detect", threads=1).detect(pictures(clip)[5:7])
    assert len(faces) >= 2


@pytest.mark.parametrize("faces", [0, 1])
def test_no_face_and_one_face_can_be_shown(drawn: Portraits, tmp_path: Path, faces: int) -> None:
    clip = make_clip(ClipRules(faces=faces, seconds=1, width=320, height=240), drawn, folder=tmp_path)
    frames = pictures(clip)
    assert len(frames) == 25
    assert frames[0].shape == (240, 320, 3)


def test_a_clip_is_made_once_and_nothing_is_left_beside_it(drawn: Portraits, tmp_path: Path) -> None:
    rules = ClipRules(faces=1, seconds=1, width=320, height=240)
    seen: list[tuple[int, int]] = []
    first = make_clip(rules, drawn, folder=tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (25, 25)
    made_at = first.stat().st_mtime_ns
    assert make_clip(rules, drawn, folder=tmp_path) == first
    assert first.stat().st_mtime_ns == made_at
    assert list(tmp_path.iterdir()) == [first]


def test_a_clip_that_was_interrupted_leaves_nothing(drawn: Portraits, tmp_path: Path) -> None:
    def interrupt(done: int, _: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_clip(ClipRules(faces=1, seconds=1, width=320, height=240), drawn, folder=tmp_path, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_portraits_is_used_one_a_person(tmp_path: Path) -> None:
    for name in ("ada/1.png", "ada/2.png", "bea.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        write_png(path, np.full((32, 32, 3), 90, np.uint8))
    assert len(find_portraits(tmp_path, count=9).pictures) == 2
    assert len(find_portraits(tmp_path, count=1).pictures) == 1


def test_a_folder_without_portraits_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must hold pictures of faces"):
        find_portraits(tmp_path, count=1)
    with pytest.raises(ConfigError, match="must be a folder"):
        find_portraits(tmp_path / "missing", count=1)


def test_rules_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(ValueError, match="codec"):
        ClipRules(codec="mpeg4")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="even sides"):
        ClipRules(width=321)
    with pytest.raises(ValueError, match="faces must be 0 or more"):
        ClipRules(faces=-1)


@pytest.mark.parametrize("still", [False, True])
def test_the_street_stands_still_or_moves_as_is_asked(drawn: Portraits, tmp_path: Path, still: bool) -> None:
    clip = make_clip(ClipRules(faces=0, seconds=1, width=320, height=240, still=still), drawn, folder=tmp_path)
    first, *_, last = pictures(clip)
    assert (np.abs(first.astype(int) - last).mean() < 3) == still
