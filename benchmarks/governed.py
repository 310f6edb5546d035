"""A whole deployment as a police force would run it, made in a folder: keys, a sealed watchlist, certificates."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pylfr._internal.canonical_json import utc_text
from pylfr.cli import command_line
from pylfr.deployment.recognition import preprocessing_of
from pylfr.governance.authorisation.certificates import CalibrationCertificate, CohortCertificate, sign_certificate
from pylfr.governance.keys.keys import read_signing_key
from pylfr.models.store import open_store
from pylfr.runtimes.registry import choose_runtime
from pylfr.video.open import Isolation

PLACE = "Market Square"
_WORDS = {
    "purpose": "to measure what governance costs", "use_case": "overt deployment", "legal_basis": "recorded material",
    "necessity": "measured", "proportionality": "measured", "authorising_officer": "Officer", "operator": "Operator",
    "senior_accountable_person": "Person", "dpia": "none", "eia": "none",
}  # fmt: skip


def make_deployments(
    folder: Path,
    videos: Sequence[Path],
    people: Mapping[str, Path],
    *,
    detector: str,
    embedder: str,
    runtime: str,
    threshold: float,
    batch_size: int,
    poll_ms: float = 500.0,
) -> dict[Isolation, Path]:
    """Two deployment files under ``uk-police`` that differ in where recordings are decoded, each signed and sealed.

    The certificates are placeholders: they are required and checked like real ones.
    """
    for key in ("officer", "record", "ann", "bob", "measurer"):
        _pylfr("authority", "keygen", folder / f"{key}.key")
    # Beside the deployment, where root alone may have it: in earnest it belongs to somebody else, elsewhere.
    keys = {name: (folder / f"{name}.pub").read_text().strip() for name in ("officer", "measurer")}
    officer, measurer = _WORDS["authorising_officer"], "Benchmark"
    (folder / "trusted.toml").write_text(
        f'[officers]\n"{officer}" = "{keys["officer"]}"\n[measurers]\n"{measurer}" = "{keys["measurer"]}"\n'
    )
    plain = folder / "square.watchlist"
    _pylfr("watchlist", "create", plain, "--embedder", embedder, "--profile", "uk-police")
    for name, image in people.items():
        _pylfr(
            "watchlist", "enrol", plain, name, image, "--detector", detector, "--category", "wanted on warrant",
            "--justification", "measured", "--source", "recording", "--lawful-basis", "recording", "--captured",
            "2025-03-01", "--by", "Dee Example",
        )  # fmt: skip
    _pylfr("watchlist", "review", plain, *people, "--by", "Eve Example", "--for", PLACE)
    now = datetime.now(UTC)
    _pylfr(
        "watchlist", "seal", plain, folder / "square.sealed", "--key", folder / "square.key", "--expires",
        f"{now + timedelta(hours=3):%Y-%m-%dT%H:%M:%S}", "--manifest", folder / "listed.json", "--record-key",
        folder / "record.key", "--key-in", "file",
    )  # fmt: skip
    _write_certificates(folder, embedder, runtime, threshold, now)
    case = [f'{name} = "{text}"' for name, text in _WORDS.items()] + ["signage_confirmed = true"]
    case += [f"starts_at = {utc_text(now)}", f"ends_at = {utc_text(now + timedelta(hours=2))}"]
    (folder / "case.toml").write_text("\n".join(case))
    made: dict[Isolation, Path] = {}
    isolations: tuple[Isolation, ...] = ("none", "process")
    for isolation in isolations:
        own = folder / isolation
        own.mkdir()
        path = folder / f"{isolation}.toml"
        path.write_text(_deployment(videos, isolation, detector, embedder, runtime, threshold, batch_size, poll_ms))
        _pylfr("authority", "draft", path, "--case", folder / "case.toml", "--out", own / "draft.json")
        _pylfr(
            "authority",
            "sign",
            own / "draft.json",
            "--key",
            folder / "officer.key",
            "--out",
            own / "authorisation.json",
        )
        made[isolation] = path
    return made


def _pylfr(*words: str | Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        command_line()([str(word) for word in words], standalone_mode=False)


def _write_certificates(folder: Path, embedder: str, runtime: str, threshold: float, now: datetime) -> None:
    model = open_store().resolve(embedder)
    arithmetic = choose_runtime(runtime).arithmetic
    rate = {"value": 0.001, "numerator": 10, "denominator": 10_000, "low": 0.0005, "high": 0.0018}
    about = {
        "model": model.sha256,
        "preprocessing": preprocessing_of(model.manifest),
        "arithmetic": arithmetic,
        "threshold": threshold,
        "issued_at": utc_text(now - timedelta(days=1)),
        "expires_at": utc_text(now + timedelta(days=1)),
    }
    key, words = (
        read_signing_key(folder / "measurer.key"),
        {"measurer": "Benchmark", "tool": "a benchmark", "material_sha256": "00" * 32},
    )
    calibration = {"type": "calibration", "watchlist_size": 500, "fpir": rate, "material": "made up"}
    cohorts = {"type": "cohorts", "groups": {"one": rate, "other": rate}, "conclusion": "made up"}
    signed = {
        "calibration": sign_certificate(CalibrationCertificate.model_validate(about | calibration), key, **words),
        "cohorts": sign_certificate(CohortCertificate.model_validate(about | cohorts), key, **words),
    }
    for name, certificate in signed.items():
        (folder / f"{name}.json").write_text(certificate.model_dump_json())


def _deployment(
    videos: Sequence[Path],
    isolation: Isolation,
    detector: str,
    embedder: str,
    runtime: str,
    threshold: float,
    batch_size: int,
    poll_ms: float,
) -> str:
    cameras = "".join(
        f'[[cameras]]\nname = "camera {number}"\nsource = "{path}"\npace = "as-fast-as-possible"\n'
        for number, path in enumerate(videos, start=1)
    )
    return f"""
name = "{PLACE}"
[authority]
profile = "uk-police"
place = "{PLACE}"
signed = "{isolation}/authorisation.json"
officer_key = "officer.pub"
trusted_officers = "trusted.toml"
calibration = "calibration.json"
cohorts = "cohorts.json"
[models]
detector = "{detector}"
embedder = "{embedder}"
runtime = "{runtime}"
[watchlist]
file = "square.sealed"
key = "square.key"
manifest = "listed.json"
poll_ms = {poll_ms:g}
[recognition]
threshold = {threshold}
[batch]
size = {batch_size}
[decode]
isolation = "{isolation}"
[audit]
path = "{isolation}/audit.log"
key = "record.key"
checkpoints = "{isolation}/checkpoints"
[people]
"Ann Example" = "ann.pub"
"Bob Example" = "bob.pub"
[records]
file = "{isolation}/records.sqlite"
{cameras}
[[sinks]]
type = "evidence"
folder = "{isolation}/evidence"
key = "{isolation}/evidence.key"
"""
