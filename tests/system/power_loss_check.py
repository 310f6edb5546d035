"""What must be so after a power loss: nothing acknowledged is lost, nothing is half there, nothing lies in the open."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from pylfr.deployment.config import read_deployment
from pylfr.deployment.resources import Resources
from pylfr.deployment.sweep import forget_expired
from pylfr.errors import PylfrError
from pylfr.gallery.watchlist.portrait import encode_jpeg
from pylfr.gallery.watchlist.sealed import open_sealed
from pylfr.gallery.watchlist.withdrawal import ListedFiles, finish_withdrawals
from pylfr.governance.adjudication.database import open_records
from pylfr.governance.adjudication.reviewed import review_log
from pylfr.governance.audit.audit import open_audit
from pylfr.governance.audit.chain import LogEntry, parse_checkpoint, read_log
from pylfr.governance.keys.keys import read_signing_key
from pylfr.governance.keys.vault import VaultKey, read_vault_key
from pylfr.governance.retention.sweeper import read_sealed
from pylfr.sinks.evidence import draw_evidence
from tests.governance.canary import DIMENSION, SIDE, sign
from tests.samples import sample_alert

# An entry of the audit log for every step that makes one.
_KINDS = {
    "note": "tick", "run": "alert", "alert": "alert", "first verdict": "adjudication",
    "second verdict": "adjudication", "engagement": "engagement", "outcome": "outcome",
    "withdrawal": "withdrawn",
}  # fmt: skip
_WINDOW = 16


@dataclass(slots=True, kw_only=True)
class Acknowledged:
    """What children have said that they had finished, over all starts of one deployment."""

    entries: dict[int, tuple[str, str]] = field(default_factory=dict)
    done: set[tuple[str, str]] = field(default_factory=set)
    evidence: set[str] = field(default_factory=set)
    lines: set[str] = field(default_factory=set)
    lists: dict[str, str] = field(default_factory=dict)

    def take(self, said: dict[str, str | int | float]) -> None:
        stage, alert = str(said["done"]), str(said.get("alert", ""))
        if stage in _KINDS:
            self.entries[int(said["sequence"])] = (_KINDS[stage], alert)
        if alert:
            self.done.add((stage, alert))
        if stage in ("run", "evidence"):
            self.evidence.add(alert)
        if stage in ("run", "line"):
            self.lines.add(alert)
        if "list" in said:
            self.lists[str(said["list"])] = stage


def flaws_of(folder: Path, known: Acknowledged, *, now: datetime) -> Iterator[str]:
    """What is wrong with a deployment that was killed: first as it lies there, then as the next start leaves it."""
    yield from in_the_open(folder)
    key = read_signing_key(folder / "record.key")
    with closing(
        open_audit(folder / "audit.log", key=key, checkpoints=folder / "elsewhere", clock=lambda: now)
    ) as audit:
        deployment = read_deployment(folder / "deployment.toml")
        with Resources(deployment, now=now, audit=audit) as resources:
            forget_expired(resources)
    log, checkpoints = (folder / "audit.log").read_bytes(), (folder / "elsewhere").read_bytes()
    read = read_log(log, checkpoints, key.public)
    yield from (f"the log, line {flaw.line}: {flaw.what}" for flaw in read.flaws)
    entries = {entry.sequence: entry for entry in read.entries}
    signed = {parse_checkpoint(line).sequence for line in checkpoints.splitlines()}
    for sequence, (kind, alert) in known.entries.items():
        entry = entries.get(sequence)
        if entry is None or entry.kind != kind or entry.details.get("alert", "") != alert:
            yield f"entry {sequence} ({kind}) was acknowledged and is lost"
        if sequence not in signed:
            yield f"entry {sequence} ({kind}) was acknowledged without a checkpoint"
    yield from _records(folder, known, list(entries.values()))
    yield from _evidence(folder, known, list(entries.values()), now)
    yield from _lines(folder, known, list(entries.values()), now)
    yield from _lists(folder, known, now, list(entries.values()))
    yield from in_the_open(folder)
    yield from (f"{path.name} is unfinished and stays" for path in folder.rglob("*part"))
    yield from (f"{path.name} is left in the folder for temporary files" for path in (folder / "tmp").iterdir())


def _records(folder: Path, known: Acknowledged, log: list[LogEntry]) -> Iterator[str]:
    with closing(open_records(f"sqlite:///{folder / 'records.sqlite'}")) as records:
        reviewed = review_log(log, records.stored())
    cases = {row.id: row.case for row in reviewed.alerts}
    for stage, alert in known.done:
        case = cases.get(alert)
        there = case is not None and {
            "first verdict": any(each.adjudicator == "Ann" for each in case.adjudications),
            "second verdict": any(each.adjudicator == "Bob" for each in case.adjudications),
            "engagement": case.engagement is not None,
            "outcome": case.outcome is not None,
        }.get(stage, True)
        if not there and stage not in ("alert", "evidence", "line"):
            yield f"{stage} of alert {alert} was acknowledged and is lost"
    # A kill leaves the log ahead of the records, by what was never acknowledged; never behind, and never otherwise.
    for each in reviewed.differences:
        if not each.what.startswith(("missing", "the terms are missing")):
            yield f"the records differ: {each}"


def _evidence(folder: Path, known: Acknowledged, log: list[LogEntry], now: datetime) -> Iterator[str]:
    recorded = {str(entry.details["alert"]): entry.at for entry in log if entry.kind == "alert"}
    there = {path.stem for path in (folder / "evidence").glob("*.sealed")}
    for alert in known.evidence:
        if (now < recorded[alert] + timedelta(hours=24)) != (alert in there):
            yield f"the evidence of alert {alert} is {'there' if alert in there else 'gone'}: it should not be"
    if there:
        key = read_vault_key(folder / "evidence.key", now=now)
        for alert in there:
            if not read_sealed(folder / "evidence" / f"{alert}.sealed", key, now=now).startswith(b"\xff\xd8"):
                yield f"the evidence of alert {alert} is no picture"


def _lines(folder: Path, known: Acknowledged, log: list[LogEntry], now: datetime) -> Iterator[str]:
    path = folder / "alerts.jsonl"
    recorded = {str(entry.details["alert"]): entry.at for entry in log if entry.kind == "alert"}
    content = path.read_bytes() if path.exists() else b""
    for alert in known.lines:
        if (now < recorded[alert] + timedelta(hours=24)) != (alert.encode() in content):
            yield f"the line of alert {alert} is {'there' if alert.encode() in content else 'gone'}: it should not be"
    if content and not content.endswith(b"\n"):
        yield "half a line stays"
    for line in content.splitlines():
        if line.strip():
            json.loads(line)


def _lists(folder: Path, known: Acknowledged, now: datetime, log: list[LogEntry]) -> Iterator[str]:
    logged = {each.details["because"] for each in log if each.kind == "withdrawn"}
    for path in folder.glob("*.sealed"):
        key_path = path.with_suffix(".key")
        stage = known.lists.get(path.stem, "")
        try:
            key = read_vault_key(key_path, now=now)
        except PylfrError:
            # Expired by the child, or by the clock of a later start.
            continue
        if stage == "expiry":
            yield f"the key of list {path.stem} was destroyed, and opens"
        try:
            if "Ada Lovelace" not in _names(path, key) and path.stem not in logged:
                yield f"somebody was withdrawn from list {path.stem}, and the log does not say so"
            _finish(folder, path, key, now)
            names = _names(path, key)
        except PylfrError as error:
            yield f"list {path.stem} is half there: {error}"
        else:
            expected = {"Grace Hopper"} if path.stem in logged else {"Grace Hopper", "Ada Lovelace"}
            if names != expected:
                yield f"list {path.stem} holds {names}, and by the log {expected}"
            if stage == "withdrawal" and path.stem not in logged:
                yield f"the withdrawal from list {path.stem} was acknowledged, and the log does not say so"
    for name, stage in known.lists.items():
        if stage not in ("key", "expiry") and not (folder / f"{name}.sealed").exists():
            yield f"list {name} was sealed and is lost"


def _names(path: Path, key: VaultKey) -> set[str]:
    with closing(open_sealed(path, key)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM entries")}


def _finish(folder: Path, path: Path, key: VaultKey, now: datetime) -> None:
    signing = read_signing_key(folder / "record.key")
    with closing(
        open_audit(folder / "audit.log", key=signing, checkpoints=folder / "elsewhere", clock=lambda: now)
    ) as audit:
        finish_withdrawals(ListedFiles(sealed=path), lambda: key, audit)


def in_the_open(folder: Path) -> Iterator[str]:
    """Where a template or an evidence picture can be read in ``folder``, temporary files included."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            yield from (f"{name} lies in the open in {path.name}" for name, needle in NEEDLES if needle in content)


