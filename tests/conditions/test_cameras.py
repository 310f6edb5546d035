"""What live cameras do to their readers, each against a real server: the state that says so, and the end of waiting."""

from __future__ import annotations

import contextlib
import datetime as dates
import io
import ipaddress
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import pytest
from av.container import InputContainer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from PIL import Image

from pylfr.errors import MediaError
from pylfr.types import Frame
from pylfr.video.open import LiveSource, ReconnectPolicy, Transport, open_http, open_rtsp
from pylfr.video.sources import camera_certificates
from pylfr.video.sources.observer import CameraEvent
from tests.video.camera_server import PASSWORD, SYSTEM_PYTHON, Server, needs_server

WAIT_S = 30.0
READ_S = 2.0
SOON = ReconnectPolicy(open_s=4.0, read_s=READ_S, first_retry_s=0.1, longest_retry_s=0.3)


@dataclass
class Witness:
    """Keeps what a camera reports, and closes it after ``frames`` frames or the event ``until``."""

    source: LiveSource
    until: str = ""
    frames: int = 5
    rate_hz: float | None = None
    rate_now_hz: float | None = None
    events: list[CameraEvent] = field(default_factory=list)
    got: list[Frame] = field(default_factory=list)

    def skipped(self, count: int) -> None:
        pass

    def is_due(self, captured_at: dates.datetime) -> bool:
        return True

    def lost(self, cause: str, count: int) -> None:
        pass

    def report(self, event: CameraEvent) -> None:
        self.events.append(event)
        if event.kind == self.until or time.monotonic() > self._over_s:
            self.source.close()

    def watch(self) -> Witness:
        self._over_s = time.monotonic() + WAIT_S
        timer = threading.Timer(WAIT_S, self.source.close)
        timer.start()
        for frame in self.source.watched(self):
            self.got.append(frame)
            if not self.until and len(self.got) >= self.frames:
                self.source.close()
        timer.cancel()
        return self

    def details(self, kind: str) -> str:
        return " ".join(event.detail for event in self.events if event.kind == kind)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    made.start()
    yield made
    made.kill()


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYLFR_TEST_PASSWORD", PASSWORD)


@needs_server
@pytest.mark.parametrize(("path", "transport"), [
    ("camera", "tcp"), ("camera", "udp"), ("camera", "auto"), ("udp", "udp"), ("udp", "auto"), ("jpeg", "tcp"),
])  # fmt: skip
def test_a_camera_gives_frames_over_each_transport(server: Server, path: str, transport: Transport) -> None:
    source = open_rtsp(server.address(path), camera="gate", transport=transport, patience=SOON)
    witness = Witness(source).watch()
    assert {(frame.width, frame.height) for frame in witness.got} == {(320, 240)}, witness.events


@needs_server
@pytest.mark.parametrize(("path", "kind", "words"), [
    ("udp", "disconnected", ""),
    ("nowhere", "refused", "check the path"),
    ("sound", "disconnected", "it offers no video stream"),
])  # fmt: skip
def test_what_is_wrong_with_a_camera_is_said(server: Server, path: str, kind: str, words: str) -> None:
    witness = Witness(open_rtsp(server.address(path), camera="gate", patience=SOON), until=kind).watch()
    assert words in witness.details(kind), witness.events
    assert not witness.got


@needs_server
def test_a_camera_without_key_frames_is_said_to_be_frozen(server: Server) -> None:
    """The first reader has the only key frame; whoever comes later decodes nothing for a minute."""
    first = Witness(open_rtsp(server.address("keyless"), camera="first", patience=SOON), frames=10_000)
    thread = threading.Thread(target=first.watch)
    thread.start()
    try:
        until_s = time.monotonic() + 3.0
        while not first.got and time.monotonic() < until_s:
            time.sleep(0.1)
        witness = Witness(open_rtsp(server.address("keyless"), camera="gate", patience=SOON), until="frozen").watch()
    finally:
        first.source.close()
        thread.join()
    assert f"no picture for {READ_S:g} s" in witness.details("frozen"), witness.events


