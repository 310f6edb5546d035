"""What a GPU does with pylfr's stages, beside what it can do at most: images, searches and cameras a second.

    python -m benchmarks.gpu [--device cuda] [--quick] [--dry-run] [--only PART,...]

Networks of the usual sizes have random weights, so that detectors find nobody: ten faces a frame are put where a crowd
might have them. Beside them stand the networks that are installed. All lies on the device from the start; decoding by
NVDEC is measured by itself. ``--quick`` takes small sizes, ``--dry-run`` writes no results; both together with
``--device cpu`` show in seconds that the program works. ``--only`` runs a few parts and adds to what was measured
before. Needs PyTorch for the ceilings, the networks of the usual sizes and the comparison with its operators; what is
left out is named in the results.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from benchmarks.gpu_cameras import MEAN, SCALE, NoNetwork, measure_cameras, surfaces
from benchmarks.gpu_decoding import measure_decoding
from benchmarks.gpu_live import measure_live
from benchmarks.gpu_profiles import profile, profile_networks
from benchmarks.gpu_results import QUICK, Results, Size, device_ms, has_torch
from benchmarks.gpu_searches import measure_peers, measure_search
from benchmarks.measure import print_machine, read_results, spread_of, this_machine, write_results
from pylfr import ops
from pylfr.errors import CudaError, PylfrError
from pylfr.faces.input_size import input_size
from pylfr.models.store import open_store
from pylfr.protocols import DeviceRuntime
from pylfr.runtimes.registry import open_runtime
from pylfr.types import Frame


def measure_ceilings(results: Results, stream: ops.Stream, size: Size) -> None:
    """Device copy, bytes read plus written, and an fp16 matrix product of random numbers."""
    if not has_torch(stream.device):
        results.leave_out(
            "PyTorch is not installed or finds no such device: no ceilings, no networks of usual sizes, no comparison"
        )
        return
    if stream.device == "cpu":
        return
    import torch

    results.device = torch.cuda.get_device_name()
    repeats = size.repeats
    with torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)):
        source = torch.rand(1 << 29, device="cuda")
        target = torch.empty_like(source)
        copy = device_ms(stream, lambda: target.copy_(source), repeats)
        side = 8192
        left, right = (torch.randn(side, side, device="cuda", dtype=torch.float16) for _ in range(2))
        product = device_ms(stream, lambda: left @ right, repeats)
    results.copy_gigabytes_a_second = 2 * source.nbytes / copy.median / 1e6
    results.fp16_teraflops = 2 * side**3 / product.median / 1e9
    torch.cuda.empty_cache()
    print(f"copy {results.copy_gigabytes_a_second:.0f} GB/s, fp16 product {results.fp16_teraflops:.0f} TFLOP/s")


def measure_preprocessing(results: Results, stream: ops.Stream, size: Size) -> None:
    """The letterbox of a batch, and the same in PyTorch's operators, turn about."""
    batch = min(64, max(size.batches))
    frames = surfaces(stream, size, batch)
    pictures = ops.upload(frames, ops.Staging(stream))
    width, height = size.networks[0]
    out = ops.Tensor((batch, 3, height, width), "float32", stream)

    def fused() -> None:
        pictures.letterbox(out, bgr=False, mean=MEAN, scale=SCALE)

    read = batch * size.frame[0] * size.frame[1] * 3 // 2
    results.add(f"letterbox {width}x{height}", batch, device_ms(stream, fused, size.repeats), moved=out.nbytes + read)
    if not has_torch(stream.device) or stream.device == "cpu":
        return
    import torch
    from torch.nn import functional

    planes = [[torch.from_dlpack(plane) for plane in _tensors(frame)] for frame in frames]

    def plainly() -> torch.Tensor:
        luma = torch.stack([each[0] for each in planes]).unsqueeze(1).float()
        chroma = torch.stack([each[1] for each in planes]).permute(0, 3, 1, 2).float()
        luma = functional.interpolate(luma, (height, width), mode="bilinear")
        chroma = functional.interpolate(chroma, (height, width), mode="bilinear") - 128
        grey = (luma - 16) * (255 / 219)
        u, v = chroma[:, :1], chroma[:, 1:]
        rgb = torch.cat([grey + 1.596 * v, grey - 0.392 * u - 0.813 * v, grey + 2.017 * u], dim=1)
        return (rgb.clamp(0, 255) - 127.5) / 128

    ours, theirs = [], []
    with torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)):
        for _ in range(5):
            ours.append(device_ms(stream, fused, size.repeats).median)
            theirs.append(device_ms(stream, plainly, size.repeats).median)
    ratios = spread_of([other / own for own, other in zip(ours, theirs, strict=True)])
    results.fused_over_torch = ratios
    print(
        f"fused against PyTorch's operators: {ratios.median:.1f} ({ratios.min:.1f} to {ratios.max:.1f}) times as fast"
    )


