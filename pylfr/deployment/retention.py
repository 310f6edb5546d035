"""What a deployment retains now: every thing with its place and its time, by the same rules that erase it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pylfr.deployment.own_files import are_records_own, is_own
from pylfr.deployment.resources import Resources
from pylfr.deployment.sweep import deadlines, evidence_folders, is_revoked, line_files
from pylfr.governance.retention.sweeper import RetentionPolicy, line_times, picture_times, sealed_times


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """One thing that is retained: ``until`` is None for what stays; what cannot be read is over at once."""

    what: str
    place: str
    until: datetime | None


def retained(resources: Resources) -> tuple[Retained, ...]:
    """Everything that is retained, by kind; all that can go is over where an urgent authorisation was not confirmed."""
    items = tuple(_retained(resources))
    if not is_revoked(resources):
        return items
    return tuple(
        replace(each, until=resources.now) if each.until is not None and _is_own(resources, each) else each
        for each in items
    )


def _is_own(resources: Resources, item: Retained) -> bool:
    if item.place == _records_place(resources):
        return are_records_own(resources)
    return is_own(resources, Path(item.place))


def _retained(resources: Resources) -> Iterator[Retained]:
    deployment, now = resources.deployment, resources.now
    retention = RetentionPolicy.of(resources.profile).alerts
    keys = deadlines(resources)
    for path, until in keys.items():
        yield Retained(what="key", place=str(path), until=until)
    watchlist = deployment.watchlist
    if watchlist.file.exists():
        # The file of a sealed list is not removed: without its key it is bytes that nobody can read.
        readable_until = None if watchlist.key is None else keys.get(watchlist.key, now)
        yield Retained(what="watchlist", place=str(watchlist.file), until=readable_until)
    for folder in evidence_folders(deployment):
        if folder.is_dir():
            in_the_open = picture_times(folder, retention=retention)
            for end in (*sealed_times(folder, now=now), *_own_times(resources, folder, in_the_open)):
                yield Retained(what="picture", place=str(folder), until=end)
    for path in line_files(deployment):
        if path.is_file():
            times = line_times(path, retention=retention, now=now)
            for end in _own_times(resources, path, times):
                yield Retained(what="line", place=str(path), until=end)
    if resources.records is not None:
        place = _records_place(resources)
        for row in resources.records.stored().alerts:
            if row.entry is not None:
                yield Retained(what="name of who was matched", place=place, until=datetime.fromisoformat(row.erase_at))
            if row.forget_at is not None:
                until = datetime.fromisoformat(row.forget_at)
                yield Retained(what="who decided, and when", place=place, until=until)
            yield Retained(what="what was decided, as a count", place=place, until=None)
    yield from _staying(resources)


def _own_times(resources: Resources, path: Path, times: Iterator[datetime]) -> Iterator[datetime | None]:
    """Of what bears no deadline of its own: None where ``path`` was not signed for, which no sweep erases."""
    own = is_own(resources, path)
    return (until if own else None for until in times)


def _staying(resources: Resources) -> Iterator[Retained]:
    """What no sweep erases: the record, and what answers for the deployment."""
    deployment = resources.deployment
    files = {
        "audit log": deployment.audit.path,
        "checkpoints": deployment.audit.checkpoints,
        "list of record references": deployment.watchlist.manifest,
        "authorisation": deployment.authority.signed if deployment.authority is not None else None,
        "counts over tracks": deployment.aggregates.folder if deployment.aggregates is not None else None,
    }
    for what, path in files.items():
        if path is not None and path.exists():
            yield Retained(what=what, place=str(path), until=None)
    for sink in deployment.sinks:
        if sink.type == "webhook":
            yield Retained(what="alerts handed over", place="a webhook, by its receiver's own rules", until=None)
        elif sink.type == "mqtt":
            yield Retained(what="alerts handed over", place=f"MQTT at {sink.host}, by its own rules", until=None)


def _records_place(resources: Resources) -> str:
    section = resources.deployment.records
    return str(section.file) if section is not None and section.file is not None else "the records database"
