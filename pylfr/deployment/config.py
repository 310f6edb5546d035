"""A deployment file, deployment.toml, into a built engine. Typos are named with the nearest valid key."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from pylfr._internal.toml_model import ConfigModel, read_tables, record_from
from pylfr.errors import ConfigError
from pylfr.governance.authorisation.authority import RecordingPermit
from pylfr.types import Device
from pylfr.video.decoding.expected_stream import ExpectedStream
from pylfr.video.open import DecodeOn, Isolation
from pylfr.video.sources.zone import Polygon, Zone


def _beside_deployment(path: Path, info: ValidationInfo) -> Path:
    folder = info.context["folder"] if info.context else Path()
    return Path(folder / path)


# A secret in a deployment file is named, not told.
_REFERENCE = re.compile(r"\$\{[A-Za-z_]\w*\}")

# A path in a deployment file is relative to that file.
FilePath = Annotated[Path, AfterValidator(_beside_deployment)]


class AuthoritySection(ConfigModel):
    """Under whose signature this deployment runs. ``signed`` is what ``pylfr authority sign`` made.

    ``officer_key`` is the public key of the authorising officer, whose private half is not on this machine;
    ``second_officer_key`` that of the officer who approves what needs a higher approval.
    """

    profile: str
    place: str = Field(min_length=1)
    signed: FilePath
    officer_key: FilePath
    second_officer_key: FilePath | None = None
    confirmed_by: FilePath | None = Field(default=None, description="what confirms an urgent authorisation")
    calibration: FilePath | None = None
    cohorts: FilePath | None = None


class ModelsSection(ConfigModel):
    """The networks, by the names that ``pylfr models list`` shows, and what runs them."""

    detector: str
    embedder: str
    device: Device = "cpu"
    runtime: str = Field(default="auto", description="onnx, openvino, openvino-bf16, torch; auto takes the fastest")
    threads: int = Field(default=0, ge=0, description="threads a network, 0 for as many as there are cores")
    side_px: int | None = Field(default=None, ge=32, description="long side of the picture the detector looks at")
    graphs: bool = Field(default=True, description="CUDA graphs in TensorRT and PyTorch; false queues every batch anew")


class WatchlistSection(ConfigModel):
    """Whom the deployment looks for."""

    file: FilePath
    key: FilePath | None = Field(default=None, description="of a sealed watchlist; `pylfr watchlist seal` makes it")
    manifest: FilePath | None = Field(default=None, description="the signed list of record references")
    index: Literal[
        "native", "faiss", "faiss-gpu", "faiss-gpu-float16", "device-float32", "device-float16", "device-int8"
    ] = "native"
    poll_ms: float = Field(default=500.0, gt=0)


class RecognitionSection(ConfigModel):
    """How faces become alerts. Without ``threshold`` the embedder's suggested value is used and called uncalibrated."""

    threshold: float | None = Field(default=None, ge=-1.0, le=1.0)
    detect_hz: float = Field(default=8.0, gt=0)
    min_detect_hz: float = Field(default=2.0, gt=0)
    best_k: int = Field(default=8, ge=1)
    min_samples: int = Field(default=2, ge=1)
    best_scores: int = Field(default=2, ge=1)
    gap_ms: float = Field(default=200.0, ge=0)
    recheck_ms: float = Field(default=3000.0, ge=0)
    cooldown_s: float = Field(default=60.0, ge=0)
    candidates: int = Field(default=5, ge=1)
    max_faces_a_frame: int = Field(default=100, ge=1)
    min_interocular_px: float = Field(default=10.0, ge=0)
    min_sharpness: float = Field(default=4.0, ge=0)
    max_yaw_deg: float = Field(default=50.0, ge=0, le=180)
    max_pitch_deg: float = Field(default=45.0, ge=0, le=180)

    @model_validator(mode="after")
    def _samples_fit(self) -> RecognitionSection:
        if self.min_samples > self.best_k:
            raise ValueError(f"min_samples ({self.min_samples}) must not exceed best_k ({self.best_k})")
        if self.best_scores > self.min_samples:
            raise ValueError(f"best_scores ({self.best_scores}) must not exceed min_samples ({self.min_samples})")
        return self

    @property
    def slowest_hz(self) -> float:
        """How rarely live cameras are looked at when more comes than can be looked at."""
        return min(self.min_detect_hz, self.detect_hz)


