"""Fusion rules on a crowd of people whom no rule was chosen on, through the whole engine: the confirming look.

    python -m benchmarks.fusion keep FOLDER
    python -m benchmarks.fusion compare FOLDER [--target-fpir 0.01]

`keep` draws the crowd, renders it, runs the engine over it with its default plan of faces and both pairs of networks,
and stores what was compared: numbers of people, times, qualities and candidate scores; no template, name or picture.
`compare` decides on them by each rule at equal FPIR.

Rules were chosen on two earlier crowds (`divide`); here walk only people who never walked there. The candidate
was fixed before anybody looked: the best score of the best 8 faces once 2 have been compared. It is confirmed where its
TPIR at FPIR 1 % is no less than that of the best rule that decides on single faces, for both pairs of networks. These
people have been used once since (docs/accuracy.md): nothing can be chosen on them any more.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.crowd import FRESH, Film, render_clips
from benchmarks.footage import lfw_folder
from benchmarks.measure import print_machine, this_machine, write_results
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.evaluation.crowd.cast import cut_heads
from pylfr.evaluation.crowd.walk import Head, Walker
from pylfr.evaluation.images.people import Photograph, list_photographs
from pylfr.evaluation.video.fusion import RULES, Step, pass_scores, threshold_at
from pylfr.evaluation.video.passes import Compared, SubjectPass
from pylfr.evaluation.video.replay import run_replay
from pylfr.faces.detect import open_detector
from pylfr.video.decoding.image_io import write_png

Heads = Mapping[str, tuple[Head, ...]]
Floats = npt.NDArray[np.float64]

SINGLE = "any single face (first above, maximum)"
PAIRS = (("yunet_n", "face_reid_0095"), ("scrfd_500m_kps", "mobilefacenet_y1"))
# How the two earlier crowds were drawn: enrolled and walking, enrolled only, walking only, in each of them.
_EARLIER_SEED, _WALKED, _FILLED, _OTHERS = 11, 250, 100, 500
_SEED = 20_261
_NARROW = 1.45
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """Who has been seen in the earlier crowds: ``walked`` in them, or was only on their watchlists (``listed``)."""

    walked: frozenset[str]
    listed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FreshCrowd:
    """``references`` are pictures to enrol."""

    references: dict[str, Head]
    walkers: tuple[Walker, ...]


def divide(heads: Heads) -> Division:
    """The people of the earlier crowds, drawn as they were drawn then from the same heads."""
    draw = np.random.default_rng(_EARLIER_SEED)
    several = [name for name, each in heads.items() if len(each) > 1]
    draw.shuffle(several)
    enrolled = several[: 2 * (_WALKED + _FILLED)]
    taken = set(enrolled)
    rest = [name for name in heads if name not in taken]
    draw.shuffle(rest)
    walked: list[str] = []
    listed: list[str] = []
    for half in range(2):
        walked += [*enrolled[half::2][:_WALKED], *rest[half::2][:_OTHERS]]
        listed += enrolled[half::2][_WALKED:]
    return Division(walked=frozenset(walked), listed=tuple(listed))


def fresh_crowd(photographs: Sequence[Photograph]) -> FreshCrowd:
    """Everybody who never walked in an earlier crowd: with two clear heads on the watchlist, with one not.

    People who were on an earlier watchlist are enrolled with another photograph. Where a bystander spoils somebody's
    head, a narrower one is cut. A reference shows one face to the detectors of both pairs.
    """
    detectors = [open_detector(name, threads=2) for name, _ in PAIRS]
    heads = cut_heads(detectors[0], photographs)
    division = divide(heads)
    left = [each for each in photographs if each.person not in division.walked]
    spoilt = [each for each in left if len(heads.get(each.person, ())) < 2]
    narrow = cut_heads(detectors[0], spoilt, margin=_NARROW)
    references, walkers = {}, []
    for name in dict.fromkeys(each.person for each in left):
        known = heads.get(name, ())
        others = narrow.get(name, ())
        mine = list(known if len(known) >= len(others) else others)
        if name in division.listed:
            mine.reverse()
        clear = [place for place, head in enumerate(mine) if all(len(d.detect([head.picture])) == 1 for d in detectors)]
        if len(mine) > 1 and clear:
            references[name] = mine.pop(clear[0])
        if mine:
            walkers.append(Walker(subject=name, is_mated=name in references, heads=tuple(mine)))
    order = np.random.default_rng(_SEED).permutation(len(walkers)).tolist()
    return FreshCrowd(references=references, walkers=tuple(walkers[place] for place in order))


def keep(folder: Path) -> None:
    """Draw and render the crowd, run both pairs over it, and write EMBEDDER.json into ``folder`` for each."""
    crowd = fresh_crowd(list_photographs(lfw_folder()))
    mated = sum(walker.is_mated for walker in crowd.walkers)
    print(f"{mated} mated and {len(crowd.walkers) - mated} non-mated walkers, {len(crowd.references)} enrolled")
    with tempfile.TemporaryDirectory(prefix="pylfr-fusion-") as place:
        film = render_clips(crowd.walkers, Path(place), seed=_SEED)
        people = {}
        for number, (name, head) in enumerate(crowd.references.items()):
            people[name] = [Path(place) / f"reference-{number:04d}.png"]
            write_png(people[name][0], head.picture)
        with ProcessPoolExecutor(max_workers=len(PAIRS), mp_context=FRESH) as pool:
            jobs = [(film, people, detector, embedder) for detector, embedder in PAIRS]
            for (_, embedder), (kept, words) in zip(PAIRS, pool.map(_compare_faces, jobs), strict=True):
                (folder / f"{embedder}.json").write_text(kept, encoding="utf-8")
                print(f"{embedder}: {words}")


def _compare_faces(job: tuple[Film, Mapping[str, Sequence[Path]], str, str]) -> tuple[str, str]:
    film, people, detector, embedder = job
    recognition = RecognitionSection(threshold=1.0)
    replay = run_replay(film.videos, people, detector=detector, embedder=embedder, recognition=recognition, threads=1)
    number_of = {name: place for place, name in enumerate({each.subject: None for each in film.truth})}
    words = f"{replay.summary.frames:,} frames, {len(replay.compared):,} faces compared"
    return _as_json(film.truth, replay.compared, number_of, embedder), words


def _as_json(
    truth: Sequence[SubjectPass], compared: Sequence[Compared], number_of: Mapping[str, int], embedder: str
) -> str:
    """Scores, with numbers for people."""
    passes = [
        [each.camera, number_of[each.subject], each.is_mated, each.starts_s, each.ends_s, list(each.path)]
        for each in truth
    ]
    faces = [
        [each.camera, each.track_id, each.at_s, each.box, round(each.quality, 3), round(each.interocular_px, 1),
         [(number_of[name], round(score, 6)) for name, score in each.candidates], each.is_full]
        for each in compared
    ]  # fmt: skip
    return json.dumps({"embedder": embedder, "passes": passes, "faces": faces})


def read_scores(path: Path) -> tuple[str, tuple[SubjectPass, ...], tuple[Compared, ...]]:
    """The embedder, the truth and what was compared, as ``keep`` wrote them."""
    record = json.loads(path.read_text(encoding="utf-8"))
    truth = tuple(
        SubjectPass(
            camera=camera, subject=str(person), is_mated=mated, starts_s=start, ends_s=end,
            path=tuple((t, x1, y1, x2, y2) for t, x1, y1, x2, y2 in points),
        )
        for camera, person, mated, start, end, points in record["passes"]
    )  # fmt: skip
    compared = tuple(
        Compared(
            camera=camera, track_id=track, at_s=at_s, box=tuple(box), quality=quality, interocular_px=interocular,
            sharpness=0.0, brightness=0.0, turn_deg=0.0, is_full=full,
            candidates=tuple((str(person), score) for person, score in candidates),
        )
        for camera, track, at_s, box, quality, interocular, candidates, full in record["faces"]
    )  # fmt: skip
    return record["embedder"], truth, compared


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOnCrowd:
    """One rule at the threshold of the target FPIR.

    ``tpir_low`` and ``tpir_high`` are 95 % over resampled people, each resample with a threshold of its own;
    ``over_single`` is TPIR less that of any single face in the same resamples. Alerts are counted three ways: every
    compared face that is above (what a program without tracks raises), one a track and entry, and one a
    camera and entry in 60 s (the engine). Each is divided by the passes in which any alert was raised.
    """

    rule: str
    threshold: float
    found: int
    tpir: float
    tpir_low: float
    tpir_high: float
    over_single: float
    over_single_low: float
    over_single_high: float
    passes_alerting: int
    alerts_by_face: int
    alerts_by_track: int
    alerts_cooled: int
    seconds_to_alert: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """One pair of networks on one crowd."""

    embedder: str
    target_fpir: float
    mated: int
    non_mated: int
    false_passes_allowed: int
    rules: tuple[RuleOnCrowd, ...]


def compare(embedder: str, truth: Sequence[SubjectPass], compared: Sequence[Compared], *, target_fpir: float) -> Fusion:
    """Every rule, with intervals that resample people. Nobody passes twice, so people are passes."""
    scored = {name: pass_scores(truth, compared, fuse) for name, fuse in RULES.items()}
    mated = np.flatnonzero([each.is_mated for each in truth])
    others = np.flatnonzero([not each.is_mated for each in truth])
    allowed = int(target_fpir * len(others) + 1e-9)
    draw = np.random.default_rng(_SEED)
    samples = [(draw.choice(mated, len(mated)), draw.choice(others, len(others))) for _ in range(_RESAMPLES)]
    resampled = {
        name: np.array([_tpir(scores.best, one, other, allowed) for one, other in samples])
        for name, scores in scored.items()
    }
    results = []
    for name, scores in scored.items():
        threshold = threshold_at(scores.best[others], allowed)
        found = scores.best[mated] >= threshold
        tpir = resampled[name]
        gain = tpir - resampled[SINGLE]
        single = scored[SINGLE].best
        ahead = float(found.mean()) - _tpir(single, mated, others, allowed)
        above = [step for step in scores.steps if step.score >= threshold]
        by_track, cooled, alerting = _alerts(above)
        right: dict[int, float] = {}
        for step in above:
            if step.owner >= 0 and truth[step.owner].subject == step.entry:
                begun = step.at_s - truth[step.owner].starts_s
                right[step.owner] = min(begun, right.get(step.owner, np.inf))
        results.append(
            RuleOnCrowd(
                rule=name,
                threshold=round(threshold, 4),
                found=int(found.sum()),
                tpir=float(found.mean()),
                tpir_low=float(np.quantile(tpir, 0.025)),
                tpir_high=float(np.quantile(tpir, 0.975)),
                over_single=ahead,
                over_single_low=float(np.quantile(gain, 0.025)),
                over_single_high=float(np.quantile(gain, 0.975)),
                passes_alerting=alerting,
                alerts_by_face=len(above),
                alerts_by_track=by_track,
                alerts_cooled=cooled,
                seconds_to_alert=float(np.median(list(right.values()))) if right else None,
            )
        )
    return Fusion(
        embedder=embedder,
        target_fpir=target_fpir,
        mated=len(mated),
        non_mated=len(others),
        false_passes_allowed=allowed,
        rules=tuple(results),
    )


def _tpir(best: Floats, mated: npt.NDArray[np.intp], others: npt.NDArray[np.intp], allowed: int) -> float:
    return float(np.mean(best[mated] >= threshold_at(best[others], allowed)))


def _alerts(above: Sequence[Step], cooldown_s: float = 60.0) -> tuple[int, int, int]:
    """Alerts once a track and entry, alerts once a camera and entry in the cool-down, and the passes that alert."""
    tracks = {(step.camera, step.track_id, step.entry) for step in above}
    last: dict[tuple[str, str], float] = defaultdict(lambda: -np.inf)
    alerted: set[tuple[str, int, str]] = set()
    cooled = 0
    for step in sorted(above, key=lambda each: each.at_s):
        key = step.camera, step.track_id, step.entry
        if key in alerted:
            continue
        alerted.add(key)
        if step.at_s - last[step.camera, step.entry] >= cooldown_s:
            last[step.camera, step.entry] = step.at_s
            cooled += 1
    return len(tracks), cooled, len({step.owner for step in above if step.owner >= 0})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["keep", "compare"])
    parser.add_argument("folder", type=Path, help="where the scores are")
    parser.add_argument("--target-fpir", type=float, default=0.01)
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    if given.command == "keep":
        keep(given.folder)
        return
    for path in sorted(given.folder.glob("*.json")):
        result = compare(*read_scores(path), target_fpir=given.target_fpir)
        print(f"{result.embedder}: {result.mated} mated and {result.non_mated} non-mated passes, FPIR "
              f"{result.target_fpir:g} is {result.false_passes_allowed} of them")  # fmt: skip
        for each in result.rules:
            share = 1 / max(each.passes_alerting, 1)
            print(f"| {each.rule} | {each.threshold:.3f} | {each.found} of {result.mated}, {each.tpir:.1%} "
                  f"({each.tpir_low:.1%} to {each.tpir_high:.1%}) | "
                  f"{each.over_single:+.1%} ({each.over_single_low:+.1%} to {each.over_single_high:+.1%}) | "
                  f"{each.alerts_by_face * share:.2f} | {each.alerts_by_track * share:.3f} | "
                  f"{each.alerts_cooled * share:.3f} | {each.seconds_to_alert or 0:.2f} |")  # fmt: skip
        print(f"written to {write_results(f'fusion-{result.embedder}', machine, result)}")


if __name__ == "__main__":
    main()