def _needles() -> Iterator[tuple[str, bytes]]:
    probe = np.array([sign(index) * SIDE for index in range(DIMENSION)])
    references = np.random.default_rng(1).normal(size=(2, 32)).astype("<f4")
    for name, vector in (
        ("a probe's template", probe),
        *(("a reference template", each / np.linalg.norm(each)) for each in references),
    ):
        for precision in ("<f4", "<f2"):
            content = vector.astype(precision)
            for start in range(0, len(vector), _WINDOW):
                yield from _spelt(f"{name} ({precision})", content[start : start + _WINDOW].tobytes())
    picture = io.BytesIO()
    Image.fromarray(draw_evidence(sample_alert(entry="Ada Lovelace"))).save(picture, "JPEG", quality=90)
    evidence = picture.getvalue()
    for start in range(0, len(evidence) - 32, 512):
        window = evidence[start : start + 32]
        if len(set(window)) > 8:
            yield from _spelt("an evidence picture", window)
    yield from _spelt("a picture", encode_jpeg(np.zeros((32, 32, 3), np.uint8))[:20])


def _spelt(name: str, needle: bytes) -> Iterator[tuple[str, bytes]]:
    """The needle as it is, and inside of base64 at each of the three places where it can begin."""
    yield name, needle
    for shift in range(3):
        yield f"{name} (base64)", base64.b64encode(bytes(shift) + needle)[4:-4]


NEEDLES = tuple(_needles())
