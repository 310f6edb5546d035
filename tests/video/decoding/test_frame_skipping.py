"""Passing over frames before they are decoded: the same frames are analysed, with less work, and none is forgotten."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from pylfr.types import Frame
from pylfr.video.batching.batcher import Batcher
from pylfr.video.decoding.droppable import DroppablePictures
from pylfr.video.decoding.frame_sampler import slot_of
from pylfr.video.decoding.frame_skipping import FrameSkipper
from pylfr.video.open import Isolation, open_file
from tests.samples import NOON
from tests.video.clips import picture_of
from tests.video.watches import RecordingWatch

FRAMES = 120
# What x264 is told, and whether that leaves frames that no other is made from.
CODINGS = {
    "pyramid of B-frames": ("libx264", "bframes=3:b-pyramid=strict:b-adapt=0:keyint=40:scenecut=0", True),
    "B-frames alone": ("libx264", "bframes=3:b-pyramid=none:b-adapt=0:keyint=40:scenecut=0", True),
    "no B-frames": ("libx264", "bframes=0:keyint=40:scenecut=0", False),
}
_H265 = ("libx265", "bframes=3:keyint=40:scenecut=0:log-level=error", True)


def write(path: Path, coding: str, *, rate: int = 25, frames: int = FRAMES) -> Path:
    codec, options, _ = CODINGS.get(coding, _H265)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.options = {"x264-params" if codec == "libx264" else "x265-params": options}
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture_of(number, 96, 64), "rgb24")))
        container.mux(stream.encode())
    return path


def look(path: Path, watch: RecordingWatch, isolation: Isolation = "none") -> list[tuple[int, datetime, bytes]]:
    source = open_file(path, camera="gate", started_at=NOON, isolation=isolation)
    return [kept(frame) for frame in source.watched(watch)]


def kept(frame: Frame) -> tuple[int, datetime, bytes]:
    return frame.sequence, frame.captured_at, b"".join(np.ascontiguousarray(plane).tobytes() for plane in frame.planes)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("rate_hz", [1.0, 8.0, 12.5])
def test_the_same_frames_are_looked_at_with_fewer_decoded(
    tmp_path: Path, coding: str, suffix: str, rate_hz: float
) -> None:
    path = write(tmp_path / f"a.{suffix}", coding)
    told, untold = RecordingWatch(rate_hz), RecordingWatch(rate_hz, says_so=False)
    assert look(path, told) == look(path, untold)
    assert (len(untold.asked), untold.skipped_frames) == (FRAMES, 0)
    assert len(told.asked) + told.skipped_frames == FRAMES
    assert (told.skipped_frames > FRAMES // 8) == CODINGS[coding][2]
    assert [event.kind for event in told.events] == [event.kind for event in untold.events]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("suffix", ["mp4", "ts"])
@pytest.mark.parametrize("rate_hz", [1.0, 8.0, 12.5])
def test_of_a_live_camera_any_frame_of_a_slot_will_do_and_fewer_are_decoded(
    tmp_path: Path, coding: str, suffix: str, rate_hz: float
) -> None:
    path = write(tmp_path / f"a.{suffix}", coding)
    (first, passed_first), (some, passed) = (came_of(path, rate_hz, any_of_slot=each) for each in (False, True))
    assert len(some) + passed == len(first) + passed_first == FRAMES
    assert passed >= passed_first
    slots = {slot_of(number / 25, rate_hz) for number in range(FRAMES)}
    assert {slot_of(at_s, rate_hz) for at_s in some} == {slot_of(at_s, rate_hz) for at_s in first} == slots
    if rate_hz == 8.0:
        assert (passed > passed_first) == CODINGS[coding][2]


def came_of(path: Path, rate_hz: float, *, any_of_slot: bool) -> tuple[list[float], int]:
    """The times of the frames that came, seconds from the first, and how many were skipped."""
    found, passed = [], 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        skipper = FrameSkipper(stream, rate_hz=lambda: rate_hz, any_of_slot=any_of_slot)
        for packet in container.demux(stream):
            skipper.before(packet if packet.size else None)
            for picture in packet.decode():
                passed += skipper.skipped_before(picture)
                found.append(float((picture.pts or 0) * (stream.time_base or 0)))
        passed += skipper.skipped_at_the_end()
    return [at_s - found[0] for at_s in found], passed


@pytest.mark.parametrize("coding", [*CODINGS, "H.265"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_picture_says_of_itself_whether_another_is_made_from_it(tmp_path: Path, coding: str, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", coding)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        droppable = DroppablePictures(stream.codec_context)
        said = {packet.pts for packet in container.demux(stream) if packet.size and droppable.has(packet)}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        whole = {picture.pts for picture in container.decode(stream)}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONREF"
        assert said == whole - {picture.pts for picture in container.decode(stream)}
    assert bool(said) == (coding != "no B-frames")


def test_a_decoder_that_was_left_skipping_decodes_again_for_who_comes_next(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", "pyramid of B-frames")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONREF"
        skipper = FrameSkipper(stream, rate_hz=lambda: 100.0, any_of_slot=True)
        decoded = 0
        for packet in container.demux(stream):
            skipper.before(packet if packet.size else None)
            decoded += len(packet.decode())
    assert decoded == FRAMES


@pytest.mark.parametrize("rate_hz", [25.0, 60.0])
def test_where_every_frame_is_wanted_every_frame_is_decoded(tmp_path: Path, rate_hz: float) -> None:
    watch = RecordingWatch(rate_hz)
    assert len(look(write(tmp_path / "a.mp4", "pyramid of B-frames"), watch)) == FRAMES
    assert watch.skipped_frames == 0


def test_an_isolated_decoder_passes_over_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", "pyramid of B-frames")
    here, there = RecordingWatch(8.0), RecordingWatch(8.0)
    assert look(path, here) == look(path, there, "process")
    # It asks about those frames alone that are due.
    assert len(there.asked) == len(look(path, RecordingWatch(8.0, says_so=False)))
    assert len(there.asked) + there.skipped_frames == FRAMES
    assert 0 < here.skipped_frames < there.skipped_frames


def test_a_recording_that_plays_again_goes_on_evenly(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", "pyramid of B-frames", frames=45)
    seen = []
    for says_so in (True, False):
        watch = RecordingWatch(8.0, says_so=says_so)
        source = open_file(path, camera="gate", started_at=NOON, isolation="none", loop=True)
        frames = source.watched(watch)
        seen.append([kept(next(frames)) for _ in range(60)])
        source.close()
    assert seen[0] == seen[1]


def test_every_frame_that_came_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", "pyramid of B-frames")
    source = open_file(path, camera="gate", started_at=NOON, isolation="none")
    with Batcher([source], detect_hz=8.0) as batches:
        looked_at = sum(len(batch.frames) for batch in batches)
        counts = batches.counts()["gate"]
    assert (counts.came, counts.passed_on, counts.not_due) == (FRAMES, looked_at, FRAMES - looked_at)
    assert not counts.dropped


def test_a_recording_of_one_frame_is_looked_at(tmp_path: Path) -> None:
    watch = RecordingWatch(1.0)
    assert len(look(write(tmp_path / "a.mp4", "pyramid of B-frames", frames=1), watch)) == 1
