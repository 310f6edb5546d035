"""Damage what every reader is given, for as long as it is told: ``python -m tests.readers.fuzz --seconds 60``.

What breaks a reader is left in build/fuzz, one file for each kind of failure, and the exit status is 1. Put it into
tests/readers/corpus. ``tests.readers.guided`` is guided by coverage.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.readers.damage import mutated
from tests.readers.readers import READERS, attack, folder_name, make_whole

_OUT = Path("build/fuzz")
# One input that takes this long is a hang.
_SLOW_S = 10.0


def main() -> int:
    """Attack every reader, or the named ones, for equal shares of the time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append", choices=sorted(READERS))
    given = parser.parse_args()
    names = given.reader or sorted(READERS)
    with tempfile.TemporaryDirectory(prefix="pylfr-fuzz-") as place:
        folder = Path(place)
        make_whole(folder)
        (folder / "attacked").mkdir(mode=0o700)
        failures = 0
        for name in names:
            failures += _attack_for(given.seconds / len(names), name, folder, random.Random(f"{given.seed} {name}"))
    return 1 if failures else 0


def _inputs(name: str, folder: Path, chance: random.Random) -> Iterator[bytes]:
    seeds = [(folder / READERS[name].whole).read_bytes()]
    seeds += [path.read_bytes() for path in sorted((Path(__file__).parent / "corpus").glob(f"{folder_name(name)}/*"))]
    while True:
        yield mutated(chance, chance.choice(seeds))


def _attack_for(seconds: float, name: str, folder: Path, chance: random.Random) -> int:
    """How many kinds of failure there were within these seconds."""
    place, kinds, tried = folder / "attacked", set[str](), 0
    ends = time.monotonic() + seconds
    for content in _inputs(name, folder, chance):
        began = time.monotonic()
        if began >= ends:
            break
        tried += 1
        try:
            attack(READERS[name], content, place, folder)
            if time.monotonic() - began > _SLOW_S:
                raise AssertionError(f"it took {time.monotonic() - began:.0f} s")
        except Exception as error:
            kind = _kind_of(error)
            if kind not in kinds:
                kinds.add(kind)
                print(f"{name}: {kind}\n{traceback.format_exc(limit=-4)}input: {_keep(name, content)}", file=sys.stderr)
    print(f"{name}: {tried:,} inputs, {len(kinds)} kinds of failure", flush=True)
    return len(kinds)


def _kind_of(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"


def _keep(name: str, content: bytes) -> Path:
    _OUT.mkdir(parents=True, exist_ok=True)
    path = _OUT / f"{folder_name(name)}-{hashlib.sha256(content).hexdigest()[:12]}"
    with contextlib.suppress(OSError):
        path.write_bytes(content)
    return path


if __name__ == "__main__":
    sys.exit(main())
