"""What a sizing was asked, what it answers, and every number behind the answer."""

from __future__ import annotations

from dataclasses import dataclass

from pylfr.sizing.gpu_plan import GpuPlan
from pylfr.sizing.machine import Machine
from pylfr.sizing.measured_load import Load
from pylfr.sizing.trials import LoadTrial


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingRules:
    """What "held" means: p99 latency within ``bound_ms`` and no drop, for ``seconds``.

    Short trials, of ``probe_s``, come first. No more than ``limit`` cameras are tried; with ``only`` that number alone,
    for ``seconds``.
    """

    seconds: float = 60.0
    probe_s: float = 6.0
    bound_ms: float = 250.0
    limit: int = 200
    only: int | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            given = getattr(self, name)
            if given is not None and not given > 0:
                raise ValueError(f"{name} must be more than 0, got {given}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the cameras played and what analysed it: part of every result."""

    video: str
    made_of: str
    codec: str
    width: int
    height: int
    rate_hz: float
    megabits_a_second: float
    watchlist: int
    enrolled: int
    detector: str
    embedder: str
    detect_hz: float
    runtime: str
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The answer and the measurements behind it.

    ``load`` is that of ``cameras``, or of the fewest that failed where none held. ``binds`` is the stage that keeps the
    machine from more, ``shares`` each stage's share of the processor time. ``decode_only_cameras`` is how many the
    machine could decode if it did nothing else.
    """

    answer: str
    cameras: int
    confirmed: bool
    interrupted: bool
    binds: str
    shares: dict[str, float]
    memory_mb_a_camera: float
    decode_only_cameras: float
    load: Load
    trials: tuple[LoadTrial, ...]
    conditions: Conditions
    rules: SizingRules
    machine: Machine
    notes: tuple[str, ...]
    gpu: GpuPlan | None = None
