"""Against a real HTTP server on this machine."""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import os
import resource
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from pylfr.errors import ConfigError, SinkError
from pylfr.sinks import delivery, pending
from pylfr.sinks.delivery import deliver_from_memory
from pylfr.sinks.webhook import webhook_of
from pylfr.types import Alert, Recorded
from tests.samples import sample_alert
from tests.sinks.test_record import recorded_alert

PATIENCE_S = 20.0


class Receiver(http.server.ThreadingHTTPServer):
    """Answers with ``statuses`` in turn, then with 204, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.statuses: list[int] = []
        self.answers = threading.Event()
        self.answers.set()
        self.bodies: list[dict[str, object]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.changed = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/alerts"

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.bodies) >= count, timeout=PATIENCE_S)


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.answers.wait(PATIENCE_S)
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        with self.server.changed:
            self.server.bodies.append(body)
            self.server.headers.append(dict(self.headers))
            self.server.paths.append(self.path)
            self.server.changed.notify_all()
        # Whoever sent this may have lost patience.
        with contextlib.suppress(OSError):
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(delivery, "_FIRST_RETRY_S", 0.01)
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.answers.set()
    server.shutdown()
    server.server_close()
    thread.join()


def alert_number(number: int) -> Recorded[Alert]:
    return recorded_alert(replace(sample_alert(entry=f"entry {number}"), id=f"id-{number}"))


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pylfr-webhook"]


def test_each_alert_arrives_once_and_in_order(receiver: Receiver) -> None:
    sink = deliver_from_memory(webhook_of(receiver.url))
    for number in range(5):
        sink.send(alert_number(number))
    sink.close()
    assert [body["entry"] for body in receiver.bodies] == [f"entry {number}" for number in range(5)]
    assert receiver.paths == ["/alerts"] * 5
    assert receiver.headers[0]["Content-Type"] == "application/json"
    assert receiver.headers[0]["Idempotency-Key"] == "id-0"
    assert "Authorization" not in receiver.headers[0]
    assert "crop_jpeg" not in receiver.bodies[0]
    assert not threads()


def test_without_alerts_nothing_is_sent(receiver: Receiver) -> None:
    deliver_from_memory(webhook_of(receiver.url)).close()
    assert receiver.bodies == []
    assert not threads()


def test_pictures_go_along_where_they_were_asked_for(receiver: Receiver) -> None:
    sink = deliver_from_memory(webhook_of(receiver.url, pictures=True))
    sink.send(alert_number(1))
    sink.close()
    assert "crop_jpeg" in receiver.bodies[0]


def test_the_secret_goes_into_the_header_and_nowhere_else(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "hunter2")
    caplog.set_level(logging.DEBUG)
    receiver.statuses = [500, 400]
    sink = deliver_from_memory(webhook_of(f"{receiver.url}?key=${{HOOK_TOKEN}}", secret="${HOOK_TOKEN}"))
    sink.send(alert_number(1))
    with pytest.raises(SinkError) as caught:
        sink.close()
    assert receiver.headers[0]["Authorization"] == "Bearer hunter2"
    assert receiver.paths[0] == "/alerts?key=hunter2"
    assert "hunter2" not in "".join([str(caught.value), repr(sink), repr(vars(sink)), caplog.text])


@pytest.mark.parametrize("status", [302, 401, 403, 404, 429, 500, 503])
def test_an_answer_that_somebody_can_put_right_leaves_the_alert_queued(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status, status]
    sink = deliver_from_memory(webhook_of(receiver.url))
    sink.send(alert_number(1))
    sink.send(alert_number(2))
    receiver.wait_for(4)
    sink.close()
    assert [body["entry"] for body in receiver.bodies] == ["entry 1", "entry 1", "entry 1", "entry 2"]


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_refusal_of_the_message_itself_is_final_and_counted_and_does_not_hold_the_others_back(
    receiver: Receiver, status: int
) -> None:
    receiver.statuses = [status]
    sink = deliver_from_memory(webhook_of(receiver.url))
    sink.send(alert_number(1))
    sink.send(alert_number(2))
    receiver.wait_for(2)
    with pytest.raises(
        SinkError, match=rf"alerts not delivered to {receiver.url} \(status {status}\): 1, see the audit record"
    ):
        sink.close()
    assert [body["entry"] for body in receiver.bodies] == ["entry 1", "entry 2"]


def test_a_full_queue_is_an_error_and_not_a_loss(receiver: Receiver) -> None:
    receiver.answers.clear()
    sink = deliver_from_memory(webhook_of(receiver.url), capacity=2)
    sink.send(alert_number(1))
    sink.send(alert_number(2))
    with pytest.raises(SinkError, match=r"alert id-3 cannot be sent to .*: 2 alerts are already queued"):
        sink.send(alert_number(3))
    receiver.answers.set()
    sink.close()
    assert len(receiver.bodies) == 2


def test_closing_says_how_many_alerts_nobody_took() -> None:
    server = Receiver()
    url = server.url
    server.server_close()
    sink = deliver_from_memory(webhook_of(url), close_s=0.5)
    sink.send(alert_number(1))
    sink.send(alert_number(2))
    with pytest.raises(
        SinkError, match=r"alerts not delivered to .* \(Connection refused\): 2, see the audit record"
    ) as lost:
        sink.close()
    assert lost.value.undelivered == 2
    sink.close()


def test_closing_does_not_wait_for_a_receiver_that_never_answers(receiver: Receiver) -> None:
    receiver.answers.clear()
    sink = deliver_from_memory(webhook_of(receiver.url), close_s=0.3, timeout_s=PATIENCE_S)
    sink.send(alert_number(1))
    with pytest.raises(SinkError, match=r"alerts not delivered to .*: 1,"):
        sink.close()


def test_nothing_is_sent_after_closing(receiver: Receiver) -> None:
    sink = deliver_from_memory(webhook_of(receiver.url))
    sink.close()
    with pytest.raises(SinkError, match=r"alert id-1 cannot be sent to .*: the sink is closed"):
        sink.send(alert_number(1))


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("ftp://host/alerts", "must have an address http:// or https://, got ftp://host/alerts"),
        ("alerts", "must have an address http:// or https://, got alerts"),
        ("https://user:hunter2@host/alerts", r"webhook https://\*\*\*@host/alerts must not carry a password"),
        ("https://host:port/alerts", "must have an address with a host and a port, got https://host:port/alerts"),
        ("https://host:0/alerts", "must have an address http:// or https://"),
        ("https://[host/alerts", r"must have an address with a host and a port, got \*\*\*"),
        (f"https://{'a' * 64}.example/alerts", "must have an address with a host and a port"),
        ("https://host/alerts\n", "address of the webhook has a line break at its end: remove it"),
        ("https://host/my alerts", "address of the webhook has a space at character 16: percent-encode"),
        ("https://host/al\x1b[2Jerts", r"address of the webhook has a character that cannot be printed \(U\+001B\)"),
        ("https://hôst/", "address of the webhook has a character outside ASCII at character 10"),
    ],
)
def test_an_address_that_cannot_be_posted_to_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        webhook_of(url)
    assert not threads()


def test_a_secret_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOK_TOKEN", raising=False)
    with pytest.raises(ConfigError, match=r"the secret of the webhook refers to \$\{HOOK_TOKEN\}, which is not set"):
        webhook_of("https://host/alerts", secret="${HOOK_TOKEN}")


@pytest.mark.parametrize(
    ("token", "complaint"),
    [
        ("hunter2\n", "HOOK_TOKEN, which the secret of the webhook refers to, has a line break at its end: remove it"),
        ("hunter\r\nX-Evil: 2", "HOOK_TOKEN, .* has a line break at character 7: remove it"),
        ("hunter\x002", r"HOOK_TOKEN, .* has a character that cannot be printed \(U\+0000\) at character 7"),
        ("hünter2", "the secret of the webhook has a character outside ASCII at character 2"),
        ("hunter 2", "the secret of the webhook has a space at character 7"),
        ("hunter\udcff", r"HOOK_TOKEN, .* \(U\+DCFF\) at its end"),
    ],
)
def test_a_token_that_no_header_can_carry_is_refused_at_start_and_never_shown(
    token: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, "HOOK_TOKEN": token})
    with pytest.raises(ConfigError, match=complaint) as caught:
        webhook_of("https://host/alerts", secret="${HOOK_TOKEN}")
    assert token[:4] not in "".join(traceback.format_exception(caught.value))
    assert not threads()


class HostileReceiver:
    """Accepts connections one after another, and answers each with the next of ``answers``, then with 204."""

    def __init__(self, *answers: Callable[[socket.socket], None]) -> None:
        self._answers = list(answers)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/alerts"
        self.connections = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connected, _ = self._listening.accept()
            except OSError:
                return
            answer = self._answers[self.connections] if self.connections < len(self._answers) else _accept
            self.connections += 1
            # The client hangs up on most of these.
            with connected, contextlib.suppress(OSError):
                connected.recv(65536)
                answer(connected)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


def _accept(connected: socket.socket) -> None:
    connected.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


def _endless_body(connected: socket.socket) -> None:
    connected.sendall(b"HTTP/1.1 503 Busy\r\n\r\n")
    while True:
        connected.sendall(bytes(1 << 16))


def _endless_chunks(connected: socket.socket) -> None:
    connected.sendall(b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connected.sendall(b"10000\r\n" + bytes(1 << 16) + b"\r\n")


def _drop_by_drop(connected: socket.socket) -> None:
    connected.sendall(b"HTTP/1.1 503 Busy\r\nX: ")
    while True:
        connected.sendall(b"x")
        time.sleep(0.02)


def _endless_continue(connected: socket.socket) -> None:
    while True:
        connected.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def _not_http(connected: socket.socket) -> None:
    connected.sendall(b"\xff\xfe\x00 SSH-2.0-nonsense\r\n\r\n")


def _hang_up(connected: socket.socket) -> None:
    connected.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "answer",
    [_endless_body, _endless_chunks, _drop_by_drop, _endless_continue, _not_http, _hang_up],
    ids=lambda answer: answer.__name__.strip("_"),
)
def test_a_hostile_answer_costs_bounded_time_and_memory_and_the_alert_arrives_afterwards(
    answer: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_FIRST_RETRY_S", 0.01)
    hostile = HostileReceiver(answer)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sink = deliver_from_memory(webhook_of(hostile.url), timeout_s=2.0, close_s=PATIENCE_S)
    sink.send(alert_number(1))
    sink.close()
    hostile.close()
    assert hostile.connections == 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 50_000


def test_an_alert_that_is_too_large_is_refused_and_the_queue_is_bounded_in_bytes(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = deliver_from_memory(webhook_of(receiver.url))
    with pytest.raises(SinkError, match=r"cannot be sent to .*: it has 5,000,\d+ bytes, 4,194,304 are the limit"):
        sink.send(recorded_alert(sample_alert(entry="x" * 5_000_000)))
    receiver.answers.clear()
    monkeypatch.setattr(pending, "_MOST_BYTES", 2500)
    sink.send(alert_number(1))
    with pytest.raises(SinkError, match="1 alerts are already queued"):
        sink.send(recorded_alert(sample_alert(entry="x" * 1000)))
    receiver.answers.set()
    sink.close()
