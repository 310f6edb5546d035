"""A sizing for people and for programs: JSON and a figure."""

from __future__ import annotations

import json
from dataclasses import asdict

from pylfr.evaluation.plots import blank_figure, figure_png
from pylfr.sizing.result import Sizing

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def as_json(sizing: Sizing) -> str:
    """Every number, with the machine, the versions and the conditions."""
    return json.dumps({"type": "sizing", **asdict(sizing)}, indent=1) + "\n"


def sizing_plot(sizing: Sizing) -> bytes:
    """PNG: p99 latency of every trial against cameras, and where the processor time goes. Needs Matplotlib."""
    figure, axes = blank_figure()
    trials = sorted(sizing.trials, key=lambda each: each.load.cameras)
    for held, colour, marker, name in ((True, _COLOURS[2], "o", "held"), (False, _COLOURS[1], "x", "too much")):
        chosen = [each for each in trials if each.held == held]
        axes.scatter(
            [each.load.cameras for each in chosen],
            [max(each.load.latency.p99_ms, 0.1) for each in chosen],
            s=[90 if each.is_full_length else 30 for each in chosen],
            color=colour, marker=marker, label=f"{name} (large: {sizing.rules.seconds:g} s)",
        )  # fmt: skip
    axes.axhline(sizing.rules.bound_ms, color="#444444", linewidth=0.9, linestyle="--")
    axes.set_yscale("log")
    axes.set_xlabel(f"cameras at {sizing.conditions.rate_hz:g} frames a second")
    axes.set_ylabel("p99 capture to alert, ms (logarithmic)")
    shares = ", ".join(f"{stage} {share:.0%}" for stage, share in sizing.shares.items() if share >= 0.005)
    axes.set_title(f"{sizing.answer.split(';')[0]}; processor time: {shares}", fontsize=8, wrap=True)
    return figure_png(figure, axes)
