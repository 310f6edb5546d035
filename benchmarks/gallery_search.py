"""What the product adds to its index: candidates by entry, expiry and revisions, beside the exact scan alone.

Random templates of unit length, so that scores mean nothing and times do. The scan alone is the core's exact search for
as many references as there are candidates; both see the same probes in turn, and processor time counts. Writes
benchmarks/results/gallery_search.json.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from benchmarks.measure import Spread, print_machine, spread_of, this_machine, write_results
from pylfr import ops
from pylfr.gallery.index.native import NativeGallery
from pylfr.gallery.watchlist.snapshot import ListedEntry, WatchlistSnapshot
from pylfr.types import Templates

CANDIDATES = 5
MODEL = "random"
# Every tenth entry has three references, one has forty.
MANY, SOME = 40, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCost:
    """``ratio`` of the product's time to the scan's, turn by turn, for templates of one ``dimension``."""

    dimension: int
    entries: int
    references: int
    probes: int
    scan_ms: Spread
    product_ms: Spread
    ratio: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCosts:
    """Costs for so many ``candidates`` a probe."""

    candidates: int
    costs: list[SearchCost]


def random_snapshot(references: int, dimension: int) -> WatchlistSnapshot:
    """A watchlist of ``references`` random templates."""
    draw = np.random.default_rng(references)
    entry = np.arange(1, references + 1, dtype=np.int64)
    entry[:MANY] = 1
    for place in range(MANY, references - SOME, 10):
        entry[place : place + SOME] = entry[place]
    vectors = draw.standard_normal((references, dimension), dtype=np.float32)
    ops.normalise(vectors)
    shown = ListedEntry(name="somebody", expires_at=None, picture=b"")
    return WatchlistSnapshot(
        identity="random",
        embedder="random",
        model=MODEL,
        revision=1,
        entry=entry,
        vectors=vectors,
        listed=MappingProxyType(dict.fromkeys(np.unique(entry).tolist(), shown)),
    )


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument(
        "--sizes", nargs="+", default=["10000x256", "1000000x256", "10000000x64"], help="references x dimension"
    )
    given.add_argument("--probes", type=int, nargs="+", default=[1, 8])
    given.add_argument("--repeats", type=int, default=9)
    given.add_argument("--dry-run", action="store_true", help="write no results")
    options = given.parse_args()
    machine = this_machine()
    print_machine(machine)
    costs = []
    for size in options.sizes:
        references, dimension = (int(each) for each in size.split("x"))
        snapshot = random_snapshot(references, dimension)
        gallery = NativeGallery(snapshot)
        for probes in options.probes:
            vectors = np.random.default_rng(1).standard_normal((probes, dimension), dtype=np.float32)
            ops.normalise(vectors)
            templates = Templates(vectors=vectors, model=MODEL)
            scan, product = [], []
            for _ in range(1 + options.repeats):
                began = time.thread_time()
                ops.search_exact(vectors, snapshot.vectors, CANDIDATES)
                middle = time.thread_time()
                gallery.search(templates, CANDIDATES)
                scan.append((middle - began) * 1000)
                product.append((time.thread_time() - middle) * 1000)
            ratios = [mine / alone for mine, alone in zip(product[1:], scan[1:], strict=True)]
            cost = SearchCost(
                dimension=dimension,
                entries=len(snapshot.listed),
                references=references,
                probes=probes,
                scan_ms=spread_of(scan[1:], warmup=1),
                product_ms=spread_of(product[1:], warmup=1),
                ratio=spread_of(ratios, warmup=1),
            )
            costs.append(cost)
            print(f"{references:,} references of {dimension}, {probes} probes: scan {cost.scan_ms.median:.2f} ms, "
                  f"product {cost.product_ms.median:.2f} ms, {cost.ratio.median:.2f} times "
                  f"({cost.ratio.min:.2f} to {cost.ratio.max:.2f})")  # fmt: skip
    results = SearchCosts(candidates=CANDIDATES, costs=costs)
    if not options.dry_run:
        print(f"written to {write_results('gallery_search', machine, results)}")


if __name__ == "__main__":
    main()
