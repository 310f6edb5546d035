"""What a deployment must forget by now, and the forgetting of it: at every start, at every end, and by the clock."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pylfr.config import Deployment
from pylfr.errors import AuthorisationError, VaultError
from pylfr.governance.audit import AuditLog
from pylfr.governance.keys import read_public_key
from pylfr.governance.retention import sweep
from pylfr.governance.signed import read_signed
from pylfr.governance.vault import destroy_key, expiry_of
from pylfr.terms import records_of
from pylfr.types import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What a sweep erased."""

    pictures: int
    alerts: int
    keys: tuple[str, ...]


def forget_expired(deployment: Deployment, audit: AuditLog, *, now: datetime) -> Forgotten:
    """Erase whatever is over at ``now`` and write down what went: pictures, who was matched, keys past their deadline.

    A provisional authorisation that has ended and that no later one confirms takes its keys and pictures with it.
    """
    revoked = _is_revoked(deployment, now)
    destroyed = [path for path in _keys(deployment) if path.exists() and (revoked or now >= _deadline(path, now))]
    for path in destroyed:
        destroy_key(path)
    pictures = 0
    for folder in _folders(deployment):
        if folder.is_dir():
            pictures += sum(1 for _ in sweep(folder, now=datetime.max.replace(tzinfo=now.tzinfo) if revoked else now))
    records = records_of(deployment)
    alerts = 0
    if records is not None:
        with closing(records):
            alerts = records.erase(now=datetime.max.replace(tzinfo=now.tzinfo) if revoked else now)
    forgotten = Forgotten(pictures=pictures, alerts=alerts, keys=tuple(path.name for path in destroyed))
    if forgotten.pictures or forgotten.alerts or forgotten.keys:
        audit.note(
            Event(
                kind="erased",
                details={
                    "pictures": forgotten.pictures,
                    "alerts": forgotten.alerts,
                    "keys": ", ".join(forgotten.keys),
                    "because": "a provisional authorisation was not confirmed" if revoked else "its time had come",
                },
            )
        )
    return forgotten


def _is_revoked(deployment: Deployment, now: datetime) -> bool:
    """Whether the deployment's authorisation was provisional, has ended, and was not confirmed by a later one."""
    if deployment.authority is None:
        return False
    try:
        authorisation = read_signed(deployment.authority.signed).authorisation
    except AuthorisationError:
        return False
    if not authorisation.urgent or now < authorisation.ends_at:
        return False
    confirming = deployment.authority.confirmed_by
    if confirming is None or not confirming.exists():
        return True
    later = read_signed(confirming)
    if read_public_key(deployment.authority.officer_key) not in later.signers:
        return True
    return later.authorisation.urgent or later.authorisation.confirms != authorisation.reference


def _keys(deployment: Deployment) -> tuple[Path, ...]:
    keys = [deployment.watchlist.key, *(sink.key for sink in deployment.sinks if sink.type == "evidence")]
    return tuple(dict.fromkeys(key for key in keys if key is not None))


def _folders(deployment: Deployment) -> tuple[Path, ...]:
    return tuple(sink.folder for sink in deployment.sinks if sink.type == "evidence")


def _deadline(path: Path, now: datetime) -> datetime:
    try:
        return expiry_of(path)
    except VaultError:
        return now  # a key that cannot be read opens nothing: it goes too
