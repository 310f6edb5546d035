"""What became of every alert, replayed from the entries of the audit log: the database only repeats it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, cast, get_args

from pylfr._internal.canonical_json import Plain, digest
from pylfr._internal.strict_json import parse_object, text_of
from pylfr.errors import AdjudicationError, ConfigError
from pylfr.governance.adjudication.case import Adjudication, Case, Decision, Engagement, Finding, Outcome, Verdict
from pylfr.governance.adjudication.signatures import DECISIONS, signature_flaw
from pylfr.governance.audit.chain import LogEntry
from pylfr.governance.authorisation.profiles import read_profile

# Where the terms of a deployment are unknown, the strictest policy is assumed.
_STRICTEST = 2
_REFERENCE_DIGITS = 16
# The records as a receiver of alerts, and the kind of entry that says that a run ended before a receiver had them all.
RECORDS, UNFINISHED = "the records", "delivery-unfinished"

Table = Literal["alerts", "adjudications", "engagements", "outcomes", "deployments", "log"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something in which the records are not what the log says.

    ``alert`` is None where it concerns all of them; ``entry`` is the number of the alert's entry in the log. ``row``
    names an alert, and ``what`` may name who decided: ``published`` does neither. ``is_log_shorter`` says that the
    records know more of the log than there is.
    """

    alert: str | None
    row: str
    what: str
    entry: int | None = None
    names_somebody: bool = True
    is_log_shorter: bool = False

    @property
    def published(self) -> str:
        """Which row differs, for a report that anybody may read."""
        table = self.row.split(",", maxsplit=1)[0]
        row = table if self.entry is None else f"{table}, alert of entry {self.entry}"
        return row if self.names_somebody else f"{row}: {self.what}"

    def __str__(self) -> str:
        return f"{self.row}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRules:
    """Under what rules people decide on the alerts of one authorisation.

    How many must, who, by name with their keys, and which decisions must give their reason.
    """

    min_adjudicators: int
    people: Mapping[str, str]
    reasons_for: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDecision:
    """A decision as the log has it: its entry, and what it made of the case."""

    entry: LogEntry
    decision: Adjudication | Engagement | Outcome


@dataclass(slots=True, kw_only=True)
class LoggedAlert:
    """An alert as the log has it, with the case that people made of it.

    ``is_run_over``: its run ended by itself, with every alert in the records.
    """

    entry: LogEntry
    case: Case
    rules: DecisionRules
    decisions: list[LoggedDecision] = field(default_factory=list)
    is_run_over: bool = False

    @property
    def authorisation(self) -> str:
        return str(self.entry.details["authorisation"])


@dataclass(slots=True, kw_only=True)
class Replay:
    """Every alert of a log by its id, and each entry that no rule allows: it is shown, and changes no case."""

    alerts: dict[str, LoggedAlert] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)


class LogReplay:
    """A replay that goes on as entries are added.

    ``words`` are the terms of deployments, JSON, by the reference of their authorisation, as the records have them;
    they count only where their digest is the one in the log.
    """

    def __init__(self, words: Mapping[str, str]) -> None:
        self.made = Replay()
        self._words = words
        self._digests: dict[str, str] = {}
        self._rules: dict[str, DecisionRules] = {}
        # Runs that ended while alerts were on their way to the records; and of each authorisation the last end of a run
        # where none was.
        self._unfinished: set[str | None] = set()
        self._over: dict[str, int] = {}

    def again(self) -> LogReplay:
        """A replay of single alerts, with what this one knows of deployments and runs."""
        other = LogReplay(self._words)
        other._digests, other._rules, other._over = self._digests, self._rules, self._over
        return other

    def take(self, entry: LogEntry) -> None:
        """Take in the next entry, of whatever kind."""
        if entry.kind == "deployed" and isinstance(entry.details.get("terms"), str):
            self._digests[str(entry.details.get("authorisation"))] = str(entry.details["terms"])
        elif entry.kind == "alert":
            authorisation = str(entry.details["authorisation"])
            rules, is_over = self._rules_of(authorisation), entry.sequence < self._over.get(authorisation, 0)
            case = Case(alert=str(entry.details["alert"]), min_adjudicators=rules.min_adjudicators)
            self.made.alerts[case.alert] = LoggedAlert(entry=entry, case=case, rules=rules, is_run_over=is_over)
        elif entry.kind == "run-ended":
            if entry.run in self._unfinished:
                return
            authorisation = str(entry.details.get("authorisation"))
            self._over[authorisation] = entry.sequence
            for alert in self.made.alerts.values():
                alert.is_run_over |= alert.authorisation == authorisation
        elif entry.kind == UNFINISHED and entry.details.get("to") == RECORDS:
            self._unfinished.add(entry.run)
        elif entry.kind in DECISIONS:
            _take(entry, self.made)

    def _rules_of(self, authorisation: str) -> DecisionRules:
        if authorisation not in self._rules:
            self._rules[authorisation] = _rules(authorisation, self._words, self._digests, self.made)
        return self._rules[authorisation]


