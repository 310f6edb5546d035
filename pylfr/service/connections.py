"""Connections that cost a bounded number of descriptors, whoever opens them: an engine may run in the same process."""

from __future__ import annotations

import asyncio
import functools
import logging
import resource
import socket
import weakref
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from pylfr.errors import ConfigError

log = logging.getLogger(__name__)

_MOST_CONNECTIONS: Final = 512
# The records, the log, the event loop and a few connections; with less the loop itself breaks off.
_LEAST_FILES: Final = 64


def most_connections() -> int:
    """How many may be open at once: half of the descriptors that the process may have, at most 512.

    Raises ``ConfigError`` where that leaves too few to serve at all.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if 0 <= files < _LEAST_FILES:  # RLIM_INFINITY is negative on some systems
        raise ConfigError(
            f"the service needs at least {_LEAST_FILES} open files, and the limit is {files}: raise it with "
            f"`ulimit -n {16 * _LEAST_FILES}`, or LimitNOFILE of its systemd unit"
        )
    return min(_MOST_CONNECTIONS, files // 2) if files >= 0 else _MOST_CONNECTIONS


def listening(host: str, port: int, *, most: int) -> list[socket.socket]:
    """A socket for each address of ``host``, each with at most ``most`` connections that are open at once.

    Raises ``OSError`` where an address is taken.
    """
    listeners: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        ):
            listener = _Listener(family, kind, protocol, most=most)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
            listener.listen()
    except OSError as error:
        for each in listeners:
            each.close()
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from error
    return listeners


class _Listener(socket.socket):
    """Gives at most ``most`` connections that are open at once; others are closed as they come, before TLS."""

    def __init__(self, family: int, kind: int, protocol: int, *, most: int) -> None:
        super().__init__(family, kind, protocol)
        self._most = most
        self._given: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def accept(self) -> tuple[socket.socket, object]:
        connected, address = super().accept()
        if sum(each.fileno() >= 0 for each in self._given) >= self._most:
            connected.close()
            _note_refusal(self._most)
            raise ConnectionAbortedError("too many connections are open")
        self._given.add(connected)
        return connected, address


class ImpatientConnection(H11Protocol):
    """HTTP that is closed where for ``silence_s`` nobody asks anything, or the head of a request does not end."""

    silence_s = 30.0
    _looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def _look_again(self) -> None:
        self._looking = self.loop.call_later(self.silence_s, self._look, self.cycle)

    def _look(self, before: object) -> None:
        """Close the connection where no request is under way, and none came since the last look."""
        # None before the first request.
        cycle: RequestResponseCycle | None = self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if self.cycle is before and not is_answering:
            self.transport.close()
        else:
            self._look_again()


@functools.cache
def _note_refusal(most: int) -> None:
    """Once: whoever opens thousands does not fill the log."""
    log.warning("%d connections are open and more are refused: a proxy in front can limit them for each address", most)
