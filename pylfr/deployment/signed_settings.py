"""What an officer signs of a deployment file, beyond its networks, cameras and watchlist: every setting that matters.

Whatever changes who is looked for, who is compared, who is told, what is stored and where it is recorded is signed.
Only what changes the speed alone is left out, and what has a field of its own in the authorisation.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from pylfr._internal.canonical_json import utc_text
from pylfr._internal.regular_file import read_file
from pylfr._internal.secrets import redact, resolve_secrets
from pylfr.deployment.config import Deployment
from pylfr.deployment.sections.cameras import CameraSection
from pylfr.governance.keys.keys import SigningKey, read_public_key
from pylfr.governance.keys.vault import VaultKeyFile
from pylfr.video.decoding.picture_options import AS_SENT

# Fields of the authorisation itself, files that only hold what it names, and what changes nothing but the speed
# or shows nothing but counts.
_LEFT_OUT = frozenset(
    {
        "name", "authorisation", "people", "batch", "monitoring", "authority.profile", "authority.place",
        "authority.signed", "authority.officer_key",
        "authority.second_officer_key", "authority.confirmed_by", "authority.calibration",
        "authority.cohorts", "models.detector", "models.embedder", "models.threads", "models.graphs",
        "recognition.threshold", "cameras.*.name", "cameras.*.source", "cameras.*.zone", "cameras.*.expect",
    }
)  # fmt: skip
# Who may log on somewhere may change; where that is, may not.
_CREDENTIALS = frozenset({"secret", "username", "password", "passphrase"})
# Files whose content is signed, not their place alone.
_TRUSTED = frozenset({"ca", "receiver_ca"})
_LARGEST_FILE = 1_000_000
_ADDRESS = re.compile(r"^(?P<scheme>\w+://)?(?P<user>[^/@]*@)?(?P<place>[^?#]*)(?P<rest>.*)$", re.DOTALL)


def signed_settings(
    deployment: Deployment, *, record_key: SigningKey | None, watchlist_key: VaultKeyFile | None
) -> dict[str, str]:
    """Every setting that is signed, as text by its place in the file; secrets are named or digested, never shown.

    Variables in addresses are resolved, but for user names, passwords and tokens. ``record_key`` signs the log,
    ``watchlist_key`` has a deadline. Raises ``ConfigError`` where a variable is not set, ``AuthorisationError`` where a
    node of the cluster has no key.
    """
    settings = dict(_flat(deployment, deployment))
    if record_key is not None:
        settings["audit.key is"] = record_key.public.fingerprint
    for name, path in deployment.cluster.nodes.items():
        settings[f"cluster.nodes.{name} is"] = read_public_key(path).fingerprint
    if watchlist_key is not None:
        settings["watchlist.key expires"] = utc_text(watchlist_key.expires_at)
    return settings


def camera_digests(deployment: Deployment) -> dict[str, str]:
    """sha256 of the address, the zone and the streams of each camera, its variables resolved."""
    return {camera.name: camera_digest(camera) for camera in deployment.cameras}


def camera_digest(camera: CameraSection) -> str:
    """sha256 of what a camera is: none of it changes under an authorisation, nor by another environment."""
    zone = "" if camera.zone is None else f"\n{camera.zone.model_dump_json()}"
    expect = "" if camera.expect is None else f"\nexpect {camera.expect}"
    picture = "" if camera.picture == AS_SENT else f"\n{camera.picture.to_json()}"
    recorded = "" if camera.recorded_at is None else f"\nrecorded {camera.recorded_at.isoformat()}"
    address = _resolved(camera.source, name=f"camera {camera.name!r}")
    return hashlib.sha256(f"{address}{zone}{expect}{picture}{recorded}".encode()).hexdigest()


def _flat(value: object, deployment: Deployment, place: str = "", pattern: str = "") -> Iterator[tuple[str, str]]:
    if pattern in _LEFT_OUT:
        return
    if isinstance(value, BaseModel):
        fields: Mapping[str, object] = {name: getattr(value, name) for name in type(value).model_fields}
        for name, each in fields.items():
            yield from _flat(each, deployment, _joined(place, name), _joined(pattern, name))
    elif isinstance(value, tuple) and place in ("cameras", "sinks"):
        for number, each in enumerate(value):
            name = each.name if isinstance(each, CameraSection) else str(number)
            yield from _flat(each, deployment, _joined(place, name), _joined(pattern, "*"))
    else:
        yield place, setting_text(value, place.rsplit(".", maxsplit=1)[-1])


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def setting_text(value: object, name: str) -> str:
    """How the value of a setting is signed; ``name`` is the last word of its place."""
    if value is None:
        return "(not set)"
    if name in _CREDENTIALS:
        return "(set)"
    if name == "url":
        address = _resolved(str(value), name="an address", is_secret=True)
        return f"{redact(address)} (sha256 {hashlib.sha256(address.encode()).hexdigest()[:16]})"
    if name == "host":
        return resolve_secrets(str(value), name="an address")
    if name in _TRUSTED and isinstance(value, Path):
        return f"{value} ({_content(value)})"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _content(path: Path) -> str:
    """What a file of trusted authorities holds: whoever may exchange it may stand in for a camera or a receiver."""
    try:
        return f"sha256 {hashlib.sha256(read_file(path, largest=_LARGEST_FILE)).hexdigest()[:16]}"
    except OSError as error:
        return f"not readable: {error.strerror}"


def _resolved(address: str, *, name: str, is_secret: bool = False) -> str:
    """An address with its variables resolved: all but user and password and what follows ``?``.

    Of a receiver, whose path may be a token (``is_secret``), the host alone.
    """
    parts = _ADDRESS.match(address)
    if parts is None or parts["scheme"] in (None, "file://", "v4l2://"):
        return os.path.expandvars(address)
    place, slash, path = parts["place"].partition("/")
    resolved = resolve_secrets(place, name=name)
    tail = f"{slash}{path}" if is_secret else resolve_secrets(f"{slash}{path}", name=name)
    return f"{parts['scheme']}{parts['user'] or ''}{resolved}{tail}{parts['rest']}"
