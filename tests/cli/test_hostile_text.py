"""Terminal escapes and line breaks in any field, at any entrance, reach no terminal, no line of a log and no report."""

from __future__ import annotations

import http.server
import json
import logging
import re
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import typer.main
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pylfr._internal.log_context import logged_as
from pylfr.cli import _status_of, command_line
from pylfr.cli.console import warn
from pylfr.cluster.status import ClusterStatus, NodeStatus
from pylfr.errors import PylfrError
from pylfr.evaluation.report import Table, _markdown
from pylfr.governance.audit.audit import open_audit
from pylfr.governance.authorisation.authority import plain_fields
from pylfr.governance.report.page import markdown_of
from pylfr.governance.report.report import DeploymentReport
from pylfr.monitoring.logs import JsonFormatter, TextFormatter
from pylfr.sinks.delivery import DeliveryError
from pylfr.sinks.record import AlertMessage
from pylfr.sinks.webhook import webhook_of
from pylfr.types import Event
from tests.deployment.test_config import GOOD
from tests.gallery.watchlist.test_sealed import enrolled
from tests.governance.report.test_report import deployment
from tests.governance.samples import authorisation
from tests.readers.readers import READERS, make_whole
from tests.samples import sample_alert
from tests.sinks.test_record import recorded_alert

# What would be seen at the start of a line if a line break came through.
_FORGED = "FORGED"
_BREAKS = ("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029")
_ESCAPES = (
    "\x1b[2J",
    "\x1b]52;c;cm0=\x07",
    "\x9b31m",
    "\x90q\x9c",
    "\x08\x08",
    "\x7f",
    "\u202e",
    "\u2066",
    "\u200f",
    "\0",
)


@st.composite
def hostile(draw: st.DrawFn) -> str:
    """A text that forges a line, moves the cursor, or turns the direction of writing."""
    parts = [draw(st.sampled_from(_BREAKS)) + _FORGED, draw(st.sampled_from(_ESCAPES)), draw(st.text(max_size=5))]
    return "A" + "".join(draw(st.permutations([*parts, "[red]", "|# "])))


HOSTILE = hostile().filter(lambda text: not any("\ud800" <= sign <= "\udfff" for sign in text))
A_FEW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


def require_harmless(shown: str, *, is_set_in: bool = False) -> None:
    """Raise ``AssertionError`` where ``shown`` moves a cursor, or has a line that somebody else began.

    Lines of a traceback are set in (``is_set_in``), and so are none that begins anything.
    """
    for line in shown.split("\n"):
        assert all(sign.isprintable() or sign in "\u200c\u200d" for sign in line), ascii(line)
        assert not line.lstrip("│|>" if is_set_in else " │|>").startswith(_FORGED), line


