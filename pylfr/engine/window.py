"""The authorised window of a run: which cameras may be analysed now, and when the run must end by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from pylfr._internal.steady_clock import steady_now
from pylfr.errors import AuthorisationError
from pylfr.protocols import Authority
from pylfr.types import Frame, FrameBatch

# A clock that does not step may still be slept through; no timer runs for longer than this.
_CHECK_S = 1.0


def window_over(ends_at: datetime) -> str:
    """Why a run ends whose window did."""
    return f"the authorised window ended at {ends_at.astimezone(UTC).isoformat(timespec='seconds')}"


class AuthorisedWindow:
    """Judges each camera by itself, on the steady clock; none is stopped because of another one's times.

    A frame is judged by its capture time. Cameras in ``undated`` are recordings without a stated recording time: their
    frames are judged by the time of analysis.
    """

    def __init__(
        self, authority: Authority, *, undated: frozenset[str], now: Callable[[], datetime] = steady_now
    ) -> None:
        self._authority = authority
        self._undated = undated
        self._now = now
        self._over = threading.Event()
        self.refused: dict[str, str] = {}

    def admit(self, batch: FrameBatch) -> tuple[tuple[Frame, ...], tuple[Frame, ...]]:
        """The frames of the batch that may be analysed, and those that may not; ``refused`` says why, by camera."""
        spans = self._spans(batch)
        for camera in sorted(spans.keys() - self.refused.keys()):
            try:
                self._authority.require(frozenset({camera}), spans[camera])
            except AuthorisationError as error:
                self.refused[camera] = str(error)
        if self.refused.keys().isdisjoint(spans):
            return batch.frames, ()
        return (
            tuple(frame for frame in batch.frames if frame.camera not in self.refused),
            tuple(frame for frame in batch.frames if frame.camera in self.refused),
        )

    def watch(self, stop: Callable[[str], None]) -> None:
        """Call ``stop`` with the reason when the window ends, also while no frame comes; until ``close``."""
        ends_at = self._authority.ends_at
        if ends_at is None:
            return
        because = window_over(ends_at)

        def wait() -> None:
            while (left_s := (ends_at - self._now()).total_seconds()) > 0:
                if self._over.wait(min(left_s, _CHECK_S)):
                    return
            stop(because)

        threading.Thread(target=wait, name="pylfr-window", daemon=True).start()

    def close(self) -> None:
        """End ``watch``."""
        self._over.set()

    def _spans(self, batch: FrameBatch) -> dict[str, tuple[datetime, datetime]]:
        """From when to when the frames of each camera are."""
        times: dict[str, list[datetime]] = {}
        for frame in batch.frames:
            at = self._now() if frame.camera in self._undated else frame.captured_at
            times.setdefault(frame.camera, []).append(at)
        return {camera: (min(each), max(each)) for camera, each in times.items()}
