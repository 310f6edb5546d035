"""A cluster that is hurt at random for as long as it is told to, by hand: `make chaos-cluster`; then it is judged."""

from __future__ import annotations

import os
import random
import re
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pylfr.governance.audit.audit import read_audit
from pylfr.governance.keys.keys import read_public_key
from tests.cli.command import pylfr
from tests.cluster.stage import (
    CAMERAS,
    COOLDOWN_S,
    NODES,
    RayNode,
    Stage,
    cable,
    prepare,
    set_cable,
    wait_for,
    write_deployment,
)
from tests.postgres import Postgres
from tests.system.test_cluster import in_the_open, recorded, secrets_of

if TYPE_CHECKING:
    from pylfr.cluster.driver import RunningCluster

SECONDS = float(os.environ.get("PYLFR_CHAOS_SECONDS", "0"))
SEED = int(os.environ.get("PYLFR_CHAOS_SEED", "0"))
# How much a head may grow from the second quarter of the time to the last: what it knows of alerts.
MOST_GROWTH_MB = 8.0

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install pylfr[cluster]"),
    pytest.mark.skipif(not SECONDS, reason="chaos over a cluster takes minutes: make chaos-cluster"),
    pytest.mark.slow,
    pytest.mark.usefixtures("models_dir"),
]


class Chaos:
    """What is done to the cluster: each fault lasts for some seconds, and is repaired."""

    def __init__(self, stage: Stage, cluster: RunningCluster, server: Postgres, chance: random.Random) -> None:
        self._stage = stage
        self._cluster = cluster
        self._server = server
        self._chance = chance

    def faults(self) -> dict[str, Callable[[], None]]:
        """By their names."""
        return {
            "kill": self.kill,
            "freeze": self.freeze,
            "cut": self.cut,
            "leave and join": self.leave_and_join,
            "PostgreSQL restarted": self.restart_records,
        }

    def kill(self) -> None:
        name = self._chance.choice(NODES)
        self._stage.nodes[name].kill()
        self._last(12)
        self._add(name)

    def freeze(self) -> None:
        frozen = self._stage.nodes[self._chance.choice(NODES)].actors("EngineActor")
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        self._last(12)
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)

    def cut(self) -> None:
        set_cable(1, "down")
        self._last(20)
        set_cable(1, "up")

    def leave_and_join(self) -> None:
        """As for maintenance: drained, ended, started again."""
        name = self._chance.choice(NODES)
        self._cluster.drain(name)
        wait_for(lambda: not self._cameras_on(name), f"{name} is drained")
        self._stage.nodes[name].kill()
        self._last(5)
        self._add(name)
        self._cluster.undrain(name)

    def restart_records(self) -> None:
        self._server.stop()
        self._last(8)
        self._server.start()

    def repair(self) -> None:
        """Start what Ray has given up, and wait until every camera is analysed again."""
        self.is_whole_within(25)
        for name in NODES:
            if self._stage.nodes[name].process.poll() is not None:
                self._stage.nodes[name].kill()
                self._add(name)
        wait_for(self.is_whole, "every camera is placed and every node is back", limit_s=120)

    def is_whole(self) -> bool:
        status = self._cluster.status()
        held = sum(len(each.cameras) for each in status.nodes)
        return held == len(CAMERAS) and len(status.nodes) == len(NODES) and not status.unplaced

    def is_whole_within(self, limit_s: float) -> bool:
        until = time.monotonic() + limit_s
        while not (whole := self.is_whole()) and time.monotonic() < until:
            time.sleep(0.2)
        return whole

    def _add(self, name: str) -> None:
        add_node(self._stage, name)

    def _cameras_on(self, name: str) -> int:
        return sum(len(each.cameras) for each in self._cluster.status().nodes if each.name == name)

    def _last(self, most_s: float) -> None:
        time.sleep(self._chance.uniform(1, most_s))


