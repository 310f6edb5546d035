"""The head and the engines as Ray actors: Ray starts them, carries their messages, and restarts the head."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pylfr._internal.heap import give_back_large_blocks
from pylfr.cluster.engine_slots import FOLDER, EngineSlot, slots_of
from pylfr.cluster.metrics import ClusterCollector
from pylfr.cluster.node import ClusterNode, HeadAwayError, UnknownNodeError
from pylfr.cluster.open import open_head
from pylfr.cluster.session import Hello, Welcome
from pylfr.cluster.status import ClusterStatus
from pylfr.deployment.resources import open_resources
from pylfr.errors import AuthorisationError, ConfigError, PylfrError
from pylfr.governance.keys.memory import close_memory
from pylfr.monitoring.listener import listening
from pylfr.monitoring.logs import start_logging
from pylfr.monitoring.monitor import Monitor

log = logging.getLogger(__name__)

NAMESPACE = "pylfr"
_ANSWER_S = 2.0
_LOOK_EVERY_S = 1.0
# Of so many looks one asks for every engine.
_LOOK_AGAIN = 30

Given = TypeVar("Given")


def head_name(deployment: str) -> str:
    """The name of a deployment's head in the cluster."""
    return f"head of {deployment}"


class HeadActor:
    """The head in a process of its own, which outlives whoever started it; Ray starts another where it dies.

    Once its run is over it has closed the record, holds no key, and only reports how the run ended.
    """

    def __init__(self, deployment: str) -> None:
        close_memory()
        give_back_large_blocks()
        start_logging("info", "text")
        self._resources = open_resources(Path(deployment))
        try:
            # One that Ray started anew only goes on with what was begun.
            is_anew = ray.get_runtime_context().was_current_actor_reconstructed
            self._head = open_head(self._resources, may_begin=not is_anew)
        except BaseException:
            self._resources.close()
            raise
        self._name = self._resources.deployment.name
        self._listening = ExitStack()
        self._listen()
        # Made once: Ray keeps every class that it is given.
        self._engine_class = ray.remote(EngineActor)
        self._looks = 0
        # By the machine that they are on.
        self._engines: dict[str, list[Any]] = {}
        self._over, self._closing = threading.Event(), threading.Lock()
        threading.Thread(target=self._watch, name="pylfr-head", daemon=True).start()

    def challenge(self) -> str:
        return self._head.challenge()

    def greet(self, hello: Hello) -> Welcome:
        return self._head.greet(hello)

    def join(self, node: str, joining: bytes) -> tuple[bytes, bytes, int]:
        return self._head.join(node, joining)

    def beat(self, node: str, number: int, beat: bytes) -> bytes:
        return self._head.beat(node, number, beat)

    def drain(self, name: str) -> None:
        self._head.drain(name)

    def undrain(self, name: str) -> None:
        self._head.undrain(name)

    def status(self) -> ClusterStatus:
        return self._head.status()

    def stop(self, because: str) -> None:
        self._head.stop(because)

    def close(self) -> None:
        """Close the record, and end the engines' actors. ``status`` still reports how the run ended.

        Raises ``AuditError`` where the record cannot be closed: it goes on then, and is closed once there is room.
        """
        with self._closing:
            if self._over.is_set():
                return
            self._head.close()
            self._over.set()
            try:
                for engine in [each for several in list(self._engines.values()) for each in several]:
                    ray.kill(engine)
            finally:
                self._listening.close()
                self._resources.close()

    def _listen(self) -> None:
        """Give the head's numbers to Prometheus, where the deployment file names a port."""
        section = self._resources.deployment.monitoring
        if section.port is not None:
            monitor = Monitor(self._resources.deployment)
            monitor.registry.register(ClusterCollector(self._head))
            monitor.watch_record(self._resources)
            monitor.watch_outbox(self._resources.deliveries)
            self._listening.enter_context(listening(monitor, host=section.host, port=section.port))

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_EVERY_S):
            try:
                self._look()
            except Exception:
                # What could not be written, on a full disk, is tried again.
                log.exception("the head goes on")

    def _look(self) -> None:
        try:
            self._head.tick()
            if self._head.has_settled:
                self.close()
            else:
                self._start_engines()
        except PylfrError as error:
            log.error("%s", error)
            self._head.stop(str(error))

    def _start_engines(self) -> None:
        """An actor for every engine of a machine that offers to analyse cameras, and has none yet.

        Ray starts those that die again; whether one has died for good is looked up now and then.
        """
        self._looks += 1
        for machine in ray.nodes():  # type: ignore[no-untyped-call]
            place = machine["NodeID"]
            if not machine["Alive"]:
                self._engines.pop(place, None)
            elif place not in self._engines or self._looks % _LOOK_AGAIN == 0:
                self._engines[place] = [self._engine_on(place, slot) for slot in slots_of(machine["Resources"])]

    def _engine_on(self, place: str, slot: EngineSlot) -> Any:  # noqa: ANN401 - Ray's handles have no type of their own
        return self._engine_class.options(
            name=f"engine {slot.number} of {self._name} on {place}",
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            num_gpus=slot.gpus,
            max_restarts=-1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(place, soft=False),
        ).remote(head_name(self._name), slot.number, slot.cameras)


