"""A small listener on loopback for Prometheus and for whoever restarts what has died: nothing else is served."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6

from pylfr.errors import ConfigError
from pylfr.monitoring.monitor import Health, Monitor

_PATIENCE_S = 5.0


class MonitoringServer(ThreadingHTTPServer):
    """Serves /metrics, /healthz and /readyz of one monitor."""

    daemon_threads = True

    def __init__(self, host: str, port: int, monitor: Monitor) -> None:
        self.address_family = AF_INET6 if ":" in host else AF_INET
        super().__init__((host, port), _Handler)
        self.monitor = monitor


class _Handler(BaseHTTPRequestHandler):
    server: MonitoringServer
    timeout = _PATIENCE_S
    server_version, sys_version = "pylfr", ""

    def do_GET(self) -> None:
        monitor = self.server.monitor
        match self.path.partition("?")[0]:
            case "/metrics":
                body, content_type = monitor.exposition(self.headers.get("Accept", ""))
                self._answer(HTTPStatus.OK, body, content_type)
            case "/healthz":
                self._say(monitor.alive())
            case "/readyz":
                self._say(monitor.ready())
            case _:
                self._answer(HTTPStatus.NOT_FOUND, b"/metrics, /healthz or /readyz\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is that of the base class
        """Nothing is logged of a request."""

    def _say(self, health: Health) -> None:
        status = HTTPStatus.OK if health.is_good else HTTPStatus.SERVICE_UNAVAILABLE
        self._answer(status, f"{health.why}\n".encode())

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def listening(monitor: Monitor, *, host: str, port: int) -> Iterator[str]:
    """Serve the monitor's numbers until the block ends; gives the address. Raises ``ConfigError`` where it is taken."""
    try:
        server = MonitoringServer(host, port, monitor)
    except OSError as error:
        raise ConfigError(f"[monitoring] port {port} cannot be listened at: {error.strerror}") from error
    thread = threading.Thread(target=server.serve_forever, name="pylfr-monitoring", daemon=True)
    thread.start()
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
