"""A PostgreSQL server of the tests' own: nothing but a Unix socket, and it can be stopped, frozen and started again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


def program(name: str) -> str:
    """The path of a program of PostgreSQL; the test is skipped where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    place = str(found[-1]) if found else shutil.which(name)
    if place is None:
        pytest.skip("PostgreSQL is not installed (Debian's package postgresql): the records are tested on SQLite only")
    return place


class Postgres:
    """Use it as a context manager; ``url`` is that of an empty database."""

    def __init__(self) -> None:
        self._programs = program("initdb"), program("postgres")
        # PostgreSQL refuses to run as root.
        self._other = {"user": "postgres", "group": "postgres", "extra_groups": ()} if os.geteuid() == 0 else {}
        self._temporary = tempfile.TemporaryDirectory(prefix="pylfr-pg-", dir="/tmp")
        self.folder = Path(self._temporary.name)
        self._quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": self._temporary.name}
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Postgres:
        if self._other:
            shutil.chown(self.folder, "postgres", "postgres")
        made = subprocess.run(  # type: ignore[call-overload]
            [self._programs[0], "-D", self.folder / "base", "-U", "pylfr", "-A", "trust", "--no-sync"],
            check=False,
            **self._quiet,
            **self._other,
        )
        assert made.returncode == 0
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._temporary.cleanup()

    def start(self) -> None:
        server = self._server = subprocess.Popen(  # type: ignore[call-overload]
            [self._programs[1], "-D", self.folder / "base", "-k", self.folder, "-c", "listen_addresses=", "-F"],
            **self._quiet,
            **self._other,
        )
        until = time.monotonic() + 30
        while not (self.folder / ".s.PGSQL.5432").exists():
            assert server.poll() is None, "PostgreSQL did not start"
            assert time.monotonic() < until, "PostgreSQL did not start in 30 s"
            time.sleep(0.05)

    def stop(self) -> None:
        """Its fast shutdown, which does not wait for clients."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(20)
            self._server = None

    def freeze(self) -> None:
        """Stop every process of the server where it is, as a machine that hangs does."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._server is not None
        children = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children").read_text().split()
        for process in (self._server.pid, *map(int, children)):
            # A process that serves a client ends with it, also between the list and the signal.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def new_url(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        base = f"test_{time.monotonic_ns()}"
        until = time.monotonic() + 30
        while True:
            try:
                with psycopg.connect(f"host={self.folder} user=pylfr dbname=postgres", autocommit=True) as connection:
                    connection.execute(f"CREATE DATABASE {base}".encode())
                return f"postgresql+psycopg://pylfr@/{base}?host={self.folder}"
            except psycopg.OperationalError:
                assert time.monotonic() < until
                time.sleep(0.1)
