"""One process as operators see it: its numbers, whether it is alive, and whether it does its work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, GCCollector, Info, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from pylfr import __version__
from pylfr.deployment.authorise import is_recording
from pylfr.deployment.config import Deployment
from pylfr.deployment.resources import Resources
from pylfr.engine.engine import Engine
from pylfr.monitoring.engine_collector import EngineCollector
from pylfr.monitoring.governance_collector import GovernanceCollector
from pylfr.monitoring.outbox_collector import OutboxCollector
from pylfr.monitoring.run_metrics import RunMetrics
from pylfr.sinks.delivery import DeliverySink

# A batch takes less than a second on the slowest machine that is worth using.
STUCK_AFTER_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether all is well, and if not, why."""

    is_good: bool
    why: str


class Monitor:
    """Give ``run`` to the engine as an observer, and then the engine to ``watch``. Without one it has no readiness."""

    def __init__(self, deployment: Deployment) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        Info("pylfr_build", "What runs here", registry=self.registry).info({"version": __version__})
        self.run = RunMetrics(self.registry, dated=_dated(deployment))
        self._engine: Engine | None = None

    def watch(self, engine: Engine) -> None:
        """Give this engine's numbers too, from now on. Once."""
        self._engine = engine
        self.registry.register(EngineCollector(engine))

    def watch_record(self, resources: Resources) -> None:
        """Give the numbers of the deployment's authority and record too, from now on. Once."""
        self.registry.register(GovernanceCollector(resources))

    def watch_outbox(self, sinks: Sequence[DeliverySink]) -> None:
        """Say how far these sinks are behind the log, from now on, also those that are added later. Once."""
        self.registry.register(OutboxCollector(sinks))

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All numbers in the format that ``accept``, an HTTP header, asks for, and the name of that format."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def alive(self) -> Health:
        """Whether the process should be left running: no batch is stuck."""
        stuck_s = self.run.stuck_for_s()
        if stuck_s > STUCK_AFTER_S:
            return Health(is_good=False, why=f"a batch has made no progress for {stuck_s:.0f} s")
        return Health(is_good=True, why="alive")

    def ready(self) -> Health:
        """Whether the process does what it is for: its engine runs, and a camera sends pictures."""
        if not (alive := self.alive()).is_good:
            return alive
        engine = self._engine
        if engine is None:
            return Health(is_good=True, why="no engine runs here")
        if engine.state != "running":
            because = engine.summary().stopped_because
            return Health(is_good=False, why=f"the engine is {engine.state}" + (f": {because}" if because else ""))
        cameras = engine.cameras().values()
        running = sum(each.state == "running" for each in cameras)
        return Health(is_good=running > 0, why=f"{running} of {len(cameras)} cameras send pictures")


def _dated(deployment: Deployment) -> frozenset[str]:
    """The cameras whose frames are dated by the clock: live ones, and recordings that are played in real time."""
    return frozenset(
        camera.name
        for camera in deployment.cameras
        if not is_recording(camera) or (camera.pace == "real-time" and camera.recorded_at is None)
    )
