"""Cameras of SRT, each a real sender: GStreamer's, encrypted and not."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pylfr.errors import ConfigError, MediaError
from pylfr.video.open import ReconnectPolicy, open_srt
from pylfr.video.sources.srt import SrtAddress
from tests.conditions.witness import PATIENT, SOON, WAIT_S, Witness
from tests.video.camera_server import SYSTEM_PYTHON, free_udp_port, needs_server

SECRET = "a passphrase & more?"

# A camera that waits to be called: a test pattern with a key frame a second, as a transport stream.
_CAMERA = """
import sys, gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst, GLib
Gst.init(None)
pipeline = Gst.parse_launch(
    "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 "
    "! openh264enc gop-size=25 ! h264parse config-interval=1 ! mpegtsmux alignment=7 "
    "! srtsink name=out mode=listener latency=20 wait-for-connection=false"
)
out = pipeline.get_by_name("out")
out.set_property("localaddress", "127.0.0.1")
out.set_property("localport", int(sys.argv[1]))
if sys.argv[2]:
    out.set_property("passphrase", sys.argv[2])
pipeline.set_state(Gst.State.PLAYING)
pipeline.get_state(Gst.CLOCK_TIME_NONE)
print("ready", flush=True)
GLib.MainLoop().run()
"""


@contextlib.contextmanager
def camera(passphrase: str = "", port: int | None = None) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A camera, and the port on which it waits."""
    port = free_udp_port() if port is None else port
    sender = subprocess.Popen([SYSTEM_PYTHON, "-c", _CAMERA, str(port), passphrase], stdout=subprocess.PIPE, text=True)
    assert sender.stdout is not None
    try:
        assert sender.stdout.readline() == "ready\n"
        yield port, sender
    finally:
        sender.kill()
        sender.wait()
        sender.stdout.close()


@needs_server
@pytest.mark.parametrize("passphrase", ["", SECRET])
def test_a_camera_gives_frames_encrypted_or_not(passphrase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYLFR_TEST_PASSPHRASE", passphrase)
    with camera(passphrase) as (port, _):
        query = "?passphrase=${PYLFR_TEST_PASSPHRASE}" if passphrase else ""
        witness = Witness(
            open_srt(f"srt://127.0.0.1:{port}{query}", camera="gate", patience=PATIENT), frames=10
        ).watch()
    assert {(frame.width, frame.height) for frame in witness.got} == {(320, 240)}, witness.events
    assert [event.kind for event in witness.events if event.kind != "late"] == ["opened"]


@needs_server
@pytest.mark.parametrize(("given", "words"), [("another secret", "wrong"), ("", "only one side has a passphrase")])
def test_a_wrong_passphrase_is_refused_and_never_shown(given: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYLFR_TEST_PASSPHRASE", given)
    with camera(SECRET) as (port, _):
        query = "?passphrase=${PYLFR_TEST_PASSPHRASE}" if given else ""
        source = open_srt(f"srt://127.0.0.1:{port}{query}", camera="gate", patience=SOON)
        witness = Witness(source, until="reconnecting").watch()
    assert words in witness.details("refused"), witness.events
    assert not witness.got
    assert "another" not in f"{source!r} {witness.events}"


@needs_server
def test_a_camera_that_is_killed_is_reported_and_comes_back() -> None:
    with contextlib.ExitStack() as stack:
        port, sender = stack.enter_context(camera())
        source = open_srt(f"srt://127.0.0.1:{port}", camera="gate", patience=SOON)
        witness = Witness(source, frames=10_000)
        thread = threading.Thread(target=witness.watch)
        thread.start()
        until_s = time.monotonic() + WAIT_S
        while not witness.got and time.monotonic() < until_s:
            time.sleep(0.05)
        sender.kill()
        while "reconnecting" not in [event.kind for event in witness.events] and time.monotonic() < until_s:
            time.sleep(0.05)
        seen = len(witness.got)
        stack.enter_context(camera(port=port))
        while len(witness.got) < seen + 5 and time.monotonic() < until_s:
            time.sleep(0.05)
        source.close()
        thread.join(5)
    kinds = [event.kind for event in witness.events]
    assert {"frozen", "disconnected"} & set(kinds), kinds
    assert kinds.count("opened") >= 2
    assert len(witness.got) >= seen + 5


def test_a_camera_that_is_away_is_waited_for_and_closing_ends_the_wait_soon() -> None:
    source = open_srt(f"srt://127.0.0.1:{free_udp_port()}", camera="gate", patience=ReconnectPolicy(open_s=20.0))
    thread = threading.Thread(target=lambda: list(source.frames()))
    thread.start()
    time.sleep(0.5)
    assert thread.is_alive()
    source.close()
    thread.join(10.0)
    assert not thread.is_alive()


@pytest.mark.parametrize(("address", "words"), [
    ("srt://host", "srt://HOST:PORT"),
    ("srt://host:0", "srt://HOST:PORT"),
    ("srt://host:99999", "srt://HOST:PORT"),
    ("srt://:9000?mode=listener", "srt://HOST:PORT"),
    ("srt://host:9000?mode=listener", "must wait to be called"),
    ("srt://host:9000?passphrase=short", "10 to 79 bytes, got 5"),
    ("srt://host:9000?latency=fast", "0 to 60000 milliseconds, got 'fast'"),
    ("srt://host:9000?pbkeylen=8", "16, 24 or 32 bytes, got '8'"),
    ("srt://host:9000?passfrase=0123456789", "got 'passfrase'"),
])  # fmt: skip
def test_an_address_that_is_none_is_refused(address: str, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        open_srt(address, camera="gate")


def test_a_secret_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigError, match="PYLFR_TEST_ABSENT"):
        open_srt("srt://host:9000?passphrase=${PYLFR_TEST_ABSENT}", camera="gate")


def test_an_address_keeps_the_identifier_of_its_stream_and_shows_no_secret() -> None:
    parsed = SrtAddress.parse("srt://[::1]:9000?streamid=#!::r=live/gate,m=request&passphrase=a%20secret%20one", "gate")
    assert (parsed.host, parsed.port, parsed.stream_id) == ("::1", 9000, "#!::r=live/gate,m=request")
    assert parsed.passphrase == "a secret one"
    assert "secret" not in repr(parsed)


def test_a_system_without_libsrt_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from pylfr.video.sources import srt

    monkeypatch.setattr(srt, "_LIBRARIES", (str(Path("/nowhere/libsrt.so")),))
    srt.libsrt.cache_clear()
    try:
        with pytest.raises(MediaError, match="install the package libsrt1"):
            open_srt("srt://host:9000", camera="gate")
    finally:
        srt.libsrt.cache_clear()
