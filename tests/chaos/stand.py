"""A complete deployment that can be hurt: cameras by RTSP, PostgreSQL, a broker, a webhook, a disk and a clock."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pylfr._internal.canonical_json import utc_text
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.governance.audit.chain import LogEntry, parse_entry
from pylfr.governance.authorisation.profiles import read_profile
from pylfr.governance.keys.keys import make_key
from tests.chaos.scene import Scene, film
from tests.cli.command import PYLFR
from tests.postgres import Postgres
from tests.video.camera_server import PASSWORD, Server

SECRETS = {
    "PYLFR_TEST_PASSWORD": PASSWORD,
    "HOOK_TOKEN": "hook-7f3a-never-shown",
    "PYLFR_VAULT_PASSPHRASE": "vault-9b1c-never-shown",
}
DISK_MIB = 64
PATIENCE_S = 60.0


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


class Run:
    """``pylfr run`` as a service manager runs it: killed, frozen, and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clock = folder.parent / "clock"
        self.set_clock(ahead_s=0)
        self._skewed = skewed_clock(folder.parent)
        self.output = folder.parent / "output"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def has_skewed_clock(self) -> bool:
        """Whether its clock can be set."""
        return self._skewed is not None

    def set_clock(self, *, ahead_s: int) -> None:
        """Set the system's clock as the run sees it, from now on."""
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(ahead_s.to_bytes(8, sys.byteorder, signed=True))

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        skewed = {"LD_PRELOAD": str(self._skewed), "SKEWED_CLOCK": str(self._clock)} if self._skewed else {}
        with self.output.open("ab") as out:
            self.process = subprocess.Popen(
                [PYLFR, "run", "deployment.toml"],
                cwd=self._folder,
                stdout=out,
                stderr=out,
                env={**os.environ, **SECRETS, "COLUMNS": "300", **skewed},
            )
        self.starts += 1

    def send(self, number: signal.Signals) -> None:
        if self.is_alive():
            assert self.process is not None
            self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def end(self) -> None:
        """Ctrl-C, and its account."""
        self.send(signal.SIGINT)
        if self.process is not None:
            self.process.wait(PATIENCE_S)