def replay(entries: Iterable[LogEntry], words: Mapping[str, str]) -> Replay:
    """What the log says of alerts and decisions; ``words`` as in ``LogReplay``."""
    going = LogReplay(words)
    for entry in entries:
        going.take(entry)
    return going.made


def _rules(authorisation: str, words: Mapping[str, str], digests: Mapping[str, str], made: Replay) -> DecisionRules:
    """The rules in the terms of an authorisation, whose digest must be the one that alerts and the log name."""
    row = f"deployments, {authorisation}"
    unknown = DecisionRules(min_adjudicators=_STRICTEST, people={})
    if authorisation not in words:
        what = "the terms are missing from the records"
        made.differences.append(Difference(alert=None, row=row, what=what, names_somebody=False))
        return unknown
    try:
        terms = parse_object(words[authorisation])
        found = digest(terms)
        profile = read_profile(str(terms.get("profile", "research")))
        rules = DecisionRules(
            min_adjudicators=profile.min_adjudicators,
            people=_people(terms.get("people", {})),
            reasons_for=frozenset(profile.reasons_for),
        )
    except (ValueError, ConfigError):
        found = ""
    if found[:_REFERENCE_DIGITS] != authorisation or digests.get(authorisation, found) != found:
        what = "the terms are not those that the log names"
        made.differences.append(Difference(alert=None, row=row, what=what, names_somebody=False))
        return unknown
    return rules


def _people(value: Plain) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"people must be names with their keys, got {type(value).__name__}")
    return {name: text_of(key, name) for name, key in value.items()}


def _take(entry: LogEntry, made: Replay) -> None:
    """Add a decision to its case, or say why it cannot be one."""
    id_ = str(entry.details.get("alert"))
    row = f"log, entry {entry.sequence}"
    alert = made.alerts.get(id_)
    if alert is None:
        made.differences.append(Difference(alert=id_, row=row, what=f"the {entry.kind} is about an unknown alert"))
        return
    flaw = signature_flaw(entry, alert.rules.people)
    try:
        if flaw is not None:
            raise AdjudicationError(flaw)
        alert.case, decision = _decided(entry, alert.case)
    except AdjudicationError as error:
        number = alert.entry.sequence
        made.differences.append(Difference(alert=id_, row=row, what=str(error), entry=number))
        return
    alert.decisions.append(LoggedDecision(entry=entry, decision=decision))


def _decided(entry: LogEntry, case: Case) -> tuple[Case, Adjudication | Engagement | Outcome]:
    details = entry.details
    by, what, reason = str(details.get("by")), str(details.get("what")), str(details.get("reason", ""))
    # Unsigned decisions of the first version have no time of their own.
    at = datetime.fromisoformat(str(details["decided_at"])) if "decided_at" in details else entry.at
    key = str(details["key"]) if "key" in details else None
    signature = str(details["signature"]) if "signature" in details else None
    if entry.kind in ("adjudication", "verdict-amended"):
        verdict = Adjudication(
            alert=case.alert,
            adjudicator=by,
            verdict=cast("Verdict", _one_of(what, get_args(Verdict))),
            at=at,
            reason=reason,
            key=key,
            signature=signature,
        )
        return (case.adjudicate if entry.kind == "adjudication" else case.amend_verdict)(verdict), verdict
    if entry.kind == "engagement":
        engagement = Engagement(
            alert=case.alert,
            officer=by,
            decision=cast("Decision", _one_of(what, get_args(Decision))),
            at=at,
            reason=reason,
            key=key,
            signature=signature,
        )
        return case.engage(engagement), engagement
    outcome = Outcome(
        alert=case.alert,
        officer=by,
        finding=cast("Finding", _one_of(what, get_args(Finding))),
        at=at,
        reason=reason,
        key=key,
        signature=signature,
    )
    return (case.close if entry.kind == "outcome" else case.amend_outcome)(outcome), outcome


def _one_of(word: str, words: tuple[str, ...]) -> str:
    if word not in words:
        raise AdjudicationError(f"{word!r} is not one of {', '.join(words)}")
    return word
