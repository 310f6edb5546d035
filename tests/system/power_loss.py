"""The whole round of a deployment, every step of it acknowledged, for ``test_power_loss`` to kill anywhere.

Run as a program it is the warm parent: it forks a child for each kill (a new interpreter would take half a second),
waits until the child says that it begins the step that is meant, kills it a random moment later, opens everything anew
and looks for what was lost or left. It prints what it found as JSON.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import sqlite3
import sys
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from pylfr.deployment.config import Deployment, read_deployment
from pylfr.deployment.resources import Resources
from pylfr.deployment.sweep import forget_expired
from pylfr.gallery.watchlist.sealed import open_sealed, seal_watchlist
from pylfr.gallery.watchlist.withdrawal import ListedFiles, withdraw
from pylfr.governance.adjudication.database import Records, open_records
from pylfr.governance.adjudication.review import Review
from pylfr.governance.audit.audit import AuditLog, open_audit
from pylfr.governance.keys.keys import read_signing_key
from pylfr.governance.keys.vault import VaultKey, destroy_key, make_vault_key, read_vault_key
from pylfr.sinks.evidence import open_sealed_evidence
from pylfr.sinks.jsonl import open_jsonl
from pylfr.types import Event
from tests.deployment_text import signed_deployment_text
from tests.engine.test_engine import Street, build
from tests.governance.canary import DIMENSION, AnybodyScores, Canary
from tests.governance.reviews import TWO_PEOPLE, deploy, enter
from tests.governance.samples import NOON
from tests.samples import sample_alert
from tests.system.power_loss_check import Acknowledged, flaws_of

STAGES = (
    "opening", "note", "run", "alert", "evidence", "queued for review", "line", "first verdict", "second verdict",
    "engagement", "outcome", "key", "sealing", "vault opened", "withdrawal", "expiry", "sweep",
)  # fmt: skip
RETENTION, OUTCOMES = timedelta(hours=24), timedelta(days=31)
# Between two starts, so that what the first ones left is over while the later ones run.
STEP = timedelta(hours=4)
KILLS_A_FOLDER = 11
WITHDRAWN = "Ada Lovelace"


class Child:
    """Does round after round and says on a pipe when it begins a step and when it has finished it."""

    def __init__(self, folder: Path, pipe: int, now: datetime) -> None:
        self._folder = folder
        self._pipe = pipe
        self._now = now

    def say(self, **fields: str | int | float) -> None:
        os.write(self._pipe, json.dumps(fields).encode() + b"\n")

    @contextmanager
    def stage(self, name: str, **fields: str | int) -> Iterator[dict[str, str | int]]:
        """A step: what the block adds to ``fields`` is acknowledged with it."""
        began = time.monotonic()
        self.say(begin=name)
        said = dict(fields)
        yield said
        self.say(done=name, lasted=time.monotonic() - began, **said)

    def work(self) -> None:
        with self.stage("opening"):
            deployment = read_deployment(self._folder / "deployment.toml")
            audit = opened_audit(self._folder, self._now)
            with Resources(deployment, now=self._now, audit=audit) as resources:
                forget_expired(resources)
            records = open_records(f"sqlite:///{deployment.records.file}", clock=lambda: self._now)  # type: ignore[union-attr]
            deploy(records, audit)
            review = Review(records, audit)
            path = self._folder / "evidence.key"
            expires_at = NOON + timedelta(days=2)
            key = read_vault_key(path, now=self._now) if path.exists() else make_vault_key(path, expires_at=expires_at)
        while True:
            alert = self.watch(audit, records, key)
            self.decide(alert, review)
            self.seal(audit)
            with self.stage("sweep") as said:
                with Resources(deployment, now=self._now, audit=audit) as resources:
                    forget_expired(resources)
                said["now"] = self._now.isoformat()

    def watch(self, audit: AuditLog, records: Records, key: VaultKey) -> str:
        """A run of the real engine on stand-in networks, and an alert, acknowledged step by step; its id."""
        evidence = open_sealed_evidence(self._folder / "evidence", key, retention=RETENTION)
        lines = open_jsonl(self._folder / "alerts.jsonl")
        with self.stage("note") as said:
            noted = audit.decide("", Event(kind="tick", details={}))
            said["sequence"] = noted.sequence
        with self.stage("run") as said:
            # The engine closes what it is given.
            engine = build(
                [Street("north", frames=8)], embedder=Canary(leaks=False), gallery=AnybodyScores(),
                audit=opened_audit(self._folder, self._now), sinks=[evidence, lines], dimension=DIMENSION,
            )  # fmt: skip
            [recorded] = list(engine.run())
            enter(records, recorded, retention=RETENTION, outcomes=OUTCOMES)
            said |= {"alert": recorded.value.id, "sequence": recorded.sequence}
        lines = open_jsonl(self._folder / "alerts.jsonl")
        alert = replace(sample_alert(entry=WITHDRAWN, authorisation=TWO_PEOPLE.reference), id=str(uuid.uuid4()))
        with self.stage("alert", alert=alert.id) as said:
            recorded = audit.record(alert)
            said["sequence"] = recorded.sequence
        with self.stage("evidence", alert=alert.id):
            evidence.send(recorded)
        with self.stage("queued for review", alert=alert.id):
            enter(records, recorded, retention=RETENTION, outcomes=OUTCOMES)
        with self.stage("line", alert=alert.id):
            lines.send(recorded)
        lines.close()
        return alert.id

    def decide(self, one: str, review: Review) -> None:
        for name, by in (("first verdict", "Ann"), ("second verdict", "Bob")):
            with self.stage(name, alert=one, by=by) as said:
                done = review.adjudicate(one, by=by, verdict="same person")
                said["sequence"] = done.sequence
        with self.stage("engagement", alert=one, by="Cem") as said:
            said["sequence"] = review.engage(one, by="Cem", decision="engage").sequence
        with self.stage("outcome", alert=one, by="Cem") as said:
            said["sequence"] = review.close_case(one, by="Cem", finding="true alert").sequence

    def seal(self, audit: AuditLog) -> None:
        """A watchlist under a key of its own: sealed, opened, sealed anew without one person, and gone with its key."""
        name = uuid.uuid4().hex[:8]
        path, key_path = self._folder / f"{name}.sealed", self._folder / f"{name}.key"
        with self.stage("key", list=name):
            key = make_vault_key(key_path, expires_at=self._now + timedelta(hours=1))
        # Another watchlist each time, outside of the folder that is searched for what lies in the open.
        plain = self._folder.parent / f"{name}.watchlist"
        shutil.copy(self._folder.parent / "plain.watchlist", plain)
        with closing(sqlite3.connect(plain)) as connection, connection:
            connection.execute("UPDATE watchlist SET identity = ?", (name,))
        with self.stage("sealing", list=name):
            seal_watchlist(plain, path, key)
        plain.unlink()
        with self.stage("vault opened", list=name):
            open_sealed(path, read_vault_key(key_path, now=self._now)).close()
        with self.stage("withdrawal", list=name) as said:
            # Why it was done names the list, so that the check can tell whose entry it is.
            done = withdraw(ListedFiles(sealed=path), key, WITHDRAWN, by="Dee", because=name, audit=audit)
            said["sequence"] = done.sequence
        with self.stage("expiry", list=name):
            destroy_key(key_path)


def opened_audit(folder: Path, now: datetime) -> AuditLog:
    return open_audit(
        folder / "audit.log", key=read_signing_key(folder / "record.key"), checkpoints=folder / "elsewhere",
        clock=lambda: now,
    )  # fmt: skip


def killed(folder: Path, target: str, delay_s: float, now: datetime) -> list[dict[str, str | int | float]]:
    """What a child said before it was killed, ``delay_s`` after it began ``target``."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            worker = Child(folder, writing, now)
            worker.work()
        except BaseException:
            worker.say(error=traceback.format_exc()[-3000:])
        finally:
            os._exit(1)
    os.close(writing)
    said, until = b"", time.monotonic() + 30
    begun = json.dumps({"begin": target}).encode()
    while begun not in said and select.select([reading], [], [], max(0.0, until - time.monotonic()))[0]:
        more = os.read(reading, 65536)
        if not more:
            break
        said += more
    until = time.monotonic() + delay_s
    while (left := until - time.monotonic()) > 0:
        time.sleep(left if left > 0.001 else 0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reading, 65536):
        said += more
    os.close(reading)
    return [json.loads(line) for line in said.splitlines()]


