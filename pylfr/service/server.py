"""Serves the application: the engine beside it where it is asked for, TLS, systemd, and a clean end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from pylfr._internal.limits import limit_met
from pylfr.deployment.resources import Resources
from pylfr.deployment.sections.service import ServiceSection
from pylfr.engine.engine import Engine
from pylfr.errors import PylfrError
from pylfr.monitoring.monitor import Monitor
from pylfr.service.app import build_app
from pylfr.service.camera_watch import CameraWatch
from pylfr.service.connections import ImpatientConnection, listening, most_connections
from pylfr.service.control import RunControl

log = logging.getLogger(__name__)


def serve(
    resources: Resources,
    engine: Engine | None,
    *,
    monitor: Monitor,
    watch: CameraWatch | None = None,
    path: Path | None = None,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or SIGINT, with ``engine`` running beside where it is given; pages outlive its run.

    ``monitor`` has its numbers, ``watch`` observes its cameras. ``path`` is the deployment file, which SIGHUP reads
    again: the watchlist and the certificate are taken in, all else is named and waits for a restart. ``ready`` is
    called with the address once people can connect.

    Raises ``ConfigError`` where nobody could sign in or too few files may be open, ``OSError`` where the address is
    taken.
    """
    section, most = resources.deployment.service, most_connections()
    control = RunControl(resources, path=path)
    if engine is not None:
        control.attach(engine, watch)
    config = server_config(build_app(resources, monitor=monitor, control=control), section)
    server = _Server(config, on_start=lambda: _started(section.address, ready))
    runner = threading.Thread(target=_run, args=(engine,), name="pylfr-engine", daemon=True) if engine else None
    if runner is not None:
        runner.start()
    try:
        with _signals_end_it_once(), _hangup_reloads(lambda: _reload(control, config, section)):
            server.run(sockets=listening(section.host, section.port, most=most))
    finally:
        _tell_systemd("STOPPING=1")
        if engine is not None and runner is not None:
            engine.stop("the service was stopped")
            runner.join()


def server_config(app: FastAPI, section: ServiceSection) -> uvicorn.Config:
    """How the application is served: TLS where there is a certificate; nothing about the server in its answers."""
    return uvicorn.Config(
        app,
        host=section.host,
        port=section.port,
        ssl_certfile=section.certificate,
        ssl_keyfile=section.private_key,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
        http=ImpatientConnection,
        ws="none",
    )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, *, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()

    async def on_tick(self, counter: int) -> bool:
        # Every second, from the loop that serves: one that hangs is not alive.
        if counter % 10 == 0:
            _tell_systemd("WATCHDOG=1")
        return await super().on_tick(counter)


def _started(address: str, ready: Callable[[str], None]) -> None:
    _tell_systemd("READY=1")
    ready(address)


@contextmanager
def _signals_end_it_once() -> Iterator[None]:
    """Uvicorn ends on SIGTERM and SIGINT, then raises them again: that must not kill the engine before its account."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _hangup_reloads(reload: Callable[[], None]) -> Iterator[None]:
    """SIGHUP reloads, on a thread of its own: whatever it waits for, pages are served meanwhile."""

    def hang_up(_: int, __: FrameType | None) -> None:
        threading.Thread(target=reload, name="pylfr-reload", daemon=True).start()

    before = signal.signal(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _reload(control: RunControl, config: uvicorn.Config, section: ServiceSection) -> None:
    _tell_systemd("RELOADING=1")
    try:
        if config.ssl is not None and section.certificate is not None:
            # New connections get the new one.
            config.ssl.load_cert_chain(section.certificate, section.private_key)
            log.info("the certificate was read again")
        log.info("reloaded: %s", control.reload())
    except (PylfrError, OSError) as error:
        log.error("not reloaded: %s", error)
    finally:
        _tell_systemd("READY=1")


def _run(engine: Engine) -> None:
    try:
        for recorded in engine.run():
            log.info("alert %s recorded", recorded.value.id)
    except PylfrError as error:
        log.error("the engine has stopped: %s", error)
    except Exception as error:
        if met := limit_met(error):
            log.error("the engine has stopped: %s", met)
        else:
            log.exception("the engine has stopped")


def _tell_systemd(state: str) -> None:
    """As ``sd_notify(3)`` does; nothing without systemd."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        notify.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
