"""A deployment whose head and nodes sit at one table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist.sealed import seal_watchlist
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.governance.keys.keys import make_key
from pylfr.governance.keys.vault import make_vault_key
from tests.cluster.table import CAMERAS, Table
from tests.deployment_text import RECORDS, SHIPPED, SIGNED_LOG, deployment_text, permit_text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    record = make_key(tmp_path / "record.key")
    for name in ("a", "b", "stranger"):
        (tmp_path / name).mkdir()
        make_key(tmp_path / name / "node.key")
        (tmp_path / name / "head.pub").write_text(record.text)
    with create_watchlist(tmp_path / "plain", open_embedder(SHIPPED[1])):
        pass
    key = make_vault_key(tmp_path / "watchlist.key", expires_at=datetime.now(UTC) + timedelta(hours=1))
    seal_watchlist(tmp_path / "plain", tmp_path / "sealed", key)
    text = deployment_text(
        permit_text(cameras=CAMERAS, begin=datetime.now(UTC) - timedelta(hours=1), lasts=timedelta(hours=2)),
        SIGNED_LOG,
        RECORDS,
        '[cluster]\nlease_s = 1.5\n[cluster.nodes]\na = "a/node.pub"\nb = "b/node.pub"\n',
        cameras=dict.fromkeys(CAMERAS, tmp_path / "none.mp4"),
        networks=SHIPPED,
        watchlist='file = "sealed"\nkey = "watchlist.key"',
    )
    (tmp_path / "deployment.toml").write_text(text)
    return tmp_path


@pytest.fixture
def table(folder: Path) -> Iterator[Table]:
    with ExitStack() as stack:
        yield stack.enter_context(Table(folder))


@pytest.fixture
def lasting(folder: Path) -> Iterator[Table]:
    """A table whose leases outlast a head that is started again, also on a busy machine."""
    text = (folder / "deployment.toml").read_text()
    (folder / "deployment.toml").write_text(text.replace("lease_s = 1.5", "lease_s = 4"))
    with Table(folder) as table:
        yield table
