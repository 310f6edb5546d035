"""How far one head goes: real Ray, real sessions and leases, and engines that sleep instead of running networks.

    python -m benchmarks.cluster_scale [--nodes 10 25 50] [--cameras-per-node 40]

Measured are placing, moving after a tenth of the nodes is killed, and the head's processor time and memory. Nothing is
recognised.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from pylfr.cluster import driver  # before Ray: it switches Ray's reports of its use off

# isort: split
import ray

from benchmarks.measure import write_results
from pylfr.cluster.actors import RayLink, head_name
from pylfr.cluster.driver import RunningCluster
from pylfr.cluster.node import ClusterNode
from pylfr.engine.summary import RunTotals
from pylfr.gallery.watchlist.sealed import seal_watchlist
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.governance.keys.keys import make_key
from pylfr.governance.keys.vault import make_vault_key
from pylfr.sizing.machine import this_machine
from tests.deployment_text import permit_text

STEADY_S = 20.0
EMBEDDER = "pylfr_nano_embed"


class SleepingEngine:
    """A ``CameraEngine`` that has its cameras at once and analyses nothing."""

    def __init__(self) -> None:
        self.cameras: frozenset[str] = frozenset()
        self.ended: frozenset[str] = frozenset()
        self.failed: dict[str, str] = {}
        self.totals: RunTotals | None = None
        self.trouble = ""

    def assign(self, cameras: frozenset[str]) -> None:
        self.cameras = cameras

    def follow_watchlist(self) -> None:
        """Nothing is searched."""

    def stop(self, because: str) -> None:  # noqa: ARG002
        self.cameras = frozenset()


class SleepingNodes:
    """Some nodes in one process, each with its own identity, session, log and lease."""

    def __init__(self, head: str, folders: Sequence[str], capacity: int) -> None:
        self._nodes = [
            ClusterNode(Path(folder), RayLink(head), capacity=capacity, open_engine=lambda *_, **__: SleepingEngine())
            for folder in folders
        ]
        for node in self._nodes:
            threading.Thread(target=node.run, daemon=True).start()

    def process(self) -> int:
        return os.getpid()


def write_deployment(folder: Path, nodes: Sequence[str], cameras: int) -> Path:
    """A deployment of so many recordings that nobody opens."""
    names = [f"camera {number:05d}" for number in range(cameras)]
    path = folder / "scale.toml"
    path.write_text(
        f"""
