"""A real server, really killed and really frozen, while another camera goes on."""

from __future__ import annotations

import base64
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import av.logging
import pytest

from pylfr import ops
from pylfr.video.batching.batcher import Batcher
from pylfr.video.decoding.expected_stream import ExpectedStream
from pylfr.video.open import ReconnectPolicy, open_rtsp
from pylfr.video.sources.observer import CameraEvent
from pylfr.video.sources.replay_detection import ReplayCheckedSource, ReplayRules
from tests.video.camera_server import PASSWORD, USER, Server, needs_server

# Generous: the machine may be busy. Nothing waits this long unless something is broken.
PATIENCE_S = 40.0


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Server]]:
    monkeypatch.setenv("PYLFR_TEST_PASSWORD", PASSWORD)
    both = Server(), Server()
    for server in both:
        server.start()
    yield both
    for server in both:
        server.kill()


@pytest.fixture
def ffmpeg_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that anybody logs, FFmpeg's own messages included."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    yield caplog
    av.logging.set_level(level)


class Reader:
    """Drains a batcher on a thread of its own, as an engine would."""

    def __init__(self, batcher: Batcher) -> None:
        self.batcher = batcher
        self.events: list[CameraEvent] = []
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.batcher.stop()
        self._thread.join()

    def _read(self) -> None:
        with self.batcher as batches:
            for batch in batches:
                self.batcher.shown(batch.frames, ops.measure_scenes(batch.frames))

    def passed_on(self, camera: str) -> int:
        return self.batcher.counts()[camera].passed_on

    def kinds(self, camera: str) -> list[str]:
        self.events += self.batcher.take_events()
        # The test server asks for its password in the clear, which is noted once; a busy machine is late.
        unremarkable = ("noted", "late")
        return [event.kind for event in self.events if event.camera == camera and event.kind not in unremarkable]

    def wait(self, is_so: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < until, f"waited for {what}; events: {self.events}"
            time.sleep(0.02)

    def wait_for_frames(self, camera: str, count: int = 5) -> None:
        reached = self.passed_on(camera) + count
        self.wait(lambda: self.passed_on(camera) >= reached, f"{count} more frames of {camera}")


@pytest.mark.slow
@needs_server
def test_a_killed_and_a_frozen_camera_come_back_while_the_other_goes_on(
    servers: tuple[Server, Server], ffmpeg_log: pytest.LogCaptureFixture
) -> None:
    troubled, steady = servers
    patience = ReconnectPolicy(open_s=10.0, read_s=5.0, first_retry_s=0.1, longest_retry_s=0.5)
    sources = [
        open_rtsp(troubled.url, camera="troubled", patience=patience),
        open_rtsp(steady.url, camera="steady", patience=ReconnectPolicy(open_s=20.0, read_s=20.0)),
    ]
    with Reader(Batcher(sources, detect_hz=None)) as reader:
        reader.wait_for_frames("troubled")
        reader.wait_for_frames("steady")
        assert reader.kinds("troubled") == ["opened"]

        troubled.kill()
        reader.wait(lambda: reader.kinds("troubled").count("disconnected") >= 3, "refused attempts")
        assert set(reader.kinds("troubled")) == {"opened", "disconnected", "reconnecting"}
        assert reader.batcher.counts()["troubled"].state == "reconnecting"
        reader.wait_for_frames("steady")

        troubled.start()
        reader.wait(lambda: reader.kinds("troubled").count("opened") == 2, "the restarted camera")
        reader.wait_for_frames("troubled")

        troubled.send(signal.SIGSTOP)
        reader.wait(lambda: "frozen" in reader.kinds("troubled"), "the freeze to be noticed")
        reader.wait_for_frames("steady")

        troubled.send(signal.SIGCONT)
        reader.wait(lambda: reader.kinds("troubled").count("opened") >= 3, "the thawed camera")
        reader.wait_for_frames("troubled")
        assert reader.batcher.counts()["troubled"].state == "running"
        assert reader.kinds("steady") == ["opened"]

    counts = reader.batcher.counts()
    assert {camera: one.state for camera, one in counts.items()} == {"troubled": "stopped", "steady": "stopped"}
    told = [repr(event) for event in reader.events] + [repr(source) for source in sources]
    assert_no_credentials(told + [record.getMessage() for record in ffmpeg_log.records] + [repr(counts)])


@needs_server
def test_a_real_camera_whose_picture_stands_still_is_reported_until_another_picture_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYLFR_TEST_PASSWORD", PASSWORD)
    server = Server("blue")
    server.start()
    try:
        camera = open_rtsp(
            server.url, camera="gate", patience=ReconnectPolicy(open_s=20.0, read_s=20.0, first_retry_s=0.1)
        )
        with Reader(Batcher([ReplayCheckedSource(camera, ReplayRules(unchanged_s=1.5))])) as reader:
            reader.wait(lambda: "unchanged" in reader.kinds("gate"), "the picture that stands still to be noticed")
            server.kill()
            # Noise, as a sensor has it.
            server.pattern = "snow"
            server.start()
            reader.wait(lambda: reader.kinds("gate")[-1] == "recovered", "the picture that changes to be noticed")
            reader.wait_for_frames("gate", count=20)
            assert [
                kind for kind in reader.kinds("gate") if kind in ("unchanged", "recovered", "repeating", "backwards")
            ] == [
                "unchanged",
                "recovered",
            ]
    finally:
        server.kill()


@needs_server
@pytest.mark.parametrize("pin", ["hevc 320x240", "h264 640x480"])
def test_a_real_camera_that_sends_another_stream_is_reported_and_gives_no_frame(
    pin: str, servers: tuple[Server, Server]
) -> None:
    patience = ReconnectPolicy(open_s=20.0, first_retry_s=0.1)
    source = open_rtsp(servers[0].url, camera="gate", patience=patience, expect=ExpectedStream.parse(pin))
    with Reader(Batcher([source])) as reader:
        reader.wait(lambda: reader.kinds("gate").count("mismatched") >= 2, "two attempts")
        assert "opened" not in reader.kinds("gate")
        assert reader.passed_on("gate") == 0
        assert reader.batcher.counts()["gate"].state == "reconnecting"
        [detail] = {event.detail for event in reader.events if event.kind == "mismatched"}
    assert detail == f"authorised is {pin}, it sends h264 320x240"


@needs_server
def test_a_real_camera_that_sends_the_expected_stream_gives_its_frames(servers: tuple[Server, Server]) -> None:
    source = open_rtsp(servers[0].url, camera="gate", expect=ExpectedStream.parse("h264 320x240"))
    with Reader(Batcher([source])) as reader:
        reader.wait_for_frames("gate")
        [opened] = [event for event in (*reader.events, *reader.batcher.take_events()) if event.kind == "opened"]
        assert opened.detail == "h264 320x240"


@needs_server
def test_a_wrong_password_is_reported_tried_again_and_never_shown(
    servers: tuple[Server, Server], ffmpeg_log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLFR_TEST_PASSWORD", f"{PASSWORD}-wrong")
    source = open_rtsp(servers[0].url, camera="gate", patience=ReconnectPolicy(open_s=20.0, first_retry_s=0.1))
    with Reader(Batcher([source])) as reader:
        reader.wait(lambda: reader.kinds("gate").count("refused") >= 2, "two refusals")
        assert "opened" not in reader.kinds("gate")
        assert any("401" in event.detail for event in reader.events)
    assert_no_credentials([repr(event) for event in reader.events])
    assert_no_credentials([record.getMessage() for record in ffmpeg_log.records])


@needs_server
def test_closing_a_live_camera_ends_its_frames(servers: tuple[Server, Server]) -> None:
    source = open_rtsp(servers[0].url, camera="gate", patience=ReconnectPolicy(open_s=20.0, read_s=20.0))
    frames = source.frames()
    frame = next(frames)
    assert (frame.width, frame.height, frame.layout) == (320, 240, "i420")
    source.close()
    assert list(frames) == []


def test_retries_grow_to_their_limit_and_are_spread() -> None:
    patience = ReconnectPolicy(first_retry_s=0.5, longest_retry_s=30.0)
    for failures, longest in [(1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (1_000_000, 30.0)]:
        delays = {patience.retry_s(failures) for _ in range(50)}
        assert all(longest / 2 <= delay <= longest for delay in delays)
        assert len(delays) > 1


def test_patience_of_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="read_s must be more than 0 s, got 0"):
        ReconnectPolicy(read_s=0)


def assert_no_credentials(texts: list[str]) -> None:
    """Neither the password nor any form in which it travels."""
    spoken = "\n".join(texts)
    encoded = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    for secret in (PASSWORD, "p%40ss", "w/rd", "w%2Frd", encoded, os.environ["PYLFR_TEST_PASSWORD"]):
        assert secret not in spoken


class SlowReader:
    """Takes twice as long over every frame as the camera takes to send it."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s
        self.lost_count = 0
        self.looked_at = 0
        self.kinds: list[str] = []

    rate_hz: float | None = None
    rate_now_hz: float | None = None
    due: None = None

    def skipped(self, count: int) -> None:
        raise AssertionError(f"{count} frames were skipped, though every one is wanted")

    def is_due(self, captured_at: datetime) -> bool:
        self.looked_at += 1
        time.sleep(self.pause_s)
        return True

    def report(self, event: CameraEvent) -> None:
        self.kinds.append(event.kind)

    def lost(self, cause: str, count: int) -> None:
        assert cause == "late"
        self.lost_count += count


@needs_server
def test_a_real_camera_that_is_read_too_slowly_is_brought_back_to_the_live_edge(servers: tuple[Server, Server]) -> None:
    source = open_rtsp(servers[0].url, camera="slow")
    reader = SlowReader(pause_s=0.2)
    until = time.monotonic() + PATIENCE_S
    for _ in source.watched(reader):
        if reader.kinds.count("late") >= 2 or time.monotonic() > until:
            source.close()
    assert reader.kinds.count("late") >= 2
    assert reader.lost_count > 0
    assert reader.looked_at > 10


FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)


@needs_server
@pytest.mark.skipif(FAKETIME is None, reason="no faketime to test with: install the packages of .ci/apt-packages.txt")
def test_a_system_clock_that_is_set_back_does_not_blind_a_live_camera(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    """Another process analyses the camera, whose clock is set back by five seconds once it has run for longer."""
    offset = tmp_path / "offset"
    offset.write_text("+0")
    environment = {
        **os.environ, "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    seen: list[float] = []
    with subprocess.Popen(
        [sys.executable, "-m", "tests.video.sources.clock_jump", servers[0].url],
        cwd=Path(__file__).parents[3], env=environment, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        for line in process.stdout:
            captured_at, system = map(float, line.split())
            seen.append(captured_at)
            if captured_at - seen[0] > 6:
                offset.write_text("-5")
            if captured_at - system > 4:
                break
        else:
            pytest.fail(f"after {len(seen)} frames no more came: they were stamped by the clock that was set back")
        watchdog.cancel()
        process.kill()
    assert seen == sorted(seen)
