"""Packets before a picture is wanted are decoded by the core: none is lost, and later pictures are as they would be."""

from __future__ import annotations

import io
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast
from urllib.parse import quote

import av
import numpy as np
import pytest
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pylfr.ops import DueTime, UndueReader
from pylfr.video.decoding import undue_packets
from pylfr.video.decoding.interruption import Closing, interrupted_by
from pylfr.video.decoding.undue_packets import PacketReader
from tests.video.camera_server import PASSWORD, USER, Server, needs_server
from tests.video.clips import picture_of

FRAMES = 60
NEVER = float("inf")
SOON_S, LONG_S = 5.0, 60.0

needs_known_pyav = pytest.mark.skipif(
    undue_packets._calls() is None, reason=f"PyAV {av.__version__} is not known: it reads every packet by itself"
)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What is found out once is found out anew after a test that pretends otherwise."""
    yield
    undue_packets._calls.cache_clear()


def clip(bframes: int = 0) -> bytes:
    content = io.BytesIO()
    with av.open(content, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": f"bframes={bframes}:keyint=20"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture_of(number, 96, 64), "rgb24")))
        container.mux(stream.encode())
    return content.getvalue()


def opened(content: bytes | io.RawIOBase | str, timeout_s: float = LONG_S) -> tuple[InputContainer, VideoStream]:
    source = io.BytesIO(content) if isinstance(content, bytes) else content
    container = av.open(source, "r", format="mpegts", timeout=(LONG_S, timeout_s))
    stream = container.streams.video[0]
    stream.codec_context.open()
    return container, stream


def reader_of(
    container: InputContainer, stream: VideoStream, due: DueTime | None, closing: Closing | None = None
) -> PacketReader:
    return PacketReader(container, stream, due=due, interruption=closing.interruption if closing is not None else None)


def all_of(reader: PacketReader) -> list[tuple[int | None, int]]:
    """Stamps and sizes of what is left to be read, and may be passed."""
    return [(packet.dts, packet.size) for packet in iter(lambda: reader.read(may_pass=True), None)]


def decoded(stream: VideoStream, packet: Packet[Stream]) -> list[VideoFrame]:
    return stream.decode(cast("Packet[VideoStream]", packet) if packet.size else None)


def packets_of(content: bytes) -> list[tuple[int | None, int]]:
    container, _ = opened(content)
    with container:
        return [(packet.dts, packet.size) for packet in container.demux()]


def due_at(at_s: float) -> DueTime:
    due = DueTime()
    due.set(at_s)
    return due


@needs_known_pyav
@pytest.mark.parametrize("bframes", [0, 2])
def test_every_picture_that_nobody_wants_is_decoded_and_counted(bframes: int) -> None:
    container, stream = opened(clip(bframes))
    with container:
        reader = reader_of(container, stream, due_at(NEVER))
        # PyAV reads the first one, with which its deadline begins, and has what is left at the end.
        pictures = 0
        while (packet := reader.read(may_pass=True)) is not None:
            pictures += len(decoded(stream, packet))
        passed = reader.take_passed()
        assert pictures + passed == FRAMES
        assert passed >= FRAMES - 1 - (bframes + 1)
        assert reader.take_passed() == 0


@pytest.mark.parametrize("due", [None, due_at(0.0)])
def test_while_pictures_are_wanted_every_packet_is_given(due: DueTime | None) -> None:
    content = clip()
    container, stream = opened(content)
    with container:
        reader = reader_of(container, stream, due)
        assert all_of(reader) == packets_of(content)
        assert reader.take_passed() == 0


@needs_known_pyav
def test_pictures_after_those_that_were_passed_are_what_they_would_be() -> None:
    content = clip()
    plain, _ = opened(content)
    with plain:
        whole = {picture.pts: picture.to_ndarray() for picture in plain.decode(video=0)}
    due = DueTime()
    container, stream = opened(content)
    compared = 0
    with container:
        reader = reader_of(container, stream, due)
        while (packet := reader.read(may_pass=compared > 0)) is not None:
            for picture in decoded(stream, packet):
                assert np.array_equal(picture.to_ndarray(), whole[picture.pts])
                # Only the first packet is PyAV's: whoever wants seconds multiplies by the stream's time base.
                assert (picture.time_base is None) == (compared > 0)
                compared += 1
            due.set(time.monotonic() + 0.0005)
        assert compared + reader.take_passed() == FRAMES
        assert compared > 0


class Slow(io.RawIOBase):
    """Gives a clip little by little, over and over."""

    def __init__(self, content: bytes, error_after: int | None = None) -> None:
        self._content, self._at, self._error_after = content, 0, error_after

    def readable(self) -> bool:
        return True

    def readinto(self, into: object) -> int:
        raise NotImplementedError

    def read(self, size: int = -1) -> bytes:
        if self._error_after is not None and self._at > self._error_after:
            raise ConnectionResetError("the camera was cut off")
        time.sleep(0.001)
        piece = self._content[self._at % len(self._content) :][: min(size, 1316)]
        self._at += len(piece)
        return piece


@needs_known_pyav
def test_a_picture_that_is_wanted_sooner_than_was_said_is_given() -> None:
    due = due_at(time.monotonic() + 3600.0)
    container, stream = opened(Slow(clip()))
    with container:
        reader = reader_of(container, stream, due)
        assert reader.read(may_pass=True) is not None
        threading.Timer(0.3, lambda: due.set(0.0)).start()
        began = time.monotonic()
        packet = reader.read(may_pass=True)
        assert packet is not None
        assert 0.2 < time.monotonic() - began < 20.0
        assert reader.passed.packets > 0


@needs_known_pyav
def test_what_goes_wrong_while_packets_are_passed_is_raised() -> None:
    content = clip()
    container, stream = opened(Slow(content, error_after=2 * len(content)))
    with container:
        reader = reader_of(container, stream, due_at(NEVER))
        with pytest.raises(ConnectionResetError, match="the camera was cut off"):
            all_of(reader)
        assert reader.take_passed() > 0


@needs_known_pyav
@pytest.mark.parametrize("seed", range(4))
def test_packets_that_were_damaged_on_their_way_cost_no_more_than_their_pictures(seed: int) -> None:
    draw = np.random.default_rng(seed)
    content = np.frombuffer(clip(), np.uint8).copy()
    content[draw.integers(8_000, len(content), 40)] ^= draw.integers(1, 255, 40, dtype=np.uint8)
    container, stream = opened(content.tobytes())
    with container:
        reader = reader_of(container, stream, due_at(NEVER))
        all_of(reader)
        assert reader.take_passed() > 0


def test_with_a_pyav_that_is_not_known_pyav_reads_every_packet_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(av, "__version__", "99.0.0")
    undue_packets._calls.cache_clear()
    caplog.set_level(logging.INFO, undue_packets.__name__)
    for _ in range(2):
        container, stream = opened(clip())
        with container:
            reader = reader_of(container, stream, due_at(NEVER))
            packets = all_of(reader)
        assert len([size for _, size in packets if size]) >= FRAMES
        assert reader.take_passed() == 0
    assert [record.getMessage() for record in caplog.records] == [
        "PyAV 99.0.0 is not known well enough: it reads every packet of live cameras by itself"
    ]


@contextmanager
def camera(content: bytes, pause_s: float) -> Iterator[str]:
    """The address of a camera that sends ``content`` at once, then nothing for ``pause_s``, and so on."""
    is_over = threading.Event()

    def send(listening: socket.socket) -> None:
        listening.settimeout(LONG_S)
        sending, _ = listening.accept()
        with sending, suppress(OSError):
            while not is_over.is_set():
                sending.sendall(content)
                is_over.wait(pause_s)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=send, args=(listening,))
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            is_over.set()
            thread.join()


def read_on(reader: PacketReader) -> float:
    """Read until FFmpeg gives up; how long the last read took, which is the core's."""
    while True:
        began = time.monotonic()
        try:
            packet = reader.read(may_pass=True)
        except (av.error.ExitError, TimeoutError):
            assert reader.passed.packets > 0
            return time.monotonic() - began
        assert packet is not None


