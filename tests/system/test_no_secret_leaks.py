"""Secrets are given to whom they are for, and stand nowhere else: not in output, errors, logs, files or processes."""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import signal
import socketserver
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from pylfr._internal.canonical_json import utc_text
from pylfr._internal.secrets import resolve_secrets
from pylfr.deployment.config import read_deployment
from pylfr.errors import PylfrError
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.governance.adjudication.database import open_records
from pylfr.governance.keys.keys import make_key, read_signing_key
from pylfr.governance.keys.vault import make_vault_key, read_vault_key
from pylfr.sinks.mqtt import broker_of
from pylfr.sinks.webhook import webhook_of
from pylfr.video.decoding.image_io import read_image
from pylfr.video.open import open_rtsp
from tests.cli.command import PYLFR
from tests.footage import WALKING_AND_PAUSE, save_references, video

# With signs that an address must escape, so that every form of them is looked for.
SECRETS = {
    name: f"{name.lower()}/=@: 7f3a"
    for name in (
        "CAMERA_PASSWORD",
        "HOOK_SECRET",
        "HOOK_TOKEN",
        "HOOK_QUERY",
        "BROKER_PASSWORD",
        "BASE_PASSWORD",
        "BASE_QUERY",
        "RECORD_PASSPHRASE",
        "PYLFR_VAULT_PASSPHRASE",
    )
}
# A token has no space: a sink refuses one that has.
SECRETS["HOOK_SECRET"] = "hook_secret/=@:7f3a"
LOGIN = base64.b64encode(f"viewer:{SECRETS['CAMERA_PASSWORD']}".encode())


def told(content: bytes) -> list[str]:
    """The names of the secrets that stand in ``content``, in whatever form."""
    forms = {
        name: [each.encode(), base64.b64encode(each.encode())]
        + [form.encode() for form in (quote(each, safe=""), quote(each), quote_plus(each))]
        for name, each in SECRETS.items()
    }
    return [name for name, them in forms.items() if any(form in content for form in them) or LOGIN in content]


def test_the_search_finds_a_secret_in_each_of_its_forms() -> None:
    one = SECRETS["HOOK_TOKEN"]
    for form in (one, quote(one, safe=""), quote_plus(one), base64.b64encode(one.encode()).decode()):
        assert told(f"... {form} ...".encode()) == ["HOOK_TOKEN"]
    assert told(b"HOOK_TOKEN") == []


@dataclass(kw_only=True)
class Refuser:
    """Somebody at the other end who hears what is said, and refuses."""

    port: int = 0
    heard: bytearray = field(default_factory=bytearray)


@contextlib.contextmanager
def refusing(answer: Callable[[bytes], bytes]) -> Iterator[Refuser]:
    refuser = Refuser()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(20)
            with contextlib.suppress(OSError):
                while said := self.request.recv(1 << 20):
                    refuser.heard += said
                    self.request.sendall(answer(said))

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        refuser.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield refuser
        finally:
            server.shutdown()
            thread.join()


def camera_refuses(said: bytes) -> bytes:
    number = next((line for line in said.split(b"\r\n") if line.startswith(b"CSeq")), b"CSeq: 1")
    return b'RTSP/1.0 401 Unauthorized\r\n%s\r\nWWW-Authenticate: Basic realm="camera"\r\n\r\n' % number


def hook_refuses(said: bytes) -> bytes:
    whole = said.endswith(b"}")
    return b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" if whole else b""


def broker_refuses(said: bytes) -> bytes:
    # MQTT 3.1.1: CONNACK, not authorised
    return b"\x20\x02\x00\x05" if said[:1] == b"\x10" else b""


@dataclass(kw_only=True)
class Seen:
    """What the command line and its processes showed of themselves."""

    said: bytes = b""
    processes: dict[int, bytes] = field(default_factory=dict)


def processes_below(process: int) -> Iterator[int]:
    with contextlib.suppress(OSError):  # it may have ended
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield int(child)
                yield from processes_below(int(child))


def look_at(process: int, seen: Seen) -> None:
    """Keep the command line of a process and of all below it, and the environment of those that pylfr started."""
    own = Path(f"/proc/{process}/cmdline").read_bytes()
    seen.processes[process] = own
    for each in processes_below(process):
        with contextlib.suppress(OSError):  # it may have ended, or not let itself be looked at
            line = Path(f"/proc/{each}/cmdline").read_bytes()
            # Until it has become another program it is a copy of its parent.
            if line != own:
                seen.processes[each] = line
                seen.processes[each] += Path(f"/proc/{each}/environ").read_bytes()


