"""An authorisation in plain words, for whoever signs it, works under it, or audits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pylfr._internal.canonical_json import Plain
from pylfr._internal.duration import duration_text
from pylfr.governance.keys.person_key import parse_person_key
from pylfr.governance.keys.webauthn import WebAuthnKey

_BLANK = "(blank)"
_DIGEST_DIGITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One heading with its lines."""

    name: str
    lines: tuple[str, ...]


def terms_of(fields: Mapping[str, Plain]) -> tuple[Term, ...]:
    """The terms of an authorisation, of a draft whose fields may be blank, or of a permit for recordings.

    Digests are shortened to what people compare, and whatever has no heading of its own comes last, so that nothing of
    what is signed is hidden.
    """
    rest = dict(fields)

    def take(*names: str) -> list[str]:
        return [_said(rest.pop(name)) for name in names if name in rest]

    terms = [
        Term(name="Deployment", lines=tuple(take("deployment", "place"))),
        Term(name="Why", lines=tuple(take("purpose", "use_case"))),
        Term(name="Law", lines=tuple(take("legal_basis", "profile"))),
        Term(name="Necessity", lines=tuple(take("necessity"))),
        Term(name="Proportionality", lines=tuple(take("proportionality"))),
        Term(name="Window", lines=_window(rest)),
        Term(name="Officers", lines=_named(rest, "authorising_officer", "operator", "senior_accountable_person")),
        Term(name="Assessments", lines=_named(rest, "dpia", "eia", "signage_confirmed")),
        Term(name="Cameras", lines=_listed(rest.pop("cameras", None))),
        Term(name="Watchlist", lines=_named(rest, "watchlist_size", "watchlist")),
        Term(name="Recognition", lines=_named(rest, "threshold", "detector", "embedder", "calibration", "cohorts")),
        Term(name="People who decide", lines=_people(rest.pop("people", None))),
        Term(name="Urgency", lines=_named(rest, "urgent", "confirms")),
        Term(name="Settings", lines=_listed(rest.pop("settings", None))),
        Term(name="Signed", lines=tuple(take("signed_at"))),
        Term(name="Further", lines=_named(rest, *sorted(rest))),
    ]
    return tuple(term for term in terms if term.lines)


def _window(rest: dict[str, Plain]) -> tuple[str, ...]:
    starts, ends = rest.pop("starts_at", ""), rest.pop("ends_at", "")
    try:
        length = datetime.fromisoformat(str(ends)) - datetime.fromisoformat(str(starts))
        begin_to_end = f"{_minute(str(starts))} to {_minute(str(ends))}"
    except (ValueError, TypeError, OverflowError):
        return (f"{_said(starts)} to {_said(ends)}",)
    return (begin_to_end, f"for {duration_text(length)}")


def _minute(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _named(rest: dict[str, Plain], *names: str) -> tuple[str, ...]:
    return tuple(f"{name.replace('_', ' ')}: {_said(rest.pop(name))}" for name in names if name in rest)


def _listed(value: Plain) -> tuple[str, ...]:
    if isinstance(value, dict):
        return tuple(f"{name}: {_said(each)}" for name, each in sorted(value.items()))
    if isinstance(value, list):
        return tuple(_said(each) for each in value)
    return () if value is None else (_said(value),)


def _people(value: Plain) -> tuple[str, ...]:
    if not isinstance(value, dict):
        return _listed(value)
    return tuple(f"{name}: {_fingerprint(str(key))}" for name, key in sorted(value.items()))


def _fingerprint(key: str) -> str:
    try:
        parsed = parse_person_key(key)
    except ValueError:
        return key
    where = f", a security key for {parsed.origin}" if isinstance(parsed, WebAuthnKey) else ""
    return f"key {parsed.fingerprint}{where}"


def _said(value: Plain) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    text = str(value)
    if len(text) == _DIGEST_DIGITS and all(digit in "0123456789abcdef" for digit in text):
        return f"sha256 {text[:16]}…"
    return text if text.strip() else _BLANK
