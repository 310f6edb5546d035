"""Sites are asked what they are: one that answers, one that is away, one whose token does not reach."""

from __future__ import annotations

import hashlib
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pylfr import __version__
from pylfr.fleet.sites import SiteStatus, ask_sites, read_fleet
from tests.service.stand import free_port, standing

TOKEN, OTHER = "a-token-of-the-collector", "a-token-for-alerts-alone"


def test_versions_clocks_expiry_and_the_record_at_a_glance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = "".join(
        f'[service.tokens."{name}"]\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\nscopes = {scopes}\n'
        for name, token, scopes in (("fleet", TOKEN, '["metrics", "report"]'), ("desk", OTHER, '["alerts"]'))
    )
    monkeypatch.setenv("HALL_TOKEN", TOKEN)
    monkeypatch.setenv("OTHER_TOKEN", OTHER)
    with standing(tmp_path, more=tokens) as stand:
        stand.alert()
        (tmp_path / "fleet.toml").write_text(f"""
checkpoints = "received"
[sites.hall]
url = "{stand.origin}"
token = "${{HALL_TOKEN}}"
record = "record.pub"
[sites.other]
url = "{stand.origin}"
token = "${{OTHER_TOKEN}}"
[sites.away]
url = "http://127.0.0.1:{free_port()}"
token = "${{HALL_TOKEN}}"
""")
        away, hall, other = ask_sites(read_fleet(tmp_path / "fleet.toml"))
        entries = stand.audit.head.sequence
    assert (hall.name, hall.trouble, hall.version, hall.is_ready) == ("hall", "", __version__, True)
    assert abs(hall.clock_ahead_s) <= 2
    assert hall.authorised_until is not None
    assert (hall.entries, hall.received) == (entries, 0)
    assert "does not answer" in away.trouble
    assert "403" in other.trouble


METRICS = b"pylfr_authorisation_end_timestamp_seconds %b\n# EOF\n"
HOSTILE = {
    "no HTTP": b"\x1b[2J\n" * 100,
    "nothing": b"",
    "a date without a zone": b"HTTP/1.0 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 -0000\r\n\r\n",
    "a date that is none": b"HTTP/1.0 200 OK\r\nDate: yesterday\r\n\r\n",
    "no text": b"HTTP/1.0 200 OK\r\n\r\n\xff\xfe\xfd",
    "no metrics": b"HTTP/1.0 200 OK\r\n\r\n{{{{ } 1 2 3 4\n",
    "a time beyond all times": b"HTTP/1.0 200 OK\r\n\r\n" + METRICS % b"1e300",
    "a time that is none": b"HTTP/1.0 200 OK\r\n\r\n" + METRICS % b"NaN",
    "no end of a number": b"HTTP/1.0 200 OK\r\n\r\npylfr_audit_entries_total +Inf\n",
    "a header without end": b"HTTP/1.0 200 OK\r\nX: " + b"x" * 100_000,
}


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that says the same to everybody; its address, and what it was asked."""
    asked: list[bytes] = []

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked.append(self.request.recv(65536))
            with suppress(OSError):
                self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def asked_of(tmp_path: Path, address: str) -> SiteStatus:
    (tmp_path / "fleet.toml").write_text(f'[sites.hall]\nurl = "{address}"\ntoken = "${{HALL_TOKEN}}"\n')
    [site] = ask_sites(read_fleet(tmp_path / "fleet.toml"))
    return site


@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_a_site_answers_it_alone_is_in_trouble(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALL_TOKEN", TOKEN)
    with answering(HOSTILE[kind]) as (address, _):
        site = asked_of(tmp_path, address)
    assert site.trouble
    assert len(site.trouble) < 300
    assert TOKEN not in site.trouble


def test_a_sites_token_follows_no_redirect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALL_TOKEN", TOKEN)
    with answering(b"HTTP/1.0 200 OK\r\n\r\n") as (other, stolen):
        moved = f"HTTP/1.0 302 Found\r\nLocation: {other}/metrics\r\n\r\n".encode()
        with answering(moved) as (address, asked):
            site = asked_of(tmp_path, address)
    assert "302" in site.trouble
    assert TOKEN.encode() in asked[0]
    assert stolen == []
