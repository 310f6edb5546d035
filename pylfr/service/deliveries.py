"""Deliveries that did not go through at once, from what the log says of each destination."""

from __future__ import annotations

from pylfr.governance.adjudication.replay import UNFINISHED
from pylfr.governance.audit.chain import LogEntry
from pylfr.service.deployment_views import DeliveryView

DELIVERY_KINDS = ("delivery-delayed", "delivery-resumed", "delivery-refused", "delivery-expired", UNFINISHED)


def delivery_after(before: DeliveryView | None, entry: LogEntry) -> DeliveryView:
    """What became of a destination's deliveries with one more entry, which is of ``DELIVERY_KINDS``."""
    is_late = entry.kind in ("delivery-delayed", UNFINISHED)
    return DeliveryView(
        to=str(entry.details.get("to")),
        is_delayed=is_late if entry.kind != "delivery-refused" else before is not None and before.is_delayed,
        since=entry.at,
        waiting=_count(entry, "waiting") if is_late else 0,
        refused=(before.refused if before is not None else 0) + (entry.kind == "delivery-refused"),
        expired=(before.expired if before is not None else 0)
        + (_count(entry, "alerts") if entry.kind == "delivery-expired" else 0),
        because=str(entry.details.get("because", "")),
    )


def _count(entry: LogEntry, name: str) -> int:
    value = entry.details.get(name)
    return value if isinstance(value, int) else 0
