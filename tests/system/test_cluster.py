"""A deployment on three nodes while one is killed, one freezes and one is cut off: every alert is recorded once."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pylfr.deployment.open import open_engine
from pylfr.errors import ConfigError
from pylfr.gallery.watchlist.sqlite_file import connect
from pylfr.governance.audit.audit import read_audit
from pylfr.governance.keys.keys import read_public_key
from tests.cli.command import pylfr
from tests.cluster.stage import (
    CAMERAS,
    COOLDOWN_S,
    NODES,
    Stage,
    cable,
    can_cut,
    change_list,
    prepare,
    set_cable,
    wait_for,
    write_deployment,
)
from tests.postgres import Postgres

if TYPE_CHECKING:
    from pylfr.cluster.driver import RunningCluster

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install pylfr[cluster]"),
    pytest.mark.slow,
    pytest.mark.usefixtures("models_dir"),
]

# What one engine alone finds in the same recordings: camera, entry, capture time.
Found = tuple[str, str, datetime]


@pytest.fixture(scope="module")
def folder(media_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("cluster")
    prepare(media_dir, made)
    return made


@contextmanager
def records() -> Iterator[tuple[str, Postgres | None]]:
    """The section and the server: PostgreSQL where it is installed; SQLite, and no server, elsewhere."""
    try:
        server = Postgres()
    except pytest.skip.Exception:
        yield 'file = "many.sqlite"', None
        return
    with server:
        yield f'url = "{server.new_url()}"', server


def alone(folder: Path, recorded_at: datetime) -> list[Found]:
    deployment = write_deployment(
        folder, "single", pace="as-fast-as-possible", records='file = "single.sqlite"', recorded_at=recorded_at
    )
    with open_engine(deployment) as engine:
        found = [(each.value.camera, each.value.entry, each.value.captured_at) for each in engine.run()]
    assert not engine.summary().errors
    return sorted(found)


def recorded(section: str, folder: Path) -> list[Found]:
    """The alerts that are in the records, as a person would find them."""
    query = "SELECT camera, entry, captured_at FROM alerts"
    kind, address = re.findall(r'(\w+) = "(.+)"', section)[0]
    if kind == "file":
        with closing(sqlite3.connect(folder / address)) as connection:
            rows = connection.execute(query).fetchall()
    else:
        import psycopg

        with psycopg.connect(address.replace("postgresql+psycopg", "postgresql")) as server:
            rows = server.execute(query).fetchall()
    return sorted((camera, entry, datetime.fromisoformat(at)) for camera, entry, at in rows)


def require_same(got: list[Found], expected: list[Found]) -> None:
    """Require the same passes, each once.

    Which frame of a pass decides may differ: a batch of other cameras rounds a score otherwise.
    """
    left = list(got)
    for camera, entry, at in expected:
        same = [
            each for each in left if each[:2] == (camera, entry) and abs((each[2] - at).total_seconds()) < COOLDOWN_S
        ]
        assert len(same) == 1, (camera, entry, at, same)
        left.remove(same[0])
    assert left == []


def secrets_of(folder: Path) -> list[bytes]:
    """Parts of what must be nowhere in the open: templates, and the key that seals them."""
    with closing(connect(folder / "plain.watchlist")) as connection:
        vectors = [bytes(row[0])[:32] for row in connection.execute("SELECT template FROM reference_images")]
    assert len(vectors) == 2
    return vectors


def in_the_open(secrets: list[bytes], stage: Stage, folder: Path) -> list[str]:
    """Where any of them is found: in shared memory, Ray's object stores and files, and the nodes' folders."""
    places = {path for path in Path("/dev/shm").glob("*") if path.is_file()}
    for node in stage.nodes.values():
        for pid in node.processes():
            with suppress(OSError):
                places |= {path for path in Path(f"/proc/{pid}/fd").iterdir() if "plasma" in str(path.readlink())}
    for tree in (stage.temporary, *(folder / name for name in NODES)):
        places |= {path for path in tree.rglob("*") if path.is_file()}
    assert any("/proc/" in str(path) for path in places), "no object store was found to search"
    found = []
    for path in places:
        with suppress(OSError):
            content = path.read_bytes()
            found += [str(path) for secret in secrets if secret in content]
    return found


def test_every_alert_is_recorded_once_while_nodes_are_killed_frozen_and_cut_off(folder: Path) -> None:
    recorded_at = datetime.now(UTC) - timedelta(minutes=30)
    expected = alone(folder, recorded_at)
    assert len(expected) > 30
    with ExitStack() as open_:
        section, server = open_.enter_context(records())
        deployment = write_deployment(folder, "many", pace="real-time", records=section, recorded_at=recorded_at)
        cutting = can_cut()
        namespace = open_.enter_context(cable(1)) if cutting else None
        stage = open_.enter_context(Stage(folder, "10.77.1.1" if cutting else "127.0.0.1"))
        from pylfr.cluster import driver

        open_.callback(driver.disconnect)
        driver.connect(stage.address)
        stage.add("east", cameras=8)
        stage.add("west", cameras=8)
        stage.add("cut", cameras=8, namespace=namespace, host="10.77.1.2" if cutting else None)
        # A driver that leaves: the cluster goes on without it.
        begun = pylfr("cluster", "run", deployment, "--address", stage.address, "--detach")
        assert begun.returncode == 0, begun.stderr
        cluster = driver.find(deployment)

        def on(name: str) -> set[str]:
            return {camera for each in cluster.status().nodes if each.name == name for camera in each.cameras}

        def moved(name: str, cameras: set[str]) -> bool:
            status = cluster.status()
            elsewhere = {camera for each in status.nodes if each.name != name for camera in each.cameras}
            return cameras <= elsewhere | set(status.ended) | set(status.unplaced)

        wait_for(lambda: sum(len(each.cameras) for each in cluster.status().nodes) == len(CAMERAS), "all are placed")
        wait_for(lambda: all(on(name) for name in NODES), "every node has cameras")
        wait_for(lambda: cluster.status().alerts >= 3, "the first alerts")

        require_confirmed_everywhere(cluster, folder)
        require_head_is_replaced(cluster, stage)
        had = on("east")
        stage.nodes["east"].kill()
        print(f"killed: {len(had)} cameras elsewhere after {wait_for(lambda: moved('east', had), 'moved'):.1f} s")

        frozen = stage.nodes["west"].actors("EngineActor")
        assert frozen
        had = on("west")
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        print(f"frozen: {len(had)} cameras elsewhere after {wait_for(lambda: moved('west', had), 'moved'):.1f} s")
        status = cluster.status()
        assert len(status.unplaced) == max(0, len(CAMERAS) - len(status.ended) - 8), "what has no room is said"
        assert secrets_of(folder)[0] in (folder / "plain.watchlist").read_bytes()
        assert in_the_open(secrets_of(folder), stage, folder) == []
        if server is not None:
            server.stop()
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        wait_for(lambda: not cluster.status().unplaced, "the node that woke up joins again")
        if server is not None:
            server.start()
            print("PostgreSQL was away for as long as that took")
        # What the killed node had logged and not yet delivered comes when it is back; until then the log names more.
        stage.add("east", cameras=8)
        wait_for(lambda: any(each.name == "east" for each in cluster.status().nodes), "the killed node joins again")

        if cutting:
            had = on("cut")
            set_cable(1, "down")
            print(f"cut: {len(had)} cameras elsewhere after {wait_for(lambda: moved('cut', had), 'moved'):.1f} s")
            set_cable(1, "up")
        else:
            print("no network namespace can be made here: no node was cut off")
        wait_for(lambda: cluster.status().has_ended, "the end", limit_s=150)
        assert cluster.status().stopped_because == "every recording has ended"
        driver.end(cluster, "the test is over")
        require_same(recorded(section, folder), expected)
        require_true_totals(folder, alerts=len(expected))
        verified = pylfr(
            "audit", "verify", folder / "many.log", "--checkpoints", folder / "many.checkpoints", "--key",
            folder / "record.pub", "--received", folder / "many-engines",
            *(argument for name in NODES for argument in ("--engine", folder / name)),
        )  # fmt: skip
        assert verified.returncode == 0, verified.stderr
        assert verified.stdout.count("whole, and as bound") == len(NODES), verified.stdout
        require_a_cut_log_is_found(folder)


def require_confirmed_everywhere(cluster: RunningCluster, folder: Path) -> None:
    """Somebody is enrolled and withdrawn: every node confirms that it searches the new revision."""
    for change in ({"enrol": "Somebody elsewhere"}, {"withdraw": "Somebody elsewhere"}):
        revision = change_list(folder, **change)
        took_s = wait_for(
            lambda revision=revision: (
                [each.watchlist_revision for each in cluster.status().nodes]  # type: ignore[misc]
                == [revision] * len(NODES)
            ),
            "every node confirms the new revision",
        )
        print(f"{next(iter(change))}: revision {revision} is searched on every node after {took_s:.1f} s")


def require_head_is_replaced(cluster: RunningCluster, stage: Stage) -> None:
    """The head is killed: Ray starts another, and the engines' processes go on."""
    engines = {name: stage.nodes[name].actors("EngineActor") for name in NODES}
    assert all(len(each) == 1 for each in engines.values()), engines
    (head,) = stage.nodes["head"].actors("HeadActor")
    os.kill(head, signal.SIGKILL)

    def is_back() -> bool:
        with suppress(ConfigError):
            return sum(len(each.cameras) for each in cluster.status().nodes) == len(CAMERAS)
        return False

    print(f"head killed: every camera is under the next one after {wait_for(is_back, 'the head is back'):.1f} s")
    assert stage.nodes["head"].actors("HeadActor") != [head]
    assert {name: stage.nodes[name].actors("EngineActor") for name in NODES} == engines