def measure_finish(results: Results, stream: ops.Stream, size: Size) -> None:
    """Bias and PReLU of a convolution of IResNet's first stage, in halves, and the same in PyTorch's operators."""
    batch, channels, side = min(64, max(size.batches)), 64, 112 if size.frame[0] > QUICK.frame[0] else 8
    shape = (batch * side * side, channels)
    values = ops.Tensor(shape, "float16", stream)
    bias, slope = (ops.Tensor((channels,), "float16", stream) for _ in range(2))
    for tensor in (values, bias, slope):
        tensor.wipe(stream)
    if stream.device == "cpu":
        results.leave_out("what follows a convolution: a network on the CPU takes PyTorch's operators")
        return

    def own() -> None:
        ops.finish_convolution(values, bias, None, slope, stream.handle)

    results.add("bias and PReLU", batch, device_ms(stream, own, size.repeats), moved=2 * values.nbytes)
    if not has_torch(stream.device):
        return
    import torch
    from torch.nn import functional

    made = torch.randn(batch, channels, side, side, device="cuda", dtype=torch.float16)
    made = made.contiguous(memory_format=torch.channels_last)
    more, steep = (torch.rand(channels, device="cuda", dtype=torch.float16) for _ in range(2))
    with torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)), torch.inference_mode():
        theirs = device_ms(stream, lambda: functional.prelu(made.add_(more.reshape(-1, 1, 1)), steep), size.repeats)
    results.add("bias and PReLU by PyTorch", batch, theirs, moved=2 * values.nbytes)


def _tensors(frame: Frame) -> list[ops.Tensor]:
    return [plane for plane in frame.surfaces if isinstance(plane, ops.Tensor)]


def measure_networks(results: Results, stream: ops.Stream, size: Size) -> None:
    """Images a second of networks of the usual sizes, with random weights."""
    if not has_torch(stream.device):
        return
    from benchmarks.gpu_networks import detector_on, embedders_on

    detector = detector_on(stream)
    for width, height in size.networks:
        _measure_network(results, stream, "SCRFD-10G-size", detector, (width, height), size, random_weights=True)
    for name, embedder in embedders_on(stream).items():
        _measure_network(results, stream, name, embedder, (112, 112), size, random_weights=True)


def measure_installed(results: Results, stream: ops.Stream, size: Size) -> None:
    """Images a second of the networks that this machine has, by their names in pylfr."""
    store = open_store()
    width, height = size.frame
    seen = [Frame.still(np.zeros((height, width, 3), np.uint8))]
    for name in store.names():
        if store.find(name) is None:
            continue
        try:
            model = store.resolve(name)
            # On the CPU one that takes tensors of the caller, as those of a GPU do.
            runtime = open_runtime(model, runtime="onnx" if stream.device == "cpu" else "auto", device=stream.device)
        except PylfrError as error:
            results.leave_out(f"{name}: {error}")
            continue
        if not isinstance(runtime, DeviceRuntime):
            results.leave_out(f"{name}: its runtime takes pictures of the host")
            continue
        detect, embed = model.manifest.detect, model.manifest.embed
        if detect is not None:
            found = input_size(detect, seen, side_px=detect.side_px)
            shape = found.width, found.height
        elif embed is not None:
            shape = embed.side_px, embed.side_px
        else:
            continue
        try:
            _measure_network(results, stream, name, runtime, shape, size, random_weights=False)
        except PylfrError as error:
            results.leave_out(f"{name}: {error}")


