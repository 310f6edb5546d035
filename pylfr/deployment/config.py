"""What a deployment file may say, as a whole; each section is in `sections/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, model_validator

from pylfr._internal.toml_model import ConfigModel, Name, read_tables, record_from
from pylfr.deployment.sections.cameras import CameraSection, DecodeSection
from pylfr.deployment.sections.cluster import ClusterSection
from pylfr.deployment.sections.fields import FilePath
from pylfr.deployment.sections.monitoring import MonitoringSection, TracingSection
from pylfr.deployment.sections.recognition import BatchSection, ModelsSection, RecognitionSection, WatchlistSection
from pylfr.deployment.sections.record import AggregatesSection, AuditSection, AuthoritySection, RecordsSection
from pylfr.deployment.sections.service import ServiceSection
from pylfr.deployment.sections.sinks import SinkSection
from pylfr.errors import ConfigError
from pylfr.governance.authorisation.authority import RecordingPermit


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
    cluster: ClusterSection = Field(default=ClusterSection(), description="the nodes of `pylfr cluster run`")
    monitoring: MonitoringSection = Field(
        default=MonitoringSection(), description="numbers for Prometheus, of `pylfr run`"
    )
    tracing: TracingSection | None = Field(default=None, description="traces of batches, by OpenTelemetry")
    service: ServiceSection = Field(default=ServiceSection(), description="pages and HTTP interface of `pylfr serve`")

    @model_validator(mode="after")
    def _sections_fit(self) -> Deployment:
        problems = [
            *self._authority_problems(),
            *self._camera_problems(),
            *self._detection_problems(),
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

    def _detection_problems(self) -> Iterator[str]:
        if self.recognition.smallest_face_px is not None and self.models.side_px is not None:
            yield (
                "give either [recognition] smallest_face_px or [models] side_px: each says how large the detector's "
                "input is"
            )
        if self.models.device == "cpu":
            return
        if self.recognition.smallest_face_px is not None:
            yield (
                "[recognition] smallest_face_px is for networks on the CPU: on a GPU give [models] side_px, as it runs "
                "inputs of one size together"
            )
        if self.recognition.full_look_s:
            yield (
                "[recognition] full_look_s is for networks on the CPU: on a GPU leave it out, which analyses every "
                "picture in full"
            )

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
