from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import pytest

from pylfr.errors import ConfigError, MediaError
from pylfr.types import Frame
from pylfr.video.open import FileSource, IsolatedFile, open_device, open_file, open_rtsp
from pylfr.video.sources.observer import CameraEvent, WatchedSource
from tests.samples import NOON
from tests.video.clips import RATE_HZ, cut, recording, write_clip


def collect(source: FileSource | IsolatedFile, frames: list[Frame]) -> None:
    """Append every frame; what came before an error is then there."""
    for frame in source.frames():
        frames.append(frame)  # noqa: PERF402 - extend would lose them


class Diary:
    """A watch that wants every ``step``-th frame and keeps what it was told."""

    def __init__(self, step: int = 1) -> None:
        self.step = step
        self.asked: list[datetime] = []
        self.events: list[CameraEvent] = []

    rate_hz: float | None = None
    rate_now_hz: float | None = None
    due: None = None

    def skipped(self, count: int) -> None:
        raise AssertionError(f"{count} frames were skipped, though every one is asked about")

    def is_due(self, captured_at: datetime) -> bool:
        self.asked.append(captured_at)
        return (len(self.asked) - 1) % self.step == 0

    def lost(self, cause: str, count: int) -> None:
        raise AssertionError(f"{count} frames of a recording were lost: {cause}")

    def report(self, event: CameraEvent) -> None:
        self.events.append(event)


def test_every_frame_comes_in_order_at_its_own_time(tmp_path: Path) -> None:
    frames = list(recording(write_clip(tmp_path / "a.mp4", frames=30)).frames())
    assert [frame.sequence for frame in frames] == list(range(30))
    assert [frame.captured_at for frame in frames] == [NOON + timedelta(seconds=n / RATE_HZ) for n in range(30)]
    assert {frame.camera for frame in frames} == {"north"}


def test_a_recording_of_one_frame_gives_one_frame(tmp_path: Path) -> None:
    assert len(list(recording(write_clip(tmp_path / "a.mp4", frames=1)).frames())) == 1


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
    with pytest.raises(MediaError, match=r"text\.mp4 must be a recording that FFmpeg can read, got text: convert it"):
        recording(tmp_path / "text.mp4")


def test_a_recording_without_its_index_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="cut off before its index was written"):
        recording(cut(write_clip(tmp_path / "a.mp4"), 0.5))


def test_sound_without_a_picture_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "sound.mka"
    with av.open(str(path), "w", format="matroska") as container:
        sound = container.add_stream("pcm_s16le", rate=8000)
        assert isinstance(sound, av.AudioStream)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        silence.sample_rate = 8000
        container.mux(sound.encode(silence))
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
        def lost(self, cause: str, count: int) -> None:
            raise AssertionError(f"{count} frames of a recording were lost: {cause}")

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
