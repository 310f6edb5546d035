"""Does a calibrated threshold hold on other people? Calibrated on half of LFW, tried on the other half.

    python -m benchmarks.holdout [--splits 20] [--detector yunet_n --embedder face_reid_0095]

The FPIR that a threshold achieves on the held-out half is exact over all watchlists of that size from its people: for
somebody whom k of the K others resemble at the threshold, the chance that a watchlist of N holds one of the k is
1 - C(K - k, N) / C(K, N).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from benchmarks.footage import lfw_folder
from benchmarks.measure import print_machine, this_machine, write_results
from pylfr.errors import ConfigError
from pylfr.evaluation.calibration import Threshold
from pylfr.evaluation.images.people import PeopleTemplates, list_photographs, make_templates
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder

SETTINGS = ((100, 1e-2), (500, 1e-2), (100, 1e-3), (500, 1e-3))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """One setting: in how many splits each threshold met the target on people who were not used.

    ``bound`` is the calibrated threshold, ``guess`` the tail's without its margin, ``empirical`` a plain quantile;
    each with its median and greatest achieved FPIR. ``refused`` counts splits that were too
    small, ``because`` says why.
    """

    watchlist_size: int
    target_fpir: float
    splits: int
    refused: int
    because: str
    kept: dict[str, int]
    median_fpir: dict[str, float]
    greatest_fpir: dict[str, float]
    threshold: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOut:
    """All settings for one pair of networks."""

    detector: str
    embedder: str
    settings: tuple[HeldOut, ...]


def held_out(people: PeopleTemplates, size: int, target: float, *, splits: int) -> HeldOut:
    """Calibrate on a random half of the people and try on the other, ``splits`` times."""
    names = ("bound", "guess", "empirical")
    thresholds, achieved, refused, because = [], [], 0, ""
    for split in range(splits):
        order = np.random.default_rng(100 + split).permutation(len(people.names))
        half = len(order) // 2
        try:
            found = Threshold.from_fpir(
                people.of_people(np.sort(order[:half])), target, watchlist_size=size, seed=split
            )
        except ConfigError as error:
            refused, because = refused + 1, str(error)
            continue
        three = (found.value, found.best_guess, found.empirical)
        thresholds.append(three)
        achieved.append(exact_fpir(people.of_people(np.sort(order[half:])), three, size, seed=split))
    fpir, used = np.array(achieved).reshape(-1, 3), np.array(thresholds).reshape(-1, 3)

    def named(values: np.ndarray) -> dict[str, float]:
        return dict(zip(names, np.round(values, 6).tolist(), strict=True)) if len(fpir) else {}

    return HeldOut(
        watchlist_size=size,
        target_fpir=target,
        splits=splits,
        refused=refused,
        because=because,
        kept={name: int(count) for name, count in named((fpir <= target).sum(axis=0)).items()},
        median_fpir=named(np.median(fpir, axis=0)) if len(fpir) else {},
        greatest_fpir=named(fpir.max(axis=0)) if len(fpir) else {},
        threshold=named(used.mean(axis=0)) if len(fpir) else {},
    )


def exact_fpir(people: PeopleTemplates, thresholds: tuple[float, ...], size: int, *, seed: int) -> list[float]:
    """FPIR at each threshold, any of a person's pictures alerting, averaged over every watchlist of ``size`` others."""
    draw = np.random.default_rng(seed)
    rows = np.flatnonzero(people.acquired)
    rows = rows[np.argsort(people.person[rows], kind="stable")]
    _, first, counts = np.unique(people.person[rows], return_index=True, return_counts=True)
    references = rows[first + draw.integers(0, counts)]
    best = np.maximum.reduceat(people.vectors[rows] @ people.vectors[references].T, first, axis=0)
    np.fill_diagonal(best, -2)
    others = len(references) - 1
    rates = []
    for threshold in thresholds:
        alike = (best >= threshold).sum(axis=1)
        spared = np.maximum(others - alike - size, 0)
        log_none = gammaln(others - alike + 1) - gammaln(spared + 1) - gammaln(others + 1) + gammaln(others - size + 1)
        rates.append(float(np.mean(1 - np.where(others - alike >= size, np.exp(log_none), 0.0))))
    return rates


def hold_out(people: PeopleTemplates, *, detector: str, embedder: str, splits: int) -> HoldOut:
    """Every setting."""
    settings = tuple(held_out(people, size, target, splits=splits) for size, target in SETTINGS)
    return HoldOut(detector=detector, embedder=embedder, settings=settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--detector", default="yunet_n")
    parser.add_argument("--embedder", default="face_reid_0095")
    given = parser.parse_args()
    lfw = lfw_folder()
    machine = this_machine()
    print_machine(machine)
    people = make_templates(
        list_photographs(lfw),
        lambda: (open_detector(given.detector, threads=1), open_embedder(given.embedder, threads=1)),
    )
    result = hold_out(people, detector=given.detector, embedder=given.embedder, splits=given.splits)
    for each in result.settings:
        print(each)
    print(f"written to {write_results(f'holdout-{result.embedder}', machine, result)}")


if __name__ == "__main__":
    main()
