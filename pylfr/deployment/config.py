"""What a deployment file may say: every key with its type, bounds, default and description."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from pylfr._internal.toml_model import ConfigModel, read_tables, record_from
from pylfr.errors import ConfigError
from pylfr.governance.authorisation.authority import Moment, RecordingPermit
from pylfr.types import Device
from pylfr.video.decoding.expected_stream import ExpectedStream
from pylfr.video.decoding.picture_options import PictureOptions, parse_aspect
from pylfr.video.open import DecodeOn, Isolation, Transport
from pylfr.video.sources.zone import Polygon, Zone


def _beside_deployment(path: Path, info: ValidationInfo) -> Path:
    folder = info.context["folder"] if info.context else Path()
    return Path(folder / path)


# A secret in a deployment file is given by the name of an environment variable.
_REFERENCE = re.compile(r"\$\{[A-Za-z_]\w*\}")


def _printable(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ValueError(f"must be 1 to {_LONGEST_NAME} printable characters")
    return name


# Names stand in log lines, in tables and on pages.
Name = Annotated[str, AfterValidator(_printable)]
_LONGEST_NAME = 200
# A path in a deployment file is relative to that file.
FilePath = Annotated[Path, AfterValidator(_beside_deployment)]


class AuthoritySection(ConfigModel):
    """The signed authorisation that this deployment runs under. Required for live cameras."""

    profile: str = Field(description="jurisdiction profile: uk-police, eu-leo, private-site or research")
    place: Name = Field(description="where the cameras are, in the words of the authorisation")
    signed: FilePath = Field(description="the authorisation that `pylfr authority sign` wrote")
    officer_key: FilePath = Field(
        description="public key of the authorising officer, whose private key is not on this machine"
    )
    trusted_officers: FilePath | None = Field(
        default=None,
        description="file of another owner, outside this folder, that names officers and measurers with their keys",
    )
    second_officer_key: FilePath | None = Field(
        default=None, description="public key of the officer who approves categories that need a higher approval"
    )
    confirmed_by: FilePath | None = Field(
        default=None, description="the authorisation that confirms an urgent one; without it all linked data is erased"
    )
    calibration: FilePath | None = Field(
        default=None, description="certificate of the threshold, from `pylfr calibrate`"
    )
    cohorts: FilePath | None = Field(
        default=None,
        description="certificate of error rates by demographic group, from `pylfr evaluate --cohort-certificate`",
    )


class ModelsSection(ConfigModel):
    """The networks, by the names that `pylfr models list` prints, and what runs them."""

    detector: str = Field(description="network that finds faces")
    embedder: str = Field(description="network that computes templates; it must be the watchlist's")
    device: Device = Field(default="cpu", description="cpu or cuda; never falls back")
    runtime: str = Field(
        default="auto",
        description="onnx, openvino, openvino-bf16, torch, tensorrt or tensorrt-rtx; auto takes the CPU's fastest",
    )
    threads: int = Field(default=0, ge=0, description="threads for each network, 0 for one per core")
    side_px: int | None = Field(
        default=None, ge=32, description="long side of the detector's input, pixels; unset: as its manifest says"
    )
    graphs: bool = Field(default=True, description="replay batches as CUDA graphs in TensorRT and PyTorch")


class WatchlistSection(ConfigModel):
    """The people this deployment looks for."""

    file: FilePath = Field(description="the watchlist, plain or sealed; changes are followed while the engine runs")
    key: FilePath | None = Field(default=None, description="key of a sealed watchlist, from `pylfr watchlist seal`")
    manifest: FilePath | None = Field(
        default=None, description="signed list of record references, which answers `was-listed` after the key is gone"
    )
    index: Literal[
        "native", "faiss", "faiss-gpu", "faiss-gpu-float16", "device-float32", "device-float16", "device-int8"
    ] = Field(default="native", description='search index; device-... needs device = "cuda", faiss... needs FAISS')
    poll_ms: float = Field(default=500.0, gt=0, le=60_000, description="how often the file is checked for changes, ms")
    grace_s: float = Field(
        default=60.0, ge=0, le=600, description="how long a run goes on with the last revision of a lost watchlist, s"
    )


class RecognitionSection(ConfigModel):
    """How faces become alerts."""

    threshold: float | None = Field(
        default=None,
        ge=-1.0,
        le=1.0,
        description="cosine an alert must reach; unset: the embedder's suggested value, reported as uncalibrated",
    )
    detect_hz: float = Field(default=8.0, gt=0, description="detections per second and camera")
    min_detect_hz: float = Field(
        default=2.0, gt=0, description="lowest detection rate of live cameras under overload; every change is logged"
    )
    comparisons_hz: float | None = Field(
        default=None,
        gt=0,
        description="comparisons per second of a recording's own time; unset: every face is compared",
    )
    compare_ms: float = Field(
        default=100.0,
        gt=0,
        description="longest time for the comparisons of one batch of live frames, ms; faces above this are counted",
    )
    best_scores: int = Field(
        default=2, ge=1, description="the mean of so many best scores of a track must reach the threshold"
    )
    lone_margin: float = Field(
        default=0.01, ge=0, le=2, description="the best score alone also alerts if it is higher by this much, cosine"
    )
    cooldown_s: float = Field(default=60.0, ge=0, description="an entry alerts at most once per camera in this time, s")
    candidates: int = Field(default=5, ge=1, description="watchlist entries ranked for each compared face")
    max_faces_a_frame: int = Field(
        default=100, ge=1, description="faces tracked per frame; weaker detections above this are dropped and counted"
    )
    min_interocular_px: float = Field(
        default=4.0, ge=0, description="least distance between the eyes, pixels; smaller faces are counted"
    )

    @property
    def slowest_hz(self) -> float:
        """The lowest detection rate of a live camera under overload."""
        return min(self.min_detect_hz, self.detect_hz)


class BatchSection(ConfigModel):
    """How frames of many cameras are put together."""

    size: int = Field(default=16, ge=1, description="frames per batch at most")
    wait_ms: float = Field(default=20.0, ge=0, description="how long the oldest frame waits for others, ms")


class DecodeSection(ConfigModel):
    """How recordings and reference images are decoded."""

    isolation: Isolation = Field(
        default="process", description="process: confined, without network and files; none: only for trusted recordings"
    )


class ZoneSection(ConfigModel):
    """The zone of recognition: the part of a camera's picture in which faces are looked for.

    What lies outside `watch` or inside one of `ignore` is blanked before detection and appears in no evidence.
    """

    watch: Polygon = Field(
        default=(), description="corners as shares of width and height, 0 to 1; empty: the whole picture"
    )
    ignore: tuple[Polygon, ...] = Field(default=(), description="polygons to leave out, corners as in watch")

    @model_validator(mode="after")
    def _is_a_zone(self) -> ZoneSection:
        self.zone()
        return self

    def zone(self) -> Zone:
        return Zone(watch=self.watch, ignore=self.ignore)


class CameraSection(ConfigModel):
    """One camera: a recording, an RTSP address or a V4L2 device."""

    name: Name = Field(description="unique name, as it appears in alerts and in the authorisation")
    source: str = Field(
        min_length=1,
        description="rtsp(s)://..., http(s)://... (MJPEG or HLS), /dev/video0, or a file relative to the working "
        "directory; secrets as ${NAME}",
    )
    pace: Literal["real-time", "as-fast-as-possible"] = Field(
        default="real-time", description="how a recording is played"
    )
    loop: bool = Field(default=False, description="start a recording over at its end")
    decode: DecodeOn = Field(default="cpu", description='cpu, or nvdec: on the GPU, with device = "cuda"')
    recorded_at: Moment | None = Field(
        default=None,
        description="when a recording was made (its first frame, with time zone): its frames must then lie inside the "
        "authorised window; unset: the time at which it is analysed counts",
    )
    zone: ZoneSection | None = Field(default=None, description="zone of recognition; unset: the whole picture")
    expect: str | None = Field(
        default=None, description='the stream it sends, "h264 1920x1080"; another stream is refused'
    )
    unchanged_after_s: float = Field(
        default=10.0, ge=1, le=3600, description="a live picture that has not changed for this long is reported, s"
    )

    transport: Transport = Field(
        default="tcp", description="what carries an RTSP camera's pictures; auto tries TCP, then UDP"
    )
    ca: FilePath | None = Field(
        default=None,
        description="certificates in PEM that rtsps:// and https:// trust, or the camera's own; unset: the system's",
    )
    redirects_to: tuple[str, ...] = Field(default=(), description="further hosts that an RTSP camera may redirect to")
    stream: int | None = Field(
        default=None, ge=0, description="number of the video stream in the source; unset: its default stream"
    )
    rotate: Literal[0, 90, 180, 270] = Field(
        default=0, description="degrees clockwise by which pictures are turned, for a camera mounted sideways"
    )
    sample_aspect: str | None = Field(
        default=None, description='width:height of one pixel, "2:1", for a camera that does not tag it'
    )
    frame_rate: float | None = Field(
        default=None, gt=0, le=1000, description="frames a second of a recording without usable time stamps"
    )

    @field_validator("sample_aspect")
    @classmethod
    def _is_an_aspect(cls, sample_aspect: str | None) -> str | None:
        if sample_aspect is not None:
            PictureOptions(sample_aspect=parse_aspect(sample_aspect))
        return sample_aspect

    @property
    def picture(self) -> PictureOptions:
        """What is set about its pictures."""
        return PictureOptions(
            stream=self.stream,
            rotate=self.rotate,
            sample_aspect=None if self.sample_aspect is None else parse_aspect(self.sample_aspect),
            rate_hz=self.frame_rate,
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
        """Whether it is a network camera."""
        return self.source.startswith(("rtsp://", "rtsps://", "http://", "https://"))

    @property
    def is_device(self) -> bool:
        """Whether it is attached to this machine."""
        return self.source.startswith(("v4l2://", "/dev/"))


class JsonlSection(ConfigModel):
    """Each alert as one line of JSON in a file."""

    type: Literal["jsonl"] = Field(description="jsonl")
    path: FilePath = Field(description="the file; lines are appended, and erased when their retention ends")


class WebhookSection(ConfigModel):
    """Each alert as an HTTP POST, retried until it is accepted."""

    type: Literal["webhook"] = Field(description="webhook")
    url: str = Field(description="http(s) address; secrets by variable: ${NAME}")
    secret: str | None = Field(default=None, description="bearer token, by variable: ${NAME}")
    pictures: bool = Field(default=False, description="send the probe and the reference image with each alert")


class MqttSection(ConfigModel):
    """Each alert as an MQTT message on the topic prefix/CAMERA/alert."""

    type: Literal["mqtt"] = Field(description="mqtt")
    host: str = Field(description="address of the broker")
    port: int = Field(default=1883, ge=1, le=65535, description="port of the broker; 8883 is usual with TLS")
    prefix: str = Field(default="pylfr", description="first part of every topic")
    username: str | None = Field(default=None, description="by variable: ${NAME}")
    password: str | None = Field(default=None, description="by variable: ${NAME}")
    tls: bool = Field(default=False, description="encrypt, and verify the broker's certificate")
    ca: FilePath | None = Field(default=None, description="authorities (PEM) to trust instead of the system's")
    certificate: FilePath | None = Field(default=None, description="certificate of this client (PEM)")
    private_key: FilePath | None = Field(default=None, description="private key of that certificate (PEM)")
    passphrase: str | None = Field(default=None, description="of the private key, by variable: ${NAME}")
    pictures: bool = Field(default=False, description="send the probe and the reference image with each alert")

    @model_validator(mode="after")
    def _tls_is_on(self) -> MqttSection:
        files = {"ca": self.ca, "certificate": self.certificate, "private_key": self.private_key}
        named = [name for name, file in files.items() if file is not None]
        if named and not self.tls:
            raise ValueError(f"{named[0]} is for TLS: set tls = true (and the port, usually 8883)")
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("give both certificate and private_key, or neither")
        return self


class EvidenceSection(ConfigModel):
    """Each alert as a picture for the operator: the probe beside the reference image."""

    type: Literal["evidence"] = Field(description="evidence")
    folder: FilePath = Field(description="folder of the pictures, erased when their retention ends")
    key: FilePath | None = Field(
        default=None, description="key that seals them, created at the first start; profiles for live use require it"
    )


SinkSection = Annotated[JsonlSection | WebhookSection | MqttSection | EvidenceSection, Field(discriminator="type")]


class AuditSection(ConfigModel):
    """The audit log: every alert is in it before anybody sees it."""

    path: FilePath = Field(description="the log, one entry per line, each chained to the one before")
    key: FilePath | None = Field(default=None, description="private key that signs checkpoints")
    passphrase: str | None = Field(
        default=None, description="passphrase of that key, by variable: ${NAME}; never the passphrase itself"
    )
    checkpoint_receiver: str | None = Field(
        default=None,
        pattern=r"^https?://[^/@]+/?$",
        description="http(s)://host:port of a `pylfr audit receive` on another machine",
    )
    receiver_ca: FilePath | None = Field(
        default=None, description="authorities (PEM) to trust for the receiver instead of the system's"
    )
    checkpoints: FilePath | None = Field(
        default=None, description="signed checkpoints, on another machine's disk: they reveal a rewritten log"
    )

    @model_validator(mode="after")
    def _checkpoints_are_signed(self) -> AuditSection:
        if (self.key is None) != (self.checkpoints is None):
            raise ValueError("checkpoints are signed and stored elsewhere: give both key and checkpoints, or neither")
        if self.checkpoint_receiver is not None and self.key is None:
            raise ValueError("checkpoint_receiver receives signed checkpoints: give key and checkpoints too")
        if self.passphrase is not None and not _REFERENCE.fullmatch(self.passphrase):
            raise ValueError(
                "passphrase must name an environment variable, ${NAME}, and never be the passphrase itself"
            )
        return self


class RecordsSection(ConfigModel):
    """The database in which alerts wait for review. Give either `file` or `url`."""

    file: FilePath | None = Field(default=None, description="a SQLite file")
    url: str | None = Field(
        default=None, description="an SQLAlchemy address, for example PostgreSQL; secrets by variable: ${NAME}"
    )

    @model_validator(mode="after")
    def _one_place(self) -> RecordsSection:
        if (self.file is None) == (self.url is None):
            raise ValueError("give either file, for SQLite, or url, for another database")
        return self


Role = Literal["operator", "second operator", "engagement officer", "supervisor", "auditor"]
Scope = Literal["alerts", "cameras", "deployment", "report"]


class TokenSection(ConfigModel):
    """The token of an integrator's program, which reads and never decides."""

    sha256: str = Field(
        pattern="^[0-9a-f]{64}$", description="digest of the token, from `pylfr service token`; the token is shown once"
    )
    scopes: tuple[Scope, ...] = Field(min_length=1, description="what it may read")


