"""What one load measured: latency, drops, processor time and memory, and whether the machine held it."""

from __future__ import annotations

from dataclasses import dataclass

from pylfr.sizing.stopwatch import Spent

# Frames a second of a camera, where its footage does not say another rate.
RATE = 25
# Stages in the order in which a frame meets them. What the engine's thread does besides is Python's.
STAGES = ("decode", "detect", "track", "embed", "search", "Python")
# More of them than that, and people may be missed: a machine that has to shed so many does not hold its cameras.
_MOST_NOT_COMPARED = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds from the moment a frame was due to the decision on it."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The measurements of ``cameras`` cameras over ``seconds``, once all of them ran.

    ``decided`` is the latency of every frame with a recognised face, ``seen`` that of every analysed frame.
    ``late`` is the share of frames due that had not been decoded. ``not_compared`` faces were shed so that the others
    were decided on in time. ``cpu_s`` is processor seconds by stage;
    ``cores_busy`` and ``others_busy`` are the shares of the machine that this program and all others used (None where
    that cannot be read).
    ``loop_busy`` is the share of time in which the busier of the engine's two threads was not waiting: one detects, the
    other follows, compares and decides.
    """

    cameras: int
    seconds: float
    decided: Latency
    seen: Latency
    frames: int
    late: float
    looked_at: int
    faces: int
    recognised: int
    not_compared: int
    alerts: int
    dropped: dict[str, int]
    least_share: float
    cpu_s: dict[str, float]
    stages: dict[str, Spent]
    cores_busy: float
    others_busy: float | None
    loop_busy: float
    memory_mb: float
    memory_before_mb: float
    watts: float | None
    watts_missing: str
    errors: tuple[str, ...]

    @property
    def latency(self) -> Latency:
        """Of decisions; of analysed frames where no face was recognised at all."""
        return self.decided if self.decided.count else self.seen

    @property
    def faces_a_frame(self) -> float:
        return self.faces / self.looked_at if self.looked_at else 0.0

    @property
    def not_compared_share(self) -> float:
        """Of the faces that could have been compared, those for which there was no time."""
        return self.not_compared / max(1, self.not_compared + self.recognised)

    def why_not_held(self, bound_ms: float) -> str:
        """Why this load is too much, "" where it is held."""
        if self.errors:
            return self.errors[0]
        if not self.looked_at:
            return "no frame was analysed in time"
        if self.dropped:
            return "dropped " + ", ".join(f"{count:,} ({cause})" for cause, count in self.dropped.items())
        if self.late > 0.01:
            return f"{self.late:.0%} of the frames were not decoded in time"
        if self.not_compared_share > _MOST_NOT_COMPARED:
            return f"{self.not_compared_share:.0%} of the faces were not compared in time"
        slower = max(self.decided.p99_ms, self.seen.p99_ms)
        if slower > bound_ms:
            return f"p99 latency {slower:.0f} ms is over the bound of {bound_ms:.0f} ms"
        return ""
