"""In evidence one face is visible and every other is filled with flat grey."""

from __future__ import annotations

import numpy as np

from pylfr.faces.redact import evidence_crop, fill_faces
from pylfr.types import Frame

NOTHING = np.empty((0, 4), np.float32)


def noise(height: int, width: int) -> Frame:
    return Frame.still(np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_the_alerted_face_is_in_the_middle_of_its_crop() -> None:
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[80:120, 140:180] = 255
    crop = evidence_crop(Frame.still(picture), np.array([140, 80, 180, 120], np.float32), NOTHING, side_px=170)
    assert crop.shape == (170, 170, 3)
    lit = np.argwhere(crop[:, :, 0] > 127)
    # 40 source pixels of 68 in the crop are 100 crop pixels, in the middle.
    assert lit.min(axis=0).tolist() == [35, 35]
    assert lit.max(axis=0).tolist() == [134, 134]


def test_every_other_face_is_filled_and_the_shown_one_is_not() -> None:
    boxes = np.array([[100, 60, 140, 110], [145, 60, 185, 110], [60, 60, 95, 110]], np.float32)
    crop = evidence_crop(noise(200, 300), boxes[0], boxes, side_px=256)
    step = 1.7 * 50 / 256
    left, top = 120 - 1.7 * 25, 85 - 1.7 * 25

    def inside(box: list[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        x1, y1, x2, y2 = (
            round((side - origin) / step) for side, origin in zip(box, (left, top, left, top), strict=True)
        )
        return crop[max(y1, 0) : y2, max(x1, 0) : x2]

    assert inside([146, 61, 184, 109]).std() == 0
    assert inside([61, 61, 94, 109]).std() == 0
    assert inside([101, 61, 139, 109]).std() > 20


def test_a_face_over_the_edge_of_the_frame_is_shown_with_black_around_it() -> None:
    crop = evidence_crop(noise(50, 50), np.array([-5, -5, 20, 20], np.float32), NOTHING, side_px=64)
    assert not crop[:8, :8].any()
    assert crop[32:, 32:].any()


def test_no_boxes_and_boxes_outside_the_picture_change_nothing() -> None:
    picture = noise(20, 20).planes[0].copy()
    before = picture.copy()
    fill_faces(picture, np.empty((0, 4), np.float32))
    fill_faces(picture, np.array([[100, 100, 120, 120], [-90, -90, -60, -60]], np.float32))
    assert np.array_equal(picture, before)
