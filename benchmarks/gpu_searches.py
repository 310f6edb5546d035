"""Searches a second of random references: pylfr's indexes on the device, and beside them what others search with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import product

import numpy as np

from benchmarks.gpu_cameras import DIMENSION
from benchmarks.gpu_results import Results, Size, device_ms, has_torch
from benchmarks.measure import spread_of, time_ms
from pylfr import ops
from pylfr.errors import CudaError
from pylfr.types import Float32, Precision

BYTES: Mapping[Precision, int] = {"float32": 4, "float16": 2, "int8": 1}

_MOST_ON_THE_CPU = 1_000_000
_MOST_DRAWN = 1 << 16


def random_templates(count: int) -> Float32:
    """Random templates of length 1, float32 [count, DIMENSION]: always the same."""
    rows = np.random.default_rng(0).standard_normal((count, DIMENSION), np.float32)
    ops.normalise(rows)
    return rows


def measure_search(results: Results, stream: ops.Stream, size: Size) -> None:
    """Top 5 of random references; a block of them is repeated, since time does not depend on what they say."""
    block = random_templates(min(_MOST_DRAWN, max(size.references)))
    for references in size.references:
        for precision in BYTES:
            try:
                _measure_index(results, stream, precision, references, block, size)
            except CudaError as error:
                results.leave_out(f"search of {references} references in {precision}: {error}")
    _measure_product_of_torch(results, stream, block, size)
    _measure_on_the_cpu(results, block, size)


def measure_peers(results: Results, stream: ops.Stream, size: Size) -> None:
    """FAISS on the same references."""
    if find_spec("faiss") is None:
        results.leave_out("FAISS: it is not installed")
    elif stream.device == "cpu":
        results.leave_out("FAISS: its GPU half is measured, and the device is the CPU")
    else:
        _measure_faiss(results, random_templates(min(_MOST_DRAWN, max(size.references))), size)


def _measure_product_of_torch(results: Results, stream: ops.Stream, block: Float32, size: Size) -> None:
    """What anybody would write: a matrix product in fp16, and ``topk`` of it. Not exact, as pylfr's search is."""
    if not has_torch(stream.device) or stream.device == "cpu":
        return
    import torch

    with torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)), torch.inference_mode():
        for references in size.references:
            half = torch.from_numpy(block).to("cuda", torch.float16)
            rows = half.repeat(-(-references // len(half)), 1)[:references]
            for probes in size.probes:
                sought = half[:probes] if probes <= len(half) else half.repeat(probes, 1)[:probes]

                def search(sought: torch.Tensor = sought, rows: torch.Tensor = rows) -> object:
                    return (sought @ rows.T).topk(min(5, len(rows)))

                results.add_search(
                    "PyTorch matmul and topk, float16",
                    references=references,
                    dimension=DIMENSION,
                    probes=probes,
                    ms=device_ms(stream, search, size.repeats),
                    moved=2 * references * DIMENSION,
                )
            del rows
    torch.cuda.empty_cache()


def _measure_index(
    results: Results, stream: ops.Stream, precision: Precision, references: int, block: Float32, size: Size
) -> None:
    """An index at a time: two may be more than the device has."""
    index = ops.SearchIndex(references, DIMENSION, precision, stream)
    for start in range(0, references, len(block)):
        index.fill(block[: min(len(block), references - start)], start)
    for probes in size.probes:
        sought = ops.Tensor((probes, DIMENSION), "float32", stream)
        sought.copy_from(np.resize(block, (probes, DIMENSION)), stream)
        # Tensor cores take 32 probes of int8 in one pass over the references, other kernels eight.
        passes = -(-probes // (32 if precision == "int8" else 8))
        results.add_search(
            f"device-{precision}",
            references=references,
            dimension=DIMENSION,
            probes=probes,
            ms=device_ms(stream, lambda: index.search(sought, 64, stream), size.repeats),  # noqa: B023
            moved=references * DIMENSION * BYTES[precision] * passes,
        )


def _measure_on_the_cpu(results: Results, block: Float32, size: Size) -> None:
    """The core's exact search on this machine's processor, up to a million references."""
    for references in size.references:
        if references > _MOST_ON_THE_CPU:
            results.leave_out(f"search of {references} references on the CPU: up to {_MOST_ON_THE_CPU} are measured")
            continue
        rows = np.resize(block, (references, DIMENSION))
        for probes in size.probes:
            sought = np.ascontiguousarray(np.resize(block, (probes, DIMENSION)))
            ms = time_ms(lambda: ops.search_exact(sought, rows, 5), repeats=3, warmup=1)  # noqa: B023
            results.add_search("native, on the CPU", references=references, dimension=DIMENSION, probes=probes, ms=ms)


def _measure_faiss(results: Results, block: Float32, size: Size) -> None:
    import faiss  # noqa: TID251 - measured beside pylfr's own search

    if not hasattr(faiss, "StandardGpuResources"):
        results.leave_out("FAISS: installed without its GPU half")
        return
    if faiss.get_num_gpus() == 0:
        results.leave_out("FAISS: it counts no GPU")
        return
    resources = faiss.StandardGpuResources()
    for references, half in product(size.references, (False, True)):
        config = faiss.GpuIndexFlatConfig()
        config.useFloat16, config.use_cuvs = half, False  # as the index faiss-gpu has it
        name = f"FAISS GPU flat {'float16' if half else 'float32'}"
        index = faiss.GpuIndexFlatIP(resources, DIMENSION, config)
        for start in range(0, references, len(block)):
            index.add(block[: min(len(block), references - start)])
        for probes in size.probes:
            sought = np.resize(block, (probes, DIMENSION))
            taken = []
            for turn in range(3 + size.repeats):
                began = time.perf_counter()
                index.search(sought, 5)
                if turn >= 3:
                    taken.append((time.perf_counter() - began) * 1000)
            results.add_search(
                name, references=references, dimension=DIMENSION, probes=probes, ms=spread_of(taken, warmup=3)
            )
