"""Alerts to an MQTT broker: ``prefix/<camera>/alert``, and ``prefix/status`` that says whether anybody sends."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from pylfr._internal.secrets import resolve_secrets
from pylfr.errors import ConfigError, SinkError
from pylfr.sinks.record import alert_json
from pylfr.types import Alert, Recorded

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger(__name__)

# At least once: a broker that was away gets what it missed (MQTT 3.1.1, section 4.3).
_QOS = 1
_KEEPALIVE_S = 15
_RETRY_S = (1, 30)
# MQTT_ERR_QUEUE_SIZE of paho-mqtt
_QUEUE_IS_FULL = 15


class MqttSink:
    """Publishes each alert and counts what the broker confirms. Made by ``open_mqtt``."""

    def __init__(self, client: Client, *, address: str, prefix: str, close_s: float, pictures: bool) -> None:
        self._client = client
        self._address = address
        self._prefix = prefix
        self._close_s = close_s
        self._pictures = pictures
        self._changed = threading.Condition()
        self._sent = self._confirmed = 0
        self._status_mids: set[int] = set()
        self._reason = "not connected"
        self._is_connected = self._is_closed = False

    def __repr__(self) -> str:
        return f"MqttSink({self._address!r})"

    def start(self, host: str, port: int) -> None:
        """Connect, and stay connected, on the client's own thread."""
        self._client.will_set(f"{self._prefix}/status", "offline", qos=_QOS, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.connect_async(host, port, keepalive=_KEEPALIVE_S)
        self._client.loop_start()

    def send(self, recorded: Recorded[Alert]) -> None:
        alert = recorded.value
        if self._is_closed:
            raise SinkError(f"alert {alert.id} cannot be sent to {self._address}: the sink was closed before")
        topic = f"{self._prefix}/{topic_level(alert.camera)}/alert"
        with self._changed:
            self._sent += 1
        published = self._client.publish(topic, alert_json(recorded, pictures=self._pictures), qos=_QOS)
        # Without a connection the client keeps the message; only a full queue turns it away.
        if published.rc == _QUEUE_IS_FULL:
            with self._changed:
                self._sent -= 1
                waiting = self._sent - self._confirmed
            raise SinkError(
                f"alert {alert.id} cannot be sent to {self._address}: {waiting} alerts already wait ({self._reason}); "
                "see to the broker"
            )

    def close(self) -> None:
        """Wait a bounded time for the broker to confirm. Raises ``SinkError`` saying how many alerts it did not."""
        if self._is_closed:
            return
        self._is_closed = True
        with self._changed:
            self._changed.wait_for(lambda: self._confirmed >= self._sent, timeout=self._close_s)
            lost = self._sent - self._confirmed
        if self._client.is_connected():
            self._client.publish(f"{self._prefix}/status", "offline", qos=0, retain=True)
        self._client.disconnect()
        self._client.loop_stop()
        if lost:
            raise SinkError(f"alerts not delivered to {self._address} ({self._reason}): {lost}, see the audit record")

    def _on_connect(
        self, client: Client, _: object, __: ConnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if reason.is_failure:
            self._reason = str(reason)
            log.warning("%s refused the connection: %s", self._address, reason)
            return
        self._is_connected = True
        self._reason = "not confirmed in time"
        log.info("%s is connected", self._address)
        self._status_mids.add(client.publish(f"{self._prefix}/status", "online", qos=0, retain=True).mid)

    def _on_disconnect(
        self, _: Client, __: object, ___: DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        # After a refusal the line goes down too, and the refusal is what a person needs to know.
        if reason.is_failure and self._is_connected:
            self._reason = str(reason)
            log.warning("%s is gone (%s): the client tries again", self._address, reason)
        self._is_connected = False

    def _on_publish(self, _: Client, __: object, mid: int, ___: ReasonCode, ____: Properties) -> None:
        with self._changed:
            if mid in self._status_mids:
                self._status_mids.discard(mid)
            else:
                self._confirmed += 1
                self._changed.notify_all()


def open_mqtt(
    host: str,
    *,
    port: int = 1883,
    prefix: str = "pylfr",
    username: str | None = None,
    password: str | None = None,
    tls: bool = False,
    pictures: bool = False,
    capacity: int = 256,
    close_s: float = 10.0,
) -> MqttSink:
    """A sink that publishes to the broker at ``host``; its thread starts here and connects as soon as it can.

    ``username`` and ``password`` may be ``${NAME}`` of environment variables. While the broker is away ``capacity``
    alerts wait. Raises ``ConfigError`` where paho-mqtt is not installed, a variable is not set, or ``prefix`` is not
    a topic.
    """
    if not prefix or any(sign in prefix for sign in "+#\0") or prefix.startswith("$"):
        raise ConfigError(f"prefix must be an MQTT topic without + and #, got {prefix!r}: for example 'pylfr'")
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError as error:
        raise ConfigError("the mqtt sink needs the package paho-mqtt: pip install 'pylfr[mqtt]'") from error
    client = Client(CallbackAPIVersion.VERSION2)
    client.max_queued_messages_set(capacity)
    client.reconnect_delay_set(*_RETRY_S)
    if username is not None:
        owner = f"the mqtt sink {host}:{port}"
        client.username_pw_set(
            resolve_secrets(username, name=owner),
            None if password is None else resolve_secrets(password, name=owner),
        )
    if tls:
        client.tls_set()
    elif host not in ("localhost", "127.0.0.1", "::1"):
        log.warning("mqtt://%s:%d gets alerts unencrypted: use tls", host, port)
    sink = MqttSink(client, address=f"mqtt://{host}:{port}", prefix=prefix, close_s=close_s, pictures=pictures)
    sink.start(host, port)
    return sink


def topic_level(name: str) -> str:
    """``name`` as one level of a topic: the signs that mean something in MQTT are percent-encoded."""
    return "".join(f"%{ord(sign):02X}" if sign in "%+#/\0" else sign for sign in name)
