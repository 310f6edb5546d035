"""Writes the figures of docs/benchmarks.md: peers from peers.json, sizing as ``pylfr size`` drew it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from pylfr.evaluation.plots import blank_figure, figure_png

RESULTS = Path(__file__).parent / "results"
IMAGES = Path(__file__).parents[1] / "docs" / "images"
# The name in the results, and the label in the figure.
BARS = {
    "insightface": "insightface 2.1\nevery face of every frame",
    "pylfr, every face (scrfd)": "pylfr, same work, same runtime",
    "insightface at 8 Hz": "insightface 2.1\n8 frames per second",
    "pylfr (scrfd)": "pylfr, same runtime\n8 frames per second, tracked",
    "pylfr as installed (scrfd)": "pylfr as installed\n(OpenVINO, bfloat16)",
}
PEER, OURS = "#9a9aa2", "#0072B2"


def peers() -> bytes:
    """Frames per second beside insightface, as PNG bytes."""
    record = json.loads((RESULTS / "peers.json").read_text())
    found = {each["name"]: each for each in record["results"]["contenders"]}
    figure, axes = blank_figure()
    figure.set_size_inches(8, 3.4)
    rows = list(reversed(BARS))
    for row, name in enumerate(rows):
        fps = found[name]["fps"]
        median, low, high = fps["median"], fps["min"], fps["max"]
        axes.barh(
            row,
            median,
            xerr=[[median - low], [high - median]],
            color=OURS if name.startswith("pylfr") else PEER,
            height=0.62,
            capsize=3,
        )
        axes.text(high + 2, row, f"{median:.0f}", va="center", fontsize=10)
    axes.set_yticks(range(len(rows)), [BARS[name] for name in rows], fontsize=9)
    axes.set_xlabel("frames per second on one core: video in, alerts out; median and range of 3 runs", fontsize=9)
    axes.set_title("Same weights, same footage, same people found", fontsize=11, loc="left")
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 165)
    return figure_png(figure, axes)


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    (IMAGES / "peers.png").write_bytes(peers())
    shutil.copyfile(RESULTS / "sizing.png", IMAGES / "sizing.png")
