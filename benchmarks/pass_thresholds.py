"""The threshold at which one pass in a hundred of people who are not enrolled gives an alert, by watchlist length.

    python -m benchmarks.pass_thresholds [--pair pylfr_nano_detect pylfr_nano_embed ...] [--keep FOLDER]

An alert is raised on a track, which has many faces: a threshold measured on photographs is too low for it. So everybody
whom the shipped networks never learnt from walks once through a rendered crowd with every difficulty, is followed and
compared as the engine does it, with everybody else; watchlists of each length are then drawn from all of them.
Whoever has a second photograph walks with that one, and is looked for in the watchlists that they are on.

What the manifests suggest comes from here. Writes benchmarks/results/pass_thresholds.json.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.crowd import HARD_RULES, Film, clear_to_all, render_clips
from benchmarks.measure import print_machine, this_machine, write_results
from benchmarks.pairs import held_out_photographs
from benchmarks.recorded import Recording, record, write_recording
from benchmarks.replayed import Way, owners, replay
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.engine.alert_policy import AlertRules
from pylfr.evaluation.crowd.cast import cut_heads
from pylfr.evaluation.crowd.walk import Walker
from pylfr.evaluation.video.passes import SubjectPass
from pylfr.faces.best_shots import SelectionRules
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.types import Int64, UInt8

PAIRS = (
    ("pylfr_nano_detect", "pylfr_nano_embed"),
    ("yunet_n", "face_reid_0095"),
    ("scrfd_500m_kps", "mobilefacenet_y1"),
)
SIZES = (1, 10, 50, 100, 250, 500)
FPIRS = (0.05, 0.01)
_DRAWS = 100
_RESAMPLES = 200
_NEVER = -1.0
# A face that nearer heads cover by more than the rest of this share is not its owner's to answer for.
_LEAST_VISIBLE = 0.4
# A track outlives the face that it follows by less than this.
_SAME_TIME_S = 1.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassThreshold:
    """``threshold`` at ``fpir`` by pass with ``watchlist`` people enrolled, and TPIR there; 95 % over who walks."""

    watchlist: int
    fpir: float
    threshold: float
    low: float
    high: float
    tpir: float
    tpir_low: float
    tpir_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairThresholds:
    """One pair of networks. ``highest`` are the highest scores of anybody for somebody else, best first."""

    detector: str
    embedder: str
    detector_sha256: str
    embedder_sha256: str
    passes_compared: int
    faces: int
    thresholds: tuple[PassThreshold, ...]
    highest: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassThresholds:
    """All pairs, on the same film."""

    people: int
    mated: int
    passes: int
    pairs: tuple[PairThresholds, ...]


def pass_scores(recording: Recording, truth: Sequence[SubjectPass], rules: AlertRules) -> Floats:
    """float64 [P, E]: the highest fused score of every pass for every entry, followed and fused as the engine does it.

    For everybody's own entry too. -1 where nothing was compared. A track that goes over to somebody else keeps its
    scores, as in the engine, where they raise nothing more: a score counts for whose face made it higher. Whoever walks
    in the same picture at the same time is left out, -1: an alert for somebody who is in view is no false one.
    """
    owner = owners(recording, truth)
    number = {name: place for place, name in enumerate(recording.people)}
    count, people = len(recording.frame), len(recording.people)
    scores = np.full((count, people), _NEVER, np.float32)
    np.put_along_axis(scores, recording.entry, recording.similarity, axis=1)
    # Who is new or nearly recognised is looked at more closely: nobody here is recognised as who they are.
    others = scores.copy()
    own = np.array([number[each.subject] for each in truth])
    owned = owner >= 0
    others[owned, own[owner[owned]]] = _NEVER
    seen = replace(recording, similarity=others.max(axis=1, keepdims=True), entry=others.argmax(axis=1)[:, None])
    defaults = RecognitionSection()
    way = Way(selection=SelectionRules(), alerts=rules, hz=defaults.detect_hz, closer_hz=defaults.closer_hz)
    replayed = replay(seen, way)
    best = np.full((len(truth), people), _NEVER)
    evidence: dict[int, tuple[Floats, Floats]] = {}
    for row in np.flatnonzero(replayed.compared).tolist():
        track = int(replayed.track[row])
        if replayed.uncertain[row] or track not in evidence:
            evidence[track] = np.full(people, -np.inf), np.full(people, -np.inf)
        first, second = evidence[track]
        before = np.maximum(first - rules.lone_margin, (first + second) / 2)
        new = scores[row].astype(np.float64)
        np.maximum(second, np.minimum(first, new), out=second)
        np.maximum(first, new, out=first)
        if owner[row] >= 0:
            fused = np.maximum(first - rules.lone_margin, (first + second) / 2)
            mine = best[owner[row]]
            np.maximum(mine, fused, out=mine, where=fused > before)
    for place, each in enumerate(truth):
        for other in truth:
            if other is not each and _meet(each, other):
                best[place, number[other.subject]] = _NEVER
    return best


def _meet(one: SubjectPass, other: SubjectPass) -> bool:
    apart_s = max(one.starts_s, other.starts_s) - min(one.ends_s, other.ends_s)
    return one.camera == other.camera and apart_s < _SAME_TIME_S


def thresholds_of(
    best: Floats, truth: Sequence[SubjectPass], people: Sequence[str], *, seed: int = 0
) -> tuple[PassThreshold, ...]:
    """The threshold of each length and FPIR."""
    draw = np.random.default_rng(seed)
    number = {name: place for place, name in enumerate(people)}
    own = np.array([number[each.subject] for each in truth])
    walks = len(truth)
    weights = [np.ones(walks)]
    weights += [
        np.bincount(draw.integers(walks, size=walks), minlength=walks).astype(np.float64) for _ in range(_RESAMPLES)
    ]
    mated = np.array([each.is_mated for each in truth])
    found = best[np.arange(walks), own][mated]
    made = []
    for size in (each for each in SIZES if each < len(people)):
        top, who = _tops(best, own, size, draw)
        for fpir in FPIRS:
            at = np.array([_reached(top, each[who], fpir) for each in weights])
            rates = np.array(
                [
                    float(each[mated][found >= value].sum() / each[mated].sum())
                    for each, value in zip(weights, at, strict=True)
                ]
            )
            low, high = np.quantile(at[1:], (0.025, 0.975)).tolist()
            tpir_low, tpir_high = np.quantile(rates[1:], (0.025, 0.975)).tolist()
            made.append(
                PassThreshold(
                    watchlist=size, fpir=fpir, threshold=round(float(at[0]), 3), low=round(low, 3), high=round(high, 3),
                    tpir=round(float(rates[0]), 4), tpir_low=round(tpir_low, 4), tpir_high=round(tpir_high, 4),
                )
            )  # fmt: skip
    return tuple(made)


def _tops(best: Floats, own: Int64, size: int, draw: np.random.Generator) -> tuple[Floats, Int64]:
    """The highest score of every pass of somebody who is not on a drawn watchlist, falling, and which pass it is."""
    tops, whose = [], []
    for _ in range(_DRAWS):
        listed = np.zeros(best.shape[1], bool)
        listed[draw.permutation(best.shape[1])[:size]] = True
        passes = np.flatnonzero(~listed[own])
        tops.append(best[np.ix_(passes, listed)].max(axis=1))
        whose.append(passes)
    top, who = np.concatenate(tops), np.concatenate(whose)
    order = np.argsort(-top, kind="stable")
    return top[order], who[order]


def _reached(falling: Floats, weights: Floats, fpir: float) -> float:
    """The lowest threshold at which no more than that share of the weight reaches it."""
    passed = np.cumsum(weights)
    first = int(np.searchsorted(passed, fpir * passed[-1] + 1e-9, side="right"))
    return float(np.nextafter(falling[min(first, len(falling) - 1)], 2))


def measure(given: argparse.Namespace, folder: Path) -> PassThresholds:
    pairs = [tuple(each) for each in given.pair] if given.pair else list(PAIRS)
    heads = clear_to_all(cut_heads(open_detector("yunet_n"), held_out_photographs()), {name for name, _ in pairs})
    order = np.random.default_rng(given.seed).permutation(sorted(heads)).tolist()
    walkers = [
        Walker(subject=name, is_mated=len(heads[name]) > 1, heads=tuple(heads[name][1:] or heads[name]))
        for name in order
    ]
    film = render_clips(walkers, folder, seed=given.seed, rules=HARD_RULES, least_visible=_LEAST_VISIBLE)
    mated = sum(each.is_mated for each in walkers)
    print(f"{len(walkers)} people walk, {mated} of them with a second photograph", flush=True)
    references = {name: heads[name][0].picture for name in order}
    made = [measure_pair(pair, film, references, given) for pair in pairs]
    return PassThresholds(people=len(walkers), mated=mated, passes=len(film.truth), pairs=tuple(made))


def measure_pair(
    pair: Sequence[str], film: Film, references: Mapping[str, UInt8], given: argparse.Namespace
) -> PairThresholds:
    detector, embedder = pair
    recording = record(
        film.videos, references, detector=detector, embedder=embedder, threads=1, candidates=len(references)
    )
    if given.keep is not None:
        write_recording(recording, given.keep / f"{embedder}-faces.npz")
    best = pass_scores(recording, film.truth, AlertRules(threshold=given.threshold))
    number = {name: place for place, name in enumerate(recording.people)}
    subjects = [each.subject for each in film.truth]
    others = best.copy()
    others[np.arange(len(subjects)), [number[each] for each in subjects]] = _NEVER
    if given.keep is not None:
        people = np.array(recording.people)
        np.savez_compressed(given.keep / f"{embedder}.npz", best=best, people=people, subjects=np.array(subjects))
    made = PairThresholds(
        detector=detector,
        embedder=embedder,
        detector_sha256=open_detector(detector).model,
        embedder_sha256=open_embedder(embedder).model,
        passes_compared=int((best.max(axis=1) > _NEVER).sum()),
        faces=len(recording.frame),
        thresholds=thresholds_of(best, film.truth, recording.people),
        highest=tuple(round(float(each), 3) for each in np.sort(others, axis=None)[::-1][:10]),
    )
    for each in made.thresholds:
        print(embedder, each, flush=True)
    print(embedder, made.highest, flush=True)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", nargs=2, action="append", metavar=("DETECTOR", "EMBEDDER"), help="repeat for more")
    parser.add_argument("--threshold", type=float, default=0.5, help="by which somebody counts as nearly recognised")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep scores and clips in this folder: to look at who resembles whom")
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    with ExitStack() as opened:
        folder = given.keep or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="pylfr-passes-")))
        results = measure(given, folder)
    print(f"written to {write_results('pass_thresholds', machine, results)}")


if __name__ == "__main__":
    main()
