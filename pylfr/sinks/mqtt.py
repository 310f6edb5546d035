"""Alerts to an MQTT broker: ``prefix/<camera>/alert``, and ``prefix/status``: "online" or "offline"."""

from __future__ import annotations

import logging
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pylfr._internal.secrets import resolve_secrets
from pylfr._internal.trusted import client_context
from pylfr.errors import ConfigError
from pylfr.sinks.delivery import DeliveryError
from pylfr.sinks.record import AlertMessage

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger(__name__)

# At least once: a broker that was away gets what it missed (MQTT 3.1.1, section 4.3).
_QOS = 1
_KEEPALIVE_S = 15
# A text of MQTT has at most 65,535 bytes (3.1.1, section 1.5.3); a topic holds the prefix and a camera's name.
_LONGEST_SECRET_BYTES = 65_535
_LONGEST_PREFIX_BYTES = 1024


class Broker:
    """A ``Destination`` by MQTT, which confirms each alert. Made by ``broker_of``."""

    _client: Client

    def __init__(self, *, address: str, prefix: str, pictures: bool) -> None:
        self.address = address
        self.pictures = pictures
        self._prefix = prefix
        self._changed = threading.Condition()
        # The alert under way and its number: the client itself repeats it over an outage.
        self._published: tuple[str, int] | None = None
        self._confirmed: set[int] = set()
        self._reason = "not connected"
        self._is_connected = False

    def start(self, client: Client, host: str, port: int) -> None:
        """Connect, and stay connected, on the client's own thread."""
        self._client = client
        client.will_set(f"{self._prefix}/status", "offline", qos=_QOS, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.connect_async(host, port, keepalive=_KEEPALIVE_S)
        client.loop_start()

    def note_trouble(self, reason: str) -> None:
        """Remember why nothing is delivered, for a message; log each reason once in a row."""
        if reason != self._reason:
            self._reason = reason
            log.warning("%s cannot be reached: %s", self.address, reason)

    def deliver(self, message: AlertMessage, timeout_s: float) -> None:
        if not self._is_connected:
            raise DeliveryError(self._reason)
        if self._published is None or self._published[0] != message.id:
            topic = f"{self._prefix}/{topic_level(message.camera)}/alert"
            self._confirmed.clear()
            self._published = message.id, self._client.publish(topic, message.json().encode(), qos=_QOS).mid
        number = self._published[1]
        with self._changed:
            if not self._changed.wait_for(lambda: number in self._confirmed, timeout=timeout_s):
                raise DeliveryError(self._reason)
        self._published = None

    def close(self) -> None:
        if self._client.is_connected():
            self._client.publish(f"{self._prefix}/status", "offline", qos=0, retain=True)
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self, client: Client, _: object, __: ConnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if reason.is_failure:
            self._reason = str(reason)
            log.warning("%s refused the connection: %s", self.address, reason)
            return
        self._reason = "not confirmed in time"
        log.info("%s is connected", self.address)
        client.publish(f"{self._prefix}/status", "online", qos=0, retain=True)
        self._is_connected = True

    def _on_disconnect(
        self, _: Client, __: object, ___: DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        # After a refusal the connection ends too, and the refusal is what a person needs to know.
        if reason.is_failure and self._is_connected:
            self._reason = str(reason)
            log.warning("%s is gone (%s): the client reconnects", self.address, reason)
        self._is_connected = False

    def _on_publish(self, _: Client, __: object, mid: int, ___: ReasonCode, ____: Properties) -> None:
        with self._changed:
            self._confirmed.add(mid)
            self._changed.notify_all()


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttTls:
    """How the broker proves who it is, and the client too where it has a certificate (PEM files).

    Without ``ca`` the broker's certificate must come from an authority that the system trusts. ``passphrase``, of the
    private key, is best given as ``${NAME}``.
    """

    ca: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    passphrase: str | None = None

    def context(self, owner: str) -> ssl.SSLContext:
        """The TLS settings. Raises ``ConfigError`` naming the file that cannot be used."""
        if (self.certificate is None) != (self.private_key is None):
            raise ConfigError(f"{owner} needs certificate and private_key, or neither")
        try:
            context = client_context(self.ca)
        except OSError as error:
            raise ConfigError(f"{owner}: no certificates can be read from {self.ca}: {_why(error)}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None and self.private_key is not None:
            passphrase = resolve_secrets(self.passphrase or "", name=f"the passphrase of {owner}")
            try:
                if self.private_key.stat().st_mode & 0o077:
                    raise ConfigError(f"{owner}: {self.private_key} must be its owner's alone: chmod 600")
                # Without a passphrase OpenSSL would ask for one at the terminal.
                context.load_cert_chain(self.certificate, self.private_key, password=lambda: passphrase)
            except (OSError, ValueError) as error:
                raise ConfigError(
                    f"{owner}: {self.certificate} and {self.private_key} are no certificate and its private key, or "
                    f"the passphrase is wrong: {_why(error)}"
                ) from error
        return context


def broker_of(
    host: str,
    *,
    port: int = 1883,
    prefix: str = "pylfr",
    username: str | None = None,
    password: str | None = None,
    tls: MqttTls | None = None,
    pictures: bool = False,
) -> Broker:
    """The broker at ``host``; the client's thread starts here and connects as soon as it can.

    ``username`` and ``password`` may be ``${NAME}`` of environment variables. Raises ``ConfigError`` where paho-mqtt is
    not installed, a variable is not set, a TLS file cannot be used, or ``host``, ``port`` or ``prefix`` cannot be one.
    """
    owner = f"the mqtt sink {host}:{port}"
    _require_address(host, port, prefix)
    try:
        from pylfr.sinks.mqtt_client import SteadyClient
    except ImportError as error:
        raise ConfigError("the mqtt sink needs the package paho-mqtt: pip install 'pylfr[mqtt]'") from error
    address = f"mqtt{'s' if tls is not None else ''}://{host}:{port}"
    broker = Broker(address=address, prefix=prefix, pictures=pictures)
    context = tls.context(owner) if tls is not None else None
    client = SteadyClient(tls=context, on_trouble=broker.note_trouble)
    if username is not None:
        client.username_pw_set(
            _short(resolve_secrets(username, name=owner), f"the username of {owner}"),
            None if password is None else _short(resolve_secrets(password, name=owner), f"the password of {owner}"),
        )
    elif password is not None:
        raise ConfigError(f"{owner} has a password and no username: MQTT 3.1.1 needs both")
    if tls is None and host not in ("localhost", "127.0.0.1", "::1"):
        log.warning("%s gets alerts unencrypted: use tls", address)
    broker.start(client, host, port)
    return broker


def _require_address(host: str, port: int, prefix: str) -> None:
    """Raise ``ConfigError`` for what no broker can have: later it would only end the client's thread."""
    try:
        is_host = bool(host) and host.isprintable() and bool(host.encode("idna"))
    except UnicodeError:
        is_host = False
    if not is_host:
        raise ConfigError(f"host must be the name or the address of an MQTT broker, got {host!r}")
    if not 1 <= port <= 65535:
        raise ConfigError(f"port must be 1 to 65535, got {port}")
    is_topic = bool(prefix) and prefix.isprintable() and not prefix.startswith("$")
    if not is_topic or any(sign in prefix for sign in "+#") or len(prefix.encode()) > _LONGEST_PREFIX_BYTES:
        raise ConfigError(
            f"prefix must be an MQTT topic of at most {_LONGEST_PREFIX_BYTES} bytes without + and #, got "
            f"{prefix[:80]!r}: for example 'pylfr'"
        )


def _short(secret: str, name: str) -> str:
    if len(secret.encode()) > _LONGEST_SECRET_BYTES:
        raise ConfigError(f"{name} must have at most {_LONGEST_SECRET_BYTES} bytes: MQTT takes no more")
    return secret


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def topic_level(name: str) -> str:
    """``name`` as one level of a topic: the signs that mean something in MQTT are percent-encoded."""
    return "".join(f"%{ord(sign):02X}" if sign in "%+#/\0" else sign for sign in name)
