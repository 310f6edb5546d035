"""A folder of people: what is damaged is named and counted, and rows stay in order whoever worked on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pylfr.errors import ConfigError
from pylfr.evaluation.images.people import list_photographs, make_templates
from pylfr.types import Faces, Float32, Frame, Templates, UInt8, as_frames
from pylfr.video.decoding.image_io import write_png


class Finder:
    """A detector that finds a face in the middle and one in the corner of every picture that is not black."""

    model = "cd" * 32

    def detect(self, images: Sequence[Frame | UInt8]) -> Faces:
        lit = [index for index, frame in enumerate(as_frames(images)) if frame.planes[0].any()]
        boxes = np.array([[[0, 0, 8, 8], [12, 12, 20, 20]]] * len(lit), np.float32).reshape(-1, 4)
        return Faces(
            frame_index=np.repeat(np.array(lit, np.int32), 2),
            boxes=boxes,
            scores=np.ones(len(boxes), np.float32),
            landmarks=np.zeros((len(boxes), 5, 2), np.float32),
        )


class Brightness:
    """An embedder whose template says how bright the picture is, and that the face stood in the middle."""

    model = "ab" * 32
    dimension = 2
    side_px = 4
    landmark_template = np.zeros((5, 2), np.float32)

    def align(self, frames: Sequence[Frame], faces: Faces) -> Float32:
        assert (faces.boxes[:, 0] == 12).all(), "the face in the middle must be taken"
        crops = np.zeros((len(faces), 3, 4, 4), np.float32)
        crops += np.array([frames[index].planes[0].mean() for index in faces.frame_index])[:, None, None, None]
        return crops

    def embed(self, crops: Float32, out: Float32 | None = None) -> Templates:
        angle = crops[:, 0, 0, 0] / 255
        return Templates(vectors=np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32), model=self.model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for person in range(7):
        (tmp_path / f"person-{person}").mkdir()
        for number in range(6):
            picture = np.full((32, 32, 3), 6 * person + number, np.uint8)
            write_png(tmp_path / f"person-{person}" / f"{number}.png", picture)
    (tmp_path / "person-3" / "9.jpg").write_bytes(b"not a picture")
    (tmp_path / "person-3" / "notes.txt").write_text("not a picture")
    (tmp_path / "person-5" / "8.png").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_rows_stand_in_order_and_damaged_files_are_named(folder: Path, workers: int) -> None:
    seen: list[int] = []
    photographs = list_photographs(folder)
    people = make_templates(photographs, lambda: (Finder(), Brightness()), workers=workers, progress=seen.append)
    assert sum(seen) == len(photographs) == 44
    assert len(people) == 42
    assert [path.parent.name for path in people.paths] == [people.names[index] for index in people.person]
    assert len(people.unreadable) == 2
    assert any("9.jpg" in reason for reason in people.unreadable)
    assert any("8.png" in reason and "zero bytes" in reason for reason in people.unreadable)
    assert people.acquired.tolist() == [False] + [True] * 41
    expected = np.arange(1, 42) / 255
    assert np.arctan2(people.vectors[1:, 1], people.vectors[1:, 0]) == pytest.approx(expected, abs=1e-5)


def test_a_part_of_the_people_is_numbered_anew(folder: Path) -> None:
    people = make_templates(list_photographs(folder), lambda: (Finder(), Brightness()))
    part = people.of_people(np.array([4, 2]))
    assert part.names == ("person-4", "person-2")
    assert {part.names[index]: 0 for index in part.person}.keys() == {"person-4", "person-2"}
    assert all(path.parent.name == part.names[index] for path, index in zip(part.paths, part.person, strict=True))


def test_a_folder_without_people_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one folder a person"):
        list_photographs(tmp_path / "nowhere")
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(ConfigError, match="got none"):
        list_photographs(tmp_path)


def test_a_folder_of_nothing_but_damage_is_refused_with_the_first_reason(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "1.jpg").write_bytes(b"x")
    with pytest.raises(ConfigError, match="none of 1 pictures could be read"):
        make_templates(list_photographs(tmp_path), lambda: (Finder(), Brightness()))
