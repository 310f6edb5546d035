"""The few distribution functions that intervals and tests need; the only importer of SciPy."""

from __future__ import annotations

from types import ModuleType

from pylfr.errors import ConfigError


def beta_quantile(share: float, a: float, b: float) -> float:
    """The quantile of a beta distribution."""
    return float(_stats().beta.ppf(share, a, b))


def normal_quantile(share: float) -> float:
    """The quantile of the standard normal distribution."""
    return float(_stats().norm.ppf(share))


def fisher_exact(hits: int, trials: int, other_hits: int, other_trials: int) -> float:
    """The two-sided p of Fisher's exact test that two groups have the same rate."""
    table = [[hits, trials - hits], [other_hits, other_trials - other_hits]]
    return float(_stats().fisher_exact(table).pvalue)


def _stats() -> ModuleType:
    try:
        from scipy import stats
    except ImportError as error:
        raise ConfigError("evaluation needs SciPy: install pylfr with the extra 'evaluation'") from error
    module: ModuleType = stats
    return module
