"""What live cameras do to their readers, each against a real server: the state that says so, and the end of waiting."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import av
import pytest
from av.container import InputContainer

from pylfr.errors import MediaError
from pylfr.video.open import LiveSource, ReconnectPolicy, Transport, open_http, open_rtsp
from pylfr.video.sources import camera_certificates
from tests.conditions.certificates import certificate
from tests.conditions.witness import PATIENT, READ_S, SOON, WAIT_S, Witness
from tests.video.camera_server import PASSWORD, Server, needs_server


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
    first = Witness(open_rtsp(server.address("keyless"), camera="first", patience=PATIENT), frames=10_000)
    thread = threading.Thread(target=first.watch)
    thread.start()
    try:
        until_s = time.monotonic() + WAIT_S
        while not first.events and time.monotonic() < until_s:
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
# Much sooner than the twenty seconds that these cameras are waited for.
CLOSED_S = 10.0
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

    def busy(source: LiveSource, file: str, further: Mapping[str, str], warn: Callable[[str], None]) -> InputContainer:
        left[0] -= 1
        if left[0] >= 0:
            raise av.error.HTTPServerError(1, "Server returned 5XX Server Error reply")
        return connect(source, file, further, warn)

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
def test_closing_a_silent_camera_ends_its_thread_soon(scheme: str) -> None:
    door, port = listener()
    patience = ReconnectPolicy(open_s=20.0, read_s=20.0)
    opening = open_rtsp if scheme.startswith("rtsp") else open_http
    source = opening(f"{scheme}://127.0.0.1:{port}/camera", camera="gate", patience=patience)
    thread = threading.Thread(target=lambda: list(source.frames()))
    thread.start()
    time.sleep(0.5)
    assert thread.is_alive()
    source.close()
    thread.join(CLOSED_S)
    door.close()
    assert not thread.is_alive()


@needs_server
def test_closing_a_camera_that_froze_ends_its_thread_soon(server: Server) -> None:
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
        thread.join(CLOSED_S)
        assert not thread.is_alive()
    finally:
        server.send(signal.SIGCONT)


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
