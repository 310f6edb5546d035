"""A plan for a GPU, from what was measured on it: how many cameras each of its parts would carry. Not a measurement."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pylfr._internal.printable import excerpt
from pylfr._internal.regular_file import read_file
from pylfr.errors import ConfigError
from pylfr.sizing.measured_load import RATE

_OWN_INDEX = "device-"
_PIXELS_1080P = 1920 * 1080


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoders:
    """The hardware decoders of one kind of GPU, 1080p frames a second each, as NVIDIA publishes them for its clocks."""

    engines: int
    h264_fps: int
    hevc_fps: int


# NVIDIA, "NVDEC Application Note" (Video Codec SDK): engines a GPU and 1080p throughput of each generation.
_DECODERS: Mapping[str, Decoders] = {
    "T4": Decoders(engines=2, h264_fps=771, hevc_fps=1316),
    "A100": Decoders(engines=5, h264_fps=771, hevc_fps=1316),
    "L40S": Decoders(engines=3, h264_fps=903, hevc_fps=1641),
    "L4": Decoders(engines=4, h264_fps=903, hevc_fps=1641),
    "H100": Decoders(engines=7, h264_fps=771, hevc_fps=1316),
    "H200": Decoders(engines=7, h264_fps=771, hevc_fps=1316),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one camera asks for: pictures to decode and look at, and faces to embed, a second."""

    codec: str
    width: int
    height: int
    detect_hz: float
    embed_hz: float
    watchlist: int
    dimension: int
    rate_hz: float = RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPlan:
    """Cameras that each part of ``device`` would carry alone, and the least of them. ``missing``: what is not known."""

    answer: str
    device: str
    cameras: int | None
    binds: str
    by_part: dict[str, float]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRates:
    """From a results file of ``benchmarks/gpu.py``: what the device did a second.

    ``images_a_second`` is by network, ``searches_a_second`` by how many numbers of references were searched.
    """

    device: str
    copy_gigabytes_a_second: float
    images_a_second: Mapping[str, float]
    searches_a_second: Mapping[int, float]
    decoded_a_second: Mapping[str, float]


def read_gpu_rates(path: Path) -> GpuRates:
    """The best rate of each network in a results file. Raises ``ConfigError`` naming what the file lacks."""
    try:
        results = json.loads(read_file(path))["results"]
        best: dict[str, float] = {}
        for rate in results["rates"]:
            # Of a detector's sizes the smallest is the default for cameras.
            key = f"{rate['network']} {int(rate['width']) * int(rate['height'])}"
            best[key] = max(best.get(key, 0.0), float(rate["images_a_second"]))
        smallest: dict[str, tuple[int, float]] = {}
        for key, images in best.items():
            network, _, pixels = key.rpartition(" ")
            if network not in smallest or int(pixels) < smallest[network][0]:
                smallest[network] = (int(pixels), images)
        searches: dict[int, float] = {}
        for search in results["searches"]:
            # Peers stand in the file beside pylfr's own indexes; it is these that would run.
            if str(search["index"]).startswith(_OWN_INDEX):
                numbers = int(search["references"]) * int(search["dimension"])
                searches[numbers] = max(searches.get(numbers, 0.0), float(search["searches_a_second"]))
        decoded: dict[str, float] = {}
        for decoding in results["decoding"]:
            # What several processes decode together is no single engine's.
            if decoding["decoder"] == "nvdec" and decoding.get("processes", 1) == 1:
                share = int(decoding["width"]) * int(decoding["height"]) / _PIXELS_1080P
                rate = float(decoding["pictures_a_second"]["median"]) * share
                decoded[str(decoding["codec"])] = max(decoded.get(str(decoding["codec"]), 0.0), rate)
        return GpuRates(
            device=str(results["device"]),
            copy_gigabytes_a_second=float(results["copy_gigabytes_a_second"]),
            images_a_second={network: images for network, (_, images) in smallest.items()},
            searches_a_second=searches,
            decoded_a_second=decoded,
        )
    except OSError as error:
        raise ConfigError(f"GPU results {path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"GPU results {path} must be what `python -m benchmarks.gpu` wrote, it lacks {excerpt(str(error))}: run it "
            "on the GPU"
        ) from error


def plan_for_gpu(rates: GpuRates, demand: Demand, *, detector: str, embedder: str) -> GpuPlan:
    """What the rates would carry if nothing else stood in the way; a part without a figure is named as missing."""
    by_part: dict[str, float] = {}
    missing = []
    per_camera = demand.rate_hz * demand.width * demand.height / _PIXELS_1080P
    decoded = rates.decoded_a_second.get(demand.codec) or _published(rates.device, demand.codec)
    if decoded is None:
        missing.append(f"decode: not measured, and no published decoder figure is known here for {rates.device!r}")
    else:
        by_part["decode"] = decoded / per_camera
    for part, network, hz in (("detect", detector, demand.detect_hz), ("embed", embedder, demand.embed_hz)):
        if network not in rates.images_a_second:
            held = ", ".join(sorted(rates.images_a_second)) or "none"
            missing.append(f"{part}: the results hold no rate of {network}; they hold {held}")
        elif hz > 0:
            by_part[part] = rates.images_a_second[network] / hz
    if demand.embed_hz > 0:
        # What was measured over as many references or more holds for fewer.
        numbers = demand.watchlist * demand.dimension
        enough = min((each for each in rates.searches_a_second if each >= numbers), default=None)
        if enough is not None:
            by_part["search"] = rates.searches_a_second[enough] / demand.embed_hz
        elif rates.copy_gigabytes_a_second:
            # Half of a copy is reading; an exact search reads every template once for each group of probes.
            by_part["search"] = rates.copy_gigabytes_a_second * 1e9 / 2 / (numbers * 4) / demand.embed_hz
        else:
            missing.append(f"search: the results hold none of {demand.watchlist:,} references, and no copy bandwidth")
    binds = min(by_part, key=lambda part: by_part[part]) if by_part else ""
    cameras = int(by_part[binds]) if by_part else None
    answer = (
        f"Planned, not measured: a {rates.device} would hold {cameras} cameras; {binds} binds."
        if cameras is not None
        else f"Nothing can be planned for {rates.device}: {'; '.join(missing)}."
    )
    return GpuPlan(
        answer=answer, device=rates.device, cameras=cameras, binds=binds,
        by_part={part: round(each, 1) for part, each in by_part.items()}, missing=tuple(missing),
    )  # fmt: skip


def _published(device: str, codec: str) -> float | None:
    """Pictures of 1920x1080 a second that all decoders of a GPU give together, as published."""
    known = (each for name, each in _DECODERS.items() if name in device.split() or name in device)
    decoders = next(known, None)
    if decoders is None:
        return None
    return decoders.engines * (decoders.h264_fps if codec == "h264" else decoders.hevc_fps)
