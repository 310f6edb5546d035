"""An MQTT client that no broker can stop: whatever it answers, the client reconnects."""

from __future__ import annotations

import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

log = logging.getLogger(__name__)

# A broker sends acknowledgements of a few bytes: this client subscribes to nothing. MQTT allows 256 MB a packet.
_LARGEST_PACKET_BYTES = 4096
_RETRY_S = (1, 30)


class SteadyClient(Client):
    """Publishes and never subscribes; ``on_trouble`` is told the kind of each failure, without any address."""

    def __init__(self, *, tls: ssl.SSLContext | None, on_trouble: Callable[[str], None]) -> None:
        super().__init__(CallbackAPIVersion.VERSION2)
        self._on_trouble = on_trouble
        if tls is not None:
            self.tls_set_context(tls)
        self.reconnect_delay_set(*_RETRY_S)
        # Called while the error is being handled.
        self.on_connect_fail = lambda *_: on_trouble(_words(sys.exception()))

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """As the client does, and again after an answer that made it fail: its thread ends only on ``disconnect``."""
        while True:
            try:
                return super().loop_forever(timeout, retry_first_connection)
            except Exception as error:  # a hostile answer must not end delivery for the whole run
                self._on_trouble(_words(error))
                time.sleep(_RETRY_S[0])
                self.connect_async(self.host, self.port, keepalive=self.keepalive)

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > _LARGEST_PACKET_BYTES:
            raise ConnectionAbortedError(f"a packet of {bufsize} bytes")
        return super()._sock_recv(bufsize)

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        # The client leaves the socket of a failed handshake open.
        if self._ssl_context is None:
            raise ValueError("there are no TLS settings")
        secured = self._ssl_context.wrap_socket(tcp_sock, server_hostname=self.host, do_handshake_on_connect=False)
        try:
            secured.settimeout(self.connect_timeout)
            secured.do_handshake()
        except BaseException:
            secured.close()
            raise
        return secured


def _words(error: BaseException | None) -> str:
    """The kind of an error and its system reason: its message could repeat an address."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
