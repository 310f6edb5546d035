"""Against a real broker on this machine."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pylfr.errors import ConfigError, SinkError
from pylfr.sinks.mqtt import open_mqtt, topic_level
from pylfr.types import Alert, Recorded
from tests.samples import sample_alert
from tests.sinks.test_record import recorded_alert

client_module = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: pip install 'pylfr[mqtt]'")

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin")
needs_broker = pytest.mark.skipif(
    MOSQUITTO is None, reason="no MQTT broker to test with: install the packages of .ci/apt-packages.txt"
)
PATIENCE_S = 20.0


class Broker:
    """A mosquitto for one test, which keeps its port when it is started again."""

    def __init__(self, folder: Path, *, users: dict[str, str] | None = None) -> None:
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
    sink = open_mqtt("127.0.0.1", port=broker.port)
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
    sink = open_mqtt("127.0.0.1", port=broker.port)
    sink.close()
    sink.close()
    with pytest.raises(SinkError, match=r"alert id-1 cannot be sent to mqtt://.*: the sink was closed before"):
        sink.send(alert_number(1))


@needs_broker
def test_alerts_wait_for_a_broker_that_comes_later(tmp_path: Path) -> None:
    late = Broker(tmp_path)
    sink = open_mqtt("127.0.0.1", port=late.port, close_s=PATIENCE_S)
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
def test_alerts_go_on_after_a_broker_was_restarted(broker: Broker) -> None:
    sink = open_mqtt("127.0.0.1", port=broker.port, close_s=PATIENCE_S)
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
    sink = open_mqtt("127.0.0.1", port=guarded.port, username="pylfr", password="${MQTT_PASSWORD}")
    sink.send(alert_number(1))
    sink.close()
    monkeypatch.setenv("MQTT_PASSWORD", "hunter3")
    refused = open_mqtt(
        "127.0.0.1",
        port=guarded.port,
        username="pylfr",
        password="${MQTT_PASSWORD}",
        close_s=0.5,
    )
    refused.send(alert_number(2))
    with pytest.raises(SinkError, match=r"not delivered to mqtt://.* \(Not authorized\): 1, see") as caught:
        refused.close()
    assert "hunter" not in "".join([str(caught.value), repr(refused), repr(vars(refused)), caplog.text])
    guarded.stop()


def test_closing_says_how_many_alerts_nobody_took(tmp_path: Path) -> None:
    nobody = Broker(tmp_path)
    sink = open_mqtt("127.0.0.1", port=nobody.port, close_s=0.2)
    sink.send(alert_number(1))
    sink.send(alert_number(2))
    with pytest.raises(
        SinkError, match=r"alerts not delivered to mqtt://.* \(not connected\): 2, see the audit record"
    ):
        sink.close()


def test_a_full_queue_is_an_error_and_not_a_loss(tmp_path: Path) -> None:
    nobody = Broker(tmp_path)
    sink = open_mqtt("127.0.0.1", port=nobody.port, capacity=2, close_s=0.1)
    sink.send(alert_number(1))
    sink.send(alert_number(2))
    with pytest.raises(SinkError, match=r"cannot be sent to mqtt://.*: 2 alerts already wait \(not connected\)"):
        sink.send(alert_number(3))
    with pytest.raises(SinkError, match=r"alerts not delivered to .*: 2,"):
        sink.close()


@pytest.mark.parametrize("prefix", ["", "a/+/b", "a/#", "$SYS"])
def test_a_prefix_that_is_no_topic_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError, match="prefix must be an MQTT topic"):
        open_mqtt("127.0.0.1", prefix=prefix)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(ConfigError, match=r"needs the package paho-mqtt: pip install 'pylfr\[mqtt\]'"):
        open_mqtt("127.0.0.1")


def test_cameras_of_different_names_have_different_topics() -> None:
    assert topic_level("gate/2") == "gate%2F2"
    assert topic_level("gate%2F2") == "gate%252F2"
    assert topic_level("Nördlicher Platz") == "Nördlicher Platz"
