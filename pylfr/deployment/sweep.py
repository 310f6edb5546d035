"""Erases whatever a deployment may no longer keep: at every start, and whenever ``pylfr sweep`` runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pylfr._internal.atomic_file import sweep_parts
from pylfr.deployment.config import Deployment
from pylfr.deployment.own_files import are_records_own, is_own, not_own
from pylfr.deployment.resources import Resources, require_key
from pylfr.errors import AdjudicationError, AuthorisationError, VaultError
from pylfr.gallery.watchlist.withdrawal import finish_withdrawals
from pylfr.governance.authorisation.authority import Authorisation
from pylfr.governance.authorisation.signed import read_signed
from pylfr.governance.keys.vault import destroy_key, read_key_file
from pylfr.governance.retention.sweeper import RetentionPolicy, sweep, sweep_lines, sweep_pictures
from pylfr.types import Event

log = logging.getLogger(__name__)

# Longer than anything is retained.
_EVER = timedelta(days=365_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What a sweep erased.

    ``outcomes`` counts the alerts whose deciders were erased, ``unfinished`` the watchlists that a crash left
    half-sealed or half-erased. ``left`` says what the deployment names and was not touched, because it is no file of
    pylfr's or could not be erased.
    """

    pictures: int
    alerts: int
    keys: tuple[str, ...]
    lines: int = 0
    outcomes: int = 0
    unfinished: int = 0
    left: tuple[str, ...] = ()


def forget_expired(resources: Resources) -> Forgotten:
    """Erase whatever is over at ``resources.now``, and record what went: pictures, who was matched, expired keys.

    A provisional authorisation that has ended and that no later one confirms takes its keys and pictures with it.
    An entry whose withdrawal a crash cut short leaves the sealed watchlist now. Raises ``VaultError`` where that needs
    the watchlist's key, and it cannot be read.
    """
    # Before anything is erased: the record can be written, and the clock is to be believed.
    audit = resources.audit
    deployment, now = resources.deployment, resources.now
    revoked = is_revoked(resources)

    # Whatever belongs to a revoked deployment is over, whenever it would have been.
    latest = now + _EVER if revoked else now

    def end(path: Path) -> datetime:
        return latest if is_own(resources, path) else now

    over = [path for path, until in deadlines(resources).items() if end(path) >= until]
    # Each by itself: one odd thing does not keep the rest from being erased.
    left = list(not_own(resources))
    destroyed = []
    for path in over:
        with _noting(left):
            destroy_key(path)
            destroyed.append(path)
    retention = RetentionPolicy.of(resources.profile).alerts
    pictures = lines = 0
    unfinished = sum(1 for folder in _part_folders(deployment) for _ in sweep_parts(folder))
    for folder in evidence_folders(deployment):
        if folder.is_dir():
            sweeps = [sweep(folder, now=end(folder))]
            if is_own(resources, folder):
                # What lies in the open bears no deadline of its own.
                sweeps.append(sweep_pictures(folder, retention=retention, now=end(folder)))
            for erased in sweeps:
                with _noting(left):
                    for _ in erased:
                        pictures += 1
    for path in line_files(deployment):
        if path.is_file() and is_own(resources, path):
            with _noting(left):
                lines += sweep_lines(path, retention=retention, now=end(path))
    alerts = outcomes = 0
    with _noting(left):
        if resources.records is not None:
            until = latest if are_records_own(resources) else now
            alerts = resources.records.erase(now=until)
            outcomes = resources.records.forget(now=until)
    forgotten = Forgotten(
        pictures=pictures,
        alerts=alerts,
        keys=tuple(path.name for path in destroyed),
        lines=lines,
        outcomes=outcomes,
        unfinished=unfinished,
        left=tuple(left),
    )
    for each in left:
        log.warning(each)
    if any((pictures, alerts, destroyed, lines, outcomes, unfinished)):
        audit.note(_erased(forgotten, revoked=revoked))
    key = deployment.watchlist.key
    if key is not None and key.exists() and deployment.watchlist.file.exists():
        finish_withdrawals(resources.listed_files, lambda: require_key(resources), audit)
    return forgotten


