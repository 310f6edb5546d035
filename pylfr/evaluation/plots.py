"""The figures of a report as PNG bytes: DET, score histograms, threshold against N, ranks. Drawn off screen."""

from __future__ import annotations

import io
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from pylfr.errors import ConfigError
from pylfr.evaluation.images.identification import HISTOGRAM_EDGES, Identification
from pylfr.evaluation.statistics.distributions import normal_quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by people who see colours differently (Okabe and Ito 2008).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_PROBIT_TICKS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
_DPI = 130


def det_plot(identification: Sequence[Identification]) -> bytes:
    """FNIR against FPIR on probit axes, one curve a watchlist size, each with its 95 % band over people."""
    figure, axes = blank_figure()
    shown: list[float] = []
    for colour, each in zip(_COLOURS, identification, strict=False):
        order = np.argsort(each.det.fpir)
        usable = order[(each.det.fpir[order] > 0) & (each.det.fnir[order] > 0) & (each.det.fnir[order] < 1)]
        if not len(usable):
            continue
        across = _probit(each.det.fpir[usable])
        low, high = (np.clip(side[usable], 1e-4, 1 - 1e-4) for side in (each.det.low, each.det.high))
        axes.plot(across, _probit(each.det.fnir[usable]), color=colour, label=f"N = {each.watchlist_size:,}")
        axes.fill_between(across, _probit(low), _probit(high), color=colour, alpha=0.18, linewidth=0)
        shown += [*low.tolist(), *high.tolist()]
    axes.set_xticks([normal_quantile(tick) for tick in _PROBIT_TICKS], [f"{100 * tick:g}" for tick in _PROBIT_TICKS])
    axes.set_yticks([normal_quantile(tick) for tick in _PROBIT_TICKS], [f"{100 * tick:g}" for tick in _PROBIT_TICKS])
    if shown:
        axes.set_ylim(normal_quantile(max(min(shown) * 0.8, 1e-4)), normal_quantile(min(max(shown) * 1.25, 0.6)))
    axes.set_xlim(normal_quantile(0.0004), normal_quantile(0.35))
    axes.set_xlabel("FPIR, % of non-mated searches (probit axis)")
    axes.set_ylabel("FNIR, % of mated searches (probit axis)")
    axes.set_title("DET: misses against false alerts, with 95 % bands")
    return figure_png(figure, axes)


def histogram_plot(each: Identification) -> bytes:
    """Best scores of mated and of non-mated searches, logarithmic, with the threshold of each target FPIR."""
    figure, axes = blank_figure()
    for counts, colour, name in (
        (each.non_mated, _COLOURS[1], "non-mated: best score of any entry"),
        (each.mated, _COLOURS[0], "mated: score of the right entry"),
    ):
        share = counts / max(int(counts.sum()), 1)
        axes.stairs(share, HISTOGRAM_EDGES, color=colour, fill=True, alpha=0.35, label=name)
        axes.stairs(share, HISTOGRAM_EDGES, color=colour)
    for point in each.points:
        axes.axvline(point.threshold, color="#444444", linewidth=0.9, linestyle="--")
        axes.annotate(
            f" FPIR {100 * point.target_fpir:g} %",
            (point.threshold, 0.985),
            xycoords=("data", "axes fraction"),
            rotation=90,
            va="top",
            fontsize=7.5,
        )
    filled = np.flatnonzero(each.mated + each.non_mated)
    if len(filled):
        axes.set_xlim(HISTOGRAM_EDGES[filled[0]] - 0.02, HISTOGRAM_EDGES[filled[-1] + 1] + 0.02)
    axes.set_yscale("log")
    axes.set_ylim(top=axes.get_ylim()[1] * 6)
    axes.set_xlabel("comparison score (cosine)")
    axes.set_ylabel("share of searches (logarithmic)")
    axes.set_title(f"Scores against {each.watchlist_size:,} enrolled people")
    return figure_png(figure, axes)


def threshold_plot(identification: Sequence[Identification]) -> bytes:
    """The threshold that keeps each target FPIR against the size of the watchlist, with its range over the splits."""
    figure, axes = blank_figure()
    targets = sorted({point.target_fpir for each in identification for point in each.points}, reverse=True)
    for colour, target in zip(_COLOURS, targets, strict=False):
        at = [
            (each.watchlist_size, point)
            for each in sorted(identification, key=lambda each: each.watchlist_size)
            for point in each.points
            if point.target_fpir == target
        ]
        sizes = [size for size, _ in at]
        middle = np.array([point.threshold for _, point in at])
        below = middle - [point.threshold_low for _, point in at]
        above = np.array([point.threshold_high for _, point in at]) - middle
        axes.errorbar(
            sizes,
            middle,
            yerr=np.maximum([below, above], 0),
            color=colour,
            marker="o",
            capsize=3,
            label=f"FPIR {100 * target:g} %",
        )
    axes.set_xscale("log")
    every = sorted({each.watchlist_size for each in identification})
    axes.set_xticks(every, [f"{size:,}" for size in every])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("people on the watchlist, N (logarithmic)")
    axes.set_ylabel("threshold (cosine)")
    axes.set_title("Threshold that keeps a target FPIR; bars: range over the splits")
    return figure_png(figure, axes)


def rank_plot(identification: Sequence[Identification]) -> bytes:
    """The share of mated searches whose person is among the best r entries, whatever the score."""
    figure, axes = blank_figure()
    for colour, each in zip(_COLOURS, identification, strict=False):
        axes.plot(
            np.arange(1, len(each.rank_rate) + 1),
            100 * each.rank_rate,
            color=colour,
            marker=".",
            label=f"N = {each.watchlist_size:,}",
        )
    axes.set_xticks([1, 5, 10, 15, 20])
    axes.set_xlabel("rank r")
    axes.set_ylabel("mated searches found among the best r, %")
    axes.set_title("Rank curve (no threshold)")
    return figure_png(figure, axes)


def _probit(shares: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    return [normal_quantile(share) for share in shares.tolist()]


def blank_figure() -> tuple[Figure, Axes]:
    """A figure with one pair of axes, never shown on a screen. Raises ``ConfigError`` without Matplotlib."""
    figure = _matplotlib_figure().Figure(figsize=(7.2, 4.6), layout="constrained")
    axes: Axes = figure.add_subplot()
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def figure_png(figure: Figure, axes: Axes) -> bytes:
    """The figure with its legend, where it has one, as PNG bytes."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8.5)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def _matplotlib_figure() -> ModuleType:
    try:
        from matplotlib import figure
    except ImportError as error:
        raise ConfigError("a report needs Matplotlib: install pylfr with the extra 'evaluation'") from error
    module: ModuleType = figure
    return module
