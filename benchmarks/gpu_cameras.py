"""Simulated cameras on a device: from NV12 planes that lie there to candidates, and how long each frame waits."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

import numpy as np

from benchmarks.gpu_results import CameraLoad, Results, Size
from pylfr import ops
from pylfr.protocols import DeviceRuntime, TakesHalves
from pylfr.types import Device, Float32, Frame

DIMENSION = 512
FACES_A_FRAME = 10
EMBEDDED_SHARE = 15  # of so many faces one is due: five of a track of three seconds
PATIENCE_MS = 250.0
MEAN, SCALE = (127.5, 127.5, 127.5), (1 / 128, 1 / 128, 1 / 128)


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Begun:
    """A batch that is being looked through, and how many frames were taken before it."""

    pictures: ops.Pictures
    faces: ops.Readback
    frames: int
    before: int


class Pipeline:
    """From NV12 on the device to candidates, as an engine does it, less tracking and alerts: one batch ahead."""

    def __init__(self, stream: ops.Stream, size: Size, detector: DeviceRuntime, embedder: DeviceRuntime) -> None:
        self._size = size
        self._detector, self._embedder = detector, embedder
        self._finding, self._recognising = ops.Stream(stream.device), ops.Stream(stream.device)
        self._uploads, self._staging = ops.Staging(stream), ops.Staging(self._recognising)
        self._index = ops.SearchIndex(min(10_000, max(size.references)), DIMENSION, "int8", stream)
        rows = np.random.default_rng(0).standard_normal((len(self._index), DIMENSION)).astype(np.float32)
        ops.normalise(rows)
        self._index.fill(rows, 0)
        self._probes = ops.Tensor((256, DIMENSION), "float32", self._recognising, pooled=False)
        self.host_bytes = 0

    def begin(self, frames: list[Frame], before: int = 0) -> _Begun:
        """Queue the search for faces."""
        stream = self._finding
        width, height = self._size.networks[0]
        pictures = ops.upload(frames, self._uploads)
        shape = len(frames), 3, height, width
        if isinstance(self._detector, TakesHalves) and self._detector.takes_halves:
            given = ops.Tensor((len(frames), height, width, 3), "float16", stream)
        else:
            given = ops.Tensor(shape, "float32", stream)
        pictures.letterbox(given, bgr=False, mean=MEAN, scale=SCALE)
        outputs = {
            name: ops.Tensor(own, "float32", stream) for name, own in self._detector.output_shapes(shape).items()
        }
        self._detector.run_on(stream, given, outputs)
        said = list(outputs.values())
        found = ops.Tensor((len(frames), 64, ops.FOUND_NUMBERS), "float32", stream)
        counts = ops.Tensor((len(frames), 2), "int32", stream)
        pictures.find_faces(
            "scrfd", said[:3], [], said[3:6], said[6:], (8, 16, 32), 2, width, height, 0.99, 0.45, found, counts
        )
        return _Begun(pictures=pictures, faces=ops.Readback(found, stream), frames=len(frames), before=before)

    def finish(self, begun: _Begun) -> None:
        """Wait for the faces, recognise those that are due, and wait until their templates are gone."""
        stream, staging, pictures = self._recognising, self._staging, begun.pictures
        faces = np.empty((begun.frames, 64, ops.FOUND_NUMBERS), np.float32)
        begun.faces.into(faces)
        self.host_bytes += faces.nbytes
        index, landmarks = _crowd(begun.frames, self._size.frame)
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
        tensor.copy_to(arrived, self._recognising)
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
        pipeline.finish(pipeline.begin((pool * 8)[:frames]))
    for cameras in size.cameras:
        waits: list[float] = []
        beginning: list[float] = []
        finishing: list[float] = []
        begun: deque[_Begun] = deque()
        batches, bytes_before, launched = 0, pipeline.host_bytes, ops.cuda_launches()
        done, gap = 0, 0.04 / cameras
        began = time.perf_counter()
        while (now := time.perf_counter() - began) < size.seconds:
            waiting = int(now / gap) + 1 - done
            if waiting >= 1:
                # Batches of few sizes, so that each has its graph.
                taken = max(each for each in {1, 2, *size.batches} if each <= min(waiting, max(size.batches)))
                begun.append(pipeline.begin((pool * 8)[:taken], before=done))
                beginning.append((time.perf_counter() - began - now) * 1000)
                done += taken
                batches += 1
                if len(begun) < 2:
                    continue
            if not begun:
                time.sleep(gap)
                continue
            batch = begun.popleft()
            started = time.perf_counter() - began
            pipeline.finish(batch)
            ended = time.perf_counter() - began
            finishing.append((ended - started) * 1000)
            waits += [(ended - (batch.before + n) * gap) * 1000 for n in range(batch.frames)]
        while begun:
            pipeline.finish(begun.popleft())
        held = ops.memory_counts("cuda" if stream.device == "cuda" else "cpu").held_bytes
        # Where no batch ended in time, the longest wait is longer than that: the cameras are not held.
        p50, p99 = (float(each) for each in np.percentile(waits or [1000 * size.seconds], [50, 99]))
        load = CameraLoad(
            cameras=cameras,
            frames_a_second=done / size.seconds,
            p50_ms=p50,
            p99_ms=p99,
            is_held=p99 < PATIENCE_MS,
            launches_a_batch=(ops.cuda_launches() - launched) / max(1, batches),
            host_bytes_a_frame=(pipeline.host_bytes - bytes_before) / max(1, done),
            device_megabytes_a_camera=held / cameras / 1e6,
            begin_ms=median(beginning or [0.0]),
            finish_ms=median(finishing or [0.0]),
        )
        results.add_load(load)


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
