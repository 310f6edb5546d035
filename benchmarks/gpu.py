"""What the PyTorch runtime does on a GPU, beside what the GPU can do: images a second, copy bandwidth, matrix rate.

    python -m benchmarks.gpu [--device cuda] [--batches 1 8 32 64 128] [--dry-run]

Timings include the copies between host and device, as a caller of ``run`` meets them. ``--dry-run`` writes no results.
Needs PyTorch and onnx. Not measured, because pylfr does not do it yet: preprocessing, search and pools on the device.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from benchmarks.measure import Spread, print_machine, this_machine, time_ms, write_results
from pylfr.errors import ModelError
from pylfr.models.store import Model, open_store
from pylfr.runtimes.choose import open_runtime
from pylfr.types import Device

DETECTOR_SIZES = ((640, 384), (1280, 736))
NETWORKS = ("yunet_n", "scrfd_500m_kps", "face_reid_0095", "mobilefacenet_y1", "pylfr_nano_embed")
REPEATS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One network at one size and batch."""

    network: str
    width: int
    height: int
    batch: int
    ms: Spread
    images_a_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """The ceilings and what was reached below them. A ceiling is 0 where it was not measured."""

    device: str
    copy_gigabytes_a_second: float
    fp16_teraflops: float
    rates: list[Rate]


def ceilings() -> tuple[float, float]:
    """Device copy in GB/s, bytes read plus bytes written, and an fp16 matrix product of random numbers in TFLOP/s."""
    source = torch.rand(1 << 29, device="cuda")
    target = torch.empty_like(source)
    copy_ms = device_ms(lambda: target.copy_(source))
    side = 8192
    left, right = (torch.randn(side, side, device="cuda", dtype=torch.float16) for _ in range(2))
    product_ms = device_ms(lambda: left @ right)
    return 2 * source.nbytes / copy_ms / 1e6, 2 * side**3 / product_ms / 1e9


def device_ms(work: Callable[[], object]) -> float:
    """The median milliseconds of ``work`` by device events, after three runs that do not count."""
    taken = []
    for turn in range(3 + REPEATS):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        work()
        ended.record()
        ended.synchronize()
        if turn >= 3:
            taken.append(began.elapsed_time(ended))
    return float(np.median(taken))


def sizes_of(model: Model) -> tuple[tuple[int, int], ...]:
    """Widths and heights that this network is measured at."""
    if model.manifest.embed is not None:
        return ((model.manifest.embed.side_px, model.manifest.embed.side_px),)
    return DETECTOR_SIZES


def rates(model: Model, device: Device, batches: list[int], repeats: int) -> list[Rate]:
    runtime = open_runtime(model, runtime="torch", device=device)
    measured = []
    for width, height in sizes_of(model):
        for batch in batches:
            tensor = np.random.default_rng(0).uniform(0, 255, (batch, 3, height, width)).astype(np.float32)
            ms = time_ms(partial(runtime.run, tensor), repeats=repeats)
            rate = Rate(
                network=model.manifest.name,
                width=width,
                height=height,
                batch=batch,
                ms=ms,
                images_a_second=batch * 1000 / ms.median,
            )
            print(f"{rate.network:20} {width}x{height:<5} batch {batch:<4} {rate.images_a_second:10.1f} images/s")
            measured.append(rate)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 64, 128])
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--dry-run", action="store_true", help="write no results")
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    copy, product = ceilings() if given.device == "cuda" else (0.0, 0.0)
    print(f"device copy {copy:.0f} GB/s, fp16 matrix product {product:.0f} TFLOP/s (0: not measured)")
    measured = []
    for name in NETWORKS:
        try:
            model = open_store().resolve(name)
        except ModelError as error:
            print(f"{name} left out: {error}")
            continue
        measured += rates(model, given.device, given.batches, given.repeats)
    device = torch.cuda.get_device_name() if given.device == "cuda" else "cpu"
    results = Gpu(device=device, copy_gigabytes_a_second=copy, fp16_teraflops=product, rates=measured)
    if not given.dry_run:
        print(write_results("gpu", machine, results))


if __name__ == "__main__":
    main()
