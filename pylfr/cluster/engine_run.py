"""The engine of one node: opened once, given cameras and relieved of them while it runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pylfr._internal.steady_clock import since_boot_s, steady_now
from pylfr.cluster.lease import Lease, LeasedAudit, LeasedAuthority
from pylfr.cluster.messages import Brief
from pylfr.cluster.outbox import Outbox
from pylfr.deployment.authorise import is_recording
from pylfr.deployment.cameras import open_source
from pylfr.deployment.models import open_networks
from pylfr.deployment.recognition import settings_of
from pylfr.engine.build import build_engine
from pylfr.engine.engine import Engine
from pylfr.engine.observer import Observer
from pylfr.engine.summary import RunTotals, camera_turned
from pylfr.errors import AuthorisationError, PylfrError, WatchlistError
from pylfr.gallery.index.reloading import open_gallery
from pylfr.governance.adjudication.false_alert_limit import NoCeiling
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.keys.vault import VaultKey
from pylfr.monitoring.tracers import tracers_of
from pylfr.protocols import Source
from pylfr.sinks.prepared import PreparedAudit
from pylfr.types import FrameBatch
from pylfr.video.batching.camera_queue import CameraCounts
from pylfr.video.sources.observer import CameraEvent

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.1
# A camera that could not be opened is tried again after this time.
_REOPEN_S = 5.0
# By whom cameras are turned over, as the engine's log has it.
_HEAD = "the head of the cluster"


class CameraEngine(Protocol):
    """What a node runs: the engine of this deployment, or one that sleeps where only the cluster is measured."""

    @property
    def cameras(self) -> frozenset[str]:
        """The cameras that it has now, or may have at any moment."""
        ...

    @property
    def ended(self) -> frozenset[str]:
        """Those of them that have come to their end, every frame analysed. Ask again and again."""
        ...

    @property
    def failed(self) -> dict[str, str]:
        """Those of them that have failed, and why."""
        ...

    @property
    def totals(self) -> RunTotals | None:
        """What it has counted so far, also when it has ended; None before it was opened."""
        ...

    @property
    def trouble(self) -> str:
        """Why it does not run any more; "" while it does."""
        ...

    def assign(self, cameras: frozenset[str]) -> None:
        """Have these cameras, soon. Never waits."""
        ...

    def follow_watchlist(self) -> int | None:
        """Search the newest revision from now on; its number, None where nothing is searched yet.

        Raises ``WatchlistError`` where it cannot be had.
        """
        ...

    def stop(self, because: str) -> None:
        """End it; it has ended when this returns."""
        ...


class EngineRun:
    """An ``Engine`` on threads of its own. ``open_engine`` is called there: loading networks takes seconds."""

    def __init__(self, open_engine: Callable[[Observer], Engine], open_camera: Callable[[str], Source]) -> None:
        self._open_engine = open_engine
        self._progress = _Progress()
        self._over: frozenset[str] = frozenset()
        self._open_camera = open_camera
        self._engine: Engine | None = None
        # Held to change either set: a camera is reported from before it is taken in until it has been taken out.
        self._lock = threading.Lock()
        self._wanted: frozenset[str] = frozenset()
        self._has: frozenset[str] = frozenset()
        # Why a camera could not be opened, and when that is tried again.
        self._unopened: dict[str, tuple[str, float]] = {}
        self._because = ""
        self._trouble = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pylfr-node-engine", daemon=True)
        self._thread.start()

    @property
    def cameras(self) -> frozenset[str]:
        with self._lock:
            return self._has | self._wanted

    @property
    def ended(self) -> frozenset[str]:
        if self._engine is None:
            return frozenset()
        over = frozenset(name for name, each in self._engine.cameras().items() if _is_over(each))
        if not self._progress.is_idle:
            over = frozenset()
        # A batch that was just taken is not under way yet: what is over twice is over.
        confirmed, self._over = over & self._over, over
        return confirmed

    @property
    def failed(self) -> dict[str, str]:
        states = self._engine.cameras() if self._engine is not None else {}
        failed = {
            name: each.error or "" for name, each in states.items() if each.state == "failed" and name in self._has
        }
        return failed | {name: why for name, (why, _) in self._unopened.copy().items()}

    @property
    def totals(self) -> RunTotals | None:
        try:
            return self._engine.summary().totals() if self._engine is not None else None
        except WatchlistError:
            # It was opened and searches nothing: the list is gone again.
            return None

    @property
    def trouble(self) -> str:
        return self._trouble

    def assign(self, cameras: frozenset[str]) -> None:
        with self._lock:
            self._wanted = cameras

    def follow_watchlist(self) -> int | None:
        return self._engine.refresh()[0] if self._engine is not None else None

    def stop(self, because: str) -> None:
        self._because = because
        self._stopping.set()
        if self._engine is not None:
            self._engine.stop(because)
        self._thread.join()

    def _run(self) -> None:
        try:
            engine = self._engine = self._open_engine(self._progress)
            # Somebody may have been taken off the list while it was opened, when nobody could tell it.
            engine.refresh()
            if self._stopping.is_set():
                engine.stop(self._because)
            hand = threading.Thread(target=self._turn_cameras, args=(engine,), name="pylfr-node-cameras", daemon=True)
            hand.start()
            try:
                for _ in engine.run():
                    # The outbox has it.
                    pass
            finally:
                self._stopping.set()
                hand.join()
            self._trouble = engine.summary().stopped_because or "the engine has ended"
        except PylfrError as error:
            self._trouble = str(error)
        except Exception as error:
            log.exception("the engine of this node has failed")
            self._trouble = f"{type(error).__name__}: {error}"
        finally:
            with self._lock:
                self._has = self._wanted = frozenset()

    def _turn_cameras(self, engine: Engine) -> None:
        """Add and remove cameras as they are wanted. Apart from whoever asks: a silent camera's decoder ends late."""
        while not self._stopping.wait(_LOOK_EVERY_S):
            if engine.state == "new":
                # It writes down that it begins.
                continue
            try:
                for camera in sorted(self._has - self._wanted):
                    engine.changes.take_out(camera, by=_HEAD, because="it is placed elsewhere")
                    with self._lock:
                        self._has -= {camera}
                for camera in sorted(self._wanted - self._has):
                    self._take_in(engine, camera)
                for camera in self._unopened.keys() - self._wanted:
                    del self._unopened[camera]
            except Exception as error:
                log.exception("cameras are not turned over any more")
                engine.stop(f"a camera could not be turned over: {error}")
                return

    def _take_in(self, engine: Engine, camera: str) -> None:
        """Have a camera, if that is still wanted; where it cannot be opened, the others go on."""
        before, reopen_at_s = self._unopened.get(camera, ("", 0.0))
        if since_boot_s() < reopen_at_s:
            return
        with self._lock:
            if camera not in self._wanted:
                return
            self._has |= {camera}
        try:
            source = self._open_camera(camera)
        except (PylfrError, OSError) as error:
            self._unopened[camera] = str(error), since_boot_s() + _REOPEN_S
            if before != str(error):
                event = CameraEvent(camera=camera, kind="failed", at=steady_now(), detail=str(error))
                engine.note(camera_turned(event))
            with self._lock:
                self._has -= {camera}
            return
        engine.changes.take_in(source, by=_HEAD, because="it is placed here")
        self._unopened.pop(camera, None)


