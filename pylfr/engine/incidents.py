"""What happens to a run from outside, into its record: to its cameras, its clock and its watchlist."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pylfr._internal.steady_clock import STEADY
from pylfr.engine.account import Account
from pylfr.engine.stages import Stages
from pylfr.engine.summary import camera_sized, camera_turned, clock_changed, watchlist_turned
from pylfr.types import Frame

log = logging.getLogger(__name__)

# From this on a difference between two clocks is somebody who set one, and not their drift.
_STEP_S = 2.0


class Incidents:
    """Notes each turn once; for the engine's thread."""

    def __init__(self, stages: Stages, account: Account) -> None:
        self._stages = stages
        self._account = account
        self._step_s = 0.0
        self._trouble = ""
        self._sized: set[tuple[str, int, int]] = set()

    def note_cameras(self) -> None:
        """Record what happened to the cameras since the last call."""
        for event in self._stages.batches.take_events():
            self._stages.audit.note(camera_turned(event))
            self._stages.observers.camera_changed(event)

    def note_sizes(self, frames: Sequence[Frame]) -> None:
        """Record how large the detector's input is for a camera, where the smallest face sought decides on it."""
        input_size = self._stages.input_size
        if input_size is None:
            return
        for frame in frames:
            sized = (frame.camera, frame.width, frame.height)
            if sized not in self._sized:
                self._sized.add(sized)
                self._stages.audit.note(camera_sized(frame, input_size(frame)))

    def note_clock(self) -> None:
        """Record that somebody set the system's clock. The run goes on by its own, which does not step."""
        step_s = STEADY.step_s()
        if abs(step_s - self._step_s) >= _STEP_S:
            self._stages.audit.note(clock_changed(step_s - self._step_s))
            log.warning("the system's clock was set by %+.1f s: the run goes on by its own", step_s - self._step_s)
            self._step_s = step_s

    def note_gallery(self) -> None:
        """Record when the watchlist cannot be read, and when it can again."""
        trouble = self._stages.gallery.trouble
        if bool(trouble) != bool(self._trouble):
            self._stages.audit.note(watchlist_turned(trouble))
            if trouble:
                self._account.note(f"the watchlist cannot be read, its last revision is used: {trouble}")
        self._trouble = trouble