def _measure_network(
    results: Results,
    stream: ops.Stream,
    name: str,
    runtime: DeviceRuntime,
    shape: tuple[int, int],
    size: Size,
    *,
    random_weights: bool,
) -> None:
    width, height = shape
    for batch in size.batches:
        given = ops.Tensor((batch, 3, height, width), "float32", stream)
        given.wipe(stream)
        outputs = {key: ops.Tensor(own, "float32", stream) for key, own in runtime.output_shapes(given.shape).items()}
        ms = device_ms(stream, lambda: runtime.run_on(stream, given, outputs), size.repeats)  # noqa: B023
        results.add_network(name, width=width, height=height, batch=batch, ms=ms, random_weights=random_weights)


def measure_loads(results: Results, stream: ops.Stream, size: Size) -> None:
    """Simulated cameras, with networks of the usual sizes where PyTorch is."""
    if has_torch(stream.device):
        from benchmarks.gpu_networks import detector_on, embedders_on

        measure_cameras(results, stream, size, detector_on(stream), embedders_on(stream)["R50"])
        return
    results.leave_out("networks of the simulated cameras: PyTorch is not installed, others stand in for them")
    names = tuple(f"{kind}_{stride}" for kind in ("score", "bbox", "kps") for stride in (8, 16, 32))
    measure_cameras(results, stream, size, NoNetwork(stream.device, names), NoNetwork(stream.device, ("template",)))


PARTS: Mapping[str, Callable[[Results, ops.Stream, Size], None]] = {
    "ceilings": measure_ceilings,
    "preprocessing": measure_preprocessing,
    "finish": measure_finish,
    "search": measure_search,
    "peers": measure_peers,
    "decoding": measure_decoding,
    "live": measure_live,
    "loads": measure_loads,
    "installed": measure_installed,
    "networks": measure_networks,
}
# Asked for by name alone.
ALSO: Mapping[str, Callable[[Results, ops.Stream, Size], None]] = {
    "profile": profile,
    "profile-networks": profile_networks,
}


def _parts(given: str) -> tuple[str, ...]:
    names = tuple(given.split(","))
    unknown = [name for name in names if name not in PARTS and name not in ALSO]
    if unknown:
        raise argparse.ArgumentTypeError(f"parts must be some of {', '.join([*PARTS, *ALSO])}, got {unknown[0]!r}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--dry-run", action="store_true", help="write no results")
    parser.add_argument("--cameras", type=int, nargs="+", help="how many are simulated at once, one after the other")
    parser.add_argument("--only", type=_parts, default=tuple(PARTS), help=f"some of {', '.join([*PARTS, *ALSO])}")
    given = parser.parse_args()
    size = QUICK if given.quick else Size()
    if given.cameras and not given.quick:
        size = replace(size, cameras=tuple(given.cameras))
    machine = this_machine()
    print_machine(machine)
    try:
        ops.require_device(given.device)
    except CudaError as error:
        sys.exit(f"nothing was measured: {error}")
    stream = ops.Stream(given.device)
    results = Results(device=given.device)
    if given.only != tuple(PARTS) and not given.dry_run:
        results = read_results("gpu", Results) or results

    def stop(*_: object) -> None:
        """What was measured before a limit ran out is not lost, also in the part that it cut off."""
        write_results("gpu", machine, results)
        os._exit(128 + signal.SIGTERM)

    if not given.dry_run:
        signal.signal(signal.SIGTERM, stop)
    for name in given.only:
        {**PARTS, **ALSO}[name](results, stream, size)
        if not given.dry_run:
            print(write_results("gpu", machine, results), flush=True)


if __name__ == "__main__":
    main()
