"""What pylfr adds to a decoder, a network or an index, or saves, beside the very same thing without it.

Two things that are run right after each other on one machine, by processor time: their ratio moves with neither the
machine nor its load.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from benchmarks.batcher import batched_us
from benchmarks.gallery_search import MODEL, random_snapshot
from pylfr import ops
from pylfr.engine.detection import detect_beside
from pylfr.faces.changed_regions import ChangedRegionDetector
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.index.native import NativeGallery
from pylfr.models.store import open_store
from pylfr.runtimes.onnx import open_onnx
from pylfr.sizing.synthetic import random_templates
from pylfr.types import Faces, FrameBatch, Templates, UInt8
from pylfr.video.open import open_file
from tests.samples import faces_at, sample_frame

_STEP_S = 0.004
_BATCHES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Something that pylfr does and what it is measured against; ``most`` is the largest ratio that is accepted.

    A float that both give is their measure; otherwise the time that they take by ``clock`` is.
    """

    work: Callable[[], object]
    beside: Callable[[], object]
    most: float
    clock: Callable[[], float] = time.process_time


def pairs(folder: Path) -> Mapping[str, Pair]:
    """The pairs by name; a recording is made in ``folder``."""
    detector, embedder = open_detector("pylfr_nano_detect", threads=1), open_embedder("pylfr_nano_embed", threads=1)
    still = sample_frame(width=1920, height=1080)
    in_part = ChangedRegionDetector(detector, full_look_s=10.0, counts=Counter())
    in_part.detect([still])
    crops = embedder.align([still], faces_at([[40.0 + 180 * each, 300, 160.0 + 180 * each, 440] for each in range(3)]))
    network = open_onnx(open_store().resolve("pylfr_nano_embed"), threads=1)
    snapshot = random_snapshot(20_000, 128)
    gallery = NativeGallery(snapshot)
    probes = random_templates(4, 128, seed=1)
    clip = _small_clip(folder / "clip.mp4")
    return {
        # Half of what one after the other takes, and the first step, which nothing goes on beside.
        "next batch detected meanwhile": Pair(
            work=_overlapped, beside=_one_after_the_other, most=0.75, clock=time.perf_counter
        ),
        "decoding, beside FFmpeg's": Pair(work=lambda: _read(clip), beside=lambda: _decode(clip), most=2.2),
        "detection, nothing changed": Pair(
            work=lambda: in_part.detect([still]), beside=lambda: detector.detect([still]), most=0.4
        ),
        "embedding, beside the network": Pair(
            work=lambda: embedder.embed(crops), beside=lambda: network.run(crops), most=1.3
        ),
        # What a frame costs does not grow with the cameras; looking at all of them for each would give 4.
        "batching, 256 cameras beside 64": Pair(
            work=lambda: batched_us(256, 60, 16, is_live=False),
            beside=lambda: batched_us(64, 240, 16, is_live=False),
            most=2.0,
        ),
        "search, beside the index": Pair(
            work=lambda: gallery.search(Templates(vectors=probes, model=MODEL), 5),
            beside=lambda: ops.search_exact(probes, snapshot.vectors, 5),
            most=1.5,
        ),
    }


class _Sleeping:
    """A detector that takes its time without a processor: other programs do not make it slower."""

    model = "none"

    def detect(self, images: object) -> Faces:  # noqa: ARG002
        time.sleep(_STEP_S)
        return Faces.none()


def _take() -> Callable[[bool], FrameBatch | None]:
    left = iter([FrameBatch(frames=(sample_frame(),)) for _ in range(_BATCHES)])
    return lambda _: next(left, None)


def _overlapped() -> None:
    for _ in detect_beside(_Sleeping(), _take(), lambda _batch, _faces: None):
        time.sleep(_STEP_S)


def _one_after_the_other() -> None:
    for _ in range(2 * _BATCHES):
        time.sleep(_STEP_S)


def _small_clip(path: Path) -> Path:
    draw = np.random.default_rng(0)
    scene: UInt8 = np.kron(draw.integers(0, 256, (30, 60, 3), np.uint8), np.ones((12, 12, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream: VideoStream = container.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number in range(75):
            picture = np.ascontiguousarray(scene[:, number : number + 640])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def _read(clip: Path) -> int:
    """Frames of the source, every one of them, in this process."""
    started_at = datetime.now(UTC)
    source = open_file(clip, camera="clip", started_at=started_at, pace="as-fast-as-possible", isolation="none")
    return sum(1 for _ in source.frames())


def _decode(clip: Path) -> int:
    with av.open(str(clip)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return sum(1 for _ in container.decode(video=0))
