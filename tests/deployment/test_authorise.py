"""Keys open with the passphrase that the deployment names, and none may outlive what the policy allows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pylfr.deployment.authorise import _require_sealing, audit_of, record_key_of
from pylfr.deployment.config import Deployment, read_deployment
from pylfr.errors import AuthorisationError, ConfigError
from pylfr.governance.authorisation.profiles import read_profile
from pylfr.governance.keys.keys import make_key, read_public_key
from pylfr.governance.keys.vault import make_vault_key
from tests.deployment.test_sweep import DEPLOYMENT
from tests.governance.samples import authorisation


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
        audit_of(opened)
    monkeypatch.setenv("RECORD_PASSPHRASE", "battery")
    with pytest.raises(AuthorisationError, match="its passphrase is another"):
        audit_of(opened)
    monkeypatch.setenv("RECORD_PASSPHRASE", "correct horse")
    audit_of(opened).close()
    key = record_key_of(opened)
    assert key is not None
    assert key.public == read_public_key(tmp_path / "record.pub")
    assert b"ENCRYPTED" in (tmp_path / "record.key").read_bytes()


def test_a_key_under_a_passphrase_is_not_opened_without_it(tmp_path: Path) -> None:
    opened = deployment(tmp_path, passphrase=None)
    with pytest.raises(AuthorisationError, match="is under a passphrase, and none was given"):
        audit_of(opened)
    assert not (tmp_path / "audit.log").exists()


def test_a_watchlist_key_that_outlives_the_policy_and_evidence_in_the_open_are_refused(tmp_path: Path) -> None:
    (tmp_path / "deployment.toml").write_text(DEPLOYMENT)
    opened, profile, words = read_deployment(tmp_path / "deployment.toml"), read_profile("uk-police"), authorisation()
    latest = words.ends_at + timedelta(hours=24)
    too_long = make_vault_key(tmp_path / "long.key", expires_at=latest + timedelta(seconds=1))
    with pytest.raises(AuthorisationError, match=r"watchlist\.key: it lives until"):
        _require_sealing(opened, profile, words, too_long)
    in_time = make_vault_key(tmp_path / "short.key", expires_at=latest)
    with pytest.raises(AuthorisationError, match="needs evidence that is sealed"):
        _require_sealing(opened, profile, words, in_time)
    sealed = opened.model_copy(update={"sinks": opened.sinks[:-1]})
    _require_sealing(sealed, profile, words, in_time)