def main(top: Path, kills: int, most: int) -> None:
    chance = random.Random(20)
    lasted: dict[str, float] = dict.fromkeys(STAGES, 0.002) | {"opening": 0.03}
    hit: Counter[str] = Counter()
    flaws: list[str] = []
    acknowledged = 0
    number = 0
    while number < kills or (number < most and any(not hit[stage] for stage in STAGES)):
        folder = top / f"deployment-{number}"
        prepare(top, folder)
        known = Acknowledged()
        for start in range(KILLS_A_FOLDER):
            # A new folder begins with its first opening: that makes the database. After enough kills, what was missed.
            missed = [stage for stage in STAGES if not hit[stage]] if number >= kills else list(STAGES)
            target = STAGES[0] if start == 0 else chance.choice(missed or STAGES)
            now = NOON + start * STEP
            said = killed(folder, target, chance.uniform(0, 1.2 * lasted[target]), now)
            number += 1
            last = said[-1]
            hit[str(last["begin"]) if "begin" in last else "between two steps"] += 1
            for each in said:
                if "error" in each:
                    flaws.append(str(each["error"]))
                elif "done" in each:
                    stage = str(each["done"])
                    lasted[stage] += 0.3 * (float(each["lasted"]) - lasted[stage])
                    known.take(each)
                    acknowledged += 1
            found = [f"{target}, start {start}, kill {number}: {flaw}" for flaw in flaws_of(folder, known, now=now)]
            flaws += found
            if len(flaws) > 20:
                break
        if len(flaws) > 20:
            break
    print(json.dumps({"kills": number, "acknowledged": acknowledged, "hit": hit, "flaws": flaws}))


def prepare(top: Path, folder: Path) -> Deployment:
    """A deployment that was never started; whatever asks for a folder for temporary files gets one inside of it."""
    (folder / "evidence").mkdir(parents=True)
    (folder / "tmp").mkdir()
    for variable in ("TMPDIR", "SQLITE_TMPDIR"):
        os.environ[variable] = str(folder / "tmp")
    (folder / "deployment.toml").write_text(signed_deployment_text())
    for name in ("record.key", "record.pub"):
        (folder / name).write_bytes((top / name).read_bytes())
    (folder / "record.key").chmod(0o600)
    return read_deployment(folder / "deployment.toml")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
