"""Damages what the core is called with, for as long as it is told: ``python -m tests.native.fuzz --seconds 60``.

Before each call its number is written to build/fuzz/native.txt: a process that a fault ends is answered by
``--seed S --first N --calls 1``. ``make sanitize`` runs this under sanitizers, ``make fuzz-native`` for hours.
"""

from __future__ import annotations

import argparse
import faulthandler
import itertools
import os
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.native.damaged_calls import CALLS, REFUSALS
from tests.native.damaged_values import Chance

_LAST = Path("build/fuzz/native.txt")
# One call that takes this long hangs.
_SLOW_S = 60
# Of a dozen arguments one or two are damaged.
_WILDNESS = (0.0, 0.04, 0.15)


def call(seed: int, number: int) -> str:
    """Make one call, and say how it ended: "NAME returned", or "NAME refused"; raises what is no refusal."""
    name = sorted(CALLS)[number % len(CALLS)]
    chance = Chance(f"{seed} {number}", _WILDNESS[number // len(CALLS) % len(_WILDNESS)])
    try:
        CALLS[name](chance)
    except REFUSALS:
        return f"{name} refused"
    return f"{name} returned"


def main() -> int:
    """Call until the time is over; 1 where a call ended otherwise than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first call")
    parser.add_argument("--calls", type=int, default=None, help="at most so many")
    given = parser.parse_args()
    ends, endings, faults = time.monotonic() + given.seconds, Counter[str](), 0
    _LAST.parent.mkdir(parents=True, exist_ok=True)
    note = os.open(_LAST, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number in itertools.islice(itertools.count(given.first), given.calls):
        if time.monotonic() >= ends:
            break
        os.pwrite(note, f"--seed {given.seed} --first {number:<20} --calls 1\n".encode(), 0)
        faulthandler.dump_traceback_later(_SLOW_S, exit=True)
        try:
            endings[call(given.seed, number)] += 1
        except Exception:
            faults += 1
            print(f"--seed {given.seed} --first {number} --calls 1\n{traceback.format_exc()}", file=sys.stderr)
    faulthandler.cancel_dump_traceback_later()
    os.close(note)
    for name in sorted(CALLS):
        print(f"{name}: {endings[f'{name} returned']:,} calls returned, {endings[f'{name} refused']:,} were refused")
    print(f"{endings.total():,} calls of seed {given.seed}, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
