"""Whatever answers in a camera's place, the check before FFmpeg ends: with an address, or in words."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pylfr.video.sources import rtsp
from pylfr.video.sources.attempt import CameraRefusedError
from pylfr.video.sources.rtsp import RtspCheck, RtspTrust
from tests.readers.damage import damaged

_SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=c\r\nt=0 0\r\na=control:*\r\n"
    b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:rtsp://camera/stream/track1\r\n"
)
_DESCRIBED = b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Base: rtsp://camera/stream/\r\nContent-Length: %d\r\n\r\n"
ANSWERS = [
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE\r\n\r\n",
    b'RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n\r\n',
    b'RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Basic realm="r"\r\n\r\n',
    b"RTSP/1.0 302 Found\r\nCSeq: 1\r\nLocation: rtsp://camera:8554/other\r\n\r\n",
    _DESCRIBED % len(_SDP) + _SDP,
]
NO_PLACES = ["rtsp://[", "rtsp://camera:123456/", "rtsp://camera:x/", "rtsp://[::1", "rtsp://camera:-1/", "rtsp:///"]
ELSEWHERE = ["rtsp://elsewhere/", "//elsewhere", "rtsp://camera@elsewhere/", "rtsp://CAMERA.org/"]


@contextlib.contextmanager
def camera_that_says(answers: list[bytes], patched: pytest.MonkeyPatch) -> Iterator[None]:
    """Every connection to it is given these answers, one for each request, and closed."""
    threads: list[threading.Thread] = []

    def connected(*_: object) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(0.01)
        threads.append(threading.Thread(target=talk, args=(theirs,), daemon=True))
        threads[-1].start()
        return ours

    def talk(line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            for answer in answers:
                if not line.recv(65536):
                    return
                line.sendall(answer)

    with patched.context() as patch:
        patch.setattr(rtsp, "connected", connected)
        yield
    for thread in threads:
        thread.join(5.0)


def check() -> str:
    """Where FFmpeg would go."""
    checking = RtspCheck(trust=RtspTrust(), open_s=0.3)
    return checking("rtsp://viewer:secret@camera/stream", threading.Event(), lambda _: None)[0]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(answers=st.lists(st.sampled_from(ANSWERS).flatmap(damaged) | st.sampled_from(ANSWERS), max_size=5))
def test_malformed_answers_end_in_an_address_of_the_camera_or_in_words(
    answers: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with camera_that_says(answers, monkeypatch):
        try:
            address = check()
        except (CameraRefusedError, OSError) as error:
            assert "secret" not in str(error)  # noqa: PT017 - any other kind of error fails
        else:
            assert address.startswith("rtsp://viewer:secret@camera")


@pytest.mark.parametrize(
    ("header", "place"),
    [
        *(("Location", place) for place in (*NO_PLACES, *ELSEWHERE, "", "http://camera/")),
        *(("Content-Base", place) for place in ("rtsp://[", "rtsp://[::1", *ELSEWHERE)),
    ],
)
def test_a_place_that_is_none_or_elsewhere_is_refused(header: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    status = "302 Found" if header == "Location" else "200 OK"
    answer = f"RTSP/1.0 {status}\r\nCSeq: 1\r\n{header}: {place}\r\n\r\n".encode()
    with camera_that_says([answer] * 3, monkeypatch), pytest.raises(CameraRefusedError):
        check()
