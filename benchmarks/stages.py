"""What each stage of the pipeline costs on a 1080p25 H.264 clip, in milliseconds and as a share.

    python -m benchmarks.stages [--faces 3] [--seconds 10] [--watchlist 10000] [--runtime onnx]

Every stage is timed on its own, on the same detected frames, one after another, on one thread, so that the shares add
up. The watchlist holds random unit vectors: search costs the same whoever they are.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from benchmarks.footage import make_clip
from benchmarks.measure import Spread, print_machine, spread_of, this_machine, write_results
from pylfr import ops
from pylfr.faces.detect import SUPPRESSION_IOU, open_detector
from pylfr.faces.embed import open_embedder
from pylfr.faces.heads import decode
from pylfr.faces.quality import measure_quality
from pylfr.faces.template_pool import ProbePool
from pylfr.faces.track import FaceTracker, TrackRules
from pylfr.types import Faces, FrameBatch
from pylfr.video.open import open_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage: milliseconds a detected frame, and its share of all stages."""

    name: str
    ms: Spread
    share: float
    inside_network: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The table, and what is outside the networks: conversion, decoding of heads, tracking, search."""

    clip: str
    detector: str
    embedder: str
    runtime: str
    faces_a_frame: float
    watchlist: int
    detected_frames: int
    stages: list[Stage]
    conversion_ms: float
    outside_networks_ms: float


def measure(
    *, faces: int, seconds: int, watchlist: int, detector_name: str, embedder_name: str, runtime: str
) -> Stages:
    clip = make_clip(faces=faces, seconds=seconds)
    detector = open_detector(detector_name, runtime=runtime, threads=1)
    embedder = open_embedder(embedder_name, runtime=runtime, threads=1)
    draw = np.random.default_rng(0)
    references = draw.standard_normal((watchlist, embedder.dimension)).astype(np.float32)
    ops.normalise(references)
    tracker = FaceTracker(TrackRules(high_score=detector.score_floor, low_score=detector.score_floor / 2))
    pool = ProbePool(rows=64, dimension=embedder.dimension)
    names = ("decode", "letterbox", "detect (network)", "decode head, suppress", "track", "quality", "align",
             "embed (network)", "search")  # fmt: skip
    taken: dict[str, list[float]] = {name: [] for name in names}
    found, tensor = 0, None
    frames = iter(
        open_file(
            clip, camera="clip", started_at=datetime.now(UTC), pace="as-fast-as-possible", isolation="none"
        ).frames()
    )
    warmup = 5
    while True:
        clock = [time.perf_counter()]
        frame = next(frames, None)
        if frame is None:
            break
        batch = FrameBatch(frames=(frame,))
        clock.append(time.perf_counter())
        tensor, factors = detector.letterbox(batch.frames, out=tensor)
        clock.append(time.perf_counter())
        outputs = detector.run(tensor)
        clock.append(time.perf_counter())
        raw = decode(detector.manifest, outputs, width=tensor.shape[3], height=tensor.shape[2],
                     score_floor=detector.score_floor)  # fmt: skip
        kept = ops.nms(raw.batch_index, raw.boxes, raw.scores, iou=SUPPRESSION_IOU)
        seen = Faces(frame_index=raw.batch_index[kept], boxes=raw.boxes[kept] / factors[0], scores=raw.scores[kept],
                     landmarks=raw.landmarks[kept] / factors[0])  # fmt: skip
        clock.append(time.perf_counter())
        quality = measure_quality(batch.frames, seen)
        clock.append(time.perf_counter())
        tracker.associate(batch, seen, quality)
        clock.append(time.perf_counter())
        crops = embedder.align(batch.frames, seen)
        clock.append(time.perf_counter())
        with pool.borrow(len(seen), model=embedder.model) as probes:
            embedder.embed(crops, out=probes.vectors)
            clock.append(time.perf_counter())
            ops.search_exact(probes.vectors, references, 5)
        clock.append(time.perf_counter())
        found += len(seen)
        for name, began, ended in zip(names, clock, clock[1:], strict=False):
            taken[name].append((ended - began) * 1000)
    spreads = {name: spread_of(values[warmup:], warmup=warmup) for name, values in taken.items()}
    total = sum(spread.median for spread in spreads.values())
    stages = [
        Stage(name=name, ms=spread, share=spread.median / total, inside_network="network" in name)
        for name, spread in spreads.items()
    ]
    outside = sum(stage.ms.median for stage in stages if not stage.inside_network and stage.name != "decode")
    return Stages(
        clip=f"{clip.stem}: 1920x1080, 25 fps, H.264",
        detector=detector_name,
        embedder=embedder_name,
        runtime=runtime,
        faces_a_frame=found / len(taken["decode"]),
        watchlist=watchlist,
        detected_frames=len(taken["decode"]) - warmup,
        stages=stages,
        conversion_ms=spreads["letterbox"].median + spreads["align"].median,
        outside_networks_ms=outside,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--watchlist", type=int, default=10_000)
    parser.add_argument("--detector", default="yunet_n")
    parser.add_argument("--embedder", default="face_reid_0095")
    parser.add_argument("--runtime", default="onnx")
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    print("making the clip (once) and measuring every stage on one thread ...", flush=True)
    table = measure(
        faces=given.faces,
        seconds=given.seconds,
        watchlist=given.watchlist,
        detector_name=given.detector,
        embedder_name=given.embedder,
        runtime=given.runtime,
    )
    print(f"\n{table.clip}; {table.faces_a_frame:.1f} faces a frame; {table.detected_frames} frames after 5 of warm-up")
    print(f"{'stage':24} {'median ms':>10} {'min':>8} {'max':>8} {'share':>7}")
    for stage in table.stages:
        print(f"{stage.name:24} {stage.ms.median:10.3f} {stage.ms.min:8.3f} {stage.ms.max:8.3f} {stage.share:6.1%}")
    print(f"\noutside decoder and networks: {table.outside_networks_ms:.3f} ms a detected frame; "
          f"of this letterbox and align {table.conversion_ms:.3f} ms")  # fmt: skip
    print(f"written to {write_results('stages', machine, table)}")


if __name__ == "__main__":
    main()
