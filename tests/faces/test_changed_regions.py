"""Between full looks only what has changed is analysed: nobody is lost by it, and everything is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pylfr.faces.changed_regions import CARRIED, IN_PART, UNCHANGED, ChangedRegionDetector
from pylfr.faces.detect import FaceDetector, open_detector
from pylfr.faces.input_size import DetectSize
from pylfr.types import Faces, Frame, UInt8
from pylfr.video.open import open_file
from tests.footage import BOTH, MAN, WALKING, WALKING_AND_PAUSE, WOMAN, picture_of, video
from tests.samples import NOON

WIDTH, HEIGHT = 960, 540
# A face in the street, and where it is put.
PLACES = ((60, 80), (640, 220))


class Counted(FaceDetector):
    """A detector that remembers how many of the network's pixels it was given for each frame."""

    pixels: list[int]

    def detect_at(self, frames: Sequence[Frame], size: DetectSize) -> Faces:
        self.pixels += [size.width * size.height] * len(frames)
        return super().detect_at(frames, size)


@pytest.fixture(scope="module")
def detector(models_dir: Path) -> Counted:
    opened = open_detector("yunet_n", score_floor=0.5)
    counted = Counted(opened.manifest, opened._runtime, model=opened.model, sides=opened._sides, score_floor=0.5)
    counted.pixels = []
    return counted


@pytest.fixture(scope="module")
def head(media_dir: Path) -> UInt8:
    """The head of a woman, uint8 [H, W, 3]."""
    return picture_of(video(media_dir, WOMAN), 21)[:260, 140:400]


def street(*heads: tuple[UInt8, tuple[int, int]]) -> UInt8:
    """A street with heads in it, each with its left upper corner."""
    draw = np.random.default_rng(1)
    picture = np.kron(draw.integers(60, 190, (27, 48, 3), np.uint8), np.ones((20, 20, 1), np.uint8))
    for head, (left, top) in heads:
        picture[top : top + head.shape[0], left : left + head.shape[1]] = head
    return picture


def frame_at(picture: UInt8, at_s: float, *, camera: str = "north") -> Frame:
    still = Frame.still(picture, camera=camera, sequence=round(at_s * 25))
    return replace(still, captured_at=NOON + timedelta(seconds=at_s))


def centres(faces: Faces, frame: int) -> list[tuple[int, int]]:
    boxes = faces.boxes[faces.frame_index == frame]
    return sorted((round(float(x) / 20), round(float(y) / 20)) for x, y in (boxes[:, :2] + boxes[:, 2:]) / 2)


def test_of_a_picture_in_which_nothing_changes_no_second_look_is_taken_within_the_time(
    detector: Counted, head: UInt8
) -> None:
    counts: Counter[str] = Counter()
    partly = ChangedRegionDetector(detector, full_look_s=1.0, counts=counts)
    detector.pixels.clear()
    draw = np.random.default_rng(2)
    frames = []
    for number in range(10):
        noise = draw.integers(-3, 4, (HEIGHT, WIDTH, 3))
        picture = np.clip(street((head, PLACES[0])).astype(int) + noise, 0, 255).astype(np.uint8)
        frames.append(frame_at(picture, number / 8))
    faces = partly.detect(frames)
    assert len(detector.pixels) == 2, "the first picture, and the first one a second later"
    assert counts == {UNCHANGED: 8, CARRIED: 8}
    assert np.bincount(faces.frame_index).tolist() == [1] * 10


def test_whoever_comes_and_goes_is_seen_at_once_in_a_part_of_the_picture(detector: Counted, head: UInt8) -> None:
    counts: Counter[str] = Counter()
    partly = ChangedRegionDetector(detector, full_look_s=10.0, counts=counts)
    one, both = street((head, PLACES[0])), street((head, PLACES[0]), (head, PLACES[1]))
    frames = [frame_at(picture, number / 8) for number, picture in enumerate([one, both, one, street()])]
    detector.pixels.clear()
    faces = partly.detect(frames)
    whole = detector.detect(frames)
    for index in range(4):
        assert centres(faces, index) == centres(whole, index)
    assert (counts[IN_PART], counts[UNCHANGED]) == (2, 1)
    full = detector.pixels[0]
    assert all(0 < each < 0.6 * full for each in detector.pixels[1:3])


def test_a_camera_is_compared_with_itself_and_a_picture_that_changes_all_over_is_analysed_in_full(
    detector: Counted, head: UInt8
) -> None:
    counts: Counter[str] = Counter()
    partly = ChangedRegionDetector(detector, full_look_s=10.0, counts=counts)
    north, dark = street((head, PLACES[0])), street((head, PLACES[0])) // 2
    frames = [frame_at(north, 0), frame_at(street(), 0, camera="south"), frame_at(dark, 0.1), frame_at(dark, 0.2)]
    faces = partly.detect(frames)
    assert np.bincount(faces.frame_index, minlength=4).tolist() == [1, 0, 1, 1]
    assert counts == {UNCHANGED: 1, CARRIED: 1}


@pytest.mark.parametrize("name", [WALKING_AND_PAUSE, WALKING, WOMAN, MAN, BOTH])
def test_on_footage_nobody_is_lost_and_it_does_not_matter_what_is_batched_together(
    detector: Counted, media_dir: Path, name: str
) -> None:
    frames = [
        replace(frame, planes=tuple(plane.copy() for plane in frame.planes))
        for frame in open_file(
            video(media_dir, name), camera=name, started_at=datetime(2026, 1, 1, tzinfo=UTC)
        ).frames()
    ][::3][:40]
    found = []
    for size in (1, 5, 40):
        partly = ChangedRegionDetector(detector, full_look_s=1.0, counts=Counter())
        parts = [partly.detect(frames[start : start + size]) for start in range(0, len(frames), size)]
        found.append([part.boxes[part.frame_index == index] for part in parts for index in range(size)][: len(frames)])
    for one, *others in zip(*found, strict=True):
        assert all(np.array_equal(one, other) for other in others)
    whole = detector.detect(frames)
    for index, boxes in enumerate(found[0]):
        for box in whole.boxes[(whole.frame_index == index) & (whole.scores > 0.7)]:
            assert any(overlap(box, other) > 0.4 for other in boxes), f"frame {index}"


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    sides = np.maximum(0, np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]))
    shared = float(sides.prod())
    return shared / (float((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod()) - shared)
