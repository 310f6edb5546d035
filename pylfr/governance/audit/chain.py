"""The form of the audit log: lines chained by digests, a signed checkpoint for each, and what is wrong with either."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pylfr._internal.canonical_json import Plain, canonical, utc_text
from pylfr._internal.strict_json import integer_of, moment_of, parse_object, text_of
from pylfr.governance.keys.keys import PublicKey, SigningKey

# What the first entry follows.
GENESIS = "0" * 64
_CHECKPOINT = b"pylfr-checkpoint-1\n"
_UNSIGNED = (
    "entry {0} has no checkpoint of its own: its writer died, or somebody without the record's key wrote it; nothing "
    "acts on it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One thing that happened. ``previous`` is the digest of the entry before it; ``digest`` covers all of this one.

    ``run`` names the run of a deployment that wrote it; None for a command.
    """

    sequence: int
    at: datetime
    kind: str
    details: dict[str, Plain]
    previous: str
    run: str | None = None

    @property
    def digest(self) -> str:
        return hashlib.sha256(canonical(self._fields())).hexdigest()

    def line(self) -> bytes:
        """The entry as it is written to the log, with its end of line."""
        return canonical({**self._fields(), "digest": self.digest}) + b"\n"

    def _fields(self) -> dict[str, Plain]:
        return {
            "sequence": self.sequence,
            "at": utc_text(self.at),
            "kind": self.kind,
            "details": self.details,
            "previous": self.previous,
            **({"run": self.run} if self.run is not None else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A signed statement that the holder of the record's key wrote the entry ``sequence`` with this ``digest``."""

    sequence: int
    digest: str
    signature: bytes

    def line(self) -> bytes:
        """The checkpoint as it is exported, with its end of line."""
        signature = base64.b64encode(self.signature).decode("ascii")
        return canonical({"sequence": self.sequence, "digest": self.digest, "signature": signature}) + b"\n"

    def is_signed_with(self, key: PublicKey) -> bool:
        """Whether the holder of ``key`` made this statement."""
        return key.verifies(_stated(self.sequence, self.digest), self.signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """Something in a log that cannot be as it was written. ``line`` counts from 1; 0 is the log as a whole."""

    line: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLog:
    """What a log file holds. Only ``entries`` may be acted on.

    With the record's public key, ``entries`` are those that have a valid checkpoint of their own, and ``unsigned`` is a
    last entry that has none yet: its writer died in between, or somebody without the key wrote it. Without the key,
    ``entries`` is the whole chain, which proves nothing about who wrote it (``is_signed`` is False).
    ``are_checkpoints_apart`` is False where the checkpoints are on the log's own file system.
    """

    entries: tuple[LogEntry, ...]
    unsigned: LogEntry | None
    flaws: tuple[Flaw, ...]
    is_signed: bool
    are_checkpoints_apart: bool = True


def sign_checkpoint(entry: LogEntry, key: SigningKey) -> Checkpoint:
    """The checkpoint of ``entry``."""
    digest = entry.digest
    return Checkpoint(sequence=entry.sequence, digest=digest, signature=key.sign(_stated(entry.sequence, digest)))


def parse_entry(line: bytes) -> LogEntry:
    """The entry that ``line`` is. Raises ``ValueError`` where it is none, or its digest is not its own."""
    try:
        fields = parse_object(line, "sequence", "at", "kind", "details", "previous", "digest", optional=("run",))
        details = fields["details"]
        if not isinstance(details, dict):
            raise ValueError("details must be an object")
        entry = LogEntry(
            sequence=integer_of(fields["sequence"], "sequence", least=1),
            at=moment_of(fields["at"], "at"),
            kind=text_of(fields["kind"], "kind"),
            details=details,
            previous=text_of(fields["previous"], "previous"),
            run=text_of(fields["run"], "run") if "run" in fields else None,
        )
        written = entry.line()
    except ValueError as error:
        raise ValueError(f"it is no entry, it was damaged: {error}") from error
    if written.rstrip(b"\n") != line.rstrip(b"\n"):
        raise ValueError("its digest is not its own: it was changed")
    return entry


def parse_checkpoint(line: bytes) -> Checkpoint:
    """The checkpoint that ``line`` is. Raises ``ValueError`` where it is none."""
    try:
        fields = parse_object(line, "sequence", "digest", "signature")
        digest = text_of(fields["digest"], "digest")
        if not digest.isascii():
            raise ValueError("digest must be hexadecimal")
        return Checkpoint(
            sequence=integer_of(fields["sequence"], "sequence", least=1),
            digest=digest,
            signature=base64.b64decode(text_of(fields["signature"], "signature"), validate=True),
        )
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"it is no checkpoint, it was damaged: {error}") from error


def read_log(log: bytes, checkpoints: bytes | None = None, key: PublicKey | None = None) -> ReadLog:
    """Every entry of a log that can be believed, and everything that is wrong with it, in its order.

    A chain alone misses a tail that was cut, entries that somebody appended and a log that was written anew: those show
    against ``checkpoints``, one for each entry, verified with the public ``key``. Give both, or neither.
    """
    if (checkpoints is None) != (key is None):
        raise ValueError("checkpoints are verified with the record's public key: give both, or neither")
    chained, flaws = _chained(log)
    if checkpoints is None or key is None:
        return ReadLog(entries=tuple(chained.values()), unsigned=None, flaws=tuple(flaws), is_signed=False)
    signed, complaints = _signed(checkpoints, key)
    flaws += complaints
    departed = next((number for number in sorted(signed) if _departs(chained, number, signed[number])), None)
    if departed is not None:
        line, before = _line_of(chained, departed), max((each for each in signed if each < departed), default=0)
        what = f"entry {departed} is not the one that was signed: the log was written anew after entry {before}"
        flaws.append(Flaw(line=line, what=what))
        believed = {number: entry for number, entry in chained.items() if number < departed and number in signed}
        return ReadLog(entries=tuple(believed.values()), unsigned=None, flaws=tuple(flaws), is_signed=True)
    flaws += _cut(chained, signed)
    unsigned = sorted(set(chained) - set(signed))
    tail = chained[unsigned[-1]] if unsigned and unsigned[-1] == max(chained) else None
    if tail is not None and len(unsigned) > 1 and unsigned[-2] == tail.sequence - 1:
        tail = None
    left = [number for number in unsigned if tail is None or number != tail.sequence]
    flaws += [Flaw(line=_line_of(chained, each), what=_UNSIGNED.format(each)) for each in left]
    if len(chained) > (tail is not None) and not signed:
        flaws.append(Flaw(line=0, what="there is no valid checkpoint: nothing in this log is vouched for"))
    return ReadLog(
        entries=tuple(entry for number, entry in chained.items() if number in signed),
        unsigned=tail,
        flaws=tuple(flaws),
        is_signed=True,
    )


def _chained(log: bytes) -> tuple[dict[int, LogEntry], list[Flaw]]:
    """The entries of a log by their number, and where the chain is broken."""
    entries: dict[int, LogEntry] = {}
    flaws = []
    previous, expected = GENESIS, 1
    lines = log.split(b"\n")
    if lines.pop():
        what = "the last line has no end: it was never acknowledged, or it was cut"
        flaws.append(Flaw(line=len(lines) + 1, what=what))
    for number, line in enumerate(lines, start=1):
        try:
            entry = parse_entry(line)
        except ValueError as error:
            flaws.append(Flaw(line=number, what=str(error)))
            previous, expected = "", expected + 1
            continue
        if entry.sequence != expected:
            flaws.append(Flaw(line=number, what=_misplaced(entry.sequence, expected)))
        elif previous and entry.previous != previous:
            what = f"entry {entry.sequence} does not follow the one before it: one was replaced"
            flaws.append(Flaw(line=number, what=what))
        entries[entry.sequence] = entry
        previous, expected = entry.digest, entry.sequence + 1
    return entries, flaws


def _signed(checkpoints: bytes, key: PublicKey) -> tuple[dict[int, str], list[Flaw]]:
    """The digest that was signed for each entry, and what is wrong with the checkpoints themselves."""
    signed: dict[int, str] = {}
    flaws = []
    for number, line in enumerate(checkpoints.splitlines(), start=1):
        try:
            checkpoint = parse_checkpoint(line)
        except ValueError as error:
            flaws.append(Flaw(line=0, what=f"checkpoint {number}: {error}"))
            continue
        if not checkpoint.is_signed_with(key):
            flaws.append(Flaw(line=0, what=f"checkpoint {number} was not signed with this key"))
        elif signed.setdefault(checkpoint.sequence, checkpoint.digest) != checkpoint.digest:
            what = f"two different entries {checkpoint.sequence} were signed: one of them was replaced"
            flaws.append(Flaw(line=0, what=what))
    return signed, flaws


def _departs(chained: dict[int, LogEntry], number: int, digest: str) -> bool:
    return number in chained and chained[number].digest != digest


def _cut(chained: dict[int, LogEntry], signed: dict[int, str]) -> Iterator[Flaw]:
    tail, last = max(chained, default=0), max(signed, default=0)
    if last > tail:
        yield Flaw(line=len(chained) + 1, what=f"entries {tail + 1} to {last} were cut off: they had been signed")


def _line_of(chained: dict[int, LogEntry], sequence: int) -> int:
    return list(chained).index(sequence) + 1


def _misplaced(sequence: int, expected: int) -> str:
    if sequence > expected:
        missing = f"entry {expected} is" if sequence == expected + 1 else f"entries {expected} to {sequence - 1} are"
        return f"{missing} missing before entry {sequence}"
    return f"entry {sequence} is where entry {expected} belongs: entries were reordered"


def _stated(sequence: int, digest: str) -> bytes:
    return _CHECKPOINT + f"{sequence} {digest}".encode("ascii")
