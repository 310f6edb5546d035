"""A governed deployment on real footage, prepared as a force would prepare it; its certificates are written by hand."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr._internal.canonical_json import utc_text
from pylfr.deployment.recognition import preprocessing_of
from pylfr.governance.authorisation.certificates import CalibrationCertificate, CohortCertificate, sign_certificate
from pylfr.governance.keys.keys import make_key, read_signing_key
from pylfr.models.store import open_store
from tests.cli.command import PYLFR
from tests.footage import WALKING_AND_PAUSE, save_references, video

# From the keys to a signed authorisation; docs/tutorials/first-deployment.md explains each step.
PREPARE = r"""
pylfr authority keygen officer.key
pylfr authority keygen record.key
pylfr authority keygen ann.key --passphrase-env ANN_PASSPHRASE
pylfr authority keygen bob.key
pylfr authority keygen cem.key
printf '[officers]\n"Supt A" = "%s"\n[measurers]\n"Evaluation unit" = "%s"\n' \
    "$(cat officer.pub)" "$(cat measurer.pub)" > trusted.toml

pylfr watchlist create square.watchlist --embedder face_reid_0095 --profile uk-police
pylfr watchlist enrol square.watchlist "REF-1" woman.png --category "wanted on warrant" --justification "warrant 7" \
    --source "custody image" --lawful-basis "PACE s. 64A" --captured 2025-03-01 --by "DC Dee Example"
pylfr watchlist enrol square.watchlist "REF-2" man.png --category "wanted on warrant" --justification "warrant 8" \
    --source "custody image" --lawful-basis "PACE s. 64A" --captured 2025-04-01 --by "DC Dee Example"
pylfr watchlist review square.watchlist "REF-1" "REF-2" --by "Insp Eve Example" --for "Market Square"
pylfr watchlist seal square.watchlist square.sealed --key square.key --expires "$TOMORROW" \
    --manifest listed.json --record-key record.key

pylfr authority draft deployment.toml --case case.toml --out draft.json
pylfr authority sign draft.json --key officer.key --out authorisation.json
pylfr authority check deployment.toml
"""


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
    """What is there before: a deployment file, the words of the case, and two certificates.

    Skips the test where whoever runs it is not root: the root of trust would have to belong to somebody else.
    """
    if os.geteuid() != 0:
        pytest.skip("the root of trust must belong to another user, which root alone can arrange (unshare -r pytest)")
    make_key(folder / "measurer.key")
    save_references(media, folder)
    (folder / "deployment.toml").write_text(f"""
name = "Market Square"
[authority]
profile = "uk-police"
place = "Market Square"
signed = "authorisation.json"
officer_key = "officer.pub"
trusted_officers = "trusted.toml"
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
        write_signed(folder, kind, {"type": kind, **certificate, **also})


def write_signed(folder: Path, kind: str, fields: dict[str, object]) -> None:
    """A certificate with these fields, signed with measurer.key."""
    words = {"measurer": "Evaluation unit", "tool": "a test", "material_sha256": "ab" * 32}
    key, unsigned = read_signing_key(folder / "measurer.key"), {**fields, "measured": None}
    if kind == "calibration":
        text = sign_certificate(CalibrationCertificate.model_validate(unsigned), key, **words).model_dump_json()
    else:
        text = sign_certificate(CohortCertificate.model_validate(unsigned), key, **words).model_dump_json()
    (folder / f"{kind}.json").write_text(text)
