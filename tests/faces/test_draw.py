"""Faces drawn into their picture: every box and label inside it, whatever the size."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr.faces.draw import draw_faces
from tests.samples import faces_at


def drawn(boxes: list[list[float]], labels: list[str], *, width: int = 200, height: int = 120) -> tuple[int, int, int]:
    """Pixels that changed: in all, in the upper half, in the lower half."""
    picture = np.full((height, width, 3), 90, np.uint8)
    faces = faces_at(boxes)
    image = draw_faces(picture, faces.boxes, faces.landmarks, labels)
    assert image.size == (width, height)
    changed = (np.asarray(image) != picture).any(axis=2)
    return int(changed.sum()), int(changed[: height // 2].sum()), int(changed[height // 2 :].sum())


def test_no_faces_leave_the_picture_as_it_is() -> None:
    assert drawn([], []) == (0, 0, 0)


def test_an_empty_label_draws_a_box_alone() -> None:
    alone, labelled = drawn([[50, 50, 90, 100]], [""])[0], drawn([[50, 50, 90, 100]], ["Ada"])[0]
    assert 0 < alone < labelled


def test_a_label_without_room_above_its_face_is_drawn_below() -> None:
    at_the_top, below = [[60.0, 0.0, 110.0, 70.0]], [[60.0, 90.0, 110.0, 150.0]]
    assert drawn(at_the_top, [""], height=160)[2] == 0
    assert drawn(at_the_top, ["Ada"], height=160)[2] > 0
    assert drawn(below, ["Ada"], height=160)[1] > drawn(below, [""], height=160)[1] == 0


@pytest.mark.parametrize(
    "box",
    [[-20, -20, 30, 40], [180, 100, 230, 160], [0, 0, 200, 120], [50, 50, 51, 51], [10.2, 10.7, 10.4, 10.8]],
    ids=["upper left", "lower right", "all of it", "a pixel", "less than a pixel"],
)
def test_boxes_at_the_edge_and_of_any_size_are_drawn(box: list[float]) -> None:
    assert drawn([box], ["a name that is longer than the picture is wide, by far"])[0] > 0


def test_a_picture_of_a_few_pixels_and_one_of_many_are_drawn() -> None:
    assert drawn([[1, 1, 4, 4]], ["x"], width=6, height=5)[0] > 0
    assert drawn([[100, 100, 2900, 1900]], ["large"], width=3000, height=2000)[0] > 0


def test_the_best_face_is_drawn_over_the_others() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    faces = faces_at([[20, 40, 80, 90], [30, 40, 90, 90]])
    both = draw_faces(picture, faces.boxes, faces.landmarks, ["MMMM", "WWWW"])
    first = draw_faces(picture, faces.boxes[:1], faces.landmarks[:1], ["MMMM"])
    label = (slice(20, 36), slice(22, 44))
    difference = np.abs(np.asarray(both)[label].astype(int) - np.asarray(first)[label].astype(int))
    assert np.quantile(difference, 0.95) < 30


def test_a_label_for_each_face_is_required() -> None:
    faces = faces_at([[20, 40, 80, 90]])
    with pytest.raises(ValueError, match="labels must name each of 1 faces, got 0"):
        draw_faces(np.zeros((100, 200, 3), np.uint8), faces.boxes, faces.landmarks, [])
