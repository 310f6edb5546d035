"""Processor time of decoding and of each network on this machine: seconds of measuring, for a rough answer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from pylfr.errors import MediaError
from pylfr.faces.detect import FaceDetector, open_detector
from pylfr.faces.embed import FaceEmbedder, open_embedder
from pylfr.models.measured import Measured
from pylfr.models.store import ModelStore
from pylfr.sizing.decode_floor import decode_floor
from pylfr.types import Float32, UInt8

# As the engine batches them.
_FRAMES_A_CALL = 4
_CROPS_A_CALL = 8
_WARM_UP, _REPEATS = 1, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Milliseconds of processor time: to decode a frame, to find the faces of one, to compare a face.

    By network; those not in ``timed`` are not installed, and theirs follows from the time of those that are.
    """

    decode_ms: float
    detect_ms: Mapping[str, float]
    embed_ms: Mapping[str, float]
    timed: frozenset[str]


def measure_costs(
    clip: Path,
    measured: Measured,
    store: ModelStore,
    *,
    runtime: str,
    on_network: Callable[[str], None] = lambda _: None,
) -> Costs:
    """Play a part of ``clip`` and run every measured network that is installed. Raises ``MediaError`` for no video."""
    frames = _frames(clip)
    detect_ms: dict[str, float] = {}
    embed_ms: dict[str, float] = {}
    for name in dict.fromkeys(pair.detector for pair in measured.pairs):
        if store.find(name) is not None:
            on_network(name)
            detect_ms[name] = _detection_ms(open_detector(name, runtime=runtime), frames)
    for name in dict.fromkeys(pair.embedder for pair in measured.pairs):
        if store.find(name) is not None:
            on_network(name)
            embed_ms[name] = _embedding_ms(open_embedder(name, runtime=runtime))
    return Costs(
        decode_ms=decode_floor(clip, frames=50),
        detect_ms=_completed(detect_ms, {pair.detector: pair.detect_ms for pair in measured.pairs}),
        embed_ms=_completed(embed_ms, {pair.embedder: pair.embed_ms for pair in measured.pairs}),
        timed=frozenset(detect_ms) | frozenset(embed_ms),
    )


def _completed(here: Mapping[str, float], there: Mapping[str, float]) -> dict[str, float]:
    """The times measured here, and those measured elsewhere at this machine's speed."""
    speed = statistics.median(here[name] / there[name] for name in here)
    return {name: here.get(name, ms * speed) for name, ms in there.items()}


def _detection_ms(detector: FaceDetector, frames: Sequence[UInt8]) -> float:
    return _cpu_ms(lambda: detector.detect(frames)) / len(frames)


def _embedding_ms(embedder: FaceEmbedder) -> float:
    shape = (_CROPS_A_CALL, 3, embedder.side_px, embedder.side_px)
    crops: Float32 = np.random.default_rng(0).standard_normal(shape, np.float32)
    return _cpu_ms(lambda: embedder.embed(crops)) / len(crops)


def _cpu_ms(work: Callable[[], object]) -> float:
    """The median processor time of one call, of all threads."""
    taken = []
    for turn in range(_WARM_UP + _REPEATS):
        began = time.process_time()
        work()
        if turn >= _WARM_UP:
            taken.append((time.process_time() - began) * 1000)
    return statistics.median(taken)


def _frames(clip: Path) -> list[UInt8]:
    try:
        with av.open(str(clip)) as container:
            frames: list[UInt8] = []
            for frame in container.decode(video=0):
                frames.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
                if len(frames) == _FRAMES_A_CALL:
                    return frames
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise MediaError(f"video {clip} cannot be read ({error}): give a recording that FFmpeg can play") from error
    raise MediaError(f"video {clip} must have {_FRAMES_A_CALL} frames or more, got {len(frames)}")
