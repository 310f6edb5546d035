"""The text of small deployment files: what tests of every floor write the same way, from what differs between them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

NORTH: Mapping[str, str | Path] = {"north": "north.mp4"}
# Networks from PYLFR_MODELS, and those that come with pylfr: a detector and an embedder.
REAL, SHIPPED = ("yunet_n", "face_reid_0095"), ("pylfr_nano_detect", "pylfr_nano_embed")

PLAIN_LOG = """
[audit]
path = "audit.log"
"""
SIGNED_LOG = f"""{PLAIN_LOG}key = "record.key"
checkpoints = "elsewhere"
"""
RECORDS = """
[records]
file = "records.sqlite"
"""
SEALED_EVIDENCE = """
[[sinks]]
type = "evidence"
folder = "evidence"
key = "evidence.key"
"""
OPEN_EVIDENCE = """
[[sinks]]
type = "evidence"
folder = "open"
"""
LINES = """
[[sinks]]
type = "jsonl"
path = "alerts.jsonl"
"""


def permit_text(
    *,
    place: str = "Square",
    cameras: Sequence[str] = ("north",),
    begin: datetime | None = None,
    lasts: timedelta = timedelta(hours=1),
    officer: str = "Officer",
) -> str:
    """A permit for recordings; it begins a minute ago where nothing is said."""
    begin = begin or datetime.now(UTC) - timedelta(minutes=1)
    return f"""
[authorisation]
purpose = "to test"
place = "{place}"
cameras = {json.dumps(list(cameras))}
starts_at = {begin.isoformat()}
ends_at = {(begin + lasts).isoformat()}
authorising_officer = "{officer}"
legal_basis = "recorded material"
"""


def deployment_text(
    authority: str,
    *tables: str,
    name: str = "Square",
    cameras: Mapping[str, str | Path] = NORTH,
    loop: bool = False,
    networks: tuple[str, str] = REAL,
    runtime: str | None = None,
    watchlist: str = 'file = "square.watchlist"',
) -> str:
    """A deployment of ``cameras`` (their sources by name) under ``authority``, with further ``tables`` of TOML.

    ``watchlist`` are the lines of its table.
    """
    detector, embedder = networks
    seen = "".join(
        f'[[cameras]]\nname = "{camera}"\nsource = "{source}"\n{"loop = true" if loop else ""}\n'
        for camera, source in cameras.items()
    )
    return f"""name = "{name}"
{authority}
[models]
detector = "{detector}"
embedder = "{embedder}"
{f'runtime = "{runtime}"' if runtime is not None else ""}
[watchlist]
{watchlist}
{"".join(tables)}
{seen}"""


def signed_deployment_text(*tables: str, confirmed_by: str | None = None) -> str:
    """A deployment under a signed authorisation with all that it needs: a sealed list, a signed log, records, sinks."""
    authority = f"""
[authority]
profile = "eu-leo"
place = "Square"
signed = "authorisation.json"
officer_key = "officer.pub"
{f'confirmed_by = "{confirmed_by}"' if confirmed_by is not None else ""}
"""
    needed = (SIGNED_LOG, RECORDS, SEALED_EVIDENCE, LINES)
    return deployment_text(authority, *needed, *tables, watchlist='file = "square.sealed"\nkey = "square.key"')


# With every part that has a retention of its own: also pictures in the open, and the confirmation of an urgent start.
SIGNED_DEPLOYMENT = signed_deployment_text(OPEN_EVIDENCE, confirmed_by="confirmed.json")
