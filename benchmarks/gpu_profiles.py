"""What a profiler is to look at: scans, the letterbox, and the networks of the simulated cameras. Nothing is timed."""

from __future__ import annotations

import numpy as np

from benchmarks.gpu_cameras import DIMENSION, MEAN, SCALE, surfaces
from benchmarks.gpu_results import QUICK, Results, Size, has_torch
from benchmarks.gpu_searches import random_templates
from pylfr import ops
from pylfr.types import Precision

PRECISIONS: tuple[Precision, ...] = ("int8", "float16")


def profile(results: Results, stream: ops.Stream, size: Size) -> None:  # noqa: ARG001
    """Of int8 and of halves one scan for one probe and one for 32; one letterbox, and what follows a convolution."""
    references = 1_000_000 if size.repeats > QUICK.repeats else 1000
    block = random_templates(references)
    frames = surfaces(stream, size, min(32, max(size.batches)))
    pictures = ops.upload(frames, ops.Staging(stream))
    width, height = size.networks[0]
    out = ops.Tensor((len(frames), 3, height, width), "float32", stream)
    for precision in PRECISIONS:
        index = ops.SearchIndex(references, DIMENSION, precision, stream)
        index.fill(block, 0)
        for probes in (1, 32):
            sought = ops.Tensor((probes, DIMENSION), "float32", stream)
            sought.copy_from(np.ascontiguousarray(block[:probes]), stream)
            index.search(sought, 64, stream)
    pictures.letterbox(out, bgr=False, mean=MEAN, scale=SCALE)
    if stream.device == "cuda":
        made, slope = ops.Tensor((1 << 16, 64), "float16", stream), ops.Tensor((64,), "float16", stream)
        made.wipe(stream)
        slope.wipe(stream)
        ops.finish_convolution(made, slope, None, slope, stream.handle)
    stream.synchronise()


def profile_networks(results: Results, stream: ops.Stream, size: Size) -> None:
    """Which kernels the networks of the simulated cameras spend their time in. Printed, and no result."""
    if not has_torch(stream.device) or stream.device == "cpu":
        results.leave_out("the kernels of networks: PyTorch finds no CUDA device")
        return
    import torch

    from benchmarks.gpu_networks import detector_on, embedders_on

    width, height = size.networks[0]
    batch = max(size.batches)
    for network, shape in (
        (detector_on(stream), (batch, 3, height, width)),
        (embedders_on(stream)["R50"], (max(1, batch * 2 // 3), 3, 112, 112)),
    ):
        given = ops.Tensor(shape, "float32", stream)
        given.wipe(stream)
        outputs = {key: ops.Tensor(own, "float32", stream) for key, own in network.output_shapes(shape).items()}
        network.run_on(stream, given, outputs)
        stream.synchronise()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
            network.run_on(stream, given, outputs)
            torch.cuda.synchronize()
        table = seen.key_averages().table(sort_by="cuda_time_total", row_limit=8, max_name_column_width=90)
        print(shape, table, sep="\n", flush=True)
