"""The detector's input is as large as the smallest face sought needs, for each picture by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pylfr.errors import ModelError
from pylfr.faces.detect import open_detector
from pylfr.faces.input_size import InputSides, detect_size
from pylfr.types import Frame
from tests.footage import BOTH, WALKING_AND_PAUSE, picture_of, video

SIDES = InputSides(side_px=640, smallest_face_px=48, face_px=12)


def blank(width: int, height: int) -> Frame:
    return Frame.still(np.zeros((height, width, 3), np.uint8))


def test_the_network_input_is_the_smallest_that_holds_every_frame() -> None:
    wide, tall = blank(1920, 1080), blank(480, 640)
    size = detect_size([wide], side_px=640, multiple_of=32)
    assert (size.width, size.height) == (640, 384)
    size = detect_size([wide, tall], side_px=640, multiple_of=32)
    assert (size.width, size.height) == (640, 640)


def test_the_smallest_face_decides_on_the_long_side_and_a_zone_has_its_own() -> None:
    assert InputSides(side_px=640).of(blank(1920, 1080)) == 640
    assert SIDES.of(blank(1920, 1080)) == 480
    assert SIDES.of(blank(3840, 2160)) == 960
    assert SIDES.of(blank(800, 1080)) == 270, "a zone that is cut from the first"


def test_no_picture_is_enlarged_and_no_input_is_next_to_nothing() -> None:
    assert InputSides(side_px=640, smallest_face_px=12, face_px=12).of(blank(1920, 1080)) == 1920
    assert SIDES.of(blank(300, 200)) == 128


def test_a_face_that_is_asked_for_is_found_whatever_else_is_in_the_batch(models_dir: Path, media_dir: Path) -> None:
    three, two = (picture_of(video(media_dir, name), 30) for name in (WALKING_AND_PAUSE, BOTH))
    zone = np.ascontiguousarray(two[:, :400])
    detector = open_detector("yunet_n", smallest_face_px=40)
    assert detector.is_sized_by_face
    sizes = [detector.size_for(Frame.still(picture)) for picture in (three, zone)]
    assert all(size.width < 480 for size in sizes)
    assert sizes[0] != sizes[1]
    together = detector.detect([three, zone, three])
    assert together.frame_index.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    for index, picture in enumerate((three, zone, three)):
        np.testing.assert_array_equal(together.boxes[together.frame_index == index], detector.detect([picture]).boxes)


def test_faces_that_the_network_does_not_find_and_two_sizes_at_once_are_refused(models_dir: Path) -> None:
    with pytest.raises(ModelError, match="smallest_face_px must be at least"):
        open_detector("yunet_n", smallest_face_px=3)
    with pytest.raises(ModelError, match="either side_px or smallest_face_px"):
        open_detector("yunet_n", smallest_face_px=40, side_px=640)
    with pytest.raises(ModelError, match="side_px must be at least 32"):
        open_detector("yunet_n", side_px=8)
