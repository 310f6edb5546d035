from __future__ import annotations

import gc
import logging
import wave
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pylfr.errors import ConfigError, MediaError
from pylfr.types import Frame
from pylfr.video.ffmpeg import FileSource, open_device, open_file, open_rtsp
from pylfr.video.watch import CameraEvent, WatchedSource
from tests.samples import NOON
from tests.video.clips import RATE_HZ, cut, write_clip


def recording(path: Path, *, loop: bool = False) -> FileSource:
    return open_file(path, camera="north", started_at=NOON, loop=loop)


def corners(frame: Frame) -> list[int]:
    """Luma (or red) in the middle of the four quarters: top left, top right, bottom left, bottom right."""
    plane = frame.planes[0] if frame.layout != "rgb" else frame.planes[0][:, :, 0]
    height, width = plane.shape
    return [int(plane[y, x]) for y in (height // 4, 5 * height // 8) for x in (width // 4, 5 * width // 8)]


def collect(source: FileSource, frames: list[Frame]) -> None:
    """Append every frame; what came before an error is then there."""
    for frame in source.frames():
        frames.append(frame)  # noqa: PERF402 - extend would lose them


class Diary:
    """A watch that wants every ``step``-th frame and keeps what it was told."""

    def __init__(self, step: int = 1) -> None:
        self.step = step
        self.asked: list[datetime] = []
        self.events: list[CameraEvent] = []

    def is_due(self, captured_at: datetime) -> bool:
        self.asked.append(captured_at)
        return (len(self.asked) - 1) % self.step == 0

    def report(self, event: CameraEvent) -> None:
        self.events.append(event)


def test_every_frame_comes_in_order_at_its_own_time(tmp_path: Path) -> None:
    frames = list(recording(write_clip(tmp_path / "a.mp4", frames=30)).frames())
    assert [frame.sequence for frame in frames] == list(range(30))
    assert [frame.captured_at for frame in frames] == [NOON + timedelta(seconds=n / RATE_HZ) for n in range(30)]
    assert {frame.camera for frame in frames} == {"north"}


def test_a_recording_of_one_frame_gives_one_frame(tmp_path: Path) -> None:
    assert len(list(recording(write_clip(tmp_path / "a.mp4", frames=1)).frames())) == 1


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


def test_frames_that_are_not_due_are_counted_and_not_built(tmp_path: Path) -> None:
    source = recording(write_clip(tmp_path / "a.mp4", frames=30))
    diary = Diary(step=10)
    assert isinstance(source, WatchedSource)
    assert [frame.sequence for frame in source.watched(diary)] == [0, 10, 20]
    assert len(diary.asked) == 30
    assert [event.kind for event in diary.events] == ["opened", "ended"]


def test_a_looped_recording_starts_over_and_its_time_goes_on(tmp_path: Path) -> None:
    source = recording(write_clip(tmp_path / "a.mp4", frames=5), loop=True)
    frames = []
    for frame in source.frames():
        frames.append(frame)
        if len(frames) == 12:
            source.close()
    assert [frame.sequence for frame in frames] == list(range(12))
    assert [frame.captured_at for frame in frames] == [NOON + timedelta(seconds=n / RATE_HZ) for n in range(12)]


def test_only_a_recording_played_in_real_time_is_live(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=3)
    assert not recording(clip).is_live
    live = open_file(clip, camera="north", started_at=NOON, pace="real-time")
    assert live.is_live
    assert len(list(live.frames())) == 3


def test_closing_ends_the_frames(tmp_path: Path) -> None:
    source = recording(write_clip(tmp_path / "a.mp4", frames=30))
    frames = source.frames()
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []
    assert list(source.frames()) == []


def test_a_missing_video_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"absent\.mp4 does not exist: check the path"):
        recording(tmp_path / "absent.mp4")


def test_a_folder_is_refused_as_a_video(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="must be a file, got a folder"):
        recording(tmp_path)


def test_a_video_of_zero_bytes_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(MediaError, match=r"empty\.mp4 must be a recording, got a file of zero bytes"):
        recording(tmp_path / "empty.mp4")


def test_a_text_that_is_called_mp4_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video\n" * 200)
    with pytest.raises(MediaError, match=r"text\.mp4 must be a recording that FFmpeg can read, got 1,800 bytes"):
        recording(tmp_path / "text.mp4")


def test_a_recording_without_its_index_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="cut off before its index was written"):
        recording(cut(write_clip(tmp_path / "a.mp4"), 0.5))


