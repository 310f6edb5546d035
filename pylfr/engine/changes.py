"""What people change in a run that goes on: its threshold upwards, and its cameras; each change is recorded."""

from __future__ import annotations

from collections.abc import Callable

from pylfr._internal.names import name_fault
from pylfr._internal.steady_clock import steady_now
from pylfr.engine.stages import Stages
from pylfr.engine.summary import camera_taken_in, camera_taken_out, threshold_raised
from pylfr.errors import AuthorisationError
from pylfr.protocols import Source


class RunChanges:
    """Changes of one run, from any thread. ``why_over`` says why it takes no more of them, "" while it runs."""

    def __init__(self, stages: Stages, why_over: Callable[[], str]) -> None:
        self._stages = stages
        self._why_over = why_over

    def raise_threshold(self, threshold: float, *, by: str) -> None:
        """Raise the threshold from now on; recorded with who asked for it.

        Raises ``AuthorisationError`` for a lower one: that needs another authorisation.
        """
        before = self._stages.policy.rules.threshold
        if name_fault(by) is not None or not before <= threshold <= 1:
            raise AuthorisationError(
                f"the threshold may be raised from {before} by a named person, got {threshold} by {by!r}: a lower one "
                "needs another authorisation"
            )
        self._stages.audit.note(threshold_raised(before, threshold, by))
        self._stages.policy.raise_threshold(threshold)

    def take_out(self, camera: str, *, by: str, because: str) -> None:
        """Leave a camera out from now on, recorded with who asked for it and why.

        Raises ``AuthorisationError`` where there is no such camera, it is the last of a run that would end without it,
        or nobody says why.
        """
        batches = self._stages.batches
        self._require_allowed(by, because)
        if batches.cameras <= {camera} and not batches.stays_open:
            raise AuthorisationError(f"camera {camera!r} is the only one: stop the run instead")
        try:
            counts = batches.remove(camera)
        except KeyError:
            others = ", ".join(sorted(batches.cameras))
            raise AuthorisationError(f"no camera {camera!r} runs here: {others} do") from None
        self._stages.audit.note(camera_taken_out(camera, by=by, because=because, frames=counts.came))

    def take_in(self, source: Source, *, by: str, because: str) -> None:
        """Analyse another camera, or one again, from now on; recorded.

        Whoever calls has checked that it is the one that was authorised. Raises ``AuthorisationError`` where a camera
        of that name is not, or not now, or runs already.
        """
        self._require_allowed(by, because)
        now = steady_now()
        self._stages.authority.require(frozenset({source.camera}), (now, now))
        try:
            self._stages.batches.add(source)
        except ValueError:
            raise AuthorisationError(f"camera {source.camera!r} runs already: take it out first") from None
        self._stages.audit.note(camera_taken_in(source.camera, by=by, because=because))

    def _require_allowed(self, by: str, because: str) -> None:
        if not by.strip() or not because.strip():
            raise AuthorisationError("who asks for this and why is recorded: say both")
        if over := self._why_over():
            raise AuthorisationError(f"the run is over: {over}")
