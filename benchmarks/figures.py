"""Writes the figures of docs: peers and scale from their results, sizing as ``pylfr size`` drew it."""

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
    "insightface, faint faces too": "insightface 2.1, faint faces too",
    "pylfr, every face (scrfd)": "pylfr, same work, same runtime",
    "insightface at 8 Hz": "insightface 2.1\n8 frames per second",
    "pylfr (scrfd)": "pylfr, same runtime\nevery frame only for the undecided",
    "pylfr as installed (scrfd)": "pylfr as installed\n(OpenVINO, bfloat16)",
}
PEER, OURS = "#9a9aa2", "#0072B2"


def peers() -> bytes:
    """Frames per second of processor time, which other programs disturb least, beside insightface, as PNG bytes."""
    record = json.loads((RESULTS / "peers.json").read_text())
    found = {each["name"]: each for each in record["results"]["contenders"]}
    figure, axes = blank_figure()
    figure.set_size_inches(8, 3.4)
    rows = list(reversed(BARS))
    for row, name in enumerate(rows):
        fps = found[name]["processor_fps"]
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
    axes.set_xlabel("frames per second of processor time, video in, alerts out; median, range of 3 clips", fontsize=9)
    passes = [found[name]["accuracy"]["suggested"]["tpir"] for name in BARS]
    fewest, most = (of(each["numerator"] for each in passes) for of in (min, max))
    axes.set_title(
        f"Same weights and footage: {fewest} to {most} of {passes[0]['denominator']} people found",
        fontsize=11, loc="left",
    )  # fmt: skip
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.15 * max(found[name]["processor_fps"]["max"] for name in BARS))
    return figure_png(figure, axes)


def scale() -> bytes:
    """The head's processor time by the size of its cluster, and where one core is full, as PNG bytes."""
    runs = json.loads((RESULTS / "cluster_scale.json").read_text())["results"]["runs"]
    nodes, cores = [each["nodes"] for each in runs], [each["head_cores"] for each in runs]
    per_node = sum(cores) / sum(nodes)
    full = 1 / per_node
    figure, axes = blank_figure()
    axes.plot(
        [0, full], [0, 1], "--", color=PEER, label=f"on paper: {1000 * per_node:.1f} thousandths of a core per node"
    )
    axes.plot(nodes, cores, "o", color=OURS, label="measured: 40 cameras per node, engines that sleep")
    axes.axhline(1, color="#D55E00", linewidth=0.8)
    axes.text(4, 1.02, f"one core is full: about {full:.0f} nodes", fontsize=9, color="#D55E00")
    axes.set_xlabel("nodes", fontsize=9)
    axes.set_ylabel("processor time of the head, cores", fontsize=9)
    axes.set_ylim(0, 1.15)
    axes.set_title("One head, three words a second from each node", fontsize=11, loc="left")
    return figure_png(figure, axes)


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    (IMAGES / "peers.png").write_bytes(peers())
    (IMAGES / "scale.png").write_bytes(scale())
    shutil.copyfile(RESULTS / "sizing.png", IMAGES / "sizing.png")
