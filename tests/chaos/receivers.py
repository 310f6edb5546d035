"""Where alerts go: a webhook that misbehaves on request, and a broker with a listener."""

from __future__ import annotations

import http.server
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from tests.chaos.supervised_run import PATIENCE_S


class Hook(http.server.ThreadingHTTPServer):
    """A receiver that answers as ``mood`` says; what it accepted counts, and how often."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.mood: str | int = 204
        self.accepted: list[str] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Whoever sends this hangs up on hostile answers."""


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        mood = self.server.mood
        if mood == "endless":
            self.wfile.write(b"HTTP/1.1 503 Busy\r\n\r\n")
            while True:
                self.wfile.write(bytes(1 << 16))
        if mood == "nonsense":
            self.wfile.write(b"\xff\xfe SSH-2.0\r\n\r\n")
            return
        if mood == "silent":
            time.sleep(6)
            return
        assert isinstance(mood, int)
        if mood == 204:
            self.server.accepted.append(body["id"])
        self.send_response(mood)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


class Broker:
    """A mosquitto that keeps what its listener has not got yet, over restarts; and that listener."""

    def __init__(self, folder: Path) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        folder.mkdir()
        self._settings = folder / "mosquitto.conf"
        self._settings.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n"
            f"persistence_location {folder}/\nautosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.heard: list[str] = []
        self._listener = Client(CallbackAPIVersion.VERSION2, client_id="oracle", clean_session=False)
        self._listener.reconnect_delay_set(1, 1)
        self._listener.on_connect = lambda client, *_: client.subscribe("pylfr/+/alert", qos=1)
        self._listener.on_message = lambda _, __, message: self.heard.append(json.loads(message.payload)["id"])

    def listen(self) -> None:
        self._listener.connect("127.0.0.1", self.port)
        self._listener.loop_start()

    def start(self) -> None:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
        assert program is not None
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen([program, "-c", str(self._settings)], stdout=quiet, stderr=quiet)
        until = time.monotonic() + PATIENCE_S
        while True:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", self.port)):
                    return
            assert time.monotonic() < until, "the broker does not listen"
            time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """As its service is stopped: what it confirmed is on its disk."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def close(self) -> None:
        self._listener.disconnect()
        self._listener.loop_stop()
        self.stop()