def require_true_totals(folder: Path, *, alerts: int) -> None:
    """The record ends with what all engines have counted, once, although the head was killed in between."""
    entries = read_audit(
        folder / "many.log", checkpoints=folder / "many.checkpoints", key=read_public_key(folder / "record.pub")
    ).entries
    kinds = [each.kind for each in entries]
    assert (kinds.count("run-began"), kinds.count("run-resumed"), kinds.count("run-ended")) == (1, 1, 1)
    runs = {str(each.details["run"]): each.details for each in entries if each.details.get("run")}
    (end,) = [each.details for each in entries if each.kind == "run-ended"]
    assert (end["alerts"], end["because"]) == (alerts, "")
    for name in ("frames", "detected_frames", "faces", "recognised"):
        assert end[name] == sum(int(str(each[name])) for each in runs.values()) > 0


def require_a_cut_log_is_found(folder: Path) -> None:
    """A part of the dead node's log goes: its own checkpoints with it, those of the head do not."""
    copy = folder / "copy"
    shutil.copytree(folder / "east", copy)
    for name in ("engine.log", "engine.checkpoints"):
        lines = (copy / name).read_bytes().splitlines(keepends=True)
        (copy / name).write_bytes(b"".join(lines[: len(lines) // 2]))
    verified = pylfr(
        "audit", "verify", folder / "many.log", "--checkpoints", folder / "many.checkpoints", "--key",
        folder / "record.pub", "--received", folder / "many-engines", "--engine", copy,
    )  # fmt: skip
    assert verified.returncode == 1
    assert "were cut off: they had been signed" in verified.stderr