def shown_by(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command shows."""
    capsys.readouterr()
    with mock.patch.object(sys, "argv", ["pylfr", *words]):
        _status_of(command_line(words), words)
    out, err = capsys.readouterr()
    require_harmless(out)
    require_harmless(err)
    return out + err


def in_json(text: str) -> str:
    return json.dumps(text)


def commands() -> Iterator[tuple[str, ...]]:
    """The words of every command."""

    def below(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        group: dict[str, object] | None = getattr(command, "commands", None)
        if group is None:
            yield words
        else:
            for name, each in group.items():
                yield from below(each, (*words, name))

    yield from below(typer.main.get_command(command_line()), ())


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_words_of_a_command_are_shown_harmlessly(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # Nothing here closes the memory of the tests' own process, or asks for a cluster.
    monkeypatch.setattr("pylfr.cli.serve.close_memory", lambda: None)
    monkeypatch.setattr("pylfr.cli.run.close_memory", lambda: None)
    monkeypatch.setattr("pylfr.cli.cluster._connected", lambda _: HostileCluster(f"A\n{_FORGED}\x1b[2J"))
    text = f"A\n{_FORGED}\x1b[2J\x9b31m\u202e[red]"
    shown_by(capsys, *words, text)
    shown_by(capsys, *words, text, text, text)
    shown_by(capsys, *words, f"--{text}")


@dataclass(frozen=True, slots=True)
class HostileCluster:
    """A cluster whose head and nodes say ``text`` wherever they may say something."""

    text: str

    def find(self, _: object) -> HostileCluster:
        return self

    start = find

    def status(self) -> ClusterStatus:
        node = NodeStatus(
            name=self.text, cameras=(), capacity=1, beat_s_ago=0.5, is_drained=False, has_newest_watchlist=False,
            watchlist_revision=1, alerts_waiting=0, why=self.text,
        )  # fmt: skip
        other = replace(node, name="north", cameras=(self.text,), why="")
        return ClusterStatus(
            nodes=(node, other), unplaced=(self.text,), ended=(self.text,), cameras=2, failed={self.text: self.text},
            alerts=1, repeats=0, undelivered=0, watchlist_revision=2, stopped_because=self.text, has_ended=True,
        )  # fmt: skip

    def drain(self, _: str) -> None:
        pass

    undrain = drain

    def close(self) -> None:
        pass

    def end(self, cluster: HostileCluster) -> ClusterStatus:
        return cluster.status()


@A_FEW
@given(text=HOSTILE)
@pytest.mark.parametrize("command", ["run", "status", "drain", "undrain", "stop"])
def test_what_nodes_and_heads_say_is_shown_harmlessly(
    command: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("node", "deployment.toml") if command in ("drain", "undrain") else ("deployment.toml",)
    with mock.patch("pylfr.cli.cluster._connected", return_value=HostileCluster(text)):
        assert "ended" in shown_by(capsys, "cluster", command, *words) or command not in ("run", "stop")


@A_FEW
@given(text=HOSTILE)
def test_a_word_that_is_no_command_is_shown_harmlessly(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown_by(capsys, text)
    shown_by(capsys, "watchlist", text)


def strings_of(text: str) -> list[str]:
    return sorted(set(re.findall(r'"[^"\n]*"', text)))


@settings(A_FEW, max_examples=25)
@given(text=HOSTILE, field=st.sampled_from(strings_of(GOOD)))
def test_any_field_of_a_deployment_is_shown_harmlessly(
    text: str, field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "deployment.toml"
    path.write_text(GOOD.replace(field, in_json(text)))
    shown_by(capsys, "config", "check", str(path))
    shown_by(capsys, "retention", "show", str(path))


@A_FEW
@given(text=HOSTILE)
def test_a_watchlist_that_somebody_wrote_into_is_shown_harmlessly(
    text: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path_factory.mktemp("list") / "list"
    enrolled(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for table, column in (("entries", "name"), ("entries", "category"), ("entries", "justification")):
            connection.execute(f"UPDATE {table} SET {column} = ? || id", (text,))
        connection.execute("UPDATE watchlist SET embedder = ?", (text,))
    shown_by(capsys, "watchlist", "list", str(path))
    shown_by(capsys, "watchlist", "remove", str(path), "A0")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE entries SET added_at = ?", (text,))
    shown_by(capsys, "watchlist", "list", str(path))


@A_FEW
@given(text=HOSTILE)
def test_any_field_of_a_log_is_shown_harmlessly(
    text: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path_factory.mktemp("log") / "audit.log"
    with closing(open_audit(path)) as log:
        log.note(Event(kind=text, details={"camera": text, "because": text}))
        log.record(sample_alert(camera=text, entry=text))
    assert "A" in shown_by(capsys, "audit", "show", str(path))
    shown_by(capsys, "audit", "verify", str(path))
    path.write_text(path.read_text().replace("camera", "came"))
    shown_by(capsys, "audit", "verify", str(path))


@A_FEW
@given(text=HOSTILE)
def test_any_term_of_an_authorisation_is_shown_harmlessly(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draft = plain_fields(authorisation())
    path = tmp_path / "draft.json"
    path.write_text(json.dumps({name: text if isinstance(value, str) else value for name, value in draft.items()}))
    shown_by(capsys, "authority", "show", str(path))
    path.write_text(json.dumps({text: text, "people": {text: text}, "settings": [text], "cameras": {text: text}}))
    shown_by(capsys, "authority", "show", str(path))


@settings(A_FEW, max_examples=3)
@given(text=HOSTILE.filter(lambda text: "\0" not in text))
def test_names_of_files_are_shown_harmlessly(
    text: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    name = text.replace("/", "_")
    people = folder / name
    people.mkdir()
    (people / f"{name}.jpg").write_bytes(b"no picture")
    enrolled(folder / "list")
    shown_by(capsys, "watchlist", "enrol-batch", str(folder / "list"), str(folder), "--source", text)
    shown_by(capsys, "watchlist", "enrol", str(folder / "list"), "Ada", str(people / f"{name}.jpg"))
    shown_by(capsys, "evaluate", str(folder), "--json", str(folder / "out.json"))


@pytest.mark.parametrize("name", sorted(READERS))
def test_any_string_of_a_file_is_quoted_harmlessly(
    name: str, whole_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (whole_files / READERS[name].whole).read_bytes()
    path = tmp_path / READERS[name].file
    for found in sorted(set(re.findall(rb"[A-Za-z][A-Za-z0-9 _-]{2,}", content)))[:40]:
        for raw in (b"A\\nFORGED\\u001b[2J\\u202e", b"A\nFORGED\x1b[2J\xc2\x9b31m\xe2\x80\xae"):
            path.write_bytes(content.replace(found, raw))
            path.chmod(0o600)
            try:
                READERS[name].read(path, whole_files)
            except PylfrError as error:
                warn("error", str(error))
    require_harmless(capsys.readouterr().err)


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    make_whole(folder)
    return folder


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> DeploymentReport:
    return deployment(tmp_path_factory.mktemp("report"))


@settings(A_FEW, max_examples=25)
@given(text=HOSTILE, data=st.data())
def test_any_field_of_a_deployments_report_is_one_line_of_it(
    text: str, data: st.DataObject, report: DeploymentReport
) -> None:
    texts = [each.name for each in fields(report) if isinstance(getattr(report, each.name), str)]
    # Times come from a signed authorisation, which is read as times.
    name = data.draw(st.sampled_from([*(each for each in texts if not each.endswith("_at")), "incidents"]))
    changed: dict[str, Any] = {name: (text,) if name == "incidents" else text}
    require_harmless(markdown_of(replace(report, **changed)))


@A_FEW
@given(text=HOSTILE)
def test_any_text_of_an_evaluation_is_one_line_of_its_report(text: str) -> None:
    table = Table(heads=(text, "rate"), rows=((text, text),))
    require_harmless(_markdown(text, [(text, [text, table])]))


@A_FEW
@given(text=HOSTILE)
@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_a_line_of_the_log_is_one_line_also_with_a_traceback(text: str, formatter: logging.Formatter) -> None:
    with logged_as(camera=text):
        record = logging.LogRecord("pylfr", logging.INFO, "f.py", 1, "got %s", (text,), None)
        require_harmless(formatter.format(record))
        assert "\n" not in formatter.format(record)
        try:
            raise ValueError(text)
        except ValueError as error:
            record.exc_info = (ValueError, error, error.__traceback__)
        require_harmless(formatter.format(record), is_set_in=True)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server of HTTP that answers everything with these bytes."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.wfile.write(answer)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@A_FEW
@given(text=HOSTILE)
def test_what_a_server_answers_is_shown_harmlessly(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    for answer in (
        f"HTTP/1.0 401 {text}\r\n\r\n{text}",
        f"HTTP/1.0 302 Found\r\nLocation: {text}\r\n\r\n",
        text,
    ):
        with answering(answer.encode()) as address:
            try:
                webhook_of(address).deliver(AlertMessage.of(recorded_alert(sample_alert())), timeout_s=5.0)
            except (PylfrError, DeliveryError) as error:
                warn("error", str(error))
        require_harmless(capsys.readouterr().err)