@needs_known_pyav
def test_a_camera_that_falls_silent_is_given_up_after_the_deadline() -> None:
    with camera(clip(), LONG_S) as address:
        container, stream = opened(address, timeout_s=0.7)
        with container:
            assert 0.7 <= read_on(reader_of(container, stream, due_at(NEVER))) < SOON_S


@needs_known_pyav
def test_every_packet_begins_the_deadline_anew() -> None:
    with camera(clip()[: 20 * 1024 // 188 * 188], 0.3) as address:
        container, stream = opened(address, timeout_s=1.0)
        due = due_at(time.monotonic() + 2.5)
        with container:
            reader = reader_of(container, stream, due)
            assert reader.read(may_pass=True) is not None
            began = time.monotonic()
            assert reader.read(may_pass=True) is not None
            assert 1.5 < time.monotonic() - began < SOON_S


@needs_known_pyav
def test_what_waits_ends_soon_after_the_camera_is_closed() -> None:
    closing = Closing()
    with camera(clip(), LONG_S) as address:
        container, stream = opened(address)
        with container, interrupted_by(closing):
            threading.Timer(0.3, closing.set).start()
            assert read_on(reader_of(container, stream, due_at(NEVER), closing)) < SOON_S


class Listening:
    """Passes on what goes between a camera and whoever connects to ``port``, and remembers what the camera was sent."""

    def __init__(self, camera_port: int) -> None:
        self.said = b""
        self._camera_port = camera_port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(LONG_S)
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Listening:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        asking, _ = self._listening.accept()
        with asking, socket.create_connection(("127.0.0.1", self._camera_port)) as camera:
            back = threading.Thread(target=self._pass_on, args=(camera, asking))
            back.start()
            while content := asking.recv(65536):
                self.said += content
                camera.sendall(content)
            camera.shutdown(socket.SHUT_RDWR)
            back.join()

    def _pass_on(self, camera: socket.socket, asking: socket.socket) -> None:
        with suppress(OSError):
            while content := camera.recv(65536):
                asking.sendall(content)


@needs_known_pyav
@needs_server
def test_a_camera_is_told_that_nobody_watches_it_any_more_however_long_it_was_read() -> None:
    server, due = Server(), due_at(NEVER)
    server.start()
    try:
        with Listening(server.port) as between:
            address = f"rtsp://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{between.port}/camera"
            timeout_s = 1.0
            container = av.open(address, options={"rtsp_transport": "tcp"}, timeout=(LONG_S, timeout_s))
            with container:
                stream = container.streams.video[0]
                stream.codec_context.open()
                reader = reader_of(container, stream, due)
                assert reader.read(may_pass=True) is not None
                threading.Timer(2 * timeout_s, lambda: due.set(0.0)).start()
                assert reader.read(may_pass=True) is not None
                assert reader.passed.packets > 0
        assert b"TEARDOWN" in between.said
    finally:
        server.kill()


def test_a_container_without_a_deadline_is_read_by_pyav() -> None:
    content = clip()
    with av.open(io.BytesIO(content), "r", format="mpegts") as container:
        stream = container.streams.video[0]
        reader = reader_of(container, stream, due_at(NEVER))
        assert all_of(reader) == packets_of(content)
        assert reader.take_passed() == 0


def test_no_address_is_refused() -> None:
    calls = dict.fromkeys(undue_packets._CALLS, 1)
    addresses = {"container": 1, "decoder": 1, "deadline": 1}
    for name in addresses:
        with pytest.raises(ValueError, match=f"{name} must be an address, got 0"):
            UndueReader(calls=calls, **{**addresses, name: 0}, stream=0, interruption=None)
    with pytest.raises(ValueError, match="av_read_frame must be an address, got 0"):
        UndueReader(calls=dict.fromkeys(undue_packets._CALLS, 0), **addresses, stream=0, interruption=None)
