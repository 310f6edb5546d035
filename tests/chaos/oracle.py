"""One judge of everything: what must hold whatever happened."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pylfr.deployment.config import read_deployment
from pylfr.deployment.resources import Resources, open_resources
from pylfr.deployment.sweep import forget_expired
from tests.chaos.deployed import SECRETS
from tests.chaos.scene import NAMES
from tests.chaos.stand import Stand, alerts_of, entries_of

# A process that serves the same cameras for hours may grow by so much, and no more.
MORE_DESCRIPTORS, MORE_THREADS, MORE_KIB = 16, 8, 200_000
# Rounds after which a process has grown up.
WARM_AFTER = 3
_CAMERA_TROUBLE = ("camera-disconnected", "camera-frozen", "camera-failed", "camera-refused")


@dataclass(slots=True, kw_only=True)
class Sizes:
    """What a process had at first, to compare with later."""

    process: int
    descriptors: int
    threads: int
    kib: int


@dataclass(slots=True)
class Oracle:
    """Collects violations: each is a sentence."""

    stand: Stand
    violations: list[str] = field(default_factory=list)
    _decided: list[str] = field(default_factory=list)
    _looked_at: int = 0
    _looks: int = 0
    _first: Sizes | None = None
    _seen: int = 0

    def after_round(self, faults: list[str], *, touched_all: bool) -> None:
        """What can be judged while everything goes on."""
        entries = list(entries_of(self.stand.folder))
        for entry in entries[self._seen :]:
            if not touched_all and entry.kind in _CAMERA_TROUBLE and entry.details.get("camera") == "south":
                self.violations.append(f"camera south noticed {faults}: {entry.kind} {entry.details}")
        self._seen = len(entries)
        self._sizes()

    def decide(self) -> None:
        """A person decides on the oldest alert that is open; what was acknowledged must be there at the end."""
        with _secrets(), open_resources(self.stand.deployment) as resources:
            waiting = [row for row in resources.review.alerts() if row.case.state == "open" and not row.differences]
            if waiting:
                resources.review.adjudicate(waiting[0].id, by="Ann Example", verdict="same person")
                self._decided.append(waiting[0].id)

    def sweep(self) -> None:
        """The sweep that a timer starts."""
        done = self.stand.pylfr("sweep", "deployment.toml")
        if done.returncode or "Traceback" in done.stderr:
            self.violations.append(f"the sweep failed: {done.stderr}")

    def at_the_end(self) -> None:
        """Everything that was acknowledged is in log and records once, verifies, and was delivered."""
        stand = self.stand
        keys = ("--checkpoints", "elsewhere.checkpoints", "--key", "record.pub")
        verified = stand.pylfr("audit", "verify", "audit.log", *keys)
        if verified.returncode:
            self.violations.append(f"the log does not verify: {verified.stdout}{verified.stderr}")
        logged = alerts_of(stand.folder)
        self._expect_once("the log", Counter(logged), set(logged))
        with _secrets(), open_resources(stand.deployment) as resources:
            rows = resources.require_records().stored().alerts
            self._expect_once("the records", Counter(row.id for row in rows), set(logged))
            self.violations += [f"alert {row.id} names {row.entry}" for row in rows if row.entry not in NAMES.values()]
            reviewed = resources.review.read()
        self.violations += [f"records and log differ: {each}" for each in reviewed.differences]
        decided = {row.id for row in reviewed.alerts if row.case.adjudications}
        self.violations += [f"the verdict on {each} is lost" for each in self._decided if each not in decided]
        for name, got in (("the webhook", stand.hook.accepted), ("the broker", stand.broker.heard)):
            if missing := set(logged) - set(got):
                self.violations.append(
                    f"{name} never got {len(missing)} of {len(logged)} alerts: {sorted(missing)[:3]}"
                )
            if unknown := set(got) - set(logged):
                self.violations.append(f"{name} got alerts that are not in the log: {sorted(unknown)}")
        output = stand.run.output.read_text(errors="replace")
        if "Traceback" in output:
            self.violations.append(f"a traceback: {output[output.index('Traceback') - 500 :][:3000]}")
        self._nothing_in_the_open(output)
        self._nothing_due_is_left()

    def delivered(self) -> bool:
        """Whether every alert of the log has arrived everywhere."""
        logged = set(alerts_of(self.stand.folder))
        with _secrets(), open_resources(self.stand.deployment) as resources:
            stored = {row.id for row in resources.require_records().stored().alerts}
        return logged <= stored and logged <= set(self.stand.hook.accepted) and logged <= set(self.stand.broker.heard)

    def _expect_once(self, where: str, found: Counter[str], logged: set[str]) -> None:
        if missing := logged - set(found):
            self.violations.append(f"{where} lack {len(missing)} alerts: {sorted(missing)[:3]}")
        if odd := [id_ for id_, count in found.items() if count != 1 or id_ not in logged]:
            self.violations.append(f"{where} have alerts twice, or that the log has not: {odd}")

    def _nothing_in_the_open(self, output: str) -> None:
        secrets = [each.encode() for each in (*SECRETS.values(), *NAMES.values())]
        secrets += [template[start : start + 64] for template in self.stand.templates for start in (0, 64, 128)]
        for path in self._files():
            content = path.read_bytes()
            if any(each in content for each in secrets):
                self.violations.append(f"{path.name} holds a secret, a name or a template in the open")
            if stat.S_IMODE(path.stat().st_mode) & 0o077 and path.suffix not in (".pub", ".toml", ".json"):
                self.violations.append(f"{path.name} can be read by others")
        if any(each in output for each in SECRETS.values()):
            self.violations.append("a secret was printed")

    def _nothing_due_is_left(self) -> None:
        """As if a sweep came after every retention."""
        stand = self.stand
        later = datetime.now(UTC) + timedelta(days=70)
        with _secrets(), Resources(read_deployment(stand.deployment), now=later) as resources:
            forgotten = forget_expired(resources)
            rows = resources.require_records().stored().alerts
        self.violations += [f"a sweep left {each}" for each in forgotten.left]
        left = [path.name for path in (stand.folder / "evidence").iterdir()]
        # A key is named after the time at which it ends; those for deciders' names end after a year.
        due = f"{later:%Y%m%dT%H%M%SZ}"
        left += [path.name for path in (stand.folder / "names.keys").iterdir() if path.stem <= due]
        left += [name for name in ("evidence.key", "list.key") if (stand.folder / name).exists()]
        left += [row.id for row in rows if row.entry is not None]
        if left:
            self.violations.append(f"due and left: {left[:5]}")

    def _files(self) -> list[Path]:
        return [path for path in self.stand.folder.rglob("*") if path.is_file()]

    def _sizes(self) -> None:
        if not self.stand.run.is_alive() or self.stand.run.process is None:
            return
        process = self.stand.run.process.pid
        status = Path(f"/proc/{process}/status").read_text()
        words = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        now = Sizes(
            process=process,
            descriptors=len(os.listdir(f"/proc/{process}/fd")),  # noqa: PTH208
            threads=int(words["Threads"]),
            kib=int(words["VmRSS"].split()[0]),
        )
        if self._looked_at != process:
            self._looked_at, self._looks, self._first = process, 0, now
        self._looks += 1
        if self._looks <= WARM_AFTER:
            # It loads networks and connects: what it has now is what is compared with later.
            self._first = now
        elif self._first is not None and (
            now.descriptors > self._first.descriptors + MORE_DESCRIPTORS
            or now.threads > self._first.threads + MORE_THREADS
            or now.kib > self._first.kib + MORE_KIB
        ):
            self.violations.append(f"the process grows: {self._first} became {now}")


@contextlib.contextmanager
def _secrets() -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(SECRETS)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
