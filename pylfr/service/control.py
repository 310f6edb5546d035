"""What people may do to the run beside the service: ask for more before an alert, take cameras out and in, stop it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pylfr.deployment.reload import reload_deployment
from pylfr.deployment.resources import Resources
from pylfr.deployment.running import take_in_camera
from pylfr.deployment.sections.cameras import CameraSection
from pylfr.engine.engine import Engine
from pylfr.engine.summary import CameraSummary, Summary
from pylfr.errors import AuthorisationError, ConfigError
from pylfr.service.camera_watch import CameraRates, CameraWatch, Preview

_ELSEWHERE = "the engine runs in another process, or not at all: `pylfr serve` without --attach has it beside its pages"


class RunControl:
    """The engine of this process with who watches it; without one, everything is refused with the reason."""

    def __init__(self, resources: Resources, *, path: Path | None = None) -> None:
        self._resources = resources
        self._path = path
        self._engine: Engine | None = None
        self._watch: CameraWatch | None = None
        self._taken_in: dict[str, CameraSection] = {}

    def attach(self, engine: Engine, watch: CameraWatch | None) -> None:
        """Control this engine from now on."""
        self._engine, self._watch = engine, watch

    @property
    def is_here(self) -> bool:
        """Whether an engine of this process runs."""
        return self._engine is not None and self._engine.is_running

    def raise_threshold(self, threshold: float, *, by: str) -> None:
        """As ``RunChanges.raise_threshold``."""
        self._running().changes.raise_threshold(threshold, by=by)

    def stop(self, *, by: str, because: str) -> None:
        """End the run, for the reason that somebody gives."""
        self._running().stop(f"stopped by {by}: {because}")

    def take_out(self, camera: str, *, by: str, because: str) -> None:
        """As ``RunChanges.take_out``."""
        self._running().changes.take_out(camera, by=by, because=because)

    def take_in(self, camera: str, *, by: str, because: str) -> None:
        """Take in a camera as the deployment file describes it now, where that is what was authorised."""
        engine = self._running()
        if self._path is None:
            raise ConfigError("the deployment did not come from a file: cameras cannot be read from it again")
        self._taken_in[camera] = take_in_camera(engine, self._resources, self._path, camera, by=by, because=because)

    @property
    def cameras(self) -> Mapping[str, CameraSection]:
        """Every camera as it was at the start, or as it was taken in since."""
        return {each.name: each for each in self._resources.deployment.cameras} | self._taken_in

    def reload(self) -> str:
        """Take in what may change while it runs; what was found, in words."""
        if self._path is None:
            raise ConfigError("the deployment did not come from a file: it cannot be read again")
        return reload_deployment(self._running(), self._path, self._resources.deployment)

    def summary(self) -> Summary | None:
        """The account so far; None without an engine."""
        return self._engine.summary() if self._engine is not None else None

    def counts(self) -> dict[str, CameraSummary]:
        """What became of every camera's frames; empty without an engine."""
        summary = self.summary()
        return dict(summary.cameras) if summary is not None else {}

    def rates(self, camera: str) -> CameraRates | None:
        """A camera's rate and latencies; None without an engine that is watched."""
        return self._watch.rates(camera) if self._watch is not None else None

    def preview(self, camera: str) -> Preview | None:
        """The last picture of a camera with every face filled; None where none has come yet."""
        if self._watch is None:
            raise ConfigError(_ELSEWHERE)
        self._running()
        return self._watch.watch(camera)

    def _running(self) -> Engine:
        if self._engine is None:
            raise ConfigError(_ELSEWHERE)
        if not self._engine.is_running:
            raise AuthorisationError(f"the run is over: {self._engine.summary().stopped_because or 'it has ended'}")
        return self._engine
