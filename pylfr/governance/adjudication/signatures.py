"""Who decides, and how that is known: a signature over alert, decision, reason and time with a key that only they hold.

Entries of the first version have no reason, and are verified without one.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pylfr._internal.canonical_json import Plain, canonical, utc_text
from pylfr.errors import AdjudicationError
from pylfr.governance.audit.chain import Flaw, LogEntry
from pylfr.governance.authorisation.enrolment import identity_of
from pylfr.governance.keys import person_key
from pylfr.governance.keys.keys import SigningKey
from pylfr.governance.keys.person_key import PersonKey, parse_person_key

# What people decide, by the kind of its entry in the audit log.
DECISIONS = ("adjudication", "engagement", "outcome", "verdict-amended", "outcome-amended")
_FORMAT_1, _FORMAT_2 = "pylfr-decision-1", "pylfr-decision-2"
# A decision that was signed elsewhere is taken in while it is no older than this: its author's clock may differ.
_MOST_SKEW = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenSignature:
    """A signature as text, made at ``at`` where the private half of ``public`` is: in a browser, or a security key."""

    public: PersonKey
    at: datetime
    signature: str


# Whoever signs a decision: with a key on this machine, or with one that never leaves its owner.
Signer = SigningKey | GivenSignature


def require_decider(people: Mapping[str, str], by: str, key: Signer | None) -> None:
    """Raise ``AdjudicationError`` unless ``by`` is one of ``people`` (names and their public keys) and holds the key.

    Nobody named: whoever gives a name is taken at their word.
    """
    if not people:
        return
    known = {identity_of(name): text for name, text in people.items()}
    if identity_of(by) not in known:
        raise AdjudicationError(f"{by!r} may not decide here: the authorisation names {', '.join(sorted(people))}")
    if key is None:
        raise AdjudicationError(f"a decision of {by!r} must be signed: give the private key (--key)")
    if key.public.text != known[identity_of(by)]:
        raise AdjudicationError(f"the key is not that of {by!r}: everybody decides with a key of their own")


def sign_decision(key: SigningKey, *, kind: str, alert: str, by: str, what: str, at: datetime, reason: str) -> str:
    """The signature of a decision, base64."""
    return signature_over(canonical([_FORMAT_2, kind, alert, by, what, utc_text(at), reason]), "decision", by, key)


def signature_by(
    signer: Signer, *, kind: str, alert: str, by: str, what: str, reason: str, now: datetime
) -> tuple[datetime, str]:
    """When the decision was taken, and its signature as text.

    Raises ``AdjudicationError`` for a given signature that is not over this decision, or not of these minutes.
    """
    if isinstance(signer, SigningKey):
        return now, sign_decision(signer, kind=kind, alert=alert, by=by, what=what, at=now, reason=reason)
    require_recent("decision", signer.at, now)
    message = canonical([_FORMAT_2, kind, alert, by, what, utc_text(signer.at), reason])
    return signer.at, signature_over(message, "decision", by, signer)


def require_recent(what: str, at: datetime, now: datetime) -> None:
    """Raise ``AdjudicationError`` where ``what`` was not signed in these minutes."""
    if abs(now - at) > _MOST_SKEW:
        raise AdjudicationError(
            f"the {what} was signed at {utc_text(at)}, and it is {utc_text(now)}: check the clock, sign again"
        )


def signature_over(message: bytes, what: str, by: str, signer: Signer) -> str:
    """The signature of ``message`` as text. Raises ``AdjudicationError`` for a given one that is not over it."""
    if isinstance(signer, SigningKey):
        return base64.b64encode(signer.sign(message)).decode("ascii")
    if not verifies(signer.public.text, message, signer.signature):
        raise AdjudicationError(f"the signature is not that of {by!r} over this {what}: nothing was recorded")
    return signer.signature


def verifies(key: str, message: bytes, signature: str) -> bool:
    """Whether a person's key, as text, says that ``signature`` is over ``message``; not where either is none."""
    try:
        return person_key.verifies(parse_person_key(key), message, signature)
    except ValueError:
        return False


def signature_flaw(entry: LogEntry, people: Mapping[str, str] | None) -> str | None:
    """Why a decision in the log cannot be that person's; None where it can.

    With ``people``, as an authorisation names them, it must be signed, with that person's key; without, a signature is
    checked against the key beside it.
    """
    known = {identity_of(name): text for name, text in (people or {}).items()}
    by = str(entry.details.get("by"))
    if "signature" not in entry.details:
        return f"the {entry.kind} of {by!r} is not signed" if known else None
    if known and known.get(identity_of(by)) != entry.details.get("key"):
        return f"the {entry.kind} is signed with a key that is not that of {by!r}"
    return None if _verifies(entry) else f"the {entry.kind} is not the one that {by!r} signed"


def verify_decisions(log: Iterable[LogEntry], people: Mapping[str, str] | None) -> Iterator[Flaw]:
    """Every decision in the log that is not of who is named in it; see ``signature_flaw``."""
    for line, entry in enumerate(log, start=1):
        if entry.kind in DECISIONS and (flaw := signature_flaw(entry, people)) is not None:
            yield Flaw(line=line, what=flaw)


def _verifies(entry: LogEntry) -> bool:
    said = {name: str(entry.details.get(name)) for name in ("alert", "by", "what", "decided_at", "key", "signature")}
    words: list[Plain] = [entry.kind, said["alert"], said["by"], said["what"], said["decided_at"]]
    reason = entry.details.get("reason")
    words = [_FORMAT_1, *words] if reason is None else [_FORMAT_2, *words, str(reason)]
    return verifies(said["key"], canonical(words), said["signature"])
