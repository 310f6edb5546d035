"""A deployment opens everything once, with the passphrases that it names, and a failure leaves nothing open."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylfr.deployment.config import Deployment, read_deployment
from pylfr.deployment.resources import open_resources
from pylfr.errors import AuthorisationError, ConfigError
from pylfr.governance.keys.keys import make_key, read_public_key
from tests.deployment.test_sweep import DEPLOYMENT


def deployment(folder: Path, *, passphrase: str | None) -> Deployment:
    make_key(folder / "record.key", passphrase="correct horse")
    text = DEPLOYMENT
    if passphrase is not None:
        text = text.replace('key = "record.key"\n', f'key = "record.key"\npassphrase = "{passphrase}"\n')
    (folder / "deployment.toml").write_text(text)
    return read_deployment(folder / "deployment.toml")


def test_the_passphrase_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = deployment(tmp_path, passphrase="${RECORD_PASSPHRASE}")
    with pytest.raises(ConfigError, match=r"\$\{RECORD_PASSPHRASE\}, which is not set"):
        open_resources(opened).audit  # noqa: B018 - opening it is what fails
    monkeypatch.setenv("RECORD_PASSPHRASE", "battery")
    with pytest.raises(AuthorisationError, match="its passphrase is another"):
        open_resources(opened).audit  # noqa: B018 - opening it is what fails
    monkeypatch.setenv("RECORD_PASSPHRASE", "correct horse")
    with open_resources(opened) as resources:
        assert resources.audit is resources.audit
        key = resources.record_key
    assert key is not None
    assert key.public == read_public_key(tmp_path / "record.pub")
    assert b"ENCRYPTED" in (tmp_path / "record.key").read_bytes()


def test_a_key_under_a_passphrase_is_not_opened_without_it(tmp_path: Path) -> None:
    opened = deployment(tmp_path, passphrase=None)
    with pytest.raises(AuthorisationError, match="is under a passphrase, and none was given"):
        open_resources(opened).audit  # noqa: B018 - opening it is what fails
    assert not (tmp_path / "audit.log").exists()
