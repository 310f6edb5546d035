"""What many sites say of themselves, asked from one place that can change none of them: versions, clocks, expiry."""

from __future__ import annotations

import ssl
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

from pylfr._internal.secrets import resolve_secrets
from pylfr._internal.toml_model import ConfigModel, Name, read_tables, record_from
from pylfr.deployment.sections.fields import REFERENCE, FilePath
from pylfr.errors import ConfigError
from pylfr.governance.audit.audit import LogHead
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
        status, metrics, date = _get(site, "/metrics", token)
        if status != HTTPStatus.OK:
            return SiteStatus(name=name, trouble=f"/metrics answers {status}: does the token have the scope metrics?")
        ready, said, _ = _get(site, "/readyz", "")
        if reports is not None:
            found, report, _ = _get(site, "/v1/report", token)
            if found == HTTPStatus.OK:
                (reports / f"{name}.html").write_bytes(report)
    except OSError as error:
        return SiteStatus(name=name, trouble=f"it does not answer: {getattr(error, 'reason', error)}")
    numbers = dict(_numbers(metrics.decode()))
    ends = numbers.get("pylfr_authorisation_end_timestamp_seconds")
    entries = numbers.get("pylfr_audit_entries_total")
    return SiteStatus(
        name=name,
        trouble="",
        version=_version(metrics.decode()),
        is_ready=ready == HTTPStatus.OK,
        state=said.decode().strip(),
        clock_ahead_s=(date - datetime.now(UTC)).total_seconds() if date is not None else 0.0,
        authorised_until=datetime.fromtimestamp(ends, UTC) if ends is not None else None,
        cameras_up=int(numbers.get("pylfr_camera_up", 0)),
        cameras=int(numbers.get("pylfr_camera_up_count", 0)),
        alerts=int(numbers.get("pylfr_alerts_total", 0)),
        entries=int(entries) if entries is not None else None,
        received=_received(site, checkpoints),
    )


def _get(site: SiteSection, path: str, token: str) -> tuple[int, bytes, datetime | None]:
    """Status, body and date of an answer. Raises ``OSError`` where there is none."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    context = ssl.create_default_context(cafile=site.ca) if site.url.startswith("https") else None
    request = urllib.request.Request(site.url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_S, context=context) as answer:
            return answer.status, answer.read(_LARGEST_ANSWER), _date(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(_LARGEST_ANSWER), None


def _date(headers: Mapping[str, str]) -> datetime | None:
    text = headers.get("date")
    return parsedate_to_datetime(text) if text else None


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