def run_watched(folder: Path, *arguments: str, until: Callable[[], bool] | None = None) -> tuple[int, Seen]:
    """Run the command, looking at its processes all the time; stopped by Ctrl-C when ``until`` says so."""
    seen = Seen()
    with (folder.parent / "said").open("w+b") as said:
        process = subprocess.Popen(
            [PYLFR, *arguments], cwd=folder, stdout=said, stderr=said, env={**os.environ, **SECRETS, "COLUMNS": "300"}
        )
        ends = time.monotonic() + 90
        try:
            while process.poll() is None:
                look_at(process.pid, seen)
                assert time.monotonic() < ends, f"pylfr {' '.join(arguments)} does not end"
                if until is not None and until():
                    process.send_signal(signal.SIGINT)
                    until = None
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        seen.said = said.read()
    assert told(seen.said) == [], seen.said.decode()
    for each in seen.processes.values():
        assert told(each) == [], each
    return process.returncode, seen


def write_deployment(folder: Path, media: Path, *, camera: int, hook: int, broker: int) -> None:
    references = save_references(media, folder)
    embedder = open_embedder("face_reid_0095")
    with create_watchlist(folder / "list.watchlist", embedder) as watchlist:
        for name, (image,) in references.items():
            watchlist.enrol(name, read_image(image), detector=open_detector("yunet_n"), embedder=embedder)
    (folder / "deployment.toml").write_text(f"""
name = "Yard"
[authority]
profile = "research"
place = "Yard"
signed = "authorisation.json"
officer_key = "officer.pub"
[models]
detector = "yunet_n"
embedder = "face_reid_0095"
[watchlist]
file = "list.sealed"
key = "list.key"
[recognition]
threshold = 0.568
[audit]
path = "audit.log"
key = "record.key"
passphrase = "${{RECORD_PASSPHRASE}}"
checkpoints = "elsewhere.checkpoints"
[records]
file = "records.sqlite"
[[cameras]]
name = "recorded"
source = "{video(media, WALKING_AND_PAUSE)}"
pace = "as-fast-as-possible"
[[cameras]]
name = "refusing"
source = "rtsp://viewer:${{CAMERA_PASSWORD}}@127.0.0.1:{camera}/camera"
[[sinks]]
type = "jsonl"
path = "alerts.jsonl"
[[sinks]]
type = "webhook"
url = "http://127.0.0.1:{hook}/take/${{HOOK_TOKEN}}?key=${{HOOK_QUERY}}"
secret = "${{HOOK_SECRET}}"
[[sinks]]
type = "mqtt"
host = "127.0.0.1"
port = {broker}
username = "sender"
password = "${{BROKER_PASSWORD}}"
[[sinks]]
type = "evidence"
folder = "evidence"
key = "evidence.key"
""")
    words = (
        "purpose", "use_case", "legal_basis", "necessity", "proportionality", "authorising_officer", "operator",
        "senior_accountable_person", "dpia", "eia",
    )  # fmt: skip
    now = datetime.now(UTC)
    window = f"starts_at = {utc_text(now)}\nends_at = {utc_text(now + timedelta(hours=1))}\n"
    case = "".join(f'{word} = "what {word} says"\n' for word in words) + "signage_confirmed = true\n" + window
    (folder / "case.toml").write_text(case)


@pytest.mark.usefixtures("models_dir")
def test_a_deployment_whose_secrets_are_refused_everywhere_tells_none_of_them(media_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deployment"
    folder.mkdir()
    with refusing(camera_refuses) as camera, refusing(hook_refuses) as hook, refusing(broker_refuses) as broker:
        write_deployment(folder, media_dir, camera=camera.port, hook=hook.port, broker=broker.port)
        make_key(folder / "officer.key")
        tomorrow = f"{datetime.now(UTC) + timedelta(hours=20):%Y-%m-%dT%H:%M:%S}"
        for line in (
            "authority keygen record.key --passphrase-env RECORD_PASSPHRASE",
            f"watchlist seal list.watchlist list.sealed --key list.key --expires {tomorrow} --manifest listed.json "
            "--record-key record.key --passphrase-env RECORD_PASSPHRASE",
            "authority draft deployment.toml --case case.toml --out draft.json",
            "authority sign draft.json --key officer.key --out authorisation.json",
        ):
            code, seen = run_watched(folder, *line.split())
            assert code == 0, seen.said.decode()

        def refused_and_kept() -> bool:
            return LOGIN in camera.heard and b"Authorization" in hook.heard and bool(broker.heard)

        code, seen = run_watched(folder, "run", "deployment.toml", until=refused_and_kept)
    assert code == 1, seen.said.decode()
    # The secrets were really used: each was heard by whom it is for, and only there.
    assert LOGIN in camera.heard
    assert f"Bearer {SECRETS['HOOK_SECRET']}".encode() in hook.heard
    assert f"/take/{quote(SECRETS['HOOK_TOKEN'], safe='')}?key=".encode() in hook.heard
    assert SECRETS["BROKER_PASSWORD"].encode() in broker.heard
    assert len(seen.processes) > 1, "no process of the decoder was looked at"
    for refused in (b"${HOOK_TOKEN}", b"mqtt://127.0.0.1"):
        assert refused in seen.said
    assert list((folder / "evidence").iterdir())
    for line in ("alerts list deployment.toml", "report deployment.toml --out report"):
        code, seen = run_watched(folder, *line.split())
        assert code == 0, seen.said.decode()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"audit.log", "report.html", "alerts.jsonl", "records.sqlite", "record.key"} <= {path.name for path in files}
    assert [path for path in files if told(path.read_bytes())] == []


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)


