"""Which files a deployment may destroy: those that its authorisation was signed for.

A path that was changed since may be another deployment's, named by mistake: of what it holds only that is destroyed
whose own deadline, written into it, has passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pylfr.deployment.config import Deployment
from pylfr.deployment.resources import Resources
from pylfr.deployment.signed_settings import setting_text
from pylfr.errors import AuthorisationError


def is_own(resources: Resources, path: Path) -> bool:
    """Whether ``path``, or the folder that it is in, was signed for; also where nothing says so: an unsigned permit."""
    signed = _signed_for(resources)
    return signed is None or not signed.isdisjoint({str(path), str(path.parent)})


def are_records_own(resources: Resources) -> bool:
    """As ``is_own``, of the database of the records. Raises ``ConfigError`` where a variable in its url is not set."""
    section, signed = resources.deployment.records, _signed_for(resources)
    if section is None or signed is None:
        return True
    return (str(section.file) if section.file is not None else setting_text(section.url, "url")) in signed


def not_own(resources: Resources) -> Iterator[str]:
    """A sentence for each file and folder that the deployment names, that is there, and that was not signed for."""
    for path in _destructible(resources.deployment):
        if path.exists() and not is_own(resources, path):
            yield (
                f"{path} is not what the authorisation was signed for: what has no deadline of its own there, or not "
                "yet reached it, is left as it is; name the file that was signed for, or sign the authorisation anew"
            )


def _signed_for(resources: Resources) -> frozenset[str] | None:
    """Every value that was signed; None where nobody can say what was."""
    if resources.deployment.authority is None:
        return None
    try:
        settings = resources.signed.authorisation.settings
    except AuthorisationError:
        return None
    return frozenset(settings.values()) if "watchlist.file" in settings else None


def _destructible(deployment: Deployment) -> Iterator[Path]:
    """Whatever is, or holds, something that a sweep erases."""
    if deployment.watchlist.key is not None:
        yield deployment.watchlist.key
    for sink in deployment.sinks:
        if sink.type == "evidence":
            yield sink.folder
            if sink.key is not None:
                yield sink.key
        elif sink.type == "jsonl":
            yield sink.path
    if deployment.records is not None:
        yield from (path for path in (deployment.records.file, deployment.records.keys) if path is not None)
