"""A camera that answers nonsense affects itself alone: it is reported and tried again, and nothing of it stays open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pylfr.deployment.cameras import open_source
from pylfr.deployment.sections.cameras import CameraSection
from pylfr.errors import ConfigError, MediaError
from pylfr.video.decoding.picture_options import AS_SENT
from pylfr.video.open import open_device, open_http, open_rtsp
from tests.conditions.motion_jpeg import MotionJpeg, web
from tests.conditions.playing import play
from tests.conditions.recordings import FRAMES, write
from tests.conditions.test_cameras import answering, reply
from tests.conditions.witness import PATIENT, SOON, WAIT_S, Witness
from tests.samples import NOON

Answer = Callable[[str], bytes]


def offering(*lines: str) -> Answer:
    """An RTSP camera that describes its stream so, and sends nothing."""
    description = "\r\n".join(["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=\xe9t\xe9", "t=0 0", *lines, ""]).encode("latin-1")

    def answer(request: str) -> bytes:
        method = request.split(" ", 1)[0]
        if method == "DESCRIBE":
            head = reply(request, "200 OK", "Content-Type: application/sdp", f"Content-Length: {len(description)}")
            return head + description
        if method == "SETUP":
            return reply(request, "200 OK", "Session: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        return reply(request, "200 OK", "Session: 1", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")

    return answer


NONSENSE: dict[str, Answer] = {
    "bytes that are no answer": lambda _: bytes(range(256)) * 8,
    "an answer to another question": lambda _: b"RTSP/1.0 200 OK\r\nCSeq: 999\r\nContent-Length: -5\r\n\r\n",
    "headers without end": lambda _: b"RTSP/1.0 200 OK\r\n" + b"X: " + b"a" * 100_000,
    "a codec that nobody knows": offering("m=video 0 RTP/AVP 96", "a=rtpmap:96 X-UNKNOWN/90000", "a=control:1"),
    "no stream at all": offering(),
    "parameters that are none": offering("m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000",
                                         "a=fmtp:96 sprop-parameter-sets=////,////", "a=control:1"),
    "a web page": lambda _: b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Sign in</html>",
}  # fmt: skip


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=list(NONSENSE))
def test_a_camera_that_answers_nonsense_is_reported_and_tried_again_and_the_others_go_on(answer: Answer) -> None:
    before = open_descriptors()
    with web(MotionJpeg) as port, answering(answer) as (other, asked):
        good = Witness(open_http(f"http://127.0.0.1:{port}/video.mjpg", camera="good", patience=PATIENT), frames=10_000)
        bad = Witness(open_rtsp(f"rtsp://127.0.0.1:{other}/camera", camera="bad", patience=SOON), until="never")
        threads = [threading.Thread(target=each.watch) for each in (good, bad)]
        for thread in threads:
            thread.start()
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s and not (
            good.got and sum(event.kind == "reconnecting" for event in bad.events) >= 2
        ):
            time.sleep(0.05)
        seen = len(good.got)
        while time.monotonic() < until_s and len(good.got) < seen + 3:
            time.sleep(0.05)
        for each in (good, bad):
            each.source.close()
        for thread in threads:
            thread.join(WAIT_S)
    assert not any(thread.is_alive() for thread in threads)
    assert not bad.got
    assert {event.kind for event in bad.events} & {"refused", "frozen", "disconnected"}, bad.events
    assert sum(event.kind == "reconnecting" for event in bad.events) >= 2
    assert len(asked) >= 2
    assert [event.kind for event in good.events] == ["opened"]
    assert len(good.got) >= seen + 3
    until_s = time.monotonic() + 5
    while open_descriptors() > before and time.monotonic() < until_s:
        time.sleep(0.05)
    assert open_descriptors() <= before


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.mp4", "a.avi"])
def test_a_title_that_is_no_utf_8_is_no_reason_to_refuse_a_recording(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, title="TITLE-OF-IT!", coding={"bf": "0"})
    content = path.read_bytes()
    assert b"TITLE-OF-IT!" in content
    path.write_bytes(content.replace(b"TITLE-OF-IT!", b"\xe9t\xe9-\xff-\xc3\x28-\xf8\xa1\xa1"))
    watch, _, _, error = play(path, AS_SENT, None)
    assert (error, len(watch.times_s)) == ("", FRAMES)


def test_a_video_device_gives_frames_where_there_is_one() -> None:
    devices = sorted(Path("/dev").glob("video*"))
    if not devices:
        pytest.skip("this kernel has no video device: modprobe vivid, or v4l2loopback, makes a virtual one")
    witness = Witness(open_device(devices[0], camera="desk", patience=SOON)).watch()
    assert len(witness.got) >= 5, witness.events


def test_what_is_a_device_and_no_camera_is_reported_and_tried_again(tmp_path: Path) -> None:
    """The path of a camera of this machine, where the kernel has none: the input is the real one, its device is not."""
    (tmp_path / "video0").write_bytes(b"no device")
    witness = Witness(open_device(tmp_path / "video0", camera="desk", patience=SOON), until="reconnecting").watch()
    assert not witness.got
    assert {event.kind for event in witness.events} & {"refused", "disconnected"}
    with pytest.raises(MediaError, match="which does not exist: ls /dev/video"):
        open_device("/dev/video99", camera="desk")


@pytest.mark.parametrize("address", ["srt://192.0.2.1:9000", "http://192.0.2.1/a.mjpg", "rtsp://192.0.2.1/a"])
def test_a_deployment_names_each_kind_of_camera_by_its_address(address: str) -> None:
    source = open_source(CameraSection(name="yard", source=address), NOON, "none")
    assert (source.camera, source.is_live) == ("yard", True)


def test_an_address_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'yard' must be a file, .* srt:// or v4l2://, got rtmp://"):
        open_source(CameraSection(name="yard", source="rtmp://192.0.2.1/live"), NOON, "none")
