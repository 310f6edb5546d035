"""A program for the canary test with real networks: a rehearsal on real footage that tells every template to a pipe.

What it writes to the pipe (a file descriptor that it is given) goes there from the very memory that the engine lent:
the last layer's own numbers, and the template that they become. So whoever reads the pipe knows what to search for, and
nothing here keeps a copy. With ``leak`` one network output is kept, as a careless stage would, so that the test proves
that it can fail.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pylfr.deployment.open import open_rehearsal
from pylfr.faces import embed
from pylfr.faces.embed import FaceEmbedder
from pylfr.models.last_layer import LastLayer
from pylfr.models.store import Model, trunk_of
from pylfr.types import Float32, Templates

PIPE = int(sys.argv[5])
LEAKS = sys.argv[6:] == ["leak"]
KEPT: list[Float32] = []
TOLD = [0]


def tell(rows: Float32) -> None:
    """Write numbers to the pipe from where they are."""
    left = rows.data.cast("B")
    TOLD[0] += len(left)
    while left:
        left = left[os.write(PIPE, left) :]


def be_searched() -> None:
    print(f"searched after {TOLD[0]} bytes", flush=True)
    sys.stdin.readline()


class TellingLayer(LastLayer):
    """A last layer whose templates are told before they get unit length."""

    is_on = False

    def apply(self, features: Float32, out: Float32) -> None:
        super().apply(features, out)
        if self.is_on:
            tell(out)
            if LEAKS and not KEPT:
                KEPT.append(out.copy())


class TellingEmbedder(FaceEmbedder):
    """An embedder whose templates are told as they are searched with."""

    is_on = False

    def embed(self, crops: Float32, out: Float32 | None = None) -> Templates:
        templates = super().embed(crops, out)
        if self.is_on:
            tell(templates.vectors)
        return templates


def telling_trunk(model: Model) -> tuple[Model, LastLayer] | None:
    parts = trunk_of(model)
    assert parts is not None
    return parts[0], TellingLayer(parts[1].given, parts[1].weight, parts[1].bias)


def main(videos: list[Path], references: Path, networks: list[str], runtime: str) -> None:
    embed.trunk_of, embed.FaceEmbedder = telling_trunk, TellingEmbedder  # type: ignore[attr-defined, misc]
    people = {path.stem: [path] for path in sorted(references.iterdir())}
    engine = open_rehearsal(videos, people, detector=networks[0], embedder=networks[1], runtime=runtime)
    # People who are listed may be kept; from here on it is people who pass.
    TellingLayer.is_on = TellingEmbedder.is_on = True
    for _ in engine.run():
        be_searched()
    be_searched()


if __name__ == "__main__":
    main([Path(each) for each in sys.argv[1].split(",")], Path(sys.argv[2]), sys.argv[3].split("+"), sys.argv[4])
