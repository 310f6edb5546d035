"""Pictures of two moments: one field is analysed, in which faces are found that the comb hides."""

from __future__ import annotations

import logging
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from pylfr.faces.detect import open_detector
from pylfr.types import Frame, UInt8
from pylfr.video.decoding.deinterlacing import is_combed, without_second_field
from pylfr.video.open import open_file
from tests.footage import WALKING, video
from tests.samples import NOON

WIDTH, HEIGHT = 192, 128


def moving(number: float) -> UInt8:
    """A disc of even light on a soft ground, which goes to the right by three pixels a moment."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    disc = (rows - 64) ** 2 + (columns - 40 - 3 * number) ** 2 < 30**2
    return np.repeat(np.where(disc, 200, 60 + columns // 8)[..., np.newaxis], 3, 2).astype(np.uint8)


def woven(first: UInt8, second: UInt8) -> UInt8:
    both = first.copy()
    both[1::2] = second[1::2]
    return both


def write(path: Path, pictures: list[UInt8], codec: str, *, interlaced: bool, aspect: Fraction | None = None) -> Path:
    with av.open(str(path), "w") as container:
        flags = {"flags": "+ilme+ildct"} if interlaced else {}
        stream = container.add_stream(codec, rate=25, options={"bf": "0", **flags})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 8_000_000
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for number, rgb in enumerate(pictures):
            picture = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def frames_of(path: Path) -> list[Frame]:
    return list(open_file(path, camera="gate", started_at=NOON, isolation="none").frames())


@pytest.mark.parametrize(("name", "codec"), [("a.ts", "mpeg2video"), ("a.mkv", "libx264"), ("a.mp4", "libx264")])
@pytest.mark.parametrize("aspect", [None, Fraction(1, 2)])
def test_a_picture_of_two_moments_shows_one(
    tmp_path: Path, name: str, codec: str, aspect: Fraction | None, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = [woven(moving(2 * number), moving(2 * number + 1)) for number in range(8)]
    frames = frames_of(write(tmp_path / name, pictures, codec, interlaced=True, aspect=aspect))
    assert len(frames) == 8
    for number, frame in enumerate(frames):
        luma = frame.planes[0]
        assert not is_combed(luma)
        if aspect is None:
            expected = without_second_field(moving(2 * number)[..., 0]) * (219 / 255) + 16
            assert np.abs(luma - expected).mean() < 2
            assert np.abs(luma[1:-1:2] - (luma[:-2:2].astype(int) + luma[2::2]) / 2).mean() < 1
        else:
            # MPEG-2 knows a few shapes of screens alone, and takes the nearest.
            assert luma.shape[0] > HEIGHT
    assert caplog.text.count("sends interlaced pictures") == 1


def test_a_picture_of_one_moment_keeps_its_lines_though_it_is_called_interlaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texture = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    for picture in (moving(0), texture):
        [frame] = frames_of(write(tmp_path / "a.ts", [picture], "mpeg2video", interlaced=True))
        expected = picture.astype(float) @ (0.299, 0.587, 0.114) * (219 / 255) + 16
        assert np.abs(frame.planes[0] - expected).mean() < 12
    assert caplog.text == ""
    with caplog.at_level(logging.WARNING):
        frames_of(write(tmp_path / "b.mkv", [woven(moving(0), moving(1))], "libx264", interlaced=False))
    assert "interlaced" not in caplog.text


def test_small_and_odd_planes_have_no_second_field() -> None:
    for rows in range(1, 6):
        plane = np.arange(rows, dtype=np.uint8)[:, np.newaxis].repeat(4, 1)
        assert without_second_field(plane).shape == plane.shape
        assert (without_second_field(plane)[::2] == plane[::2]).all()
        assert not is_combed(plane)


@pytest.mark.usefixtures("models_dir")
def test_more_faces_are_found_in_interlaced_footage_of_people_who_walk(media_dir: Path, tmp_path: Path) -> None:
    with av.open(str(video(media_dir, WALKING))) as container:
        decoded = islice(container.decode(video=0), 40)
        source = [np.asarray(picture.to_ndarray(format="rgb24"), np.uint8) for picture in decoded]
    height, width = (side // 4 * 4 for side in source[0].shape[:2])
    source = [picture[:height, :width] for picture in source]
    pictures = [woven(source[number], source[number + 2]) for number in range(0, 36, 4)]
    detector = open_detector("yunet_n")
    seen = {
        flagged: sum(
            len(detector.detect([frame]))
            for frame in frames_of(write(tmp_path / "a.mkv", pictures, "libx264", interlaced=flagged))
        )
        for flagged in (True, False)
    }
    assert seen[True] >= 2 * seen[False]
    assert seen[True] > 10
