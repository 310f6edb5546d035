"""What is lost where less is computed: without the loop filter, and where only what has changed is analysed.

    python -m benchmarks.cheaper FOLDER [--lanes 8] [--crf 26] [--key-every 50] [--name NAME]

Renders one crowd of `benchmarks.recall` as cameras code it, with a loop filter, into FOLDER, and reads it in every way:
the same pictures, the same networks, every frame. Each recording is replayed with the engine's own tracker, selection
and fusion. Processor seconds are those of this process with its decoders, detection and comparison of every face; other
programs disturb them less than the clock, and still do.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.crowd import render_clips
from benchmarks.measure import print_machine, this_machine, write_results
from benchmarks.networks import suggested_threshold
from benchmarks.recall import ways
from benchmarks.recall_crowd import RULES, draw_people
from benchmarks.recorded import read_passes, read_recording, record, write_recording
from benchmarks.replayed import decide, owners, replay, threshold_for
from pylfr.evaluation.video.passes import write_truth
from pylfr.evaluation.video.replay import processor_s
from pylfr.types import UInt8
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions

_PASSES_A_CLIP = 60
_SEED = 777
_FPIR = 0.02
WAYS: Mapping[str, tuple[PictureOptions, float]] = {
    "all of it": (AS_SENT, 0.0),
    "without the loop filter": (PictureOptions(loop_filter=False), 0.0),
    "what has changed, 1 s": (AS_SENT, 1.0),
    "both": (PictureOptions(loop_filter=False), 1.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cheaper:
    """One way: faces over the detector's threshold that belong to a pass, passes with a face, and passes found.

    ``found`` with the engine's defaults, each way at its own threshold of equal FPIR; ``found_at_suggested`` and
    ``false_at_suggested`` at the embedder's suggested threshold.
    """

    way: str
    processor_s: float
    faces: int
    passes_seen: int
    found: int
    found_at_suggested: int
    false_at_suggested: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheaperWays:
    """All ways on one crowd, with one pair of networks."""

    detector: str
    embedder: str
    frames: int
    mated: int
    non_mated: int
    lanes: int
    crf: int
    key_every: int
    ways: tuple[Cheaper, ...]


def render(given: argparse.Namespace) -> Mapping[str, UInt8]:
    """The crowd, rendered once into the folder; pictures of those on the watchlist."""
    folder: Path = given.folder
    if not (folder / "truth.json").is_file():
        people = draw_people("tuning", mated=given.mated, non_mated=given.non_mated, seed=_SEED)
        rules = replace(RULES["tuning"], lanes=given.lanes, crf=given.crf, preset="fast", key_every=given.key_every)
        film = render_clips(people.walkers, folder, seed=_SEED, rules=rules, passes_a_clip=_PASSES_A_CLIP)
        np.savez(folder / "references.npz", allow_pickle=False, **people.references)
        write_truth(film.truth, folder / "truth.json")
    with np.load(folder / "references.npz") as stored:
        return {name: stored[name] for name in stored.files}


def measure(given: argparse.Namespace) -> CheaperWays:
    folder: Path = given.folder
    references = render(given)
    truth = read_passes(folder / "truth.json")
    mated = np.array([each.is_mated for each in truth])
    threshold = suggested_threshold(given.embedder, len(references))
    frames, results = 0, []
    for place, (name, (picture, full_look_s)) in enumerate(WAYS.items()):
        path = folder / f"{given.embedder}-{place}.npz"
        before = processor_s()
        made = record(
            sorted(folder.glob("*.mp4")), references, detector=given.detector, embedder=given.embedder, threads=1,
            picture=picture, full_look_s=full_look_s,
        )  # fmt: skip
        used = processor_s() - before
        write_recording(made, path)
        recording = read_recording(path)
        owner, way = owners(recording, truth), ways(threshold)["defaults"]
        best = decide(recording, owner, replay(recording, way), way.alerts).best(truth, recording.people)
        is_face = (recording.scores >= recording.high_score) & (owner >= 0)
        frames = len(recording.at_s)
        results.append(
            Cheaper(
                way=name,
                processor_s=round(used, 1),
                faces=int(np.count_nonzero(is_face)),
                passes_seen=len(np.unique(owner[is_face])),
                found=int((best[mated] >= threshold_for(best, truth, _FPIR)).sum()),
                found_at_suggested=int((best[mated] >= threshold).sum()),
                false_at_suggested=int((best[~mated] >= threshold).sum()),
            )
        )
        print(results[-1], flush=True)
    return CheaperWays(
        detector=given.detector, embedder=given.embedder, frames=frames, mated=int(mated.sum()),
        non_mated=int((~mated).sum()), lanes=given.lanes, crf=given.crf, key_every=given.key_every,
        ways=tuple(results),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the crowd is rendered, once")
    parser.add_argument("--mated", type=int, default=40)
    parser.add_argument("--non-mated", type=int, default=80)
    parser.add_argument(
        "--lanes", type=int, default=8, help="how many walk at once; few leave most of the street empty"
    )
    parser.add_argument("--crf", type=int, default=26)
    parser.add_argument("--key-every", type=int, default=50, help="frames from one key frame to the next")
    parser.add_argument("--detector", default="yunet_n")
    parser.add_argument("--embedder", default="face_reid_0095")
    parser.add_argument("--name", default="", help="the result is cheaper-NAME.json; without it nothing is written")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    machine = this_machine()
    print_machine(machine)
    result = measure(given)
    if given.name:
        print(f"written to {write_results(f'cheaper-{given.name}', machine, result)}")


if __name__ == "__main__":
    main()