class EngineActor:
    """An engine of one machine, in a process of its own, with the GPU that Ray gives it."""

    def __init__(self, head: str, number: int, capacity: int) -> None:
        close_memory()
        give_back_large_blocks()
        start_logging("info", "text")
        folders = [each for each in os.environ.get(FOLDER, "").split(os.pathsep) if each]
        if number >= len(folders):
            raise ConfigError(
                f"this machine has {len(folders)} identities, and no engine {number}: start Ray with {FOLDER} "
                "(`pylfr cluster node`)"
            )
        self._node = ClusterNode(Path(folders[number]), RayLink(head), capacity=capacity)
        threading.Thread(target=self._run, name="pylfr-node", daemon=True).start()

    def process(self) -> int:
        """The number of its process."""
        return os.getpid()

    def gpus(self) -> list[str]:
        """The GPUs of the machine that it alone may use, by their numbers."""
        return [str(each) for each in ray.get_gpu_ids()]

    def _run(self) -> None:
        try:
            self._node.run()
        except Exception:
            # Ray starts another in its place.
            log.exception("the node has failed")
            os._exit(1)


class RayLink:
    """A ``HeadLink`` over Ray."""

    def __init__(self, head: str) -> None:
        self._name = head

    def challenge(self) -> str:
        return self._ask(str, lambda head: head.challenge.remote())

    def greet(self, hello: Hello) -> Welcome:
        return self._ask(Welcome, lambda head: head.greet.remote(hello))

    def join(self, node: str, joining: bytes) -> tuple[bytes, bytes, int]:
        given: tuple[bytes, bytes, int] = self._ask(tuple, lambda head: head.join.remote(node, joining))
        return given

    def beat(self, node: str, number: int, beat: bytes) -> bytes:
        return self._ask(bytes, lambda head: head.beat.remote(node, number, beat))

    def _ask(self, kind: type[Given], call: Callable[[Any], Any]) -> Given:
        try:
            given = ray.get(call(ray.get_actor(self._name, namespace=NAMESPACE)), timeout=_ANSWER_S)
            if not isinstance(given, kind):
                raise HeadAwayError(f"the head answered with {type(given).__name__}, not with {kind.__name__}")
            return given
        except UnknownNodeError as error:
            raise UnknownNodeError("the head has given this node up, or was started again") from error
        except AuthorisationError as error:
            raise AuthorisationError(str(getattr(error, "cause", error))) from error
        except GetTimeoutError as error:
            raise HeadAwayError(f"no answer within {_ANSWER_S:g} s") from error
        except (PylfrError, RayError) as error:
            raise HeadAwayError(f"{type(error).__name__}: {error}") from error
        except ValueError as error:
            raise HeadAwayError(f"there is no {self._name}") from error
