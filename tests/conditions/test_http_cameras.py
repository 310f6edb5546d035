"""Cameras over HTTP and HTTPS: JPEG pictures one after the other, in the manner of each maker, and HLS."""

from __future__ import annotations

import io
import subprocess
import time
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pylfr.video.open import open_http
from tests.conditions.certificates import certificate
from tests.conditions.motion_jpeg import MotionJpeg, web
from tests.conditions.witness import PATIENT, SOON, WAIT_S, Witness
from tests.video.camera_server import SYSTEM_PYTHON, needs_server


def test_a_camera_that_sends_jpeg_over_http_gives_every_frame() -> None:
    with web(MotionJpeg) as port:
        source = open_http(f"http://127.0.0.1:{port}/video.mjpg", camera="gate", patience=PATIENT)
        witness = Witness(source, frames=25).watch()
        assert len(witness.got) >= 25
        assert [event.kind for event in witness.events] == ["opened"]
        lost = Witness(open_http(f"http://127.0.0.1:{port}/no", camera="gate", patience=SOON), until="refused").watch()
    assert "check the path" in lost.details("refused")


@pytest.mark.parametrize(
    "habit",
    [
        {"named": "--picture"},
        {"named": '"picture"'},
        {"named": None},
        {"named": "another"},
        {"between": b"picture\r\n", "before": b"picture\r\n"},
        {"part_headers": b"Content-Type: image/jpeg\r\n\r\n"},
    ],
    ids=str,
)
def test_a_camera_that_sends_jpeg_in_its_own_manner_gives_every_frame(habit: dict[str, object]) -> None:
    with web(type("Habit", (MotionJpeg,), habit)) as port:
        source = open_http(f"http://127.0.0.1:{port}/video.mjpg", camera="gate", patience=PATIENT)
        witness = Witness(source, frames=10).watch()
    assert len(witness.got) >= 10, witness.events
    assert [event.kind for event in witness.events] == ["opened"]


@pytest.mark.parametrize(
    "habit",
    [
        {"before": b""},
        {"before": b"\r\n--picture\r\n"},
        {"before": b"This is a message of many parts.\r\n--picture\r\n"},
        {"part_headers": b"Content-Length: %d\r\n\r\n"},
        {"part_headers": b"", "before": b""},
        {"part_headers": b"", "before": b"", "between": b""},
    ],
    ids=str,
)
def test_a_camera_that_sends_jpeg_without_boundaries_gives_frames_and_says_so(habit: dict[str, object]) -> None:
    """Pictures of a camera that no parser of multipart accepts are in order and whole."""
    with web(type("Habit", (MotionJpeg,), habit)) as port:
        source = open_http(f"http://127.0.0.1:{port}/video.mjpg", camera="gate", patience=PATIENT)
        witness = Witness(source, frames=10).watch()
    assert len(witness.got) >= 10, witness.events
    assert [event.kind for event in witness.events] == ["noted", "opened"]
    assert "no multipart boundary" in witness.details("noted")
    reds = [int(np.asarray(frame.planes[0]).mean()) for frame in witness.got]
    assert reds == sorted(reds)


@pytest.mark.parametrize("kind", ["text/html", "multipart/x-mixed-replace; boundary=picture"])
def test_a_web_page_in_place_of_a_camera_is_called_no_stream(kind: str) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = b"<!DOCTYPE html><title>Sign in</title>" + b"<p>user and password</p>" * 100
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with web(Page) as port:
        source = open_http(f"http://127.0.0.1:{port}/", camera="gate", patience=SOON)
        witness = Witness(source, until="reconnecting").watch()
    assert not witness.got
    assert [event.kind for event in witness.events] == ["disconnected", "reconnecting"]
    assert witness.details("disconnected") == "it sends no video stream that FFmpeg can read"


def test_the_address_of_single_pictures_is_told_from_that_of_video() -> None:
    content = io.BytesIO()
    Image.new("RGB", (320, 240), (90, 120, 40)).save(content, "JPEG")

    class Snapshot(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(content.getvalue())))
            self.end_headers()
            self.wfile.write(content.getvalue())

        def log_message(self, *_: object) -> None:
            pass

    with web(Snapshot) as port:
        source = open_http(f"http://127.0.0.1:{port}/snapshot.jpg", camera="gate", patience=SOON)
        witness = Witness(source, until="reconnecting").watch()
    assert not witness.got
    assert "if its address gives single pictures, name that of its video" in witness.details("disconnected")


def test_a_camera_that_sends_over_https_is_verified(tmp_path: Path) -> None:
    authority = certificate(tmp_path, "authority", None)
    certificate(tmp_path, "127.0.0.1", authority)
    with web(MotionJpeg, tmp_path / "127.0.0.1.pem") as port:
        url = f"https://127.0.0.1:{port}/video.mjpg"
        trusted = open_http(url, camera="gate", ca=tmp_path / "authority.crt", patience=SOON)
        witness = Witness(trusted, frames=5).watch()
        assert len(witness.got) >= 5, witness.events
        unknown = Witness(open_http(url, camera="gate", patience=SOON), until="reconnecting").watch()
    assert not unknown.got
    assert unknown.details("disconnected") or unknown.details("refused")


@needs_server
def test_a_camera_of_hls_segments_gives_its_frames_at_their_own_pace(tmp_path: Path) -> None:
    pipeline = (
        "videotestsrc is-live=true num-buffers=400 ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 "
        "! openh264enc gop-size=25 ! h264parse ! hlssink2 target-duration=1 max-files=20 playlist-length=10 "
        f"location={tmp_path}/%05d.ts playlist-location={tmp_path}/live.m3u8"
    )
    maker = subprocess.Popen(
        [SYSTEM_PYTHON, "-c", f"""
import gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
pipeline = Gst.parse_launch({pipeline!r})
pipeline.set_state(Gst.State.PLAYING)
pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
"""]
    )  # fmt: skip

    class Files(SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    try:
        until = time.monotonic() + WAIT_S
        while not (tmp_path / "live.m3u8").exists() and time.monotonic() < until:
            time.sleep(0.1)
        with web(Files) as port:
            source = open_http(f"http://127.0.0.1:{port}/live.m3u8", camera="gate", patience=SOON)
            witness = Witness(source, frames=60).watch()
    finally:
        maker.kill()
        maker.wait()
    assert len(witness.got) >= 60, witness.events
    times = [frame.captured_at for frame in witness.got]
    assert (times[-1] - times[0]).total_seconds() > 1.5
