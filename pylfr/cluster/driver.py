"""Starts a deployment's head on a Ray cluster, or finds the one that runs, and asks it things."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

# Before Ray is imported: it would report its use to its makers.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Whoever can submit work to a cluster runs programs on it: only those who have its token (~/.ray/auth_token).
os.environ.setdefault("RAY_AUTH_MODE", "token")

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pylfr.cluster.actors import NAMESPACE, HeadActor, head_name
from pylfr.cluster.status import ClusterStatus
from pylfr.deployment.config import read_deployment
from pylfr.engine.summary import STOPPED_BY_OPERATOR
from pylfr.errors import ConfigError, PylfrError

_CALLS = 8
_LOOK_EVERY_S = 0.5
# Longer than a head waits for what its nodes have left, unless it was started again a moment ago.
_ENDING_S = 45.0


class RunningCluster:
    """A deployment that runs on a cluster. It goes on when this object, and the process that made it, are gone."""

    def __init__(self, head: Any, name: str) -> None:  # noqa: ANN401 - Ray's handles have no type of their own
        self._head = head
        self._name = name

    def status(self) -> ClusterStatus:
        """The whole, now. Raises ``ConfigError`` where the head does not answer."""
        status: ClusterStatus = self._ask(self._head.status)
        return status

    def drain(self, node: str) -> None:
        """Give a node no cameras any more. Raises ``ConfigError`` where there is none of that name."""
        self._ask(self._head.drain, node)

    def undrain(self, node: str) -> None:
        """Give a node cameras again."""
        self._ask(self._head.undrain, node)

    def stop(self, because: str) -> None:
        """Let every engine stop with its next beat."""
        self._ask(self._head.stop, because)

    def close(self) -> None:
        """Close the record, end the engines' processes and the head; its name is free when this returns."""
        self._ask(self._head.close)
        ray.kill(self._head)
        until = time.monotonic() + _ENDING_S
        while _is_there(self._name) and time.monotonic() < until:
            time.sleep(_LOOK_EVERY_S)

    def _ask(self, method: Any, *given: str) -> Any:  # noqa: ANN401
        try:
            return ray.get(method.remote(*given), timeout=30)
        except PylfrError:
            raise
        except RayError as error:
            raise ConfigError(f"the head of the cluster does not answer: {error}") from error


def connect(address: str) -> None:
    """Connect to a Ray cluster. Raises ``ConfigError`` where there is none."""
    if ray.is_initialized():
        return
    try:
        ray.init(address=address, namespace=NAMESPACE, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"there is no Ray cluster at {address!r} ({error}): `pylfr cluster node` starts one"
        ) from error


def disconnect() -> None:
    """Leave the cluster; what runs there goes on."""
    ray.shutdown()


def start(deployment: Path) -> RunningCluster:
    """The head of this deployment, started on this machine where it does not run yet. ``connect`` first.

    One whose run has ended is replaced. Raises whatever prevents it, as ``pylfr.cluster.open.open_head`` does.
    """
    running = _started(deployment)
    if running.status().has_ended:
        running.close()
        running = _started(deployment)
        running.status()
    return running


def _started(deployment: Path) -> RunningCluster:
    name = head_name(read_deployment(deployment).name)
    here = ray.get_runtime_context().get_node_id()
    head = (
        ray.remote(HeadActor)
        .options(
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_concurrency=_CALLS,
            scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
        )
        .remote(str(deployment.resolve()))
    )
    return RunningCluster(head, name)


def find(deployment: Path) -> RunningCluster:
    """The head of a deployment that runs. Raises ``ConfigError`` where it does not."""
    name = read_deployment(deployment).name
    try:
        return RunningCluster(ray.get_actor(head_name(name), namespace=NAMESPACE), head_name(name))
    except ValueError as error:
        raise ConfigError(f"{name!r} does not run on this cluster: `pylfr cluster run` starts it") from error


def end(cluster: RunningCluster, because: str = STOPPED_BY_OPERATOR) -> ClusterStatus:
    """Let every engine stop, wait until what they left is in the record, and end the head. How it ended."""
    cluster.stop(because)
    until = time.monotonic() + _ENDING_S
    while not cluster.status().has_ended and time.monotonic() < until:
        time.sleep(_LOOK_EVERY_S)
    last = cluster.status()
    cluster.close()
    return last


def _is_there(name: str) -> bool:
    try:
        ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return False
    return True
