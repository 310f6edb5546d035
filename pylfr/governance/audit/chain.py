"""The form of the audit log: lines chained by digests, checkpoints signed, and what is wrong with either, by place."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pylfr._internal.canonical_json import Plain, canonical, utc_text
from pylfr.governance.keys.keys import PublicKey, SigningKey

# What the first entry follows.
GENESIS = "0" * 64
_CHECKPOINT = b"pylfr-checkpoint-1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One thing that happened. ``previous`` is the digest of the entry before it; ``digest`` covers all of this one."""

    sequence: int
    at: datetime
    kind: str
    details: dict[str, Plain]
    previous: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(canonical(self._fields())).hexdigest()

    def line(self) -> bytes:
        """The entry as it stands in the log, with its end of line."""
        return canonical({**self._fields(), "digest": self.digest}) + b"\n"

    def _fields(self) -> dict[str, Plain]:
        return {
            "sequence": self.sequence,
            "at": utc_text(self.at),
            "kind": self.kind,
            "details": self.details,
            "previous": self.previous,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A signed statement that the log's entry ``sequence`` had this ``digest``: it stands for all entries before."""

    sequence: int
    digest: str
    signature: bytes

    def line(self) -> bytes:
        """The checkpoint as it is exported, with its end of line."""
        signature = base64.b64encode(self.signature).decode("ascii")
        return canonical({"sequence": self.sequence, "digest": self.digest, "signature": signature}) + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """Something in a log that cannot be as it was written. ``line`` counts from 1; 0 is the log as a whole."""

    line: int
    what: str


def sign_checkpoint(entry: LogEntry, key: SigningKey) -> Checkpoint:
    """The checkpoint of ``entry``."""
    digest = entry.digest
    return Checkpoint(sequence=entry.sequence, digest=digest, signature=key.sign(_stated(entry.sequence, digest)))


def parse_entry(line: bytes) -> LogEntry:
    """The entry that ``line`` is. Raises ``ValueError`` where it is none, or its digest is not its own."""
    try:
        fields = json.loads(line)
        entry = LogEntry(
            sequence=int(fields["sequence"]),
            at=datetime.fromisoformat(fields["at"]),
            kind=str(fields["kind"]),
            details=dict(fields["details"]),
            previous=str(fields["previous"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError("it is no entry: it was damaged") from error
    if entry.line().rstrip(b"\n") != line.rstrip(b"\n"):
        raise ValueError("its digest is not its own: it was changed")
    return entry


def parse_checkpoint(line: bytes) -> Checkpoint:
    """The checkpoint that ``line`` is. Raises ``ValueError`` where it is none."""
    try:
        fields = json.loads(line)
        return Checkpoint(
            sequence=int(fields["sequence"]),
            digest=str(fields["digest"]),
            signature=base64.b64decode(fields["signature"], validate=True),
        )
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise ValueError("it is no checkpoint: it was damaged") from error


def verify(log: bytes, checkpoints: bytes | None, key: PublicKey | None) -> Iterator[Flaw]:
    """Everything that is wrong with a log, in its order; nothing for one that is whole.

    A chain alone misses a tail that was cut and a log that was written anew: those show against ``checkpoints``, which
    were kept elsewhere, verified with ``key``.
    """
    digests: dict[int, tuple[int, str]] = {}
    previous, expected = GENESIS, 1
    lines = log.split(b"\n")
    if lines.pop():
        yield Flaw(line=len(lines) + 1, what="the last line has no end: it was never acknowledged, or it was cut")
    for number, line in enumerate(lines, start=1):
        try:
            entry = parse_entry(line)
        except ValueError as error:
            yield Flaw(line=number, what=str(error))
            previous, expected = "", expected + 1
            continue
        if entry.sequence != expected:
            yield Flaw(line=number, what=_misplaced(entry.sequence, expected))
        elif previous and entry.previous != previous:
            yield Flaw(line=number, what=f"entry {entry.sequence} does not follow the one before it: one was replaced")
        digests[entry.sequence] = (number, entry.digest)
        previous, expected = entry.digest, entry.sequence + 1
    if checkpoints is not None and key is not None:
        yield from _against(checkpoints, key, digests)


def _against(checkpoints: bytes, key: PublicKey, digests: dict[int, tuple[int, str]]) -> Iterator[Flaw]:
    agreed = last = 0
    for number, line in enumerate(checkpoints.splitlines(), start=1):
        try:
            checkpoint = parse_checkpoint(line)
        except ValueError as error:
            yield Flaw(line=0, what=f"checkpoint {number}: {error}")
            continue
        if not key.verifies(_stated(checkpoint.sequence, checkpoint.digest), checkpoint.signature):
            yield Flaw(line=0, what=f"checkpoint {number} was not signed with this key")
            continue
        last = max(last, checkpoint.sequence)
        place, digest = digests.get(checkpoint.sequence, (0, ""))
        if digest == checkpoint.digest:
            agreed = checkpoint.sequence
        elif digest:
            yield Flaw(
                line=place,
                what=f"entry {checkpoint.sequence} is not the one that was signed: the log was written anew after "
                f"entry {agreed}",
            )
            return
    tail = max(digests, default=0)
    if last > tail:
        yield Flaw(line=len(digests) + 1, what=f"entries {tail + 1} to {last} were cut off: they had been signed")


def _misplaced(sequence: int, expected: int) -> str:
    if sequence > expected:
        missing = f"entry {expected} is" if sequence == expected + 1 else f"entries {expected} to {sequence - 1} are"
        return f"{missing} missing before entry {sequence}"
    return f"entry {sequence} stands where entry {expected} belongs: entries were put into another order"


def _stated(sequence: int, digest: str) -> bytes:
    return _CHECKPOINT + f"{sequence} {digest}".encode("ascii")
