"""docs/tutorials/first-deployment.md, run as it is written: from the keys to the shred, on real footage."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr._internal.canonical_json import utc_text
from pylfr.deployment.authorise import require_authorised
from pylfr.deployment.config import read_deployment
from pylfr.deployment.recognition import preprocessing_of
from pylfr.deployment.resources import Resources
from pylfr.deployment.sweep import forget_expired
from pylfr.errors import VaultError
from pylfr.governance.audit.chain import parse_entry
from pylfr.models.store import open_store
from tests.cli.command import PYLFR
from tests.footage import WALKING_AND_PAUSE, save_references, video

pytestmark = pytest.mark.usefixtures("models_dir")

GUIDE = Path(__file__).parents[2] / "docs" / "tutorials" / "first-deployment.md"


def commands(text: str) -> str:
    """The shell commands of a part of the guide."""
    return "\n".join(block.split("```")[0] for block in text.split("```sh\n")[1:])


def shell(folder: Path, script: str, *, tomorrow: datetime) -> subprocess.CompletedProcess[str]:
    path = f"{PYLFR.parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder, capture_output=True, text=True, timeout=600, check=False,
        env={
            **os.environ, "PATH": path, "TOMORROW": f"{tomorrow:%Y-%m-%dT%H:%M:%S}", "ANN_PASSPHRASE": "correct horse",
        },
    )  # fmt: skip


def write_case(folder: Path, media: Path, *, ends_at: datetime) -> None:
    """What the guide takes for granted: a deployment file, the words of the case, and two certificates."""
    save_references(media, folder)
    (folder / "deployment.toml").write_text(f"""
name = "Market Square"
[authority]
profile = "uk-police"
place = "Market Square"
signed = "authorisation.json"
officer_key = "officer.pub"
calibration = "calibration.json"
cohorts = "cohorts.json"
[models]
detector = "yunet_n"
embedder = "face_reid_0095"
[watchlist]
file = "square.sealed"
key = "square.key"
manifest = "listed.json"
[recognition]
threshold = 0.568
[audit]
path = "audit.log"
key = "record.key"
checkpoints = "elsewhere.checkpoints"
[people]
"Ann Example" = "ann.pub"
"Bob Example" = "bob.pub"
"PC Cem Example" = "cem.pub"
[records]
file = "records.sqlite"
[[cameras]]
name = "north"
source = "{video(media, WALKING_AND_PAUSE)}"
pace = "as-fast-as-possible"
[[sinks]]
type = "evidence"
folder = "evidence"
key = "evidence.key"
""")
    words = {
        "purpose": "find people wanted on warrant", "use_case": "overt deployment", "legal_basis": "common law",
        "necessity": "other means were tried", "proportionality": "one afternoon", "authorising_officer": "Supt A",
        "operator": "PC B", "senior_accountable_person": "ACC C", "dpia": "DPIA-7", "eia": "EIA-7",
    }  # fmt: skip
    lines = [f'{name} = "{text}"' for name, text in words.items()]
    lines += [
        "signage_confirmed = true",
        f"starts_at = {utc_text(datetime.now(UTC))}",
        f"ends_at = {utc_text(ends_at)}",
    ]
    (folder / "case.toml").write_text("\n".join(lines))
    embedder = open_store().resolve("face_reid_0095")
    rate = {"value": 0.001, "numerator": 10, "denominator": 10_000, "low": 0.0005, "high": 0.0018}
    certificate = {
        "model": embedder.sha256,
        "preprocessing": preprocessing_of(embedder.manifest),
        "arithmetic": "float32",
        "threshold": 0.568,
        "issued_at": utc_text(datetime.now(UTC) - timedelta(days=1)),
        "expires_at": utc_text(datetime.now(UTC) + timedelta(days=1)),
    }
    for kind, also in (
        ("calibration", {"watchlist_size": 500, "fpir": rate, "material": "10,000 passes"}),
        ("cohorts", {"groups": {"one": rate, "other": rate}, "conclusion": "none found"}),
    ):
        (folder / f"{kind}.json").write_text(json.dumps({"type": kind, **certificate, **also}))


def test_the_guide_leads_from_the_key_to_the_shred(media_dir: Path, tmp_path: Path) -> None:
    ends_at = datetime.now(UTC) + timedelta(hours=2)
    tomorrow = ends_at + timedelta(hours=20)
    write_case(tmp_path, media_dir, ends_at=ends_at)
    before, after = GUIDE.read_text().split("## After")
    script = commands(before)
    second = next(line for line in script.splitlines() if "adjudicate" in line and "Bob Example" in line)
    look = 'echo what-Bob-sees; pylfr alerts show deployment.toml "$ALERT"; pylfr alerts list deployment.toml; echo end'
    done = shell(tmp_path, script.replace(second, f"{look}\n{second}"), tomorrow=tomorrow)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = done.stdout.split("what-Bob-sees")[1].split("end\n")[0]
    assert "verdicts: 1 of 2" in seen
    assert "Ann Example" not in seen
    assert "same person" not in seen
    assert "state: closed" in done.stdout
    assert not (tmp_path / "square.watchlist").exists()

    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (report["alerts"], report["true_alerts"], report["false_alerts"], report["engagements"]) == (1, 1, 0, 1)
    assert report["watchlist_categories"] == {"wanted on warrant": 2}
    assert report["faces_seen"] >= 3
    published = "".join((tmp_path / "report" / f"report.{kind}").read_text() for kind in ("md", "json", "html"))
    for personal in ("REF-1", "REF-2", "Ann Example", "Bob Example", "Cem", "Dee", "Eve"):
        assert personal not in published
    lines = (tmp_path / "audit.log").read_bytes().splitlines()
    kinds = [kind for line in lines if not (kind := parse_entry(line).kind).startswith("camera-")]
    assert kinds == [
        "deployed",
        "run-began",
        "alert",
        "run-ended",
        "adjudication",
        "adjudication",
        "engagement",
        "outcome",
        "withdrawn",
    ]

    [picture] = (tmp_path / "evidence").iterdir()
    assert b"JFIF" in (tmp_path / "look.jpg").read_bytes()
    assert b"JFIF" not in picture.read_bytes()

    # A day and more after the window, by a clock of the test's own.
    deployment = read_deployment(tmp_path / "deployment.toml")
    late = ends_at + timedelta(hours=25)
    with Resources(deployment, now=late) as resources:
        gone = forget_expired(resources)
        assert (gone.lines, gone.outcomes) == (0, 0)
        assert (gone.pictures, gone.alerts, sorted(gone.keys)) == (1, 1, ["evidence.key", "square.key"])
        assert [row.entry for row in resources.require_records().alerts()] == [None]
        with pytest.raises(VaultError, match="was destroyed"):
            require_authorised(resources)

    done = shell(tmp_path, commands(after), tomorrow=tomorrow)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "whole and in order, as signed" in done.stdout
    assert "4 decisions, each signed by who decided" in done.stdout
    assert "'REF-1' was listed\n" in done.stdout
    assert "'REF-2' was listed, and taken off at" in done.stdout
