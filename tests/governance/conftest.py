"""Databases that the records are kept in: SQLite always, PostgreSQL where Debian's package is installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def _binary(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    place = str(found[-1]) if found else shutil.which(name)
    if place is None:
        pytest.skip("PostgreSQL is not installed (Debian's package postgresql): the records are tested on SQLite only")
    return place


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Path]:
    """The socket folder of a PostgreSQL server of our own: nothing but a Unix socket, gone with the tests."""
    initdb, postgres = _binary("initdb"), _binary("postgres")
    # PostgreSQL refuses to run as root.
    other = {"user": "postgres", "group": "postgres", "extra_groups": ()} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="pylfr-pg-", dir="/tmp") as name:
        folder = Path(name)
        if other:
            shutil.chown(folder, "postgres", "postgres")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": name}
        made = subprocess.run(  # type: ignore[call-overload]
            [initdb, "-D", folder / "base", "-U", "pylfr", "-A", "trust", "--no-sync"], check=False, **quiet, **other
        )
        assert made.returncode == 0
        server = subprocess.Popen(  # type: ignore[call-overload]
            [postgres, "-D", folder / "base", "-k", name, "-c", "listen_addresses=", "-F"], **quiet, **other
        )
        try:
            until = time.monotonic() + 30
            while not (folder / ".s.PGSQL.5432").exists():
                assert server.poll() is None, "PostgreSQL did not start"
                assert time.monotonic() < until, "PostgreSQL did not start in 30 s"
                time.sleep(0.05)
            yield folder
        finally:
            server.send_signal(signal.SIGINT)  # its fast shutdown: it does not wait for clients
            server.wait(20)


@pytest.fixture(params=["sqlite", "postgresql"])
def records_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'records.sqlite'}"
    folder = request.getfixturevalue("postgres_server")
    import psycopg

    base = f"test_{time.monotonic_ns()}"
    until = time.monotonic() + 30
    while True:
        try:
            with psycopg.connect(f"host={folder} user=pylfr dbname=postgres", autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {base}".encode())
            break
        except psycopg.OperationalError:
            assert time.monotonic() < until
            time.sleep(0.1)
    return f"postgresql+psycopg://pylfr@/{base}?host={folder}"
