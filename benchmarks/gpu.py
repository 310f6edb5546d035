"""What a GPU does with pylfr's stages, beside what it can do at most: images, searches and cameras a second.

    python -m benchmarks.gpu [--device cuda] [--quick] [--dry-run]

Networks have random weights, so detectors find nobody: ten faces a frame are put where a crowd might have them. All
lies on the device from the start (decoding is not part of it). ``--quick`` takes small sizes, ``--dry-run`` writes no
results; both together with ``--device cpu`` show in seconds that the program works. Needs PyTorch for the ceilings, the
networks and the comparison with its operators; without it these are left out, and the program says so.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import product

import numpy as np

from benchmarks.measure import Spread, print_machine, spread_of, this_machine, write_results
from pylfr import ops
from pylfr.protocols import DeviceRuntime
from pylfr.types import Device, Float32, Frame, Precision

PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")
BYTES: Mapping[Precision, int] = {"float32": 4, "float16": 2, "int8": 1}
DIMENSION = 512
FACES_A_FRAME = 10
EMBEDDED_SHARE = 15  # of so many faces one is due: five of a track of three seconds
PATIENCE_MS = 250.0
MEAN, SCALE = (127.5, 127.5, 127.5), (1 / 128, 1 / 128, 1 / 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    frame: tuple[int, int] = (1920, 1080)
    networks: tuple[tuple[int, int], ...] = ((640, 384), (1280, 736))
    batches: tuple[int, ...] = (1, 8, 32, 64, 128)
    references: tuple[int, ...] = (10_000, 100_000, 1_000_000, 10_000_000)
    probes: tuple[int, ...] = (1, 64)
    cameras: tuple[int, ...] = (16, 64, 128, 180, 256)
    seconds: float = 6.0
    repeats: int = 20


QUICK = Size(
    frame=(160, 96),
    networks=((64, 32),),
    batches=(1, 2),
    references=(100, 1000),
    probes=(1, 9),
    cameras=(1, 2),
    seconds=0.2,
    repeats=2,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One piece of work. ``a_second`` counts images or probes; ``share`` is of the copy bandwidth, None: unknown."""

    what: str
    batch: int
    ms: Spread
    a_second: float
    gigabytes_a_second: float | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraLoad:
    """So many simulated cameras of 25 frames a second, each frame looked at."""

    cameras: int
    frames_a_second: float
    p50_ms: float
    p99_ms: float
    is_held: bool
    launches_a_batch: float
    host_bytes_a_frame: float
    device_megabytes_a_camera: float


@dataclass(slots=True, kw_only=True)
class Results:
    """Ceilings and what was reached below them; 0 and empty: not measured."""

    device: str
    random_weights: bool = True
    copy_gigabytes_a_second: float = 0.0
    fp16_teraflops: float = 0.0
    timings: list[Timing] = field(default_factory=list)
    fused_over_torch: float = 0.0
    loads: list[CameraLoad] = field(default_factory=list)

    def add(self, what: str, batch: int, ms: Spread, *, moved: int | None = None) -> None:
        rate = moved / ms.median / 1e6 if moved else None
        share = rate / self.copy_gigabytes_a_second if rate and self.copy_gigabytes_a_second else None
        timing = Timing(
            what=what, batch=batch, ms=ms, a_second=batch * 1000 / ms.median, gigabytes_a_second=rate, share=share
        )
        self.timings.append(timing)
        limit = "" if share is None else f"  {100 * share:5.1f} % of copy bandwidth"
        print(f"{what:44} batch {batch:<4} {ms.median:9.3f} ms {timing.a_second:12.1f} /s{limit}", flush=True)


def device_ms(stream: ops.Stream, work: Callable[[], object], repeats: int) -> Spread:
    """Milliseconds of ``work`` by the device's own events, after three runs that do not count."""
    taken = []
    for turn in range(3 + repeats):
        began = stream.record(timed=True)
        work()
        ended = stream.record(timed=True)
        ended.synchronise()
        if turn >= 3:
            taken.append(ended.ms_since(began))
    return spread_of(taken, warmup=3)


