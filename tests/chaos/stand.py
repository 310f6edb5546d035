"""A complete deployment that can be hurt: cameras by RTSP, PostgreSQL, a broker, a webhook, a disk and a clock."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pylfr.governance.audit.chain import LogEntry, parse_entry
from tests.chaos.deployed import DEPLOYMENT_FILE, prepare, run_pylfr
from tests.chaos.receivers import Broker, Hook
from tests.chaos.scene import Scene, film
from tests.chaos.supervised_run import Run
from tests.postgres import Postgres
from tests.video.camera_server import Server

DISK_MIB = 64


class Stand:
    """Everything together; use it as a context manager. ``disk_is_small`` says whether the disk can be filled."""

    def __init__(self, base: Path, scene: Scene) -> None:
        self.folder = base / "deployment"
        self.folder.mkdir()
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
        self.templates = prepare(
            self.folder,
            self._scene,
            url=self.url,
            north=self.north.address("film"),
            south=self.south.url,
            hook=self.hook.server_port,
            broker=self.broker.port,
        )
        self._opened.callback(self.run.kill)

    @property
    def deployment(self) -> Path:
        return self.folder / DEPLOYMENT_FILE

    def alerts_in_the_log(self) -> int:
        """How many there are, counted quickly."""
        path = self.folder / "audit.log"
        return path.read_bytes().count(b'"kind":"alert"') if path.exists() else 0

    def pylfr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command in the folder of the deployment."""
        return run_pylfr(self.folder, *arguments)


def entries_of(folder: Path) -> Iterator[LogEntry]:
    """The entries of the audit log of a deployment, as they are in the file at this moment."""
    path = folder / "audit.log"
    for line in path.read_bytes().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):  # it is being written just now
            yield parse_entry(line)


def alerts_of(folder: Path) -> list[str]:
    """The ids of the alerts in that log."""
    return [str(entry.details["alert"]) for entry in entries_of(folder) if entry.kind == "alert"]
