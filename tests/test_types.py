"""The nouns check their shapes and dtypes, and name the expected ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from pylfr import ops
from pylfr.types import Candidates, Faces, Frame, FrameBatch, Quality, Templates, Tracks, as_frames
from tests.samples import NOON, faces_at, good_quality, sample_frame


def test_an_odd_sized_i420_frame_has_rounded_up_chroma() -> None:
    y, chroma = np.zeros((5, 7), np.uint8), np.zeros((3, 4), np.uint8)
    frame = Frame(camera="a", sequence=0, captured_at=NOON, planes=(y, chroma, chroma), layout="i420")
    assert (frame.width, frame.height) == (7, 5)
    with pytest.raises(ValueError, match=r"planes\[1\] must be uint8 \[3, 4\], got shape \[2, 3\]"):
        Frame(camera="a", sequence=0, captured_at=NOON, planes=(y, chroma[:2, :3], chroma), layout="i420")


def test_frames_refuse_other_dtypes_layouts_counts_and_naive_times() -> None:
    rgb = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(TypeError, match="got float32"):
        Frame.still(rgb.astype(np.float32))
    with pytest.raises(ValueError, match="got shape"):
        Frame.still(rgb[:, :, 0])
    with pytest.raises(ValueError, match="must have pixels"):
        Frame.still(rgb[:0])
    with pytest.raises(ValueError, match="nv12 has 2 planes, got 1"):
        Frame(camera="a", sequence=0, captured_at=NOON, planes=(rgb,), layout="nv12")
    with pytest.raises(ValueError, match="layout"):
        Frame(camera="a", sequence=0, captured_at=NOON, planes=(rgb,), layout="yuyv")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="time zone"):
        Frame(camera="a", sequence=0, captured_at=datetime(2026, 1, 1), planes=(rgb,), layout="rgb")  # noqa: DTZ001


def test_a_batch_has_the_cameras_and_the_time_span_of_its_frames() -> None:
    batch = FrameBatch(frames=(sample_frame(second=2), sample_frame(camera="south", second=1)))
    assert batch.cameras == {"north", "south"}
    assert [moment.second for moment in batch.captured_at] == [1, 2]


def test_faces_of_unequal_lengths_are_refused_and_none_is_allowed() -> None:
    faces = faces_at([[0, 0, 10, 10], [5, 5, 20, 20]])
    assert len(Faces.none()) == 0
    assert faces.select(np.array([1])).boxes[0].tolist() == [5, 5, 20, 20]
    with pytest.raises(ValueError, match=r"scores must be float32 \[2\]"):
        Faces(frame_index=faces.frame_index, boxes=faces.boxes, scores=faces.scores[:1], landmarks=faces.landmarks)


def test_tracks_quality_templates_and_candidates_check_their_rows() -> None:
    faces = faces_at([[0, 0, 10, 10]])
    with pytest.raises(ValueError, match="quality must have 1 rows"):
        Tracks(faces=faces, track_id=np.array([1]), quality=good_quality(2))
    with pytest.raises(TypeError, match="track_id must be int64"):
        Tracks(faces=faces, track_id=np.array([1], np.int32), quality=good_quality(1))
    with pytest.raises(ValueError, match="vectors"):
        Templates(vectors=np.zeros(4, np.float32), model="")
    with pytest.raises(ValueError, match="entry"):
        Candidates(scores=np.zeros((1, 2), np.float32), entry=np.zeros((1, 3), np.int64))
    one = good_quality(1)
    with pytest.raises(ValueError, match="yaw"):
        Quality(**{name: getattr(one, name) for name in Quality.__slots__} | {"yaw": np.zeros(2, np.float32)})


def test_arrays_become_stills_and_frames_stay_what_they_are() -> None:
    frame = sample_frame()
    still = np.zeros((4, 4, 3), np.uint8)
    first, second = as_frames([frame, still])
    assert first is frame
    assert second.planes[0] is still
    assert second.captured_at.tzinfo is UTC


def test_a_frame_on_a_device_has_surfaces_instead_of_planes() -> None:
    home = ops.Stream("cpu")
    luma, chroma = ops.Tensor((5, 7), "uint8", home), ops.Tensor((3, 4, 2), "uint8", home)
    frame = Frame(camera="a", sequence=0, captured_at=NOON, planes=(), surfaces=(luma, chroma), layout="nv12")
    assert (frame.width, frame.height, frame.device) == (7, 5, "cpu")
    with pytest.raises(ValueError, match=r"surfaces\[1\] must be uint8 \[3, 4, 2\], got shape \[5, 7\]"):
        replace(frame, surfaces=(luma, luma))
    with pytest.raises(TypeError, match=r"surfaces\[0\] must be uint8 \[any, any\], got int8"):
        replace(frame, surfaces=(ops.Tensor((5, 7), "int8", home), chroma))
    with pytest.raises(ValueError, match="planes or surfaces, not both"):
        replace(frame, planes=(np.zeros((5, 7), np.uint8),))
    with pytest.raises(ValueError, match="nv12 has 2 planes, got 0"):
        replace(frame, surfaces=())
