"""Against a real broker on this machine."""

from __future__ import annotations

import contextlib
import json
import logging
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pylfr.errors import ConfigError, SinkError
from pylfr.sinks import delivery
from pylfr.sinks.delivery import deliver_from_memory
from pylfr.sinks.mqtt import MqttTls, broker_of, topic_level
from pylfr.types import Alert, Recorded
from tests.samples import sample_alert
from tests.sinks.certificates import certificates
from tests.sinks.test_record import recorded_alert

client_module = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: pip install 'pylfr[mqtt]'")

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin")
needs_broker = pytest.mark.skipif(
    MOSQUITTO is None, reason="no MQTT broker to test with: install the packages of .ci/apt-packages.txt"
)
PATIENCE_S = 20.0


class Broker:
    """A mosquitto for one test, which keeps its port when it is started again."""

    def __init__(self, folder: Path, *, users: dict[str, str] | None = None, tls: Sequence[str] = ()) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._settings = folder / "mosquitto.conf"
        # Started by root, mosquitto would become a user who cannot read the folder of a test.
        lines = [
            f"listener {self.port} 127.0.0.1",
            "persistence false",
            "user root",
            f"allow_anonymous {str(not users).lower()}",
            *tls,
        ]
        if users:
            passwords = folder / "passwords"
            passwords.touch(mode=0o644)
            for user, password in users.items():
                subprocess.run(["mosquitto_passwd", "-b", str(passwords), user, password], check=True)
            lines.append(f"password_file {passwords}")
            folder.chmod(0o755)
        self._settings.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait(self._is_listening, "the broker to listen")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _is_listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Listener:
    """Another client, which hears everything below a prefix."""

    def __init__(self, port: int, prefix: str = "pylfr") -> None:
        self.heard: list[tuple[str, str]] = []
        self._ready = threading.Event()
        self._client = client_module.Client(client_module.CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{prefix}/#", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda _, __, message: self.heard.append((message.topic, message.payload.decode()))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(PATIENCE_S)

    def alerts(self) -> list[tuple[str, str]]:
        """Topic and entry of each alert."""
        return [(topic, json.loads(text)["entry"]) for topic, text in self.heard if topic.endswith("/alert")]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(delivery, "_LONGEST_RETRY_S", 0.2)


def wait(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until, f"waited for {what}"
        time.sleep(0.01)


def alert_number(number: int, camera: str = "north") -> Recorded[Alert]:
    return recorded_alert(replace(sample_alert(entry=f"entry {number}", camera=camera), id=f"id-{number}"))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    one = Broker(tmp_path)
    one.start()
    yield one
    one.stop()


@needs_broker
def test_alerts_arrive_under_their_camera_and_the_status_says_who_is_there(broker: Broker) -> None:
    listener = Listener(broker.port)
    sink = deliver_from_memory(broker_of("127.0.0.1", port=broker.port))
    wait(lambda: ("pylfr/status", "online") in listener.heard, "the status")
    for number, camera in enumerate(["north", "south", "gate/2 +#"]):
        sink.send(alert_number(number, camera))
    sink.close()
    wait(lambda: listener.heard[-1:] == [("pylfr/status", "offline")], "the last status")
    assert listener.alerts() == [
        ("pylfr/north/alert", "entry 0"),
        ("pylfr/south/alert", "entry 1"),
        ("pylfr/gate%2F2 %2B%23/alert", "entry 2"),
    ]
    listener.close()


@needs_broker
def test_without_alerts_closing_is_quiet(broker: Broker) -> None:
    sink = deliver_from_memory(broker_of("127.0.0.1", port=broker.port))
    sink.close()
    sink.close()
    with pytest.raises(SinkError, match=r"alert id-1 cannot be sent to mqtt://.*: the sink is closed"):
        sink.send(alert_number(1))


@pytest.fixture
def slow_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever listens has subscribed before the alerts come."""
    monkeypatch.setattr("pylfr.sinks.mqtt_client._RETRY_S", (5, 30))


@needs_broker
@pytest.mark.usefixtures("slow_retries")
def test_alerts_wait_for_a_broker_that_comes_later(tmp_path: Path) -> None:
    late = Broker(tmp_path)
    sink = deliver_from_memory(broker_of("127.0.0.1", port=late.port), close_s=PATIENCE_S)
    sink.send(alert_number(1))
    sink.send(alert_number(2))
    late.start()
    listener = Listener(late.port)
    sink.close()
    wait(lambda: len(listener.alerts()) >= 2, "both alerts")
    assert listener.alerts() == [("pylfr/north/alert", "entry 1"), ("pylfr/north/alert", "entry 2")]
    listener.close()
    late.stop()


@needs_broker
@pytest.mark.usefixtures("slow_retries")
def test_alerts_go_on_after_a_broker_was_restarted(broker: Broker) -> None:
    sink = deliver_from_memory(broker_of("127.0.0.1", port=broker.port), close_s=PATIENCE_S)
    listener = Listener(broker.port)
    sink.send(alert_number(1))
    wait(lambda: len(listener.alerts()) == 1, "the first alert")
    listener.close()
    broker.stop()
    sink.send(alert_number(2))
    broker.start()
    listener = Listener(broker.port)
    sink.close()
    wait(lambda: bool(listener.alerts()), "the second alert")
    assert {entry for _, entry in listener.alerts()} == {"entry 2"}
    listener.close()


@needs_broker
def test_the_password_opens_the_broker_and_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    guarded = Broker(tmp_path, users={"pylfr": "hunter2"})
    guarded.start()
    monkeypatch.setenv("MQTT_PASSWORD", "hunter2")
    sink = deliver_from_memory(broker_of("127.0.0.1", port=guarded.port, username="pylfr", password="${MQTT_PASSWORD}"))
    sink.send(alert_number(1))
    sink.close()
    monkeypatch.setenv("MQTT_PASSWORD", "hunter3")
    refused = deliver_from_memory(
        broker_of("127.0.0.1", port=guarded.port, username="pylfr", password="${MQTT_PASSWORD}"), close_s=3.0
    )
    refused.send(alert_number(2))
    with pytest.raises(SinkError, match=r"not delivered to mqtt://.* \(Not authorized\): 1, see") as caught:
        refused.close()
    assert "hunter" not in "".join([str(caught.value), repr(refused), repr(vars(refused)), caplog.text])
    guarded.stop()


def test_closing_says_how_many_alerts_nobody_took(tmp_path: Path) -> None:
    nobody = Broker(tmp_path)
    sink = deliver_from_memory(broker_of("127.0.0.1", port=nobody.port), close_s=0.2)
    sink.send(alert_number(1))
    sink.send(alert_number(2))
    with pytest.raises(
        SinkError, match=r"alerts not delivered to mqtt://.* \((not connected|Connection refused)\): 2, see the audit"
    ) as lost:
        sink.close()
    assert lost.value.undelivered == 2


def test_a_full_queue_is_an_error_and_not_a_loss(tmp_path: Path) -> None:
    nobody = Broker(tmp_path)
    sink = deliver_from_memory(broker_of("127.0.0.1", port=nobody.port), capacity=2, close_s=0.1)
    sink.send(alert_number(1))
    sink.send(alert_number(2))
    wait(lambda: bool(sink._reason), "the first attempt")
    with pytest.raises(
        SinkError,
        match=r"cannot be sent to mqtt://.*: 2 alerts are already queued \((not connected|Connection refused)\)",
    ):
        sink.send(alert_number(3))
    with pytest.raises(SinkError, match=r"alerts not delivered to .*: 2,"):
        sink.close()


@needs_broker
def test_a_broker_with_tls_gets_alerts_from_clients_with_a_certificate_alone(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    guarded = Broker(
        tmp_path,
        tls=[
            f"cafile {made.ca}",
            f"certfile {made.server}",
            f"keyfile {made.server_key}",
            "require_certificate true",
        ],
    )
    guarded.start()
    both = MqttTls(ca=made.ca, certificate=made.client, private_key=made.client_key, passphrase="hunter2")
    sink = deliver_from_memory(broker_of("127.0.0.1", port=guarded.port, tls=both), close_s=PATIENCE_S)
    sink.send(alert_number(1))
    sink.close()
    for refused in (MqttTls(ca=made.ca), MqttTls(), None):
        sink = deliver_from_memory(broker_of("127.0.0.1", port=guarded.port, tls=refused), close_s=0.5)
        sink.send(alert_number(2))
        with pytest.raises(SinkError, match=r"not delivered to mqtts?://"):
            sink.close()
    guarded.stop()


@needs_broker
def test_a_broker_with_the_certificate_of_another_host_gets_nothing(tmp_path: Path) -> None:
    made = certificates(tmp_path, host="broker.example")
    other = Broker(tmp_path, tls=[f"certfile {made.server}", f"keyfile {made.server_key}"])
    other.start()
    sink = deliver_from_memory(broker_of("127.0.0.1", port=other.port, tls=MqttTls(ca=made.ca)), close_s=3.0)
    sink.send(alert_number(1))
    with pytest.raises(SinkError, match=r"not delivered to mqtts://.* \(.*certificate is not valid for '127"):
        sink.close()
    other.stop()


def test_tls_files_that_cannot_be_used_are_named_at_start(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    for tls, complaint in (
        (MqttTls(ca=tmp_path / "none.pem"), r"no certificates can be read from .*none\.pem: No such file"),
        (MqttTls(ca=made.client_key), r"no certificates can be read from .*client\.key"),
        (MqttTls(certificate=made.client), "needs certificate and private_key, or neither"),
        (MqttTls(certificate=made.client, private_key=made.server_key), "are no certificate and its private key"),
        (MqttTls(certificate=made.client, private_key=made.client_key), "or the passphrase is wrong"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            broker_of("127.0.0.1", tls=tls)
    made.client_key.chmod(0o644)
    with pytest.raises(ConfigError, match=r"client\.key must be its owner's alone: chmod 600"):
        broker_of("127.0.0.1", tls=MqttTls(certificate=made.client, private_key=made.client_key, passphrase="hunter2"))


def test_a_hostile_broker_costs_bounded_memory_and_the_client_reconnects(caplog: pytest.LogCaptureFixture) -> None:
    accepted = b"\x20\x02\x00\x00"
    # A packet of 256 MB, one that is malformed (a topic that is no UTF-8), one of a kind that does not exist.
    answers = [accepted + b"\x30\xff\xff\xff\x7f", accepted + b"\x30\x05\x00\x02\xff\xfe\x00", accepted + b"\x00\x00"]
    connections: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connected, _ = listening.accept()
                except OSError:
                    return
                with connected, contextlib.suppress(OSError):
                    connected.settimeout(5)
                    connections.append(connected.recv(4096))
                    connected.sendall(answers[min(len(connections), len(answers)) - 1])
                    for _ in range(64):
                        connected.sendall(bytes(1 << 20))

        thread = threading.Thread(target=serve)
        thread.start()
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sink = deliver_from_memory(broker_of("127.0.0.1", port=listening.getsockname()[1]), close_s=0.1)
        wait(lambda: len(connections) > len(answers), "the client to connect again and again")
        sink.close()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 50_000


@pytest.mark.parametrize("host", ["", "a" * 64 + ".example", "host\n", "ho\x00st"])
def test_a_host_that_is_none_is_refused_at_start(host: str) -> None:
    with pytest.raises(ConfigError, match="host must be the name or the address of an MQTT broker"):
        broker_of(host)


def test_a_user_or_password_that_cannot_be_sent_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", "hunter2\n")
    with pytest.raises(ConfigError, match=r"MQTT_PASSWORD, .* has a line break at its end") as caught:
        broker_of("127.0.0.1", username="pylfr", password="${MQTT_PASSWORD}")
    assert "hunter" not in str(caught.value)
    monkeypatch.setenv("MQTT_PASSWORD", "x" * 70_000)
    with pytest.raises(ConfigError, match=r"the password of the mqtt sink .* must have at most 65535 bytes"):
        broker_of("127.0.0.1", username="pylfr", password="${MQTT_PASSWORD}")
    with pytest.raises(ConfigError, match="has a password and no username"):
        broker_of("127.0.0.1", password="hunter2")


@pytest.mark.parametrize("prefix", ["", "a/+/b", "a/#", "$SYS", "a\nb", "x" * 2000])
def test_a_prefix_that_is_no_topic_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError, match="prefix must be an MQTT topic"):
        broker_of("127.0.0.1", prefix=prefix)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    monkeypatch.delitem(sys.modules, "pylfr.sinks.mqtt_client", raising=False)
    with pytest.raises(ConfigError, match=r"needs the package paho-mqtt: pip install 'pylfr\[mqtt\]'"):
        broker_of("127.0.0.1")


def test_cameras_of_different_names_have_different_topics() -> None:
    assert topic_level("gate/2") == "gate%2F2"
    assert topic_level("gate%2F2") == "gate%252F2"
    assert topic_level("Nördlicher Platz") == "Nördlicher Platz"