def test_sound_without_a_picture_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 800, "NONE", ""))
        sound.writeframes(bytes(1600))
    with pytest.raises(MediaError, match="must have a video stream, got none"):
        recording(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_truncated_recording_gives_what_it_holds_and_then_says_so(tmp_path: Path, name: str) -> None:
    options = {"movflags": "faststart"} if name.endswith("mp4") else {}
    whole = write_clip(tmp_path / name, frames=100, codec="mjpeg", pixels="yuvj420p", options=options)
    source = recording(cut(whole, 0.6))
    frames: list[Frame] = []
    with pytest.raises(MediaError, match=rf"cut-{name} must hold 10\.0 s.*, got [56]\d frames \([56]\.\d s\).*cut off"):
        collect(source, frames)
    assert 50 <= len(frames) < 65


def test_real_footage_that_was_cut_gives_what_it_holds_and_then_says_so(tmp_path: Path, media_dir: Path) -> None:
    whole = tmp_path / "street.mp4"
    whole.write_bytes((media_dir / "video" / "one-by-one-person-detection.mp4").read_bytes())
    source = recording(cut(whole, 0.25))
    frames: list[Frame] = []
    with pytest.raises(MediaError, match=r"must hold 139\.4 s \(1394 frames\), got \d+ frames"):
        collect(source, frames)
    assert 100 < len(frames) < 1000


def test_real_footage_is_read_to_its_end(media_dir: Path) -> None:
    counts = {
        path.stem: len(list(recording(path).frames())) for path in sorted((media_dir / "video").glob("face-*.mp4"))
    }
    assert counts == {"face-demographics-walking": 35, "face-demographics-walking-and-pause": 41}


def test_a_start_without_a_time_zone_is_refused(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=1)
    with pytest.raises(ValueError, match="started_at must carry a time zone"):
        open_file(clip, camera="north", started_at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_an_address_that_is_not_rtsp_is_refused_without_its_password() -> None:
    with pytest.raises(MediaError, match=r"must have an address rtsp:// or rtsps://, got http://\*\*\*@host/cam"):
        open_rtsp("http://admin:hunter2@host/cam", camera="gate")


def test_a_secret_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATE_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match=r"camera 'gate' refers to \$\{GATE_PASSWORD\}, which is not set"):
        open_rtsp("rtsp://admin:${GATE_PASSWORD}@host/cam", camera="gate")


def test_a_source_shows_no_credentials() -> None:
    assert (
        repr(open_rtsp("rtsp://admin:hunter2@host/cam", camera="gate"))
        == "LiveSource('rtsp://***@host/cam', camera='gate')"
    )


@pytest.mark.parametrize("device", ["/dev/video99", "v4l2:///dev/video99"])
def test_a_missing_device_is_refused_by_name(device: str) -> None:
    with pytest.raises(MediaError, match="got /dev/video99, which does not exist"):
        open_device(device, camera="desk")


def test_a_device_that_cannot_be_read_is_reported_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "video0").touch()
    source = open_device(tmp_path / "video0", camera="desk")
    kinds: list[str] = []

    class Closing(Diary):
        def report(self, event: CameraEvent) -> None:
            kinds.append(event.kind)
            if event.kind == "reconnecting":
                source.close()

    with caplog.at_level(logging.DEBUG):
        assert list(source.watched(Closing())) == []
    assert kinds == ["disconnected", "reconnecting"]


def test_times_are_utc_wherever_the_start_was_given(tmp_path: Path) -> None:
    frame = next(recording(write_clip(tmp_path / "a.mp4", frames=1)).frames())
    assert frame.captured_at.astimezone(UTC) == NOON
