"""Sections on recognition: networks, the watchlist, how faces become alerts, batches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pylfr._internal.toml_model import ConfigModel
from pylfr.deployment.sections.fields import FilePath
from pylfr.types import Device


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
    device_mib: int | None = Field(
        default=None,
        ge=1,
        description="MiB of device memory that a device-... index may take; the rest is searched on the host, with the "
        "same candidates; unset: all of it is on the device",
    )
    poll_ms: float = Field(default=500.0, gt=0, le=60_000, description="how often the file is checked for changes, ms")
    grace_s: float = Field(
        default=60.0,
        ge=0,
        le=600,
        description="how long a run goes on with the last revision of a watchlist that it cannot read, s",
    )

    @model_validator(mode="after")
    def _device_mib_has_a_device(self) -> WatchlistSection:
        if self.device_mib is not None and not self.index.startswith("device-"):
            raise ValueError(f'device_mib is for an index that is on a device, index is "{self.index}": leave it out')
        return self


class RecognitionSection(ConfigModel):
    """How faces become alerts."""

    threshold: float | None = Field(
        default=None,
        ge=-1.0,
        le=1.0,
        description="cosine an alert must reach; unset: what the embedder suggests for a watchlist of that length, "
        "reported as uncalibrated",
    )
    detect_hz: float = Field(default=8.0, gt=0, description="detections per second and camera")
    min_detect_hz: float = Field(
        default=2.0, gt=0, description="lowest detection rate of live cameras under overload; every change is logged"
    )
    closer_hz: float = Field(
        default=30.0,
        ge=0,
        description="detections per second and camera while somebody new or nearly recognised is in view; 0: off",
    )
    full_look_s: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="longest time between two analyses of whole pictures, s: in between only what has changed is "
        "analysed, on the CPU; 0: off",
    )
    smallest_face_px: float | None = Field(
        default=None,
        gt=0,
        description="width of the smallest face sought, pixels of a camera's picture or of its zone: the detector's "
        "input is just as large as that needs, on the CPU; unset: as side_px says",
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
    decide_ms: float = Field(
        default=140.0,
        gt=0,
        description="age at which live frames ought to be decided on, ms: a late batch compares fewer faces, down to a "
        "quarter of compare_ms",
    )
    best_scores: int = Field(
        default=2, ge=1, description="the mean of a track's best scores, this many, must reach the threshold"
    )
    lone_margin: float = Field(
        default=0.01,
        ge=0,
        le=2,
        description="a single score also alerts if it is above the threshold by this much, cosine",
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
    wait_ms: float | None = Field(
        default=None,
        ge=0,
        description="how long the oldest frame waits for others, ms; unset: 0 on the CPU, 20 on a device",
    )
