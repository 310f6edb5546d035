"""A program for the canary test: the real engine, an embedder that emits one known vector, and a pause to be searched.

It never holds that vector anywhere but where the engine tells it to write: it sets one number after the other. With
the argument ``leak`` it keeps a copy, as a careless stage would, so that the test proves that it can fail. With
``isolated`` its pictures come from a recording that another process decodes, whose memory is left open to the search;
with ``leak-there`` too, and a copy stands in that process.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from pylfr.engine.observer import Observer
from pylfr.governance.audit.audit import open_audit
from pylfr.types import Alert, Candidates, Float32, Recorded, Templates
from pylfr.video.isolation import decoder_process
from pylfr.video.isolation.client import IsolatedFile
from tests.engine.test_engine import MODEL, OnePerson, SameFace, Street, build
from tests.samples import NOON
from tests.video.clips import write_clip

SIDE = 0.125
DIMENSION = 64
_MIX, _MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1


def sign(index: int) -> int:
    """+1 or -1, without a pattern (the finaliser of splitmix64)."""
    mixed = (index + 1) * _MIX & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    return 1 if mixed >> 63 else -1


class Canary(SameFace):
    """Every face has the template that the test searches for: 64 numbers of 0.125, of unit length."""

    dimension = DIMENSION

    def __init__(self, *, leaks: bool) -> None:
        super().__init__()
        self.kept: list[Float32] = []
        self._leaks = leaks

    def embed(self, crops: Float32, out: Float32 | None = None) -> Templates:
        assert out is not None
        for row in range(len(out)):
            for index in range(DIMENSION):
                out[row, index] = sign(index) * SIDE
        if self._leaks:
            self.kept.append(out.copy())
        return Templates(vectors=out, model=MODEL)


class AnybodyScores(OnePerson):
    """Finds its entry for every probe, and knows no template."""

    def search(self, probes: Templates, k: int) -> Candidates:
        norms = np.einsum("nd,nd->n", probes.vectors, probes.vectors)
        scores = np.full((len(probes), k), -1, np.float32)
        entry = np.full((len(probes), k), -1, np.int64)
        scores[:, 0], entry[:, 0] = norms, 0
        return Candidates(scores=scores, entry=entry)


def street(folder: Path, *, leaks: bool) -> IsolatedFile:
    """A recording of a street, decoded by a process that does not close its memory."""
    # A control that changes nothing (PR_SET_TIMING) stands in for the one that closes the memory.
    opening = "import pylfr.video.isolation.sandbox; pylfr.video.isolation.sandbox._PR_SET_DUMPABLE = 14"
    if leaks:
        opening += f"; import numpy; kept = numpy.array({[sign(index) * SIDE for index in range(DIMENSION)]})"
    decoder_process._START = decoder_process._START.replace("main(socket", f"{opening}\nmain(socket")
    path = write_clip(folder / "street.mp4", frames=60, width=320, height=240)
    return IsolatedFile(path, camera="north", started_at=NOON, pace="as-fast-as-possible", loop=False, threads=1)


class Pause(Observer):
    """Holds the engine itself, not who reads its alerts: it does not wait for them."""

    def alert_recorded(self, recorded: Recorded[Alert]) -> None:
        print("between", flush=True)
        sys.stdin.readline()


def main(folder: Path, how: str) -> None:
    is_isolated = how in ("isolated", "leak-there")
    engine = build(
        [street(folder, leaks=how == "leak-there") if is_isolated else Street("north", frames=60)],
        boxes=[[20, 20, 80, 90], [100, 80, 160, 150]],
        embedder=Canary(leaks=how == "leak"),
        gallery=AnybodyScores(),
        audit=open_audit(folder / "audit.log"),
        dimension=DIMENSION,
        observers=(Pause(),),
    )
    for _ in engine.run():
        pass
    print(engine.summary().to_json(), flush=True)
    print("after", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
