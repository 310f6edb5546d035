"""What a node and its head say to each other, inside their session."""

from __future__ import annotations

from pydantic import Field

from pylfr._internal.toml_model import ConfigModel
from pylfr.deployment.sections.cameras import CameraSection, DecodeSection
from pylfr.deployment.sections.monitoring import TracingSection
from pylfr.deployment.sections.recognition import BatchSection, ModelsSection, RecognitionSection
from pylfr.engine.summary import RunTotals
from pylfr.gallery.index.build import IndexName
from pylfr.governance.authorisation.authority import Authorisation, Moment, RecordingPermit


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
    threshold: float
    batch: BatchSection
    decode: DecodeSection
    cameras: tuple[CameraSection, ...]
    permit: RecordingPermit | None
    authorisation: Authorisation | None
    calibrated: bool
    index: IndexName
    device_mib: int | None
    tracing: TracingSection | None
    references: tuple[str, ...] | None
    watchlist_key_expires_at: Moment
    watchlist_key_binds_deadline: bool


class ListPlace(ConfigModel):
    """A sealed watchlist, or the first ``size`` bytes of it."""

    sha256: str = ""
    size: int = 0


class EngineAccount(ConfigModel):
    """What one run of a node's engine has counted: so far, or where it ``has_ended`` for good."""

    run: str
    has_ended: bool
    totals: RunTotals


class Beat(ConfigModel):
    """What a node says several times a second. Packed alerts go with it, oldest first, until the head has taken them.

    ``watchlist`` is the sha256 of the sealed file that is searched now and ``revision`` its revision, ``fetched`` what
    has come of the next one. ``waiting`` counts the alerts that the head has not taken, ``checkpoints`` are lines of
    the engine's log, ``accounts`` those of its runs that the head has not noted as ended.
    """

    cameras: tuple[str, ...]
    failed: dict[str, str] = Field(default_factory=dict)
    ended: tuple[str, ...] = ()
    accounts: tuple[EngineAccount, ...] = ()
    watchlist: str = ""
    revision: int = 0
    fetched: ListPlace = ListPlace()
    log: LogPoint
    checkpoints: tuple[str, ...] = ()
    waiting: int = 0
    trouble: str = ""


class Orders(ConfigModel):
    """What the head answers: for how long the engine may go on, with which cameras, and by which watchlist.

    ``taken`` are ids of alerts that are in the deployment's record, and ``noted`` runs of engines whose end is; unless
    ``alerts_read``, the alerts of the beat are to be sent again. Where the node's watchlist is another, ``watchlist``
    is the newest, and the bytes of it from ``offset`` on go with the orders, as many as go at once.
    """

    lease_s: float
    cameras: tuple[str, ...] = ()
    watchlist: ListPlace | None = None
    offset: int = 0
    received: int = 0
    alerts_read: bool = True
    taken: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()
    stop: str = ""