name = "scale"
{permit_text(place="nowhere", cameras=names, lasts=timedelta(hours=3), officer="whoever measures")}
[models]
detector = "pylfr_nano_detect"
embedder = "{EMBEDDER}"
runtime = "onnx"
[watchlist]
file = "sealed.watchlist"
key = "watchlist.key"
[audit]
path = "scale.log"
key = "record.key"
checkpoints = "scale.checkpoints"
[cluster.nodes]
"""
        + "\n".join(f'{name} = "{name}/node.pub"' for name in nodes)
        + "".join(f'\n[[cameras]]\nname = "{name}"\nsource = "{folder}/none.mp4"\n' for name in names),
        encoding="utf-8",
    )
    return path


def prepare(folder: Path, nodes: int) -> list[str]:
    """Keys of the record and of every node, and a sealed watchlist of nobody."""
    from pylfr.faces.embed import open_embedder

    with create_watchlist(folder / "plain", open_embedder(EMBEDDER)):
        pass
    key = make_vault_key(folder / "watchlist.key", expires_at=datetime.now(UTC) + timedelta(hours=3))
    seal_watchlist(folder / "plain", folder / "sealed.watchlist", key)
    record = make_key(folder / "record.key")
    names = [f"node{number}" for number in range(nodes)]
    for name in names:
        (folder / name).mkdir()
        make_key(folder / name / "node.key")
        (folder / name / "head.pub").write_text(record.text + "\n")
    return names


def held(cluster: RunningCluster) -> set[str]:
    return {camera for node in cluster.status().nodes for camera in node.cameras}


def wait_until_held(cluster: RunningCluster, cameras: int, without: frozenset[str] = frozenset()) -> float:
    """Seconds until so many cameras are held by nodes other than ``without``."""
    began = time.perf_counter()
    while True:
        nodes = [node for node in cluster.status().nodes if node.name not in without]
        if sum(len(node.cameras) for node in nodes) >= cameras:
            return time.perf_counter() - began
        if time.perf_counter() - began > 120:
            raise RuntimeError(f"not placed within 2 minutes: {cluster.status().unplaced[:3]}")
        time.sleep(0.1)


def head_process() -> int:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::HeadActor"):
                return int(path.parent.name)
        except OSError:
            continue
    raise RuntimeError("no head runs here")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleRun:
    """One cluster.

    ``placed_s`` is from the head's start until every camera was held, with the time that a head waits for engines of an
    earlier one; ``head_cores`` processor seconds a second; ``moved_s`` from a kill until all were held again, with the
    lease; ``beat_age_p99_s`` how old the last word of a node was.
    """

    nodes: int
    cameras: int
    placed_s: float
    head_cores: float
    head_mb: float
    beat_age_p99_s: float
    nodes_lost: int
    cameras_moved: int
    moved_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleResults:
    """All runs, and the load of the machine by others before them (its average over one minute)."""

    load_before: float
    runs: list[ScaleRun]


def measure(nodes: int, per_node: int, lost: int) -> ScaleRun:
    """One cluster from start to loss. Each node has room for a quarter more than its share."""
    with tempfile.TemporaryDirectory(prefix="pylfr-scale-") as name:
        folder = Path(name)
        names = prepare(folder, nodes)
        cameras = nodes * per_node
        cluster = driver.start(write_deployment(folder, names, cameras))
        # Those that are lost are lost together: one process has as many nodes.
        groups = [names[start : start + lost] for start in range(0, nodes, lost)]
        sleepers: list[Any] = [
            ray.remote(SleepingNodes)
            .options(num_cpus=0)
            .remote(head_name("scale"), [str(folder / each) for each in group], round(1.25 * per_node))
            for group in groups
        ]
        processes = ray.get([each.process.remote() for each in sleepers])
        placed_s = wait_until_held(cluster, cameras)
        head = head_process()
        began_s, began_cpu = time.perf_counter(), cpu_s(head)
        ages = []
        while time.perf_counter() - began_s < STEADY_S:
            ages += [node.beat_s_ago for node in cluster.status().nodes]
            time.sleep(1.0)
        load = (cpu_s(head) - began_cpu) / (time.perf_counter() - began_s)
        gone = frozenset(names[:lost])
        os.kill(processes[0], signal.SIGKILL)
        moved_s = wait_until_held(cluster, cameras, gone)
        result = ScaleRun(
            nodes=nodes,
            cameras=cameras,
            placed_s=round(placed_s, 2),
            head_cores=round(load, 3),
            head_mb=round(resident_mb(head), 1),
            beat_age_p99_s=round(float(np.percentile(ages, 99)), 2),
            nodes_lost=lost,
            cameras_moved=lost * per_node,
            moved_s=round(moved_s, 2),
        )
        for each in sleepers:
            ray.kill(each)
        driver.end(cluster, "measured")
        return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[10, 25, 50])
    parser.add_argument("--cameras-per-node", type=int, default=40)
    asked = parser.parse_args()
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, namespace="pylfr", log_to_driver=False,
        object_store_memory=100 << 20,
    )  # fmt: skip
    load = os.getloadavg()[0]
    found = []
    for nodes in asked.nodes:
        found.append(measure(nodes, asked.cameras_per_node, max(1, nodes // 10)))
        print(found[-1], flush=True)
    write_results("cluster_scale", this_machine(("ray",)), ScaleResults(load_before=round(load, 1), runs=found))


if __name__ == "__main__":
    main()
