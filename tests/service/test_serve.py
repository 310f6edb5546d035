"""``pylfr serve`` as a process: the engine beside its pages, systemd told, TLS, and a clean end."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.governance.keys.keys import make_key, read_signing_key
from pylfr.video.decoding.image_io import read_image
from tests.cli.command import PYLFR, pylfr
from tests.deployment_text import RECORDS, SEALED_EVIDENCE, SIGNED_LOG, deployment_text, permit_text
from tests.footage import MAN, save_references, video
from tests.service.stand import PATIENCE_S, free_port
from tests.sinks.certificates import certificates

WAIT_S = 60.0


@pytest.fixture
def folder(media_dir: Path, models_dir: Path, tmp_path: Path) -> Path:
    """A deployment of a recording in real time, with the man in blue on its watchlist and Ann to decide."""
    references = save_references(media_dir, tmp_path)
    embedder = open_embedder("face_reid_0095")
    with create_watchlist(tmp_path / "square.watchlist", embedder) as watchlist:
        watchlist.enrol("man", read_image(references["man"][0]), detector=open_detector("yunet_n"), embedder=embedder)
    for name in ("record", "ann"):
        make_key(tmp_path / f"{name}.key")
    return tmp_path


def write(folder: Path, media_dir: Path, *, more: str = "") -> int:
    port = free_port()
    text = deployment_text(
        permit_text(),
        SIGNED_LOG,
        RECORDS,
        SEALED_EVIDENCE,
        '[people]\nAnn = "ann.pub"\n',
        f"[service]\nport = {port}\n{more}\n",
        cameras={"north": video(media_dir, MAN)},
        loop=True,
    )
    (folder / "deployment.toml").write_text(text)
    return port


class Notified:
    """What systemd would hear."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(WAIT_S)
        self.heard: list[str] = []

    def wait(self, state: str) -> None:
        while state not in self.heard:
            self.heard.append(self._socket.recv(200).decode())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Notified]:
    notified = Notified(tmp_path / "notify")
    yield notified
    notified.close()


def serve(folder: Path, systemd: Notified) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [str(PYLFR), "serve", str(folder / "deployment.toml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NOTIFY_SOCKET": str(systemd.path)},
    )
    systemd.wait("READY=1")
    return process


def end(process: subprocess.Popen[str], systemd: Notified) -> tuple[str, str]:
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=WAIT_S)
    systemd.wait("STOPPING=1")
    assert process.returncode in (0, -signal.SIGTERM, 128 + signal.SIGTERM), err
    return out, err


def sign_in(client: httpx.Client, folder: Path) -> None:
    key = read_signing_key(folder / "ann.key")
    challenge = client.post("/v1/challenges", json={"name": "Ann"}).json()
    signature = base64.b64encode(key.sign(challenge["message"].encode())).decode()
    answer = client.post("/v1/session", json={"nonce": challenge["nonce"], "signature": signature})
    assert answer.status_code == 201, answer.text


def test_an_alert_of_the_engine_beside_it_is_on_the_desk_with_its_pictures(
    folder: Path, media_dir: Path, systemd: Notified
) -> None:
    origin = f"http://127.0.0.1:{write(folder, media_dir)}"
    process = serve(folder, systemd)
    try:
        with httpx.Client(base_url=origin, headers={"Origin": origin}, timeout=PATIENCE_S) as client:
            sign_in(client, folder)
            until = time.monotonic() + WAIT_S
            alerts: list[dict[str, object]] = []
            while not (alerts and len(str(alerts[0]["pictures"])) > 20):
                assert time.monotonic() < until
                alerts = client.get("/v1/alerts").json()["alerts"]
                time.sleep(0.1)
            assert alerts[0]["possible_match"] == "man"
            assert alerts[0]["pictures"] == ["probe", "reference", "scene"]
            assert client.get(f"/v1/alerts/{alerts[0]['id']}/pictures/scene").content[:2] == b"\xff\xd8"
            assert client.get("/v1/cameras").json()[0]["state"] in ("opened", "slowed", "recovered")
            systemd.wait("WATCHDOG=1")
    finally:
        out, _ = end(process, systemd)
    assert "the run ended because: the service was stopped" in out
    (ended,) = [
        entry
        for entry in map(json.loads, (folder / "audit.log").read_text().splitlines())
        if entry["kind"] == "run-ended"
    ]
    assert "the service was stopped" in json.dumps(ended["details"])


def test_it_speaks_tls_with_its_certificate_and_its_cookie_is_for_tls_alone(
    folder: Path, media_dir: Path, systemd: Notified
) -> None:
    made = certificates(folder)
    tls = f'certificate = "{made.server.name}"\nprivate_key = "{made.server_key.name}"'
    origin = f"https://127.0.0.1:{write(folder, media_dir, more=tls)}"
    process = serve(folder, systemd)
    try:
        trusted = ssl.create_default_context(cafile=made.ca)
        with httpx.Client(base_url=origin, headers={"Origin": origin}, verify=trusted, timeout=PATIENCE_S) as client:
            sign_in(client, folder)
            assert list(client.cookies) == ["__Host-pylfr"]
            assert "max-age" in client.get("/v1/session").headers["strict-transport-security"]
    finally:
        end(process, systemd)


def test_plain_http_is_for_loopback_alone(folder: Path, media_dir: Path) -> None:
    write(folder, media_dir, more='host = "0.0.0.0"')
    done = pylfr("serve", folder / "deployment.toml")
    assert done.returncode == 1
    assert "host '0.0.0.0' is not loopback: give certificate and private_key for TLS" in done.stderr


def test_a_token_is_shown_once_and_the_file_gets_its_digest() -> None:
    done = pylfr("service", "token", "archive", "--scope", "alerts", "--scope", "report")
    token = done.stdout.splitlines()[0].removeprefix("token, shown once: ")
    assert hashlib.sha256(token.encode()).hexdigest() in done.stdout
    assert 'scopes = ["alerts", "report"]' in done.stdout


def test_a_hangup_takes_in_the_certificate_and_names_what_waits(
    folder: Path, media_dir: Path, systemd: Notified
) -> None:
    made = certificates(folder)
    tls = f'certificate = "{made.server.name}"\nprivate_key = "{made.server_key.name}"'
    port = write(folder, media_dir, more=tls)
    process = serve(folder, systemd)
    try:
        old = ssl.get_server_certificate(("127.0.0.1", port))
        other = folder / "other"
        other.mkdir()
        again = certificates(other)
        made.server_key.write_bytes(again.server_key.read_bytes())
        made.server.write_bytes(again.server.read_bytes())
        file = folder / "deployment.toml"
        file.write_text(file.read_text().replace(f"port = {port}", f"port = {port + 1}"))
        process.send_signal(signal.SIGHUP)
        systemd.wait("RELOADING=1")
        systemd.heard.clear()
        systemd.wait("READY=1")
        assert ssl.get_server_certificate(("127.0.0.1", port)) != old
    finally:
        end(process, systemd)
    (reloaded,) = [
        entry
        for entry in map(json.loads, (folder / "audit.log").read_text().splitlines())
        if entry["kind"] == "reloaded"
    ]
    assert "changed, and waiting for a restart: service" in reloaded["details"]["detail"]
