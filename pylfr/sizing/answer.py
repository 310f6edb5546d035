"""A sizing in words: the answer, and what limits it."""

from __future__ import annotations

from collections.abc import Sequence

from pylfr.sizing.bottleneck import Bottleneck
from pylfr.sizing.measured_load import Load
from pylfr.sizing.result import Conditions, SizingRules
from pylfr.sizing.search import Largest
from pylfr.sizing.trials import LoadTrial, least_failed

# Other programs that take more than this share of the machine make the answer too small.
_DISTURBED = 0.1


def answer_of(
    found: Largest, trials: Sequence[LoadTrial], rules: SizingRules, bottleneck: Bottleneck, *, interrupted: bool
) -> str:
    """How many cameras the machine holds, or why it holds none, and what binds there: one sentence."""
    binds = f"{bottleneck.stage} binds ({bottleneck.evidence})"
    limit = " or more" if found.at_most or (rules.only is not None and found.largest) else ""
    cameras = "1 camera" if found.largest == 1 else f"{found.largest} cameras"
    if found.largest == 0 and not interrupted:
        least = least_failed(trials)
        if rules.only is not None:
            return f"This machine does not hold {rules.only}: {least.why_not}; {binds}."
        return f"This machine holds no camera: with {least.cameras}, {least.why_not}; {binds}."
    if interrupted:
        failed = [trial.cameras for trial in trials if not trial.held and trial.cameras > found.largest]
        but = f", not {min(failed)}" if failed else ""
        return (
            f"Stopped halfway: in short trials this machine held {cameras}{but}; {bottleneck.stage} takes most so far."
        )
    if not found.confirmed:
        return (
            f"This machine may hold {cameras}, which is not confirmed: over {rules.seconds:g} s more failed, and this "
            f"was only tried briefly; {binds}."
        )
    return f"This machine holds {cameras}{limit}; {binds}."


def notes_of(load: Load, conditions: Conditions, found: Largest) -> tuple[str, ...]:
    """What a reader must know of the figures, a sentence each."""
    notes = [
        f"The watchlist of {conditions.watchlist:,} is made of random templates"
        + (f", {conditions.enrolled} of them replaced by people who walk in the clip" if conditions.enrolled else "")
        + ": search costs the same, accuracy cannot be read from it."
    ]
    if load.others_busy is not None and load.others_busy > _DISTURBED:
        notes.append(
            f"Other programs used {load.others_busy:.0%} of this machine meanwhile: on a quiet one it holds more."
        )
    if not load.faces:
        notes.append("No face was found in the footage: detection is measured, recognition is not.")
    if load.watts is None:
        notes.append(f"Power is not readable: {load.watts_missing}.")
    if found.at_most:
        notes.append("The search stopped at its limit: --limit raises it.")
    return tuple(notes)
