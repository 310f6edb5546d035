"""Who decides, and how that is known: a signature over alert, decision and time with a key that only they hold."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from pylfr._internal.canonical_json import Plain, canonical, utc_text
from pylfr.errors import AdjudicationError
from pylfr.governance.audit.chain import Flaw, LogEntry
from pylfr.governance.authorisation.enrolment import identity_of
from pylfr.governance.keys.keys import PublicKey, SigningKey

# What people decide, by the kind of its entry in the audit log.
DECISIONS = ("adjudication", "engagement", "outcome")
_FORMAT = "pylfr-decision-1"


def require_decider(people: Mapping[str, str], by: str, key: SigningKey | None) -> None:
    """Raise ``AdjudicationError`` unless ``by`` is one of ``people`` (names and their public keys) and holds the key.

    Nobody named: whoever says a name is taken at it.
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


def sign_decision(key: SigningKey, *, kind: str, alert: str, by: str, what: str, at: datetime) -> str:
    """The signature of a decision, base64."""
    return base64.b64encode(key.sign(_message(kind, alert, by, what, utc_text(at)))).decode("ascii")


def verify_decisions(log: Iterable[LogEntry], people: Mapping[str, str] | None) -> Iterator[Flaw]:
    """Every decision in the log that its signature does not cover.

    With ``people``, as an authorisation names them, also every one without a signature, or with a key that is not that
    person's; without, a signature is checked against the key that stands beside it.
    """
    known = {identity_of(name): text for name, text in (people or {}).items()}
    for line, entry in enumerate(log, start=1):
        if entry.kind not in DECISIONS:
            continue
        said = {
            name: str(entry.details.get(name)) for name in ("alert", "by", "what", "decided_at", "key", "signature")
        }
        if "signature" not in entry.details:
            if known:
                yield Flaw(line=line, what=f"the {entry.kind} of {said['by']!r} is not signed")
            continue
        if known and known.get(identity_of(said["by"])) != said["key"]:
            yield Flaw(line=line, what=f"the {entry.kind} is signed with a key that is not that of {said['by']!r}")
        elif not _verifies(entry.kind, said):
            yield Flaw(line=line, what=f"the {entry.kind} is not the one that {said['by']!r} signed")


def _verifies(kind: str, said: Mapping[str, str]) -> bool:
    try:
        key, signature = PublicKey.parse(said["key"]), base64.b64decode(said["signature"], validate=True)
    except (ValueError, binascii.Error):
        return False
    return key.verifies(_message(kind, said["alert"], said["by"], said["what"], said["decided_at"]), signature)


def _message(kind: str, alert: str, by: str, what: str, at: str) -> bytes:
    words: list[Plain] = [_FORMAT, kind, alert, by, what, at]
    return canonical(words)
