from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame

from pylfr.types import Frame
from tests.video.clips import recording, write_clip


def corners(frame: Frame) -> list[int]:
    """Luma (or red) in the middle of the four quarters: top left, top right, bottom left, bottom right."""
    plane = frame.planes[0] if frame.layout != "rgb" else frame.planes[0][:, :, 0]
    height, width = plane.shape
    return [int(plane[y, x]) for y in (height // 4, 5 * height // 8) for x in (width // 4, 5 * width // 8)]


def test_planes_are_read_only_views_of_the_decoders_memory(tmp_path: Path) -> None:
    frame = next(recording(write_clip(tmp_path / "a.mp4", width=50, height=38)).frames())
    assert frame.layout == "i420"
    assert [plane.shape for plane in frame.planes] == [(38, 50), (19, 25), (19, 25)]
    assert not any(plane.flags.owndata or plane.flags.writeable for plane in frame.planes)


def test_planes_stay_as_they_were_while_and_after_the_decoder_goes_on(tmp_path: Path) -> None:
    source = recording(write_clip(tmp_path / "a.mp4", frames=120))
    kept: list[Frame] = []
    copies = []
    for frame in source.frames():
        kept.append(frame)
        copies.append([plane.copy() for plane in frame.planes])
    del source, frame
    gc.collect()
    for frame, copy in zip(kept, copies, strict=True):
        assert all(np.array_equal(plane, same) for plane, same in zip(frame.planes, copy, strict=True))
    assert not np.array_equal(kept[0].planes[0], kept[20].planes[0])


@pytest.mark.parametrize(
    ("codec", "pixels", "layout", "full_range"),
    [
        ("libx264", "yuv420p", "i420", False),
        ("mjpeg", "yuvj420p", "i420", True),
        ("rawvideo", "nv12", "nv12", False),
    ],
)
def test_pixels_of_4_2_0_are_handed_on_as_they_are(
    tmp_path: Path, codec: str, pixels: str, layout: str, *, full_range: bool, caplog: pytest.LogCaptureFixture
) -> None:
    clip = write_clip(tmp_path / "a.mkv", frames=1, codec=codec, pixels=pixels, colour_range=2 if full_range else 1)
    frame = next(recording(clip).frames())
    assert (frame.layout, frame.full_range) == (layout, full_range)
    white, black = (255, 0) if full_range else (235, 16)
    assert corners(frame)[:2] == pytest.approx([white, black], abs=2)
    assert not caplog.records


@pytest.mark.parametrize(
    ("codec", "pixels", "colour_range", "layout", "white", "black"),
    [
        ("libx264", "yuv422p", 1, "i420", 235, 16),
        ("libx264", "yuv422p", 2, "i420", 255, 0),
        ("libx264", "yuv420p10le", 1, "i420", 235, 16),
        ("libx264", "yuv420p10le", 2, "i420", 255, 0),
        ("ffv1", "gray", 0, "rgb", 255, 0),
        ("ffv1", "bgr0", 0, "rgb", 255, 0),
    ],
)
def test_other_pixels_are_converted_in_their_own_range_and_said_once(
    tmp_path: Path,
    codec: str,
    pixels: str,
    colour_range: int,
    layout: str,
    white: int,
    black: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clip = write_clip(tmp_path / "a.mkv", frames=3, codec=codec, pixels=pixels, colour_range=colour_range)
    frames = list(recording(clip).frames())
    assert frames[0].layout == layout
    assert layout == "rgb" or frames[0].full_range == (colour_range == 2)
    assert corners(frames[0])[:2] == pytest.approx([white, black], abs=2)
    (message,) = [record.message for record in caplog.records if "converted" in record.message]
    assert message.endswith("is converted to rgb24" if layout == "rgb" else "is converted to yuv420p")


@pytest.mark.parametrize(
    ("tag", "height", "matrix"),
    [(0, 48, "bt601"), (0, 720, "bt709"), (1, 48, "bt709"), (6, 720, "bt601"), (9, 48, "bt2020")],
)
def test_the_colour_matrix_is_the_tag_or_what_the_height_suggests(
    tmp_path: Path, tag: int, height: int, matrix: str
) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=1, height=height, colour_space=tag)
    assert next(recording(clip).frames()).matrix == matrix


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p"])
@pytest.mark.parametrize(
    ("turned", "shape", "expected"),
    [
        (0, (48, 64), [235, 16, 126, 16]),
        (90, (64, 48), [16, 16, 235, 126]),
        (180, (48, 64), [16, 126, 16, 235]),
        (270, (64, 48), [126, 235, 16, 16]),
    ],
)
def test_a_turned_recording_is_set_upright(
    tmp_path: Path, pixels: str, turned: int, shape: tuple[int, int], expected: list[int]
) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=1, pixels=pixels, turned=turned)
    frame = next(recording(clip).frames())
    assert (frame.height, frame.width) == shape
    plane = frame.planes[0]
    quarters = [
        int(plane[y, x]) for y in (shape[0] // 3, 2 * shape[0] // 3) for x in (shape[1] // 3, 2 * shape[1] // 3)
    ]
    assert quarters == pytest.approx(expected, abs=4)


def test_a_frame_is_freed_when_nobody_holds_it_and_not_when_garbage_is_collected(tmp_path: Path) -> None:
    frames = recording(write_clip(tmp_path / "a.mp4", frames=30)).frames()
    gc.collect()
    gc.disable()
    try:
        before = living_pictures()
        for _ in range(20):
            frame = next(frames)
        del frame
        # The source holds the last one or two.
        assert living_pictures() <= before + 3
    finally:
        gc.enable()


def living_pictures() -> int:
    return sum(issubclass(type(each), VideoFrame) for each in gc.get_objects())
