"""A seal that is killed at any step is run again and works; what is removed was sealed and signed before."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr.errors import WatchlistError
from pylfr.gallery.watchlist.sealing import seal_and_sign
from pylfr.gallery.watchlist.watchlist import open_watchlist
from pylfr.governance.keys.keys import make_key, read_public_key, read_signing_key
from pylfr.governance.keys.vault import make_vault_key, read_vault_key
from pylfr.governance.retention.past_listing import read_manifest
from tests.cli.command import pylfr
from tests.gallery.watchlist.test_sealed import enrolled

NAMES = ("Ada Lovelace", "Grace Hopper")
# Kills the command where it calls a function of a module, before that does anything or after it has done it.
KILLED = """
import importlib, os, signal, sys
place, moment, *words = sys.argv[1:]
module, name = place.rsplit(".", 1)
module = importlib.import_module(module)
real = getattr(module, name)
def dying(*given, **named):
    if moment == "after":
        real(*given, **named)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(module, name, dying)
sys.argv = ["pylfr", *words]
from pylfr.cli import main
main()
"""


@pytest.mark.parametrize(
    ("place", "moment"),
    [
        ("pylfr.cli.vault.seal_and_sign", "before"),
        ("pylfr.gallery.watchlist.sealing.seal_watchlist", "after"),
        ("pylfr.gallery.watchlist.sealing.write_manifest", "after"),
        ("pylfr._internal.atomic_file.overwrite_and_unlink", "before"),
        ("pylfr.gallery.watchlist.sealing.erase", "after"),
    ],
)
def test_a_seal_that_was_killed_is_run_again_and_works(place: str, moment: str, tmp_path: Path) -> None:
    make_key(tmp_path / "record.key")
    plain, sealed, key = tmp_path / "plain", tmp_path / "sealed", tmp_path / "vault.key"
    enrolled(plain, NAMES)
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%S}"
    words = [
        *("watchlist", "seal", str(plain), str(sealed), "--key", str(key), "--expires", tomorrow, "--key-in", "file"),
        *("--manifest", str(tmp_path / "listed"), "--record-key", str(tmp_path / "record.key")),
    ]
    killed = subprocess.run([sys.executable, "-c", KILLED, place, moment, *words], check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    for _ in range(2):
        done = pylfr(*words)
        assert done.returncode == 0, done.stderr
        assert "2 references" in done.stdout
    with open_watchlist(sealed, key=read_vault_key(key, now=datetime.now(UTC))) as opened:
        assert tuple(entry.name for entry in opened.entries()) == NAMES
    assert read_manifest(tmp_path / "listed", read_public_key(tmp_path / "record.pub")).holds(NAMES[0])
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["listed", "record.key", "record.pub", "sealed", "vault.key"]


def test_another_watchlist_or_another_manifest_in_the_way_is_left_as_it_is(tmp_path: Path) -> None:
    make_key(tmp_path / "record.key")
    signing = read_signing_key(tmp_path / "record.key")
    key = make_vault_key(tmp_path / "vault.key", expires_at=datetime.now(UTC) + timedelta(hours=1))
    for name in ("one", "other"):
        enrolled(tmp_path / name, NAMES)
    listed, sealed = tmp_path / "listed", tmp_path / "sealed"
    seal_and_sign(tmp_path / "one", sealed, key, manifest=listed, signing=signing, keep=True)
    with pytest.raises(WatchlistError, match="there is one already"):
        seal_and_sign(tmp_path / "other", sealed, key, manifest=listed, signing=signing, keep=False)
    enrolled(tmp_path / "third", NAMES[:1])
    with pytest.raises(WatchlistError, match="is the manifest of another watchlist: name a new file"):
        seal_and_sign(tmp_path / "third", tmp_path / "new", key, manifest=listed, signing=signing, keep=False)
    assert (tmp_path / "other").exists()
    assert (tmp_path / "third").exists()