class Stand:
    """Everything together; use it as a context manager. ``disk_is_small`` says whether the disk can be filled."""

    def __init__(self, base: Path, scene: Scene) -> None:
        self.folder = base / "deployment"
        self.folder.mkdir()
        self._base = base
        self._scene = scene
        self._opened = contextlib.ExitStack()
        self.hook = Hook()
        self.postgres = Postgres()
        self.broker = Broker(base / "broker")
        self.north, self.south = Server(str(film(scene, base))), Server()
        self.run = Run(self.folder)
        self.disk_is_small = False
        self.url = ""
        self.templates: list[bytes] = []

    def __enter__(self) -> Stand:
        try:
            self._start()
        except BaseException:
            self._opened.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _start(self) -> None:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=700", "none", str(self.folder)]
        self.disk_is_small = subprocess.run(mount, check=False, capture_output=True).returncode == 0
        if self.disk_is_small:
            self._opened.callback(subprocess.run, ["umount", "-l", str(self.folder)], check=False)
        self._opened.callback(self.hook.close)
        self._opened.enter_context(self.postgres)
        self.url = self.postgres.new_url()
        self._opened.callback(self.broker.close)
        self.broker.start()
        self.broker.listen()
        for server in (self.north, self.south):
            self._opened.callback(server.kill)
            server.start()
        self.templates = self._prepare(self._scene)
        self._opened.callback(self.run.kill)

    @property
    def deployment(self) -> Path:
        return self.folder / "deployment.toml"

    def _prepare(self, scene: Scene) -> list[bytes]:
        """The deployment, signed and sealed; the templates of its watchlist."""
        folder = self.folder
        embedder, detector = open_embedder(scene.embedder), open_detector(scene.detector)
        with create_watchlist(folder / "list.watchlist", embedder) as watchlist:
            for name, picture in scene.references.items():
                watchlist.enrol(name, picture, detector=detector, embedder=embedder)
        with contextlib.closing(sqlite_file.connect(folder / "list.watchlist")) as connection:
            templates = [bytes(row[0]) for row in connection.execute("SELECT template FROM reference_images")]
        self.deployment.write_text(DEPLOYMENT.format(
            url=self.url, north=self.north.address("film"), south=self.south.url, hook=self.hook.server_port,
            broker=self.broker.port, detector=scene.detector, embedder=scene.embedder, threshold=scene.threshold,
        ))  # fmt: skip
        now = datetime.now(UTC)
        words = (
            "purpose", "use_case", "legal_basis", "necessity", "proportionality", "authorising_officer", "operator",
            "senior_accountable_person", "dpia", "eia",
        )  # fmt: skip
        case = "".join(f'{word} = "what {word} says"\n' for word in words) + "signage_confirmed = true\n"
        ends_at = now + timedelta(hours=read_profile("research").max_window_h - 1)
        (folder / "case.toml").write_text(f"{case}starts_at = {utc_text(now)}\nends_at = {utc_text(ends_at)}\n")
        for name in ("officer", "record"):
            make_key(folder / f"{name}.key")
        for line in (
            f"watchlist seal list.watchlist list.sealed --key list.key --expires {ends_at:%Y-%m-%dT%H:%M:%S} "
            "--manifest listed.json --record-key record.key",
            "authority draft deployment.toml --case case.toml --out draft.json",
            "authority sign draft.json --key officer.key --out authorisation.json",
        ):
            done = self.pylfr(*line.split())
            assert done.returncode == 0, done.stdout + done.stderr
        return templates

    def alerts_in_the_log(self) -> int:
        """How many there are, counted quickly."""
        path = self.folder / "audit.log"
        return path.read_bytes().count(b'"kind":"alert"') if path.exists() else 0

    def pylfr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command in the folder of the deployment."""
        return subprocess.run(
            [PYLFR, *arguments], cwd=self.folder, capture_output=True, text=True, check=False, timeout=600,
            env={**os.environ, **SECRETS},
        )  # fmt: skip


def skewed_clock(base: Path) -> Path | None:
    """The library that skews the clock, compiled; None where there is no compiler."""
    compiler, library = shutil.which("cc"), base / "skewed_clock.so"
    if compiler is None:
        return None
    source = Path(__file__).with_name("skewed_clock.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def entries_of(folder: Path) -> Iterator[LogEntry]:
    """The entries of the audit log of a deployment, as they are in the file at this moment."""
    path = folder / "audit.log"
    for line in path.read_bytes().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):  # it is being written just now
            yield parse_entry(line)


def alerts_of(folder: Path) -> list[str]:
    """The ids of the alerts in that log."""
    return [str(entry.details["alert"]) for entry in entries_of(folder) if entry.kind == "alert"]


DEPLOYMENT = """
name = "Chaos"
[authority]
profile = "research"
place = "Yard"
signed = "authorisation.json"
officer_key = "officer.pub"
[models]
detector = "{detector}"
embedder = "{embedder}"
threads = 1
[watchlist]
file = "list.sealed"
key = "list.key"
[recognition]
threshold = {threshold}
cooldown_s = 3
[audit]
path = "audit.log"
key = "record.key"
checkpoints = "elsewhere.checkpoints"
[records]
url = "{url}"
keys = "names.keys"
[[cameras]]
name = "north"
source = "{north}"
[[cameras]]
name = "south"
source = "{south}"
[[sinks]]
type = "evidence"
folder = "evidence"
key = "evidence.key"
[[sinks]]
type = "webhook"
url = "http://127.0.0.1:{hook}/alerts"
secret = "${{HOOK_TOKEN}}"
pictures = true
[[sinks]]
type = "mqtt"
host = "127.0.0.1"
port = {broker}
"""