class BatchSection(ConfigModel):
    """How frames of many cameras are put together."""

    size: int = Field(default=16, ge=1)
    wait_ms: float = Field(default=20.0, ge=0)


class DecodeSection(ConfigModel):
    """Who decodes recordings: a process each that can do nothing else, or this one, for recordings that are trusted."""

    isolation: Isolation = "process"


class ZoneSection(ConfigModel):
    """The part of a camera's picture that is watched, as polygons whose corners are shares of width and height.

    What lies outside ``watch`` or inside one of ``ignore`` is never looked at and stands in no evidence.
    """

    watch: Polygon = ()
    ignore: tuple[Polygon, ...] = ()

    @model_validator(mode="after")
    def _is_a_zone(self) -> ZoneSection:
        self.zone()
        return self

    def zone(self) -> Zone:
        return Zone(watch=self.watch, ignore=self.ignore)


class CameraSection(ConfigModel):
    """One camera: a file, an ``rtsp://`` address or a V4L2 device. Secrets are named: ``rtsp://${USER}:${PASS}@host/``."""

    name: str = Field(min_length=1)
    source: str = Field(min_length=1)
    pace: Literal["real-time", "as-fast-as-possible"] = "real-time"
    loop: bool = False
    decode: DecodeOn = Field(default="cpu", description='cpu, or nvdec: on the GPU, with device = "cuda"')
    zone: ZoneSection | None = None
    expect: str | None = Field(default=None, description='what it sends, "h264 1920x1080": another stream is refused')
    unchanged_after_s: float = Field(
        default=10.0, ge=1, le=3600, description="the same picture of a live camera for so long is reported"
    )

    @field_validator("expect")
    @classmethod
    def _is_a_stream(cls, expect: str | None) -> str | None:
        return None if expect is None else str(ExpectedStream.parse(expect))

    @property
    def pin(self) -> ExpectedStream | None:
        """The stream that is expected of it; None for any."""
        return None if self.expect is None else ExpectedStream.parse(self.expect)

    @property
    def is_network(self) -> bool:
        """Whether it is a camera of the network."""
        return self.source.startswith(("rtsp://", "rtsps://"))

    @property
    def is_device(self) -> bool:
        """Whether it is a camera of this machine."""
        return self.source.startswith(("v4l2://", "/dev/"))

    @property
    def digest(self) -> str:
        """sha256 of the address, the zone and the expected stream: none of them changes under an authorisation."""
        zone = "" if self.zone is None else f"\n{self.zone.model_dump_json()}"
        expect = "" if self.expect is None else f"\nexpect {self.expect}"
        return hashlib.sha256(f"{self.source}{zone}{expect}".encode()).hexdigest()


class JsonlSink(ConfigModel):
    """One alert a line into a file."""

    type: Literal["jsonl"]
    path: FilePath


class WebhookSink(ConfigModel):
    """Each alert as a POST. ``secret`` names an environment variable: ``${NAME}``."""

    type: Literal["webhook"]
    url: str
    secret: str | None = None
    pictures: bool = False


class MqttSink(ConfigModel):
    """Each alert to ``prefix/<camera>/alert``. ``username`` and ``password`` may be ``${NAME}``."""

    type: Literal["mqtt"]
    host: str
    port: int = 1883
    prefix: str = "pylfr"
    username: str | None = None
    password: str | None = None
    pictures: bool = False


class EvidenceSink(ConfigModel):
    """Each alert as a picture for the operator: the probe beside the reference image. With ``key`` it is sealed."""

    type: Literal["evidence"]
    folder: FilePath
    key: FilePath | None = None


SinkSection = Annotated[JsonlSink | WebhookSink | MqttSink | EvidenceSink, Field(discriminator="type")]


class AuditSection(ConfigModel):
    """Where the record is kept, the key that signs it, and where its checkpoints go: another machine's disk."""

    path: FilePath
    key: FilePath | None = None
    passphrase: str | None = Field(
        default=None, description="of the key, named as ${NAME}; never the passphrase itself"
    )
    checkpoints: FilePath | None = None

    @model_validator(mode="after")
    def _checkpoints_are_signed(self) -> AuditSection:
        if (self.key is None) != (self.checkpoints is None):
            raise ValueError("checkpoints are signed and kept elsewhere: give both key and checkpoints, or neither")
        if self.passphrase is not None and not _REFERENCE.fullmatch(self.passphrase):
            raise ValueError(
                "passphrase must name an environment variable, ${NAME}, and never be the passphrase itself"
            )
        return self