def listener() -> tuple[socket.socket, int]:
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen(8)
    return made, int(made.getsockname()[1])


@contextlib.contextmanager
def answering(answer: Callable[[str], bytes]) -> Iterator[tuple[int, list[str]]]:
    """An RTSP server that answers each request as told; what it was asked."""
    door, port = listener()
    asked: list[str] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = door.accept()
                threading.Thread(target=talk, args=(line,), daemon=True).start()

    def talk(line: socket.socket) -> None:
        content = b""
        with line, contextlib.suppress(OSError):
            while more := line.recv(4096):
                content += more
                while b"\r\n\r\n" in content:
                    head, content = content.split(b"\r\n\r\n", 1)
                    asked.append(head.decode())
                    line.sendall(answer(asked[-1]))

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield port, asked
    finally:
        door.shutdown(socket.SHUT_RDWR)
        door.close()


def reply(request: str, status: str, *headers: str) -> bytes:
    number = next(line for line in request.split("\r\n") if line.lower().startswith("cseq"))
    return "\r\n".join([f"RTSP/1.0 {status}", number, *headers, "", ""]).encode()


@pytest.mark.parametrize("is_asked_first", [False, True])
def test_a_redirect_to_another_host_is_refused_and_the_password_does_not_travel(*, is_asked_first: bool) -> None:
    def elsewhere(request: str) -> bytes:
        if is_asked_first and "Authorization" not in request:
            return reply(request, "401 Unauthorized", 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"')
        return reply(request, "302 Found", f"Location: rtsp://localhost:{other}/camera")

    with answering(lambda request: reply(request, "200 OK")) as (other, stolen), answering(elsewhere) as (port, _):
        url = f"rtsp://viewer:${{PYLFR_TEST_PASSWORD}}@127.0.0.1:{port}/camera"
        witness = Witness(open_rtsp(url, camera="gate", patience=SOON), until="refused").watch()
    assert "it redirects to another host, rtsp://localhost" in witness.details("refused")
    assert stolen == []


DIGEST = 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'
CAMERA = "rtsp://viewer:${PYLFR_TEST_PASSWORD}@127.0.0.1"


def asks_password(request: str) -> bytes:
    return reply(request, "401 Unauthorized", DIGEST)


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE"])
def test_a_host_that_is_named_is_redirected_to_without_the_password(method: str) -> None:
    def redirecting(request: str) -> bytes:
        if "Authorization" not in request:
            return asks_password(request)
        if not request.startswith(method):
            return reply(request, "200 OK")
        return reply(request, "302 Found", f"Location: rtsp://viewer:mine@localhost:{other}/camera")

    with answering(asks_password) as (other, asked), answering(redirecting) as (port, _):
        source = open_rtsp(f"{CAMERA}:{port}/camera", camera="gate", patience=SOON, redirects_to=["localhost"])
        witness = Witness(source, until="refused").watch()
    assert "user or password are wrong" in witness.details("refused"), witness.events
    assert asked
    assert not [request for request in asked if "Authorization" in request]


def described(request: str, body: str, *headers: str) -> bytes:
    """A description (SDP) in answer to DESCRIBE; to all else that it is fine."""
    if not request.startswith("DESCRIBE"):
        return reply(request, "200 OK")
    length = f"Content-Length: {len(body)}"
    return reply(request, "200 OK", "Content-Type: application/sdp", length, *headers) + body.encode()


@pytest.mark.parametrize("place", ["a session", "a stream", "Content-Base", "Content-Location"])
def test_a_description_whose_streams_are_on_another_host_is_refused(place: str) -> None:
    def elsewhere(request: str) -> bytes:
        if "Authorization" not in request:
            return asks_password(request)
        away = f"rtsp://localhost:{other}/camera"
        session = f"a=control:{away}\r\n" if place == "a session" else ""
        stream = away if place == "a stream" else "track1"
        video = f"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:{stream}\r\n"
        headers = [f"{place}: {away}"] if place.startswith("Content") else []
        return described(request, f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=c\r\nt=0 0\r\n{session}{video}", *headers)

    with answering(lambda request: reply(request, "200 OK")) as (other, stolen), answering(elsewhere) as (port, asked):
        source = open_rtsp(f"{CAMERA}:{port}/camera", camera="gate", patience=SOON)
        refused = Witness(source, until="refused").watch().details("refused")
        assert "its streams are on another host, rtsp://localhost" in refused
        assert "SETUP" not in " ".join(asked)
        source = open_rtsp(f"{CAMERA}:{port}/camera", camera="gate", patience=SOON, redirects_to=["localhost"])
        witness = Witness(source, until="disconnected").watch()
        assert witness.details("refused") == ""
        assert "SETUP" in " ".join(asked)
    assert stolen == []


@pytest.mark.parametrize("demand", [DIGEST, 'WWW-Authenticate: Basic realm="r"'], ids=["digest", "basic"])
@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE"])
def test_a_camera_that_answers_the_check_well_and_redirects_ffmpeg_is_not_followed(method: str, demand: str) -> None:
    video = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"

    def two_faced(request: str) -> bytes:
        if "Authorization" not in request:
            return reply(request, "401 Unauthorized", demand)
        if "User-Agent: pylfr" not in request and request.startswith(method):
            return reply(request, "302 Found", f"Location: rtsp://localhost:{other}/camera")
        return described(request, f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=c\r\nt=0 0\r\n{video}")

    with answering(asks_password) as (other, stolen), answering(two_faced) as (port, asked):
        source = open_rtsp(f"{CAMERA}:{port}/camera", camera="gate", patience=SOON)
        witness = Witness(source, until="refused").watch()
    assert "redirected the request for pictures" in witness.details("refused"), witness.events
    assert any("User-Agent: Lavf" in request for request in asked), "FFmpeg did ask"
    assert stolen == []


@needs_server
def test_a_real_camera_is_found_behind_a_redirect_on_its_own_host(server: Server) -> None:
    def moved(request: str) -> bytes:
        return reply(request, "302 Found", f"Location: rtsp://127.0.0.1:{server.port}/camera")

    with answering(moved) as (port, asked):
        source = open_rtsp(f"{CAMERA}:{port}/camera", camera="gate", patience=SOON)
        witness = Witness(source, frames=2).watch()
    assert len(witness.got) == 2, witness.events
    assert len(asked) == 1, "FFmpeg is given the address that the redirect leads to"
    assert witness.details("noted").count("password in the clear") == 1, "this server asks for Basic"


def test_a_redirect_in_a_circle_ends() -> None:
    with answering(lambda request: reply(request, "302 Found", f"Location: {circle[0]}")) as (port, _):
        circle = [f"rtsp://127.0.0.1:{port}/camera"]
        source = open_rtsp(circle[0], camera="gate", patience=SOON)
        assert "redirects more than 5 times" in Witness(source, until="refused").watch().details("refused")


def test_a_password_in_the_clear_is_warned_about_once() -> None:
    def basic(request: str) -> bytes:
        return reply(request, "401 Unauthorized", 'WWW-Authenticate: Basic realm="r"')

    with answering(basic) as (port, _):
        url = f"rtsp://viewer:${{PYLFR_TEST_PASSWORD}}@127.0.0.1:{port}/camera"
        witness = Witness(open_rtsp(url, camera="gate", patience=SOON), until="reconnecting").watch()
    assert "password in the clear" in witness.details("noted")
    assert "user or password are wrong" in witness.details("refused")


@needs_server
@pytest.mark.parametrize(("times", "kinds"), [(2, ["opened"]), (100, ["disconnected", "reconnecting"])])
def test_a_camera_that_is_unavailable_for_a_moment_after_the_check_is_asked_again(
    times: int, kinds: list[str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that has not yet taken down what the check made it set up answers 503."""
    connect, left = LiveSource._connect, [times]

    def busy(source: LiveSource, file: str, further: Mapping[str, str]) -> InputContainer:
        left[0] -= 1
        if left[0] >= 0:
            raise av.error.HTTPServerError(1, "Server returned 5XX Server Error reply")
        return connect(source, file, further)

    monkeypatch.setattr(LiveSource, "_connect", busy)
    until = "" if times == 2 else "reconnecting"
    witness = Witness(open_rtsp(server.address("camera"), camera="gate", patience=SOON), until=until).watch()
    assert [event.kind for event in witness.events if event.kind != "noted"] == kinds
    assert bool(witness.got) == (times == 2)
    assert left[0] == (-1 if times == 2 else 96)


def test_garbage_is_said_to_be_no_stream() -> None:
    with answering(lambda _: bytes(range(256)) * 8) as (port, _):
        source = open_rtsp(f"rtsp://127.0.0.1:{port}/camera", camera="gate", patience=SOON)
        witness = Witness(source, until="reconnecting").watch()
    assert witness.events[0].kind in ("refused", "frozen", "disconnected")
    assert not witness.got


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https"])
def test_closing_a_silent_camera_ends_its_thread_within_a_second(scheme: str) -> None:
    door, port = listener()
    patience = ReconnectPolicy(open_s=20.0, read_s=20.0)
    opening = open_rtsp if scheme.startswith("rtsp") else open_http
    source = opening(f"{scheme}://127.0.0.1:{port}/camera", camera="gate", patience=patience)
    thread = threading.Thread(target=lambda: list(source.frames()))
    thread.start()
    time.sleep(0.5)
    assert thread.is_alive()
    source.close()
    thread.join(1.0)
    door.close()
    assert not thread.is_alive()


@needs_server
def test_closing_a_camera_that_froze_ends_its_thread_within_a_second(server: Server) -> None:
    patience = ReconnectPolicy(open_s=20.0, read_s=20.0)
    source = open_rtsp(server.address("camera"), camera="gate", patience=patience)
    count = threading.Semaphore(0)

    def read() -> None:
        for _ in source.frames():
            count.release()

    thread = threading.Thread(target=read)
    thread.start()
    assert count.acquire(timeout=WAIT_S)
    server.send(signal.SIGSTOP)
    try:
        time.sleep(0.5)
        source.close()
        thread.join(1.0)
        assert not thread.is_alive()
    finally:
        server.send(signal.SIGCONT)


def certificate(
    folder: Path, name: str, issuer: tuple[x509.Certificate, rsa.RSAPrivateKey] | None
) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    """A certificate for ``name``, signed by ``issuer`` or by itself; with its key in ``folder/name.pem``."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dates.datetime.now(dates.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dates.timedelta(days=1))
        .not_valid_after(now + dates.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=name == "authority", path_length=None), critical=True)
    )
    if name == "127.0.0.1":
        address = x509.IPAddress(ipaddress.ip_address(name))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    made = builder.sign(key if issuer is None else issuer[1], hashes.SHA256())
    (folder / f"{name}.crt").write_bytes(made.public_bytes(Encoding.PEM))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM) + secret)
    return made, key


@needs_server
def test_a_camera_over_tls_is_verified_by_its_authority_the_systems_or_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = certificate(tmp_path, "authority", None)
    certificate(tmp_path, "127.0.0.1", authority)
    certificate(tmp_path, "camera-7", None)

    def outcome(shown: str, trusted: str | None, *, until: str) -> Witness:
        server = Server(certificate=tmp_path / f"{shown}.pem")
        server.start()
        try:
            ca = None if trusted is None else tmp_path / f"{trusted}.crt"
            source = open_rtsp(server.url, camera="gate", ca=ca, patience=SOON)
            return Witness(source, until=until, frames=2).watch()
        finally:
            server.kill()

    for shown, trusted in (("127.0.0.1", "authority"), ("camera-7", "camera-7")):
        witness = outcome(shown, trusted, until="")
        assert (witness.details("refused"), witness.details("noted")) == ("", "")
        assert len(witness.got) == 2
    for shown, other in (("127.0.0.1", None), ("camera-7", "authority"), ("127.0.0.1", "camera-7")):
        witness = outcome(shown, other, until="refused")
        assert not witness.got
        assert "its certificate is not trusted" in witness.details("refused")
    # The authorities of the system, where this one is one of them.
    monkeypatch.setattr(camera_certificates, "_SYSTEM_CA", (str(tmp_path / "authority.crt"),))
    assert len(outcome("127.0.0.1", None, until="").got) == 2


@needs_server
def test_a_camera_over_tls_that_redirects_to_one_without_is_refused(tmp_path: Path, server: Server) -> None:
    """A real server terminates TLS, and what is behind it redirects to the same host in the clear."""
    certificate(tmp_path, "127.0.0.1", None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "127.0.0.1.pem")
    door, port = listener()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = door.accept()
                with contextlib.suppress(OSError), context.wrap_socket(line, server_side=True) as secured:
                    if not (request := secured.recv(4096).decode()):
                        continue  # it was asked for its certificate alone
                    secured.sendall(reply(request, "302 Found", f"Location: {server.address('camera')}"))

    threading.Thread(target=serve, daemon=True).start()
    source = open_rtsp(f"rtsps://127.0.0.1:{port}/c", camera="gate", ca=tmp_path / "127.0.0.1.crt", patience=SOON)
    refused = Witness(source, until="refused").watch().details("refused")
    door.shutdown(socket.SHUT_RDWR)
    door.close()
    assert "which is not encrypted: set source to it" in refused
    assert PASSWORD not in refused


def test_a_file_without_a_certificate_and_udp_over_tls_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    with pytest.raises(MediaError, match="ca must be a file of certificates in PEM"):
        open_rtsp("rtsps://host/camera", camera="gate", ca=tmp_path / "empty.pem")
    with pytest.raises(MediaError, match="UDP would not be encrypted"):
        open_rtsp("rtsps://host/camera", camera="gate", transport="udp")


def jpeg(number: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (160, 120), (8 * number % 256, 90, 30)).save(content, "JPEG")
    return content.getvalue()


class MotionJpeg(BaseHTTPRequestHandler):
    """A camera that sends ten JPEG pictures a second, as those of twenty years do.

    ``named`` is how it names what is between two pictures, ``has_lengths`` whether it says how long each is.
    """

    named = "picture"
    has_lengths = True

    def do_GET(self) -> None:
        if self.path != "/video.mjpg":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={self.named}")
        self.end_headers()
        with contextlib.suppress(OSError):
            for number in range(300):
                content = jpeg(number)
                length = f"Content-Length: {len(content)}\r\n".encode() if self.has_lengths else b""
                self.wfile.write(b"--picture\r\nContent-Type: image/jpeg\r\n" + length + b"\r\n" + content + b"\r\n")
                time.sleep(0.1)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def web(handler: type[BaseHTTPRequestHandler], shown: Path | None = None) -> Iterator[int]:
    """A server on a port of its own; over TLS where it has a certificate with its key to show."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if shown is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_camera_that_sends_jpeg_over_http_gives_every_frame() -> None:
    with web(MotionJpeg) as port:
        source = open_http(f"http://127.0.0.1:{port}/video.mjpg", camera="gate", patience=SOON)
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
        {"has_lengths": False},
    ],
    ids=str,
)
def test_a_camera_that_sends_jpeg_in_its_own_manner_gives_every_frame(habit: dict[str, object]) -> None:
    with web(type("Habit", (MotionJpeg,), habit)) as port:
        source = open_http(f"http://127.0.0.1:{port}/video.mjpg", camera="gate", patience=SOON)
        witness = Witness(source, frames=10).watch()
    assert len(witness.got) >= 10, witness.events


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
