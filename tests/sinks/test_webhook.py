"""Against a real HTTP server on this machine."""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pylfr.errors import ConfigError, SinkError
from pylfr.sinks import webhook
from pylfr.sinks.webhook import open_webhook
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
    monkeypatch.setattr(webhook, "_FIRST_RETRY_S", 0.01)
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
    sink = open_webhook(receiver.url)
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
    open_webhook(receiver.url).close()
    assert receiver.bodies == []
    assert not threads()


def test_pictures_go_along_where_they_were_asked_for(receiver: Receiver) -> None:
    sink = open_webhook(receiver.url, pictures=True)
    sink.send(alert_number(1))
    sink.close()
    assert "crop_jpeg" in receiver.bodies[0]


def test_the_secret_goes_into_the_header_and_nowhere_else(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "hunter2")
    caplog.set_level(logging.DEBUG)
    receiver.statuses = [500, 403]
    sink = open_webhook(f"{receiver.url}?key=${{HOOK_TOKEN}}", secret="${HOOK_TOKEN}")
    sink.send(alert_number(1))
    with pytest.raises(SinkError) as caught:
        sink.close()
    assert receiver.headers[0]["Authorization"] == "Bearer hunter2"
    assert receiver.paths[0] == "/alerts?key=hunter2"
    assert "hunter2" not in "".join([str(caught.value), repr(sink), repr(vars(sink)), caplog.text])


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_receiver_that_says_later_is_tried_again(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status, status]
    sink = open_webhook(receiver.url)
    sink.send(alert_number(1))
    sink.send(alert_number(2))
    receiver.wait_for(4)
    sink.close()
    assert [body["entry"] for body in receiver.bodies] == ["entry 1", "entry 1", "entry 1", "entry 2"]


@pytest.mark.parametrize("status", [302, 400, 401, 404])
def test_a_refusal_is_final_counted_and_does_not_hold_the_others_back(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status]
    sink = open_webhook(receiver.url)
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
    sink = open_webhook(receiver.url, capacity=2)
    sink.send(alert_number(1))
    sink.send(alert_number(2))
    with pytest.raises(SinkError, match=r"alert id-3 cannot be sent to .*: 2 alerts already wait"):
        sink.send(alert_number(3))
    receiver.answers.set()
    sink.close()
    assert len(receiver.bodies) == 2


def test_closing_says_how_many_alerts_nobody_took() -> None:
    server = Receiver()
    url = server.url
    server.server_close()
    sink = open_webhook(url, close_s=0.5)
    sink.send(alert_number(1))
    sink.send(alert_number(2))
    with pytest.raises(SinkError, match=r"alerts not delivered to .* \(Connection refused\): 2, see the audit record"):
        sink.close()
    sink.close()


def test_closing_does_not_wait_for_a_receiver_that_never_answers(receiver: Receiver) -> None:
    receiver.answers.clear()
    sink = open_webhook(receiver.url, close_s=0.3, timeout_s=PATIENCE_S)
    sink.send(alert_number(1))
    with pytest.raises(SinkError, match=r"alerts not delivered to .*: 1,"):
        sink.close()


def test_nothing_is_sent_after_closing(receiver: Receiver) -> None:
    sink = open_webhook(receiver.url)
    sink.close()
    with pytest.raises(SinkError, match=r"alert id-1 cannot be sent to .*: the sink was closed before"):
        sink.send(alert_number(1))


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("ftp://host/alerts", "must have an address http:// or https://, got ftp://host/alerts"),
        ("alerts", "must have an address http:// or https://, got alerts"),
        ("https://user:hunter2@host/alerts", r"webhook https://\*\*\*@host/alerts must not carry a password"),
    ],
)
def test_an_address_that_cannot_be_posted_to_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        open_webhook(url)
    assert not threads()


def test_a_secret_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOK_TOKEN", raising=False)
    with pytest.raises(ConfigError, match=r"the secret of the webhook refers to \$\{HOOK_TOKEN\}, which is not set"):
        open_webhook("https://host/alerts", secret="${HOOK_TOKEN}")