class RecordsSection(ConfigModel):
    """Where alerts wait for people: a SQLite ``file``, or a database by ``url``, its secrets as ``${NAME}``."""

    file: FilePath | None = None
    url: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> RecordsSection:
        if (self.file is None) == (self.url is None):
            raise ValueError("give either file, for SQLite, or url, for another database")
        return self


class AggregatesSection(ConfigModel):
    """Where counts over tracks go, hour by hour, for ``pylfr drift``: histograms, no face and no name."""

    folder: FilePath


class Deployment(ConfigModel):
    """Everything that a run needs. Paths are relative to the deployment file."""

    name: str = Field(min_length=1)
    authorisation: RecordingPermit | None = None
    authority: AuthoritySection | None = None
    models: ModelsSection
    watchlist: WatchlistSection
    audit: AuditSection
    cameras: tuple[CameraSection, ...] = Field(min_length=1)
    recognition: RecognitionSection = RecognitionSection()
    batch: BatchSection = BatchSection()
    people: dict[str, FilePath] = Field(
        default_factory=dict, description="who may decide on alerts, each with the file of their public key"
    )
    decode: DecodeSection = DecodeSection()
    records: RecordsSection | None = None
    aggregates: AggregatesSection | None = None
    sinks: tuple[SinkSection, ...] = ()

    @model_validator(mode="after")
    def _one_leave(self) -> Deployment:
        if (self.authorisation is None) == (self.authority is None):
            raise ValueError(
                "give either [authority], which names a signed authorisation, or [authorisation], for recordings alone"
            )
        if self.authority is not None and self.audit.key is None:
            raise ValueError("[audit] needs key (`pylfr authority keygen`) and checkpoints, a file elsewhere")
        if self.authority is not None and self.records is None:
            raise ValueError("[records] is missing: alerts wait there for the people who decide")
        return self

    @model_validator(mode="after")
    def _cameras_fit(self) -> Deployment:
        names = [camera.name for camera in self.cameras]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"camera names must differ, {twice[0]!r} stands twice")
        strangers = sorted(set(names) - self.authorisation.cameras) if self.authorisation is not None else []
        if strangers:
            raise ValueError(f"camera {strangers[0]!r} is not named in authorisation.cameras")
        return self

    @model_validator(mode="after")
    def _nvdec_fits(self) -> Deployment:
        for camera in self.cameras:
            if camera.decode != "nvdec":
                continue
            asked = f'camera {camera.name!r} has decode = "nvdec"'
            if self.models.device != "cuda":
                raise ValueError(
                    f'{asked}, whose pictures stay on the GPU, but [models] device is "{self.models.device}": set '
                    'device = "cuda" there, or decode = "cpu" here'
                )
            if camera.zone is not None:
                raise ValueError(f'{asked} and a zone, which is cut on the host: set decode = "cpu"')
            if camera.is_device:
                raise ValueError(f'{asked}, but is a device of this machine: set decode = "cpu"')
            if not camera.is_network and self.decode.isolation == "process":
                raise ValueError(
                    f"{asked}, but recordings are decoded by an isolated process without a GPU: set decode = "
                    '"cpu", or isolation = "none" in [decode] where you trust the recordings'
                )
        return self


def read_deployment(path: Path) -> Deployment:
    """The deployment that a TOML file describes, its paths relative to that file.

    Raises ``ConfigError`` naming the file, the key, what was expected and, for an unknown key, the nearest valid one.
    """
    tables = read_tables(path, ConfigError)
    if "authorisation" not in tables and "authority" not in tables:
        raise ConfigError(
            f"{path} has no [authority] and no [authorisation]: recognition of live cameras needs a signed "
            "authorisation (`pylfr authority draft`); for recordings alone [authorisation] may say purpose, place, "
            "cameras, starts_at, ends_at, authorising_officer and legal_basis; to try recorded material without "
            "either use `pylfr try`"
        )
    return record_from(tables, Deployment, path=path, error_kind=ConfigError)