def measure_ceilings(results: Results, stream: ops.Stream, repeats: int) -> None:
    """Device copy, bytes read plus written, and an fp16 matrix product of random numbers."""
    import torch

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


def surfaces(stream: ops.Stream, size: Size, count: int) -> list[Frame]:
    """NV12 frames that lie on the device."""
    width, height = size.frame
    draw = np.random.default_rng(0)
    frames = []
    for number in range(count):
        luma = ops.Tensor((height, width), "uint8", stream, pooled=False)
        chroma = ops.Tensor((height // 2, width // 2, 2), "uint8", stream, pooled=False)
        for plane in (luma, chroma):
            plane.copy_from(draw.integers(0, 256, plane.shape, dtype=np.uint8), stream)
        frames.append(
            Frame(
                camera=f"camera {number}",
                sequence=0,
                captured_at=datetime.now(UTC),
                planes=(),
                surfaces=(luma, chroma),
                layout="nv12",
            )
        )
    return frames


def measure_preprocessing(results: Results, stream: ops.Stream, size: Size, *, with_torch: bool) -> None:
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
    if not with_torch or stream.device == "cpu":
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
    results.fused_over_torch = ratios.median
    print(
        f"fused against PyTorch's operators: {ratios.median:.1f} ({ratios.min:.1f} to {ratios.max:.1f}) times as fast"
    )


def _tensors(frame: Frame) -> list[ops.Tensor]:
    return [plane for plane in frame.surfaces if isinstance(plane, ops.Tensor)]


def measure_networks(results: Results, stream: ops.Stream, size: Size) -> None:
    """Images a second of networks of the usual sizes."""
    from benchmarks.gpu_networks import detector_on, embedders_on

    detector = detector_on(stream)
    for width, height in size.networks:
        for batch in size.batches:
            _measure_network(
                results, stream, f"SCRFD-10G-size {width}x{height}", detector, (batch, 3, height, width), size
            )
    for name, embedder in embedders_on(stream).items():
        for batch in size.batches:
            _measure_network(results, stream, name, embedder, (batch, 3, 112, 112), size)


def _measure_network(
    results: Results, stream: ops.Stream, name: str, runtime: DeviceRuntime, shape: tuple[int, ...], size: Size
) -> None:
    given = ops.Tensor(shape, "float32", stream)
    given.wipe(stream)
    outputs = {key: ops.Tensor(own, "float32", stream) for key, own in runtime.output_shapes(shape).items()}
    results.add(name, shape[0], device_ms(stream, lambda: runtime.run_on(stream, given, outputs), size.repeats))


def measure_search(results: Results, stream: ops.Stream, size: Size) -> None:
    """Top 5 of random references; a block of them is repeated, since time does not depend on what they say."""
    draw = np.random.default_rng(0)
    block: Float32 = draw.standard_normal((min(1 << 16, max(size.references)), DIMENSION)).astype(np.float32)
    ops.normalise(block)
    for references in size.references:
        for precision in PRECISIONS:
            index = ops.SearchIndex(references, DIMENSION, precision, stream)
            for start in range(0, references, len(block)):
                index.fill(block[: min(len(block), references - start)], start)
            for probes in size.probes:
                sought = ops.Tensor((probes, DIMENSION), "float32", stream)
                sought.copy_from(np.resize(block, (probes, DIMENSION)), stream)
                passes = -(-probes // 8)
                results.add(
                    f"search {precision} {references:,} x {DIMENSION}",
                    probes,
                    device_ms(stream, lambda: index.search(sought, 64, stream), size.repeats),  # noqa: B023
                    moved=references * DIMENSION * BYTES[precision] * passes,
                )
    if stream.device == "cuda" and find_spec("faiss") is not None:
        _measure_faiss(results, block, size)


def _measure_faiss(results: Results, block: Float32, size: Size) -> None:
    import faiss  # noqa: TID251 - measured beside pylfr's own search

    if not hasattr(faiss, "StandardGpuResources"):
        print("FAISS is here without its GPU half: left out")
        return
    if faiss.get_num_gpus() == 0:
        print("FAISS counts no GPU: left out")
        return
    resources = faiss.StandardGpuResources()
    for references, half in product(size.references, (False, True)):
        config = faiss.GpuIndexFlatConfig()
        config.useFloat16, config.use_cuvs = half, False  # as the index faiss-gpu has it
        name = f"FAISS GPU flat {'float16' if half else 'float32'} {references:,}"
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
            results.add(name, probes, spread_of(taken, warmup=3))


class Pipeline:
    """From NV12 on the device to candidates: one call a batch, as an engine does it, less tracking and alerts."""

    def __init__(self, stream: ops.Stream, size: Size, detector: DeviceRuntime, embedder: DeviceRuntime) -> None:
        self._stream, self._size = stream, size
        self._detector, self._embedder = detector, embedder
        self._staging = ops.Staging(stream)
        self._index = ops.SearchIndex(10_000 if size.seconds > 1 else 100, DIMENSION, "int8", stream)
        rows = np.random.default_rng(0).standard_normal((len(self._index), DIMENSION)).astype(np.float32)
        ops.normalise(rows)
        self._index.fill(rows, 0)
        self._probes = ops.Tensor((256, DIMENSION), "float32", stream, pooled=False)
        self.host_bytes = 0

    def run(self, frames: list[Frame]) -> None:
        stream, staging = self._stream, self._staging
        width, height = self._size.networks[0]
        pictures = ops.upload(frames, staging)
        given = ops.Tensor((len(frames), 3, height, width), "float32", stream)
        pictures.letterbox(given, bgr=False, mean=MEAN, scale=SCALE)
        outputs = {
            name: ops.Tensor(shape, "float32", stream)
            for name, shape in self._detector.output_shapes(given.shape).items()
        }
        self._detector.run_on(stream, given, outputs)
        said = list(outputs.values())
        found = ops.Tensor((len(frames), 64, ops.FOUND_NUMBERS), "float32", stream)
        counts = ops.Tensor((len(frames), 2), "int32", stream)
        pictures.find_faces(
            "scrfd", said[:3], [], said[3:6], said[6:], (8, 16, 32), 2, width, height, 0.99, 0.45, found, counts
        )
        self._fetch(found)
        index, landmarks = _crowd(len(frames), self._size.frame)
        measures = ops.Tensor((len(index), 7), "float32", stream)
        pictures.measure_quality(staging, index, landmarks, measures)
        self._fetch(measures)
        due = slice(0, min(256, max(1, len(index) // EMBEDDED_SHARE)))
        maps = ops.similarity(landmarks[due], _TEMPLATE)
        crops = ops.Tensor((len(maps), 3, 112, 112), "float32", stream)
        pictures.warp(staging, index[due], maps, crops, bgr=False, mean=MEAN, scale=SCALE)
        probes = self._probes.rows(0, len(maps))
        self._embedder.run_on(stream, crops, {"template": probes})
        ops.normalise_on(probes, stream)
        self._fetch(self._index.search(probes, 64, stream))
        self._probes.wipe(stream)
        stream.synchronise()

    def _fetch(self, tensor: ops.Tensor) -> None:
        arrived = np.empty(tensor.shape, np.float32)
        tensor.copy_to(arrived, self._stream)
        self.host_bytes += arrived.nbytes


_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)


def _crowd(frames: int, size: tuple[int, int]) -> tuple[np.ndarray[tuple[int], np.dtype[np.int32]], Float32]:
    """Where ten faces a frame might stand."""
    draw = np.random.default_rng(0)
    count = frames * FACES_A_FRAME
    corners = draw.uniform(0, 1, (count, 1, 2)) * (np.array(size) * 0.8)
    landmarks = (_TEMPLATE * 0.6 + corners).astype(np.float32)
    return np.repeat(np.arange(frames, dtype=np.int32), FACES_A_FRAME), landmarks


def measure_cameras(
    results: Results, stream: ops.Stream, size: Size, detector: DeviceRuntime, embedder: DeviceRuntime
) -> None:
    """Frames that fall due as those of so many cameras would, evenly spread; how long each waits for its candidates."""
    pool = surfaces(stream, size, 32)
    pipeline = Pipeline(stream, size, detector, embedder)
    for frames in {1, 2, *size.batches}:
        pipeline.run((pool * 8)[:frames])
    for cameras in size.cameras:
        waits: list[float] = []
        batches, bytes_before, launched = 0, pipeline.host_bytes, ops.cuda_launches()
        done, gap = 0, 0.04 / cameras
        began = time.perf_counter()
        while (now := time.perf_counter() - began) < size.seconds:
            waiting = int(now / gap) + 1 - done
            if waiting < 1:
                time.sleep(gap)
                continue
            taken = min(waiting, max(size.batches))
            # Batches of few sizes, so that each has its graph.
            taken = max(each for each in {1, 2, *size.batches} if each <= taken)
            pipeline.run((pool * 8)[:taken])
            ended = time.perf_counter() - began
            waits += [(ended - (done + n) * gap) * 1000 for n in range(taken)]
            done += taken
            batches += 1
        held = ops.memory_counts("cuda" if stream.device == "cuda" else "cpu").held_bytes
        p50, p99 = (float(each) for each in np.percentile(waits, [50, 99]))
        load = CameraLoad(
            cameras=cameras,
            frames_a_second=done / size.seconds,
            p50_ms=p50,
            p99_ms=p99,
            is_held=p99 < PATIENCE_MS,
            launches_a_batch=(ops.cuda_launches() - launched) / batches,
            host_bytes_a_frame=(pipeline.host_bytes - bytes_before) / done,
            device_megabytes_a_camera=held / cameras / 1e6,
        )
        results.loads.append(load)
        print(load, flush=True)


class NoNetwork:
    """Stands in for a network where PyTorch is missing: writes zeros, so that the rest of a batch can be tried."""

    def __init__(self, device: Device, names: tuple[str, ...]) -> None:
        self.device = device
        self._names = names

    @property
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]:
        return dict.fromkeys(self._names, (None,))

    def output_shapes(self, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        if len(self._names) == 1:
            return {self._names[0]: (shape[0], DIMENSION)}
        cells = [shape[2] // stride * (shape[3] // stride) * 2 for stride in (8, 16, 32)]
        shapes = [(shape[0], count, numbers) for numbers in (1, 4, 10) for count in cells]
        return dict(zip(self._names, shapes, strict=True))

    def run_on(self, stream: ops.Stream, tensor: ops.Tensor, outputs: Mapping[str, ops.Tensor]) -> None:  # noqa: ARG002
        for output in outputs.values():
            output.wipe(stream)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--dry-run", action="store_true", help="write no results")
    given = parser.parse_args()
    size = QUICK if given.quick else Size()
    machine = this_machine()
    print_machine(machine)
    stream = ops.Stream(given.device)
    results = Results(device=given.device)
    with_torch = find_spec("torch") is not None
    if not with_torch:
        print("PyTorch is not installed: no ceilings, no networks, no comparison; networks are stood in for")
    if given.device == "cuda" and with_torch:
        import torch

        results.device = torch.cuda.get_device_name()
        measure_ceilings(results, stream, size.repeats)
    measure_preprocessing(results, stream, size, with_torch=with_torch)
    measure_search(results, stream, size)
    names = tuple(f"{kind}_{stride}" for kind in ("score", "bbox", "kps") for stride in (8, 16, 32))
    detector: DeviceRuntime = NoNetwork(given.device, names)
    embedder: DeviceRuntime = NoNetwork(given.device, ("template",))
    if with_torch:
        from benchmarks.gpu_networks import detector_on, embedders_on

        detector, embedder = detector_on(stream), embedders_on(stream)["R50"]
    measure_cameras(results, stream, size, detector, embedder)
    if with_torch:
        measure_networks(results, stream, size)
    if not given.dry_run:
        print(write_results("gpu", machine, results))


if __name__ == "__main__":
    main()
