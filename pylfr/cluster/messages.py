"""What a node and its head say to each other, inside their session."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from pylfr._internal.toml_model import ConfigModel
from pylfr.deployment.sections.cameras import CameraSection, DecodeSection
from pylfr.deployment.sections.recognition import BatchSection, ModelsSection, RecognitionSection
from pylfr.gallery.index.reloading import IndexName
from pylfr.governance.authorisation.authority import Authorisation, Moment, RecordingPermit


def _bytes_of(given: object) -> object:
    return bytes.fromhex(given) if isinstance(given, str) else given


# Bytes as they are in JSON.
Hex = Annotated[bytes, BeforeValidator(_bytes_of), PlainSerializer(bytes.hex, return_type=str, when_used="json")]


class LogPoint(ConfigModel):
    """The last entry of an engine's log."""

    sequence: int
    digest: str


class Joining(ConfigModel):
    """What a node says of itself when it joins: how many cameras it can hold, and the log that its engines write.

    ``holding`` are cameras that it analyses already, where a head that was started again is told of them.
    """

    capacity: int
    log_key: str
    log: LogPoint
    holding: tuple[str, ...] = ()


class Brief(ConfigModel):
    """All that an engine needs of its deployment: networks, rules, authority, cameras. No key and nobody's name."""

    deployment: str
    models: ModelsSection
    recognition: RecognitionSection
    batch: BatchSection
    decode: DecodeSection
    cameras: tuple[CameraSection, ...]
    permit: RecordingPermit | None
    authorisation: Authorisation | None
    calibrated: bool
    index: IndexName
    grace_s: float
    references: tuple[str, ...] | None
    watchlist_key_expires_at: Moment
    watchlist_key_binds_deadline: bool


class Beat(ConfigModel):
    """What a node says several times a second. ``alerts`` are packed, oldest first, until the head has taken them.

    ``watchlist`` is the sha256 of the sealed file that is searched now, ``checkpoints`` lines of the engine's log.
    """

    cameras: tuple[str, ...]
    failed: dict[str, str] = Field(default_factory=dict)
    ended: tuple[str, ...] = ()
    faces_seen: int = 0
    watchlist: str = ""
    log: LogPoint
    checkpoints: tuple[str, ...] = ()
    alerts: tuple[Hex, ...] = ()
    trouble: str = ""


class Orders(ConfigModel):
    """What the head answers: for how long the engine may go on, with which cameras, and by which watchlist.

    ``taken`` are ids of alerts that are in the deployment's record. A ``watchlist`` comes where the node's is another.
    """

    lease_s: float
    cameras: tuple[str, ...] = ()
    watchlist: Hex | None = None
    received: int = 0
    taken: tuple[str, ...] = ()
    stop: str = ""
