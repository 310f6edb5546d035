"""What many sites say of themselves, asked from one place that can change none of them: versions, clocks, expiry."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from pydantic import Field

from pylfr._internal.printable import excerpt
from pylfr._internal.secrets import resolve_secrets
from pylfr._internal.toml_model import ConfigModel, Name, read_tables, record_from
from pylfr._internal.trusted import client_context
from pylfr.deployment.sections.fields import REFERENCE, FilePath
from pylfr.errors import ConfigError
from pylfr.governance.audit.log_files import LogHead
from pylfr.governance.audit.receiver import CheckpointStore
from pylfr.governance.keys.keys import read_public_key

_ANSWER_S = 10.0
_LARGEST_ANSWER = 8 << 20
_AT_ONCE = 16


class SiteSection(ConfigModel):
    """One site: where its `pylfr serve` is, the token of a program there, and the key of its record."""

    url: str = Field(pattern=r"^https?://[^/@]+$", description="address of its `pylfr serve`")
    token: str = Field(pattern=REFERENCE.pattern, description="token with the scopes metrics and report: ${NAME}")
    ca: FilePath | None = Field(default=None, description="authorities (PEM) to trust instead of the system's")
    record: FilePath | None = Field(default=None, description="public key of its audit log")


class FleetFile(ConfigModel):
    """The sites of a fleet, by name, and the folder in which `pylfr audit receive` stores their checkpoints."""

    sites: dict[Name, SiteSection] = Field(min_length=1)
    checkpoints: FilePath | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStatus:
    """A site at a glance. ``trouble`` says why it could not be asked; then nothing else is known.

    ``clock_ahead_s`` is to a second, as the answer's date is; ``entries`` of the log, of which ``received`` have a
    checkpoint here, None where it is not known.
    """

    name: str
    trouble: str
    version: str = ""
    is_ready: bool = False
    state: str = ""
    clock_ahead_s: float = 0.0
    authorised_until: datetime | None = None
    cameras_up: int = 0
    cameras: int = 0
    alerts: int = 0
    entries: int | None = None
    received: int | None = None


def read_fleet(path: Path) -> FleetFile:
    """The sites that a TOML file names. Raises ``ConfigError`` naming what is wrong with it."""
    return record_from(read_tables(path, ConfigError), FleetFile, path=path, error_kind=ConfigError)


def ask_sites(fleet: FleetFile, *, reports: Path | None = None) -> list[SiteStatus]:
    """What every site says now, by name. Their public reports go into the folder ``reports``, where one is given."""
    if reports is not None:
        reports.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = [
            pool.submit(_ask_site, name, site, fleet.checkpoints, reports) for name, site in sorted(fleet.sites.items())
        ]
        return [each.result() for each in asked]


def _ask_site(name: str, site: SiteSection, checkpoints: Path | None, reports: Path | None) -> SiteStatus:
    token = resolve_secrets(site.token, name=f"the token of {name}")
    try:
        metrics = _get(site, "/metrics", token)
        if metrics.status != HTTPStatus.OK:
            why = f"/metrics answers {metrics.status}: does the token have the scope metrics?"
            return SiteStatus(name=name, trouble=why)
        ready = _get(site, "/readyz", "")
        if reports is not None:
            report = _get(site, "/v1/report", token)
            if report.status == HTTPStatus.OK:
                (reports / f"{name}.html").write_bytes(report.body)
        return _status_of(name, metrics, ready, received=_received(site, checkpoints))
    except OSError as error:
        return SiteStatus(name=name, trouble=f"it does not answer: {getattr(error, 'reason', error)}")
    except (http.client.HTTPException, ValueError, OverflowError) as error:
        # Whatever one site answers, the others are shown.
        return SiteStatus(name=name, trouble=f"its answer is not that of `pylfr serve`: {excerpt(str(error))}")


def _status_of(name: str, metrics: _Answer, ready: _Answer, *, received: int | None) -> SiteStatus:
    """What a site said. Raises ``ValueError`` or ``OverflowError`` for what no site of pylfr's says."""
    text = metrics.body.decode()
    numbers = dict(_numbers(text))
    ends = numbers.get("pylfr_authorisation_end_timestamp_seconds")
    entries = numbers.get("pylfr_audit_entries_total")
    return SiteStatus(
        name=name,
        trouble="",
        version=excerpt(_version(text)),
        is_ready=ready.status == HTTPStatus.OK,
        state=excerpt(ready.body.decode().strip(), 1000),
        clock_ahead_s=(metrics.date - datetime.now(UTC)).total_seconds() if metrics.date is not None else 0.0,
        authorised_until=datetime.fromtimestamp(ends, UTC) if ends is not None else None,
        cameras_up=int(numbers.get("pylfr_camera_up", 0)),
        cameras=int(numbers.get("pylfr_camera_up_count", 0)),
        alerts=int(numbers.get("pylfr_alerts_total", 0)),
        entries=int(entries) if entries is not None else None,
        received=received,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What a site answered; ``date`` is its clock's, None where it did not say."""

    status: int
    body: bytes
    date: datetime | None = None


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer: followed, it would take the token to another host."""

    def redirect_request(self, *_: object) -> None:
        return None


def _get(site: SiteSection, path: str, token: str) -> _Answer:
    """What a site answers. Raises ``OSError`` if it does not, ``HTTPException`` or ``ValueError`` if malformed."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    context = client_context(site.ca) if site.url.startswith("https") else None
    opener = urllib.request.build_opener(_Stay, urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(site.url + path, headers=headers)
    try:
        with opener.open(request, timeout=_ANSWER_S) as answer:
            return _Answer(status=answer.status, body=answer.read(_LARGEST_ANSWER), date=_date(answer.headers))
    except urllib.error.HTTPError as error:
        with error:
            return _Answer(status=error.code, body=error.read(_LARGEST_ANSWER))


def _date(headers: Mapping[str, str]) -> datetime | None:
    text = headers.get("date")
    if not text:
        return None
    date = parsedate_to_datetime(text)
    if date.tzinfo is None:
        raise ValueError(f"the date {text!r} has no zone")
    return date


def _numbers(metrics: str) -> Iterator[tuple[str, float]]:
    """The sum of each number over its labels, and of gauges by camera how many there are."""
    for family in text_string_to_metric_families(metrics):
        sums: dict[str, float] = {}
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
        yield from sums.items()
        if family.name == "pylfr_camera_up":
            yield "pylfr_camera_up_count", float(len(family.samples))


def _version(metrics: str) -> str:
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == "pylfr_build_info":
                return str(sample.labels.get("version", ""))
    return ""


def _received(site: SiteSection, checkpoints: Path | None) -> int | None:
    """How many entries of the site's log have a checkpoint here."""
    if site.record is None or checkpoints is None:
        return None
    key = read_public_key(site.record)
    path = checkpoints / f"{key.fingerprint}.checkpoints"
    if not path.is_file():
        return 0
    store = CheckpointStore(path, key)
    store.load()
    head: LogHead = store.head
    return head.sequence