class _Progress(Observer):
    """Whether a batch is under way."""

    def __init__(self) -> None:
        self._taken = self._ended = 0

    @property
    def is_idle(self) -> bool:
        return self._taken == self._ended

    def batch_taken(self, batch: FrameBatch) -> None:  # noqa: ARG002
        self._taken += 1

    def batch_ended(self, batch: FrameBatch) -> None:  # noqa: ARG002
        self._ended += 1


def _is_over(counts: CameraCounts) -> bool:
    """Whether a recording has ended and none of its frames waits."""
    return counts.state == "ended" and not counts.waiting


def open_run(brief: Brief, *, sealed: Path, key: VaultKey, audit: AuditLog, lease: Lease, outbox: Outbox) -> EngineRun:
    """The engine of a node, without cameras for now. It is opened in the background; ``trouble`` says if that fails.

    Raises ``AuthorisationError`` for a live camera under an unsigned permit, whatever the head says.
    """
    cameras = {each.name: each for each in brief.cameras}
    authority = brief.authorisation or brief.permit
    if authority is None:
        raise AuthorisationError("the head named no authorisation: nothing is recognised")
    if brief.authorisation is None and not all(map(is_recording, cameras.values())):
        raise AuthorisationError("live cameras need a signed authorisation: the head gave an unsigned permit")
    started_at = datetime.now(UTC)

    def open_engine(observer: Observer) -> Engine:
        models = brief.models
        networks = open_networks(
            models.detector,
            models.embedder,
            device=models.device,
            runtime=models.runtime,
            threads=models.threads,
            side_px=models.side_px,
            smallest_face_px=brief.recognition.smallest_face_px,
            graphs=models.graphs,
        )
        gallery = open_gallery(
            sealed,
            model=networks.embedder.model,
            index=brief.index,
            device_mib=brief.device_mib,
            poll_ms=60_000,
            authorised=None if brief.references is None else frozenset(brief.references),
            key=key,
        )
        return build_engine(
            settings_of(brief.recognition, brief.batch, brief.threshold, calibrated=brief.calibrated),
            sources=(),
            networks=networks,
            gallery=gallery,
            authority=LeasedAuthority(authority, lease),
            # The head counts the false alerts of all engines, and ends their leases.
            ceiling=NoCeiling(),
            # An engine that is suspended while it drafts an alert does not log it after its lease has ended.
            audit=PreparedAudit(LeasedAudit(audit, lease), [lambda _: lease.require(), outbox.draft]),
            sinks=(outbox,),
            observers=(observer, *tracers_of(brief.tracing, deployment=brief.deployment)),
            undated=frozenset(
                name for name, each in cameras.items() if is_recording(each) and each.recorded_at is None
            ),
            stays_open=True,
        )

    def open_camera(name: str) -> Source:
        camera = cameras[name]
        return open_source(camera, camera.recorded_at or started_at, brief.decode.isolation)

    return EngineRun(open_engine, open_camera)