class ServiceSection(ConfigModel):
    """The HTTP service and its pages, for `pylfr serve`."""

    host: str = Field(default="127.0.0.1", description="address to listen on; another than loopback needs TLS")
    port: int = Field(default=8443, ge=1, le=65535, description="port to listen on")
    origin: str | None = Field(
        default=None, description="address in people's browsers, https://desk.example; unset: that of host and port"
    )
    certificate: FilePath | None = Field(default=None, description="TLS certificate with its chain (PEM)")
    private_key: FilePath | None = Field(default=None, description="private key of the certificate (PEM)")
    session_min: float = Field(default=60.0, gt=0, le=720, description="a session ends after this time, minutes")
    roles: dict[str, tuple[Role, ...]] = Field(
        default_factory=dict, description="what each of [people] may do; unset: everybody is operator and officer"
    )
    tokens: dict[str, TokenSection] = Field(default_factory=dict, description="integrators' programs, by name")

    @model_validator(mode="after")
    def _is_encrypted(self) -> ServiceSection:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("give both certificate and private_key, or neither")
        if self.certificate is None and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(f"host {self.host!r} is not loopback: give certificate and private_key for TLS")
        return self

    @property
    def address(self) -> str:
        """Where people's browsers find it."""
        scheme = "http" if self.certificate is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.origin or f"{scheme}://{host}:{self.port}"


