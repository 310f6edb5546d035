"""The rest of the interface: events, the deployment, the log, the pages in two languages."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from datetime import timedelta
from pathlib import Path

import httpx

from pylfr.deployment.resources import open_resources
from pylfr.service import deployment_views, pages, views
from pylfr.service.language import translator
from pylfr.service.texts import COUNTED, TEXTS
from pylfr.types import Event
from tests.cli.command import pylfr
from tests.service.stand import PATIENCE_S, Stand, free_port, serving, standing


class Listener:
    """A page that follows events."""

    def __init__(self, client: httpx.Client, *, last: int | None = None) -> None:
        self._client = client
        self._last = last
        self.heard: list[tuple[int, str, dict[str, object]]] = []
        self._changed = threading.Condition()
        self.connected = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        assert self.connected.wait(PATIENCE_S)

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.heard) >= count, timeout=PATIENCE_S), self.heard

    def _listen(self) -> None:
        headers = {} if self._last is None else {"Last-Event-ID": str(self._last)}
        event: dict[str, str] = {}
        try:
            with self._client.stream("GET", "/v1/events", headers=headers) as answer:
                self.connected.set()
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    if line and name:
                        event[name] = value
                    elif event.get("event") == "waiting":
                        event = {}
                    elif event:
                        with self._changed:
                            self.heard.append((int(event.get("id", 0)), event["event"], json.loads(event["data"])))
                            self._changed.notify_all()
                        event = {}
        except (httpx.HTTPError, RuntimeError):
            return


def test_alerts_and_decisions_reach_pages_and_say_no_verdict(stand: Stand) -> None:
    listener = Listener(stand.client("Bob"))
    id_ = stand.alert()
    listener.wait(1)
    ann = stand.client("Ann")
    ann.post(f"/v1/alerts/{id_}/verdicts", json=stand.signed("Ann", "adjudication", id_, "different person"))
    listener.wait(2)
    (_, first, alert), (_, second, decided) = listener.heard
    assert (first, alert["id"], alert["state"], alert["score"]) == ("alert", id_, "open", None)
    assert alert["pictures"] == ["probe", "reference", "scene"]
    assert (second, decided) == ("decided", {"alert": id_, "state": "partly adjudicated"})
    assert "different" not in json.dumps(listener.heard)


def test_nothing_is_lost_over_a_reconnection(stand: Stand) -> None:
    stand.alert()
    first = Listener(stand.client("Bob"), last=0)
    first.wait(1)
    last = first.heard[-1][0]
    missed = [stand.alert() for _ in range(3)]
    again = Listener(stand.client("Bob"), last=last)
    again.wait(3)
    assert [data["id"] for _, _, data in again.heard] == missed


def test_nothing_is_lost_over_a_restart(tmp_path: Path) -> None:
    bearer = {"Authorization": "Bearer token"}
    digest = hashlib.sha256(b"token").hexdigest()
    more = f'[service.tokens."archive"]\nsha256 = "{digest}"\nscopes = ["alerts"]\n'
    with standing(tmp_path, more=more) as stand:
        stand.alert()
        before = stand.client()
        before.headers.update(bearer)
        first = Listener(before, last=0)
        first.wait(1)
        missed = [stand.alert() for _ in range(2)]
        port = free_port()
        text = (tmp_path / "deployment.toml").read_text()
        (tmp_path / "again.toml").write_text(text.replace(stand.origin.rpartition(":")[2], str(port)))
        with open_resources(tmp_path / "again.toml") as resources, serving(resources, port):
            client = stand.clients.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=bearer))
            again = Listener(client, last=first.heard[0][0])
            again.wait(2)
            missed.append(stand.alert())
            again.wait(3)
        assert [data["id"] for _, _, data in again.heard] == missed


def test_after_a_sweep_nothing_of_whom_was_seen_comes_from_here_again(stand: Stand) -> None:
    until_s = time.monotonic() + 8.1
    id_ = stand.alert(retention=timedelta(seconds=8))
    bob = stand.client("Bob")
    first = Listener(bob, last=0)
    first.wait(1)
    assert first.heard[0][2]["possible_match"] == "REF-1 Ada Lovelace"
    given, key = stand.signed("Bob", "adjudication", id_, "same person"), {"Idempotency-Key": "k"}
    answered = bob.post(f"/v1/alerts/{id_}/verdicts", json=given, headers=key)
    assert answered.json()["possible_match"] == "REF-1 Ada Lovelace"
    time.sleep(max(0.0, until_s - time.monotonic()))
    swept = pylfr("sweep", stand.folder / "deployment.toml")
    assert swept.returncode == 0, swept.stderr
    first.wait(3)
    assert [kind for _, kind, _ in first.heard] == ["alert", "decided", "erased"]
    seen = bob.get(f"/v1/alerts/{id_}").json()
    assert (seen["possible_match"], seen["pictures"]) == (None, [])
    assert bob.get(f"/v1/alerts/{id_}/pictures/probe").status_code == 410
    # Whoever was away and asks for what they missed is told to load everything anew.
    again = Listener(stand.client("Bob"), last=0)
    again.wait(1)
    assert again.heard[0][1] == "reload"
    # Nor does the answer to what was sent before; nothing is decided twice.
    repeated = bob.post(f"/v1/alerts/{id_}/verdicts", json=given, headers=key)
    assert repeated.status_code == 409
    assert "Lovelace" not in json.dumps([*again.heard, seen, repeated.json()])


def test_the_deployment_its_cameras_and_its_retention_are_shown(stand: Stand) -> None:
    stand.audit.note(Event(kind="camera-opened", details={"camera": "north", "at": "", "detail": "h264 640x480"}))
    dee = stand.client("Dee")
    shown = dee.get("/v1/deployment").json()
    assert (shown["name"], shown["place"], shown["people"]) == (
        "Market Square",
        "Market Square",
        list("") + sorted(["Ann", "Bob", "Cem", "Dee", "Eve"]),
    )
    (camera,) = dee.get("/v1/cameras").json()
    assert (camera["name"], camera["state"], camera["details"]) == ("north", "opened", "h264 640x480")
    assert "Video is not recorded." in dee.get("/v1/retention").json()["sentences"]


def test_the_audit_log_is_verified_each_time_it_is_shown(stand: Stand) -> None:
    id_ = stand.alert()
    eve = stand.client("Eve")
    shown = eve.get("/v1/audit").json()
    assert shown["is_signed"]
    assert shown["flaws"] == shown["differences"] == []
    assert [entry["kind"] for entry in shown["entries"]][-1] == "alert"
    log = stand.folder / "audit.log"
    log.write_bytes(log.read_bytes().replace(b'"camera":"north"', b'"camera":"south"'))
    changed = eve.get("/v1/audit").json()
    assert "it was changed" in changed["flaws"][0]
    assert "cannot be compared with this log" in changed["differences"][0]
    # Nobody decides by a log that was changed.
    given = stand.signed("Ann", "adjudication", id_, "same person")
    refused = stand.client("Ann").post(f"/v1/alerts/{id_}/verdicts", json=given)
    assert refused.status_code == 503
    assert "it was changed" in refused.json()["detail"]


def test_names_with_markup_and_escapes_are_text(stand: Stand) -> None:
    name = '<script>alert(1)</script>\x1b[2J"&'
    id_ = stand.alert(entry=name)
    ann = stand.client("Ann")
    assert ann.get(f"/v1/alerts/{id_}").json()["possible_match"] == name
    assert ann.get(f"/v1/alerts/{id_}").headers["content-type"] == "application/json"
    for page in ("/desk", "/deployment", "/cameras"):
        assert "<script>alert" not in ann.get(page).text


def test_pages_speak_the_readers_language_and_name_their_own(stand: Stand) -> None:
    ann = stand.client("Ann")
    english = ann.get("/desk", headers={"Accept-Language": "fr, en;q=0.8"}).text
    german = ann.get("/desk", headers={"Accept-Language": "de-AT,de;q=0.9"}).text
    assert '<html lang="en">' in english
    assert "Possible match" in english
    assert '<html lang="de">' in german
    assert "Mögliche Übereinstimmung" in german


def test_the_first_page_is_the_first_that_a_role_has(stand: Stand) -> None:
    for name, path in (("Ann", "/desk"), ("Cem", "/engagement"), ("Eve", "/cameras"), (None, "/sign-in")):
        assert stand.client(name).get("/").headers["location"] == path


def test_the_interface_describes_itself(stand: Stand) -> None:
    described = stand.client().get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert "/v1/alerts/{alert}/verdicts" in described["paths"]


def test_everything_that_is_sent_has_an_example_that_is_taken(stand: Stand) -> None:
    described = stand.client().get("/openapi.json").json()
    bodies = 0
    for paths in described["paths"].values():
        for operation in paths.values():
            for body in operation.get("requestBody", {}).get("content", {}).values():
                name = body["schema"]["$ref"].rpartition("/")[2]
                (example,) = described["components"]["schemas"][name]["examples"]
                kind = getattr(views, name, None) or getattr(deployment_views, name)
                assert kind.model_validate(example)
                bodies += 1
    assert bodies > 10


def test_every_word_of_the_pages_is_in_the_other_language_too() -> None:
    german, service = translator("de"), Path(pages.__file__).parent
    words = {*TEXTS.values(), *COUNTED.values(), *(title for _, title, _ in pages.PAGES)}
    for template in (service / "templates").glob("*.html"):
        text = template.read_text()
        words |= {*re.findall(r'_\("([^"]+)"\)', text), *re.findall(r"_\('([^']+)'\)", text)}
    assert len(words) > 150
    # The same word in both.
    same = {"Name", "Details", "{p50} ms, p99 {p99} ms", "Undo", "Alarm", "live"}
    assert [word for word in sorted(words) if german(word) == word and word not in same] == []
