"""The RTSP server of ``rtsp_server.py``, started, frozen and killed by tests."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("rtsp_server.py")
NEEDS = "gi.require_version('GstRtspServer', '1.0'); gi.require_version('Gst', '1.0')"

USER = "viewer"
PASSWORD = "p@ss:w/rd%1?x#"


def server_is_installed() -> bool:
    try:
        found = subprocess.run([SYSTEM_PYTHON, "-c", f"import gi; {NEEDS}"], capture_output=True, check=False)
    except OSError:
        return False
    return found.returncode == 0


needs_server = pytest.mark.skipif(
    not server_is_installed(), reason="no RTSP server to test with: install the packages of .ci/apt-packages.txt"
)


def free_udp_port() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """An RTSP server on a port of its own, which keeps its port when it is started again."""

    def __init__(self, pattern: str = "ball", certificate: Path | None = None) -> None:
        self.pattern = pattern
        self.certificate = certificate
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(SERVER), str(self.port), USER, PASSWORD, self.pattern, str(self.certificate or "")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    @property
    def url(self) -> str:
        return self.address("camera")

    def address(self, path: str) -> str:
        scheme = "rtsp" if self.certificate is None else "rtsps"
        return f"{scheme}://{USER}:${{PYLFR_TEST_PASSWORD}}@127.0.0.1:{self.port}/{path}"
