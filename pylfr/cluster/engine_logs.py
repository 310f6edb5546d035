"""Are the engines' own logs whole, and do they fit the deployment's log, which names how far each had come?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pylfr.errors import AuditError, PylfrError
from pylfr.governance.audit.chain import LogEntry, ReadLog, read_log
from pylfr.governance.keys.keys import PublicKey, read_public_key

# The entries of the deployment's log that name how far an engine's log had come.
BINDING = frozenset({"engine-joined", "engine-log", "engine-lost", "engine-ended", "engine-left"})
_ALERTS = frozenset({"alert", "alert-repeated"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLogs:
    """What the logs of engines came to: everything that is wrong, what is whole, and which logs nobody gave."""

    flaws: tuple[str, ...]
    whole: tuple[str, ...]
    not_given: tuple[str, ...]


def verify_engines(deployment: Sequence[LogEntry], folders: Sequence[Path], *, received: Path) -> EngineLogs:
    """Compare the logs in ``folders`` of nodes with the deployment's signed entries and the checkpoints ``received``.

    A part of an engine's log that was lost, cut or written anew is found, back to the last checkpoint that left the
    node; so is an alert that an engine raised and that never came into the deployment's log. Raises ``AuditError``
    where a file cannot be read.
    """
    bound = [entry for entry in deployment if entry.kind in BINDING]
    recorded = {str(entry.details["alert"]) for entry in deployment if entry.kind in _ALERTS}
    names = {str(entry.details["key"]): str(entry.details["node"]) for entry in bound}
    flaws: list[str] = []
    whole: list[str] = []
    given = set()
    for folder in folders:
        key, log = _read(folder, received)
        if key.text not in names:
            flaws.append(f"{folder}: the deployment's log names no engine with the key {key.fingerprint}")
            continue
        given.add(key.text)
        mine = [entry for entry in bound if entry.details["key"] == key.text]
        found = [*_flaws(log, mine), *_lost(log, recorded)]
        flaws += [f"{folder / 'engine.log'}: {each}" for each in found]
        if not found:
            whole.append(f"{names[key.text]}: {len(log.entries)} entries, whole, and as bound {len(mine)} times")
    return EngineLogs(
        flaws=tuple(flaws),
        whole=tuple(whole),
        not_given=tuple(sorted(name for text, name in names.items() if text not in given)),
    )


def _read(folder: Path, received: Path) -> tuple[PublicKey, ReadLog]:
    """An engine's key and log. Checkpoints that left the node count as much as those that are there."""
    try:
        key = read_public_key(folder / "engine.pub")
        elsewhere = received / f"{key.fingerprint}.checkpoints"
        checkpoints = b"".join(
            path.read_bytes() for path in (elsewhere, folder / "engine.checkpoints") if path.exists()
        )
        return key, read_log((folder / "engine.log").read_bytes(), checkpoints, key)
    except OSError as error:
        raise AuditError(f"{error.filename} cannot be read: {error.strerror}") from error
    except PylfrError as error:
        raise AuditError(f"{folder} must be a node's folder with engine.log and engine.pub: {error}") from error


def _flaws(log: ReadLog, bound: Sequence[LogEntry]) -> Iterator[str]:
    for flaw in log.flaws:
        yield f"line {flaw.line}: {flaw.what}" if flaw.line else flaw.what
    digests = {entry.sequence: entry.digest for entry in log.entries}
    for entry in bound:
        sequence, digest = int(str(entry.details["sequence"])), entry.details["digest"]
        if sequence and digests.get(sequence) != digest:
            yield (
                f"entry {entry.sequence} of the deployment's log names its entry {sequence}, which is gone or another"
            )


def _lost(log: ReadLog, recorded: set[str]) -> Iterator[str]:
    for entry in log.entries:
        if entry.kind == "alert" and entry.details["alert"] not in recorded:
            yield f"entry {entry.sequence} is an alert that never came into the deployment's log"
