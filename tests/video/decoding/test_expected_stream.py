"""A camera that sends another stream than was authorised is refused, by name and with both streams."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylfr._internal.toml_model import record_from
from pylfr.deployment.sections.cameras import CameraSection
from pylfr.deployment.signed_settings import camera_digest
from pylfr.errors import ConfigError, MediaError
from pylfr.video.decoding.expected_stream import ExpectedStream
from pylfr.video.open import Isolation, open_file
from tests.samples import NOON
from tests.video.clips import write_clip
from tests.video.watches import RecordingWatch


@pytest.mark.parametrize(
    ("text", "codec", "size"),
    [
        ("h264 1920x1080", "h264", (1920, 1080)),
        ("1920x1080 H265", "hevc", (1920, 1080)),
        ("hevc", "hevc", None),
        ("640x480", None, (640, 480)),
    ],
)
def test_a_pin_reads_as_it_is_written(text: str, codec: str | None, size: tuple[int, int] | None) -> None:
    pin = ExpectedStream.parse(text)
    assert pin == ExpectedStream(codec=codec, size_px=size)
    assert ExpectedStream.parse(str(pin)) == pin


@pytest.mark.parametrize("text", ["", "  ", "h264 hevc", "640x480 320x240", "0x480", "h264 1920*1080", "h264, 640x480"])
def test_what_is_no_stream_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a stream is"):
        ExpectedStream.parse(text)


def test_a_difference_names_both_streams() -> None:
    pin = ExpectedStream.parse("h264 1920x1080")
    assert pin.difference("h264", (1920, 1080)) is None
    assert pin.difference("h264", (0, 0)) is None, "a size that is not known yet is analysed with the first picture"
    assert pin.difference("hevc", (0, 0)) == "authorised is h264 1920x1080, it sends hevc 0x0"
    assert pin.difference("h264", (640, 480)) == "authorised is h264 1920x1080, it sends h264 640x480"
    assert ExpectedStream.parse("h264").difference("h264", (1, 1)) is None
    assert ExpectedStream.parse("640x480").difference("vp9", (640, 480)) is None


@pytest.mark.parametrize("isolation", ["none", "process"])
@pytest.mark.parametrize(
    ("pin", "sent"), [("hevc 64x48", "h264 64x48"), ("h264 32x48", "h264 64x48"), ("32x48", "h264 64x48")]
)
def test_a_recording_of_another_stream_gives_no_frame(
    pin: str, sent: str, isolation: Isolation, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=2)
    source = open_file(path, camera="gate", started_at=NOON, isolation=isolation, expect=ExpectedStream.parse(pin))
    watch = RecordingWatch()
    words = f"authorised is {pin}, it sends {sent}"
    with pytest.raises(MediaError, match=words):
        next(iter(source.watched(watch)))
    assert [(event.camera, event.kind, event.detail) for event in watch.events] == [("gate", "mismatched", words)]


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_a_recording_of_the_expected_stream_gives_its_frames(isolation: Isolation, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=3)
    pin = ExpectedStream.parse("h264 64x48")
    source = open_file(path, camera="gate", started_at=NOON, isolation=isolation, expect=pin)
    assert sum(1 for _ in source.frames()) == 3


def camera(**fields: str) -> CameraSection:
    return record_from(
        {"name": "gate", "source": "rtsp://camera/1", **fields},
        CameraSection,
        path=Path("d.toml"),
        error_kind=ConfigError,
    )


def test_an_authorisation_names_the_expected_stream_and_no_other() -> None:
    free, pinned = camera(), camera(expect="h264 1920x1080")
    assert free.pin is None
    assert pinned.pin == ExpectedStream.parse("h264 1920x1080")
    digests = {camera_digest(each) for each in (free, pinned, camera(expect="h264 640x480"), camera(expect="h264"))}
    assert len(digests) == 4
    assert camera_digest(camera(expect="H264   1920x1080")) == camera_digest(pinned), "the same stream in other letters"


def test_a_stream_that_is_none_is_refused_in_a_deployment_file() -> None:
    with pytest.raises(ConfigError, match="a stream is a codec and a size, like 'h264 1920x1080', got 'full hd'"):
        camera(expect="full hd")