class AggregatesSection(ConfigModel):
    """Hourly counts over tracks, for `pylfr drift`: histograms without a face or a name."""

    folder: FilePath = Field(description="folder of the hourly files")


class Deployment(ConfigModel):
    """A deployment file: one watchlist, named cameras, one place, a stated time. Paths are relative to the file."""

    name: Name = Field(description="name of the deployment, as in its authorisation")
    authorisation: RecordingPermit | None = Field(
        default=None, description="plain words instead of a signed authorisation; for recordings only"
    )
    authority: AuthoritySection | None = Field(default=None, description="the signed authorisation; required for live")
    models: ModelsSection = Field(description="networks and what runs them")
    watchlist: WatchlistSection = Field(description="the people this deployment looks for")
    audit: AuditSection = Field(description="the audit log")
    cameras: tuple[CameraSection, ...] = Field(min_length=1, description="one [[cameras]] table for each camera")
    recognition: RecognitionSection = Field(default=RecognitionSection(), description="how faces become alerts")
    batch: BatchSection = Field(default=BatchSection(), description="how frames are batched")
    people: dict[Name, FilePath] = Field(
        default_factory=dict, description="who may decide on alerts: name and public key file"
    )
    decode: DecodeSection = Field(default=DecodeSection(), description="how recordings are decoded")
    records: RecordsSection | None = Field(default=None, description="database of alerts and decisions")
    aggregates: AggregatesSection | None = Field(default=None, description="hourly counts for `pylfr drift`")
    sinks: tuple[SinkSection, ...] = Field(default=(), description="one [[sinks]] table for each place alerts go to")
    service: ServiceSection = Field(default=ServiceSection(), description="pages and HTTP interface of `pylfr serve`")

    @model_validator(mode="after")
    def _sections_fit(self) -> Deployment:
        problems = [
            *self._authority_problems(),
            *self._camera_problems(),
            *self._nvdec_problems(),
            *self._service_problems(),
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _authority_problems(self) -> Iterator[str]:
        if self.authorisation is None and self.authority is None:
            yield (
                "no [authority] and no [authorisation]: live cameras need a signed authorisation "
                "(`pylfr authority draft`); for recordings alone [authorisation] may give purpose, place, cameras, "
                "starts_at, ends_at, authorising_officer and legal_basis; to try recordings without either: `pylfr try`"
            )
        if self.authorisation is not None and self.authority is not None:
            yield "give either [authority], for a signed authorisation, or [authorisation], for recordings alone"
        if self.authority is not None and self.audit.key is None:
            yield "[audit] needs key (`pylfr authority keygen`) and checkpoints, a file on another machine"
        if self.authority is not None and self.records is None:
            yield "[records] is missing: alerts wait there for the people who decide"

    def _service_problems(self) -> Iterator[str]:
        for name in sorted(self.service.roles.keys() - self.people.keys()):
            yield f"[service.roles] names {name!r}, who is not one of [people]"

    def _camera_problems(self) -> Iterator[str]:
        names = [camera.name for camera in self.cameras]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"duplicate camera name {name!r}: camera names must be unique"
        if self.authorisation is not None:
            for name in sorted(set(names) - self.authorisation.cameras):
                yield f"camera {name!r} is not named in authorisation.cameras"

    def _nvdec_problems(self) -> Iterator[str]:
        for camera in self.cameras:
            if camera.decode != "nvdec":
                continue
            asked = f'camera {camera.name!r} has decode = "nvdec"'
            if self.models.device != "cuda":
                yield (
                    f'{asked}, whose pictures stay on the GPU, but [models] device is "{self.models.device}": set '
                    'device = "cuda" there, or decode = "cpu" here'
                )
            if camera.zone is not None:
                yield f'{asked} and a zone, which is cut on the host: set decode = "cpu"'
            if camera.is_device:
                yield f'{asked}, but is a device of this machine: set decode = "cpu"'
            elif not camera.is_network and self.decode.isolation == "process":
                yield (
                    f"{asked}, but recordings are decoded by an isolated process without a GPU: set decode = "
                    '"cpu", or isolation = "none" in [decode] where you trust the recordings'
                )


def read_deployment(path: Path) -> Deployment:
    """The deployment that a TOML file describes, its paths relative to that file.

    Raises ``ConfigError`` naming the file, the key, what was expected and, for an unknown key, the nearest valid one.
    """
    return record_from(read_tables(path, ConfigError), Deployment, path=path, error_kind=ConfigError)
