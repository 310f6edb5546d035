"""From the best references to the best entries, exactly: an entry with many references counts once, by its best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pylfr.errors import WatchlistError
from pylfr.gallery.watchlist.snapshot import WatchlistSnapshot
from pylfr.types import Candidates, Float32, Int64, Templates


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shortlist:
    """References that may matter to each probe: as many as were asked for, or more.

    ``scores`` float32 [N, M] cosine and ``rows`` int64 [N, M] of the references, -1 where there is none, in any order;
    ``bound`` float32 [N]: no reference that is missing scores more.
    """

    scores: Float32
    rows: Int64
    bound: Float32


def require_fitting(probes: Templates, snapshot: WatchlistSnapshot, k: int) -> None:
    """Raise ``WatchlistError`` for probes of another network, ``ValueError`` for another dimension or no ``k``."""
    require_model_and_dimension(probes.model, probes.dimension, snapshot, k)


def require_model_and_dimension(model: str, dimension: int, snapshot: WatchlistSnapshot, k: int) -> None:
    """As ``require_fitting``, for probes wherever they lie."""
    if model != snapshot.model:
        raise WatchlistError(
            f"probes must come from {snapshot.embedder} (sha256 {snapshot.model}), which built this watchlist, "
            f"they come from the network with sha256 {model}: enrol again with it"
        )
    if dimension != snapshot.dimension:
        raise ValueError(f"probes must have dimension {snapshot.dimension}, got {dimension}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")


def best_entries(
    probe_count: int, snapshot: WatchlistSnapshot, k: int, shortlist: Callable[[int], Shortlist], *, cheap: int
) -> Candidates:
    """The k best entries for each probe, ties to the smaller number.

    ``shortlist`` gives the references that matter for a number of them; it is asked for more until no reference that
    it left out can change the answer. Up to ``cheap`` of them cost it little.
    """
    if probe_count == 0 or len(snapshot) == 0:
        return Candidates(
            scores=np.full((probe_count, k), -1, np.float32), entry=np.full((probe_count, k), -1, np.int64)
        )
    # That many references belong to k + 1 entries at least, so that the k-th beats the rest unless it ties with them.
    asked = min(len(snapshot), k * snapshot.most_references + 1, max(cheap, k + 1))
    while True:
        found = shortlist(asked)
        candidates = _ranked(found, snapshot.entry, k)
        if asked == len(snapshot) or (candidates.scores[:, -1] > found.bound).all():
            return candidates
        # A shortlist that held more than was asked for is not asked for again.
        asked = min(len(snapshot), max(4 * asked, 2 * found.rows.shape[1]))


def _ranked(found: Shortlist, entry: Int64, k: int) -> Candidates:
    probe, column = np.nonzero(found.rows >= 0)
    score = found.scores[probe, column]
    who = entry[found.rows[probe, column]]
    order = np.lexsort((who, -score, probe))
    probe, score, who = probe[order], score[order], who[order]
    # The first place of each entry in the list of each probe is its best reference.
    _, first = np.unique(probe * (int(entry[-1]) + 1) + who, return_index=True)
    first.sort()
    probe, score, who = probe[first], score[first], who[first]
    place = np.arange(len(probe)) - np.searchsorted(probe, probe)
    kept = place < k
    scores = np.full((len(found.rows), k), -1, np.float32)
    entries = np.full((len(found.rows), k), -1, np.int64)
    scores[probe[kept], place[kept]] = score[kept]
    entries[probe[kept], place[kept]] = who[kept]
    return Candidates(scores=scores, entry=entries)