def add_node(stage: Stage, name: str) -> None:
    """A node of the stage, the one that can be cut off behind its cable."""
    is_cut = name == "cut"
    stage.add(name, cameras=8, namespace="pylfr-1" if is_cut else None, host="10.77.1.2" if is_cut else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of the head, in MB: its own, and the pages that it has touched of Ray's object store, whose size is set."""

    own: float
    store: float


def memory_of(node: RayNode) -> Memory:
    """The head's, which is not killed here."""
    (pid,) = node.actors("HeadActor")
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    own, store = (int(status[name].split()[0]) * 1024 / 1e6 for name in ("RssAnon", "RssShmem"))
    return Memory(own=own, store=store)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a network namespace")
def test_what_was_recorded_is_whole_after_chaos(media_dir: Path, tmp_path: Path) -> None:
    prepare(media_dir, tmp_path)
    chance = random.Random(SEED)
    with ExitStack() as open_:
        server = open_.enter_context(Postgres())
        section = f'url = "{server.new_url()}"'
        deployment = write_deployment(
            tmp_path, "many", pace="real-time", records=section, recorded_at=datetime.now(UTC)
        )
        deployment.write_text(re.sub(r"recorded_at = .*", "loop = true", deployment.read_text()))
        open_.enter_context(cable(1))
        stage = open_.enter_context(Stage(tmp_path, "10.77.1.1"))
        from pylfr.cluster import driver

        open_.callback(driver.disconnect)
        driver.connect(stage.address)
        for name in NODES:
            add_node(stage, name)
        cluster = driver.start(deployment)
        chaos = Chaos(stage, cluster, server, chance)
        wait_for(chaos.is_whole, "all are placed")
        wait_for(lambda: cluster.status().alerts >= 3, "the first alerts")
        done: Counter[str] = Counter()
        took_s: list[float] = []
        memory = [memory_of(stage.nodes["head"])]
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            fault, act = chance.choice(list(chaos.faults().items()))
            began = time.monotonic()
            act()
            chaos.repair()
            done[fault] += 1
            took_s.append(time.monotonic() - began)
            memory.append(memory_of(stage.nodes["head"]))
            status = cluster.status()
            print(
                f"{SECONDS - (until - time.monotonic()):5.0f} s {fault}: whole again after {took_s[-1]:.1f} s, "
                f"{status.alerts} alerts, {status.repeats} repeats, head {memory[-1].own:.1f} MB "
                f"and {memory[-1].store:.0f} MB of the store", flush=True,
            )  # fmt: skip
            assert in_the_open(secrets_of(tmp_path), stage, tmp_path) == []
        last = driver.end(cluster, "stopped by the operator")
        print(f"{dict(done)}; seed {SEED}; fault and mending {statistics.median(took_s):.1f} s (median)")
        require_whole(tmp_path, section, alerts=last.alerts)
        own = [each.own for each in memory]
        quarter = max(1, len(own) // 4)
        grown = statistics.median(own[-quarter:]) - statistics.median(own[quarter : 2 * quarter] or own)
        print(f"the head's own memory grew by {grown:.1f} MB from the second quarter to the last")
        assert grown < MOST_GROWTH_MB, own


def require_whole(folder: Path, section: str, *, alerts: int) -> None:
    """Every log verifies, what each engine raised is recorded, and the records have each alert once."""
    verified = pylfr(
        "audit", "verify", folder / "many.log", "--checkpoints", folder / "many.checkpoints", "--key",
        folder / "record.pub", "--received", folder / "many-engines",
        *(argument for name in NODES for argument in ("--engine", folder / name)),
    )  # fmt: skip
    assert verified.returncode == 0, verified.stderr
    assert verified.stdout.count("whole, and as bound") == len(NODES), verified.stdout
    log = read_audit(
        folder / "many.log", checkpoints=folder / "many.checkpoints", key=read_public_key(folder / "record.pub")
    )
    assert sum(each.kind == "alert" for each in log.entries) == alerts
    found = recorded(section, folder)
    assert len(found) == alerts
    for one, next_ in pairwise(found):
        if one[:2] == next_[:2]:
            assert (next_[2] - one[2]).total_seconds() >= COOLDOWN_S, (one, next_)
