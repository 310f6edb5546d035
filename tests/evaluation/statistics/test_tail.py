"""The generalised Pareto tail against an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr.evaluation.statistics.tail import Tail, fit_tail

genpareto = pytest.importorskip("scipy.stats").genpareto


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.2])
def test_shares_and_quantiles_agree_with_scipy(shape: float) -> None:
    tail = Tail(start=0.4, scale=0.05, shape=shape, share=0.05)
    for share in (0.05, 0.01, 1e-4):
        score = 0.4 + genpareto.isf(share / 0.05, shape, scale=0.05)
        assert tail.quantile(share) == pytest.approx(score, abs=1e-9)
        assert tail.exceedance(score) == pytest.approx(share, rel=1e-6)


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.2])
def test_a_fit_finds_the_tail_that_made_the_scores(shape: float) -> None:
    draw = np.random.default_rng(4)
    quantiles = []
    for _ in range(50):
        scores = np.sort(genpareto.rvs(shape, scale=0.05, size=4000, random_state=draw))[::-1]
        quantiles.append(fit_tail(scores, np.ones(4000), 4000, 0.1).quantile(0.001))
    assert np.median(quantiles) == pytest.approx(genpareto.isf(0.001, shape, scale=0.05), rel=0.05)


@pytest.mark.parametrize("shape", [-0.4, 0.0, 0.3])
def test_the_estimator_is_that_of_hosking_and_wallis_1987(shape: float) -> None:
    # With M_s the mean of x (1 - F(x))^s: M_0 = scale / (1 - shape), M_1 = scale / (2 (2 - shape)). A sample at evenly
    # spaced shares has nearly these moments, so the fit must give back the shape and the scale that it was made with.
    shares = (np.arange(200_000) + 0.5) / 200_000
    scores = 0.4 + genpareto.isf(shares, shape, scale=0.05)
    fit = fit_tail(np.append(scores, 0.4), np.ones(200_001), 200_000.0, 1.0)
    assert fit.shape == pytest.approx(shape, abs=3e-3)
    assert fit.scale == pytest.approx(0.05, rel=5e-3)


def test_a_weight_of_two_is_a_score_counted_twice() -> None:
    scores = np.sort(genpareto.rvs(0.1, size=400, random_state=np.random.default_rng(2)))[::-1]
    twice = fit_tail(np.repeat(scores, 2), np.ones(800), 800, 0.2)
    weighted = fit_tail(scores, np.full(400, 2.0), 800, 0.2)
    assert weighted.quantile(0.01) == pytest.approx(twice.quantile(0.01), rel=0.01)


def test_a_bounded_tail_ends() -> None:
    tail = Tail(start=0.4, scale=0.05, shape=-0.5, share=0.05)
    assert tail.exceedance(0.51) == 0


def test_equal_scores_make_a_tail_without_nan() -> None:
    tail = fit_tail(np.full(100, 0.3), np.ones(100), 100, 0.1)
    assert tail.quantile(0.01) == pytest.approx(0.3, abs=1e-6)


def test_shares_outside_the_tail_are_refused() -> None:
    with pytest.raises(ValueError, match=r"up to 0\.05"):
        Tail(start=0.4, scale=0.05, shape=0.1, share=0.05).quantile(0.06)
    with pytest.raises(ValueError, match="must be among the 3 scores"):
        fit_tail(np.array([3.0, 2.0, 1.0]), np.ones(3), 100, 0.5)
