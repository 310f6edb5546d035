"""A camera that is read by the core is given up, and closed, as one that PyAV reads."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import quote

import av

from pylfr.video.decoding.interruption import Closing, interrupted_by
from pylfr.video.decoding.undue_packets import PacketReader
from tests.video.camera_server import PASSWORD, USER, Server, needs_server
from tests.video.decoding.packet_reading import LONG_S, NEVER, clip, due_at, needs_known_pyav, opened, reader_of

SOON_S = 20.0


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
    timeout_s = 4.0
    with camera(clip()[: 20 * 1024 // 188 * 188], 0.3) as address:
        container, stream = opened(address, timeout_s=timeout_s)
        due = due_at(NEVER)
        with container:
            reader = reader_of(container, stream, due)
            assert reader.read(may_pass=True) is not None
            began = time.monotonic()
            due.set(began + 1.5 * timeout_s)
            assert reader.read(may_pass=True) is not None
            assert 1.5 * timeout_s <= time.monotonic() - began < SOON_S


@needs_known_pyav
def test_what_waits_ends_soon_after_the_camera_is_closed() -> None:
    closing = Closing()
    with camera(clip(), LONG_S) as address:
        container, stream = opened(address)
        with container, interrupted_by(closing):
            threading.Timer(2.0, closing.set).start()
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
            timeout_s = 4.0
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