def _records(url: str) -> None:
    open_records(resolve_secrets(url, name="the records' url", percent_encoded=True))


BASE = "pylfr:${BASE_PASSWORD}@127.0.0.1:1/base"
FAILURES: dict[str, Callable[[Path], object]] = {
    "a database that is away": lambda _: _records(f"postgresql+psycopg://{BASE}?application_name=${{BASE_QUERY}}"),
    "a database's driver that is not there": lambda _: _records(f"postgresql+nosuch://{BASE}"),
    "a database of another kind": lambda _: _records(f"nosuch://{BASE}"),
    "a database's option that it does not know": lambda _: _records(f"postgresql+psycopg://{BASE}?x=${{BASE_QUERY}}"),
    "no address of a database": lambda _: _records("${BASE_PASSWORD}"),
    "a port that is none": lambda _: _records("postgresql+psycopg://pylfr@127.0.0.1:${BASE_PASSWORD}/base"),
    "a webhook that is none": lambda _: webhook_of("ftp://example.org/${HOOK_TOKEN}?key=${HOOK_QUERY}"),
    "a webhook with a password": lambda _: webhook_of("http://user:${HOOK_SECRET}@example.org/${HOOK_TOKEN}"),
    "a webhook without its variable": lambda _: webhook_of("https://example.org/${HOOK_TOKEN}", secret="${UNSET}"),
    "a camera that is none": lambda _: open_rtsp("http://viewer:${CAMERA_PASSWORD}@example.org/", camera="gate"),
    "a broker without its variable": lambda _: broker_of("h", username="${UNSET}", password="${BROKER_PASSWORD}"),
    "a record's key under another passphrase": lambda folder: read_signing_key(
        folder / "record.key", passphrase=SECRETS["RECORD_PASSPHRASE"]
    ),
    "a vault key under another passphrase": lambda folder: read_vault_key(
        folder / "vault.key", now=datetime.now(UTC), passphrase=SECRETS["PYLFR_VAULT_PASSPHRASE"]
    ),
}


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("failure", FAILURES)
def test_no_error_no_cause_of_it_and_no_log_tells_a_secret(
    failure: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    if "another passphrase" in failure:
        make_key(tmp_path / "record.key", passphrase="other")
        expires_at = datetime.now(UTC) + timedelta(hours=1)
        make_vault_key(tmp_path / "vault.key", expires_at=expires_at, passphrase="other")
    with pytest.raises(PylfrError) as caught:
        FAILURES[failure](tmp_path)
    text = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert told(text.encode()) == [], text


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("passphrase", '[audit]\npath = "audit.log"\npassphrase = {secret}'),
        ("password", '[[sinks]]\ntype = "mqtt"\nhost = "h"\npassword = [{secret}]'),
        ("secret", '[[sinks]]\ntype = "webhook"\nurl = "https://h"\nsecret = 4711\nsecrets = {secret}'),
        ("password", '[[sinks]]\ntype = "mqtt"\nhost = "h"\npassword = 734873487348'),
    ],
)
def test_a_secret_written_into_the_deployment_by_mistake_is_not_repeated(key: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "deployment.toml"
    path.write_text("[authority]\n" + line.format(secret=f'"{SECRETS["HOOK_SECRET"]}"'))
    with pytest.raises(PylfrError) as caught:
        read_deployment(path)
    assert key in str(caught.value)
    assert told(str(caught.value).encode()) == []
    assert "734873487348" not in str(caught.value)
