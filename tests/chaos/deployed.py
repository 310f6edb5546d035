"""The deployment that is hurt: its file and its watchlist, signed and sealed."""

from __future__ import annotations

import contextlib
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pylfr._internal.canonical_json import utc_text
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.governance.authorisation.profiles import read_profile
from pylfr.governance.keys.keys import make_key
from tests.chaos.scene import Scene
from tests.cli.command import PYLFR
from tests.video.camera_server import PASSWORD

SECRETS = {
    "PYLFR_TEST_PASSWORD": PASSWORD,
    "HOOK_TOKEN": "hook-7f3a-never-shown",
    "PYLFR_VAULT_PASSPHRASE": "vault-9b1c-never-shown",
}
# The file of the deployment, and the words of its case.
DEPLOYMENT_FILE = "deployment.toml"
_WORDS = (
    "purpose", "use_case", "legal_basis", "necessity", "proportionality", "authorising_officer", "operator",
    "senior_accountable_person", "dpia", "eia",
)  # fmt: skip


def run_pylfr(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in the folder of the deployment."""
    return subprocess.run(
        [PYLFR, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=600,
        env={**os.environ, **SECRETS},
    )  # fmt: skip


def prepare(folder: Path, scene: Scene, *, url: str, north: str, south: str, hook: int, broker: int) -> list[bytes]:
    """Make the deployment, signed and sealed, with the addresses of its parts; gives the templates of its watchlist."""
    templates = _enrol(folder, scene)
    (folder / DEPLOYMENT_FILE).write_text(
        DEPLOYMENT.format(
            url=url,
            north=north,
            south=south,
            hook=hook,
            broker=broker,
            detector=scene.detector,
            embedder=scene.embedder,
            threshold=scene.threshold,
        )
    )
    now = datetime.now(UTC)
    ends_at = now + timedelta(hours=read_profile("research").max_window_h - 1)
    case = "".join(f'{word} = "what {word} says"\n' for word in _WORDS) + "signage_confirmed = true\n"
    (folder / "case.toml").write_text(f"{case}starts_at = {utc_text(now)}\nends_at = {utc_text(ends_at)}\n")
    for name in ("officer", "record"):
        make_key(folder / f"{name}.key")
    for line in (
        f"watchlist seal list.watchlist list.sealed --key list.key --expires {ends_at:%Y-%m-%dT%H:%M:%S} "
        "--manifest listed.json --record-key record.key",
        f"authority draft {DEPLOYMENT_FILE} --case case.toml --out draft.json",
        "authority sign draft.json --key officer.key --out authorisation.json",
    ):
        done = run_pylfr(folder, *line.split())
        assert done.returncode == 0, done.stdout + done.stderr
    return templates


def _enrol(folder: Path, scene: Scene) -> list[bytes]:
    """A watchlist of the people of the scene; its templates."""
    embedder, detector = open_embedder(scene.embedder), open_detector(scene.detector)
    with create_watchlist(folder / "list.watchlist", embedder) as watchlist:
        for name, picture in scene.references.items():
            watchlist.enrol(name, picture, detector=detector, embedder=embedder)
    with contextlib.closing(sqlite_file.connect(folder / "list.watchlist")) as connection:
        return [bytes(row[0]) for row in connection.execute("SELECT template FROM reference_images")]


DEPLOYMENT = """
name = "Chaos"
[authority]
profile = "research"
place = "Yard"
signed = "authorisation.json"
officer_key = "officer.pub"
[models]
detector = "{detector}"
embedder = "{embedder}"
threads = 1
[watchlist]
file = "list.sealed"
key = "list.key"
[recognition]
threshold = {threshold}
cooldown_s = 3
[audit]
path = "audit.log"
key = "record.key"
checkpoints = "elsewhere.checkpoints"
[records]
url = "{url}"
keys = "names.keys"
[[cameras]]
name = "north"
source = "{north}"
[[cameras]]
name = "south"
source = "{south}"
[[sinks]]
type = "evidence"
folder = "evidence"
key = "evidence.key"
[[sinks]]
type = "webhook"
url = "http://127.0.0.1:{hook}/alerts"
secret = "${{HOOK_TOKEN}}"
pictures = true
[[sinks]]
type = "mqtt"
host = "127.0.0.1"
port = {broker}
"""
