"""No key may outlive what the policy allows, and evidence is sealed where it asks for that."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pylfr.deployment.authorise import _require_sealing
from pylfr.deployment.config import Deployment, read_deployment
from pylfr.deployment.resources import Resources
from pylfr.errors import AuthorisationError
from pylfr.governance.authorisation.profiles import read_profile
from pylfr.governance.keys.vault import VaultKey, make_vault_key
from tests.deployment_text import SIGNED_DEPLOYMENT
from tests.governance.samples import NOON, authorisation


def test_a_watchlist_key_that_outlives_the_policy_and_evidence_in_the_open_are_refused(tmp_path: Path) -> None:
    (tmp_path / "deployment.toml").write_text(SIGNED_DEPLOYMENT)
    described, profile, words = (
        read_deployment(tmp_path / "deployment.toml"),
        read_profile("uk-police"),
        authorisation(),
    )

    def require(deployment: Deployment, key: VaultKey) -> None:
        resources = Resources(deployment, now=NOON)
        resources.watchlist_key = key
        _require_sealing(resources, profile, words)

    latest = words.ends_at + timedelta(hours=24)
    too_long = make_vault_key(tmp_path / "long.key", expires_at=latest + timedelta(seconds=1))
    with pytest.raises(AuthorisationError, match=r"watchlist\.key: it lives until"):
        require(described, too_long)
    in_time = make_vault_key(tmp_path / "short.key", expires_at=latest)
    with pytest.raises(AuthorisationError, match="needs evidence that is sealed"):
        require(described, in_time)
    sealed = described.model_copy(update={"sinks": described.sinks[:-1]})
    require(sealed, in_time)