@contextmanager
def _noting(left: list[str]) -> Iterator[None]:
    """Note in ``left`` what could not be erased, and go on."""
    try:
        yield
    except (VaultError, AdjudicationError, OSError) as error:
        left.append(str(error))


def _erased(forgotten: Forgotten, *, revoked: bool) -> Event:
    return Event(
        kind="erased",
        details={
            "pictures": forgotten.pictures,
            "alerts": forgotten.alerts,
            "lines": forgotten.lines,
            "outcomes": forgotten.outcomes,
            "unfinished": forgotten.unfinished,
            "keys": ", ".join(forgotten.keys),
            "because": "a provisional authorisation was not confirmed" if revoked else "its time had come",
        },
    )


def _ends_at(resources: Resources) -> datetime | None:
    """When what was signed ends, also by what confirms it; None where nothing was signed, or it cannot be read."""
    if resources.deployment.authority is None:
        return None
    try:
        authorisation = resources.signed.authorisation
        later = _confirming(resources)
    except AuthorisationError:
        return None
    return authorisation.ends_at if later is None else max(authorisation.ends_at, later.ends_at)


def _confirming(resources: Resources) -> Authorisation | None:
    """The later authorisation that confirms an urgent one, signed by its officer; None where there is none."""
    path = resources.authority.confirmed_by
    if path is None or not path.exists():
        return None
    later = read_signed(path)
    if resources.officer not in later.signers or later.authorisation.urgent:
        return None
    return later.authorisation if later.authorisation.confirms == resources.signed.authorisation.reference else None


def is_revoked(resources: Resources) -> bool:
    """Whether the deployment's authorisation was provisional, has ended, and was not confirmed by a later one."""
    if resources.deployment.authority is None:
        return False
    try:
        authorisation = resources.signed.authorisation
    except AuthorisationError:
        return False
    if not authorisation.urgent or resources.now < authorisation.ends_at:
        return False
    return _confirming(resources) is None


def deadlines(resources: Resources) -> dict[Path, datetime]:
    """When each key that there is must be destroyed: at its own deadline, and never after what was signed.

    That holds whatever the key's file says, unless the file is not the one that was signed for: it may be another
    deployment's. One that cannot be read opens nothing, and is over at once.
    """
    deployment, retention = resources.deployment, RetentionPolicy.of(resources.profile)
    ends_at = _ends_at(resources)
    keys = {sink.key: retention.alerts for sink in deployment.sinks if sink.type == "evidence" and sink.key is not None}
    if deployment.watchlist.key is not None:
        keys[deployment.watchlist.key] = retention.watchlist
    ending = {
        path: _deadline(path, ends_at + kept if ends_at is not None and is_own(resources, path) else None, resources)
        for path, kept in keys.items()
        if path.exists()
    }
    # These encrypt names in the records; they expire even while the database is unreachable.
    return ending | (resources.erasure_keys.ends() if resources.erasure_keys is not None else {})


def evidence_folders(deployment: Deployment) -> tuple[Path, ...]:
    """Where evidence pictures are."""
    return tuple(sink.folder for sink in deployment.sinks if sink.type == "evidence")


def _part_folders(deployment: Deployment) -> tuple[Path, ...]:
    """Where a watchlist that was being sealed, or erased, may have been left half-done."""
    files = (deployment.watchlist.file, deployment.watchlist.manifest)
    return tuple(dict.fromkeys(file.parent for file in files if file is not None and file.parent.is_dir()))


def line_files(deployment: Deployment) -> tuple[Path, ...]:
    """Files with one alert per line."""
    return tuple(sink.path for sink in deployment.sinks if sink.type == "jsonl")


def _deadline(path: Path, latest: datetime | None, resources: Resources) -> datetime:
    try:
        file = resources.watchlist_key_file if path == resources.deployment.watchlist.key else read_key_file(path)
    except VaultError:
        return resources.now  # a key that cannot be read opens nothing: it goes too
    expires_at = file.expires_at if file is not None else resources.now
    return expires_at if latest is None else min(expires_at, latest)
