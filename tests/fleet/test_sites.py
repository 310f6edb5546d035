"""Sites are asked what they are: one that answers, one that is away, one whose token does not reach."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pylfr import __version__
from pylfr.fleet.sites import ask_sites, read_fleet
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
