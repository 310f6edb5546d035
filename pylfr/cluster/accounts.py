"""What all engines of a run have counted, also those that are gone: the account that the run ends with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from datetime import datetime

from pylfr.cluster.engine_logs import BINDING
from pylfr.cluster.messages import EngineAccount
from pylfr.engine.summary import RunTotals
from pylfr.governance.audit.chain import LogEntry
from pylfr.types import Event

_NAMES = tuple(each.name for each in fields(RunTotals))
_ADDED = (
    "frames", "detected_frames", "faces", "tracks", "recognised", "near_detections", "suppressed", "unread", "dropped",
)  # fmt: skip


class RunAccounts:
    """The last word of every engine's run, by its id, under one authorisation.

    What the log has of them counts on, where a head was started again before the run had ended.
    """

    def __init__(self, began: Event) -> None:
        """``began`` is what the log says when the run begins."""
        self._began = began
        self._of: dict[str, EngineAccount] = {}
        self.began_at: datetime | None = None

    def load(self, entries: Iterable[LogEntry]) -> None:
        """Take in the log's entries, oldest first: ``began_at`` is when this very run began, if it is under way."""
        for entry in entries:
            if entry.kind in ("run-began", "run-ended"):
                is_same = entry.kind == "run-began" and entry.details == self._began.details
                self.began_at = (self.began_at or entry.at) if is_same else None
                if not is_same:
                    self._of.clear()
            elif entry.kind in BINDING and entry.details.get("run"):
                self.take(account_of(entry.details))

    def take(self, account: EngineAccount) -> bool:
        """Count this from now on; whether it is news that its run has ended."""
        before = self._of.get(account.run)
        if before is not None and before.has_ended:
            return False
        self._of[account.run] = account
        return account.has_ended

    @property
    def tracks(self) -> int:
        """The faces that all of them have followed."""
        return sum(each.totals.tracks for each in self._of.values())

    def totals(self, *, alerts: int, repeats: int, undelivered: int, seconds: float, because: str) -> RunTotals:
        """The whole run. Of how long templates existed the longest figure of any engine is given.

        ``alerts`` are those in the record and ``repeats`` what engines raised again, ``undelivered`` what sinks of the
        head did not take.
        """
        every = [each.totals for each in self._of.values()]
        sums = {name: sum(int(getattr(each, name)) for each in every) for name in _ADDED}
        return RunTotals(
            authorisation=str(self._began.details["authorisation"]),
            runtime=", ".join(sorted({each.runtime for each in every})),
            **{**sums, "suppressed": sums["suppressed"] + repeats},
            alerts=alerts,
            undelivered=undelivered,
            dwell_p50_ms=max((each.dwell_p50_ms for each in every), default=0.0),
            dwell_p99_ms=max((each.dwell_p99_ms for each in every), default=0.0),
            dwell_max_ms=max((each.dwell_max_ms for each in every), default=0.0),
            seconds=round(seconds, 3),
            watchlist_size=max((each.watchlist_size for each in every), default=0),
            because=because,
        )


def details_of(account: EngineAccount) -> dict[str, str | int | float | bool | None]:
    """The account as the log has it."""
    return {"run": account.run, "has_ended": account.has_ended, **asdict(account.totals)}


def account_of(details: Mapping[str, object]) -> EngineAccount:
    """The account that the log has. Raises ``ValueError`` where it is none."""
    return EngineAccount.model_validate(
        {
            "run": details.get("run"),
            "has_ended": details.get("has_ended"),
            "totals": {name: details.get(name) for name in _NAMES},
        }
    )
