"""The figures that come with the package are of the very networks that the catalogue names."""

from __future__ import annotations

import pytest

from pylfr.models.measured import MeasuredPair, MeasuredSearch, read_measured
from pylfr.models.store import open_store


def search(watchlist: int) -> MeasuredSearch:
    return MeasuredSearch(watchlist=watchlist, tpir=0.9, low=0.8, high=1.0, threshold=0.4)


def pair(*watchlists: int) -> MeasuredPair:
    return MeasuredPair(
        detector="d",
        embedder="e",
        detector_sha256="0",
        embedder_sha256="1",
        verification=0.99,
        not_acquired=0,
        detect_ms=1.0,
        embed_ms=1.0,
        searches=tuple(search(each) for each in watchlists),
    )


def test_every_measured_pair_is_one_of_the_catalogue_as_it_is_now(home: object) -> None:
    store, measured = open_store(), read_measured()
    for each in measured.pairs:
        assert each.is_of(store.manifest(each.detector), store.manifest(each.embedder)), (each.detector, each.embedder)


def test_the_shipped_pair_is_measured_and_every_rate_lies_in_its_interval() -> None:
    measured = read_measured()
    assert ("pylfr_nano_detect", "pylfr_nano_embed") in [(each.detector, each.embedder) for each in measured.pairs]
    for each in measured.pairs:
        for found in each.searches:
            assert found.low <= found.tpir <= found.high


@pytest.mark.parametrize(("asked", "given"), [(1, 10), (10, 10), (11, 250), (250, 250), (9_000, 250)])
def test_a_watchlist_is_answered_by_the_next_longer_one_that_was_measured(asked: int, given: int) -> None:
    assert pair(250, 10).search(asked).watchlist == given
