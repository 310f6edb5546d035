"""Writes docs/benchmarks.md from benchmarks/results; ``--check`` only compares."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import cpu_tables, gpu_tables, network_tables
from benchmarks.measure import DISTURBED

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
RESULTS = Path(__file__).parent / "results"
HEAD = """# Benchmarks

Measured by the programs in `benchmarks/`, with the machine, the versions and the spread in
`benchmarks/results/*.json`. This page is generated from those files: `make bench` measures again and rewrites it.
Milliseconds of two machines, or of two days, cannot be compared; ratios within one run can.
"""


def read(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def page() -> str:
    """The whole page."""
    lines: list[str] = [HEAD]
    if stages := read("stages"):
        found, machine = stages["results"], stages["machine"]
        lines += [
            "## Stages",
            "",
            f"{machine['processor']}, {machine['cores']} cores; one thread per stage; {found['detector']} and "
            f"{found['embedder']}; 1080p25 H.264, {found['faces_a_frame']:.1f} faces per frame, "
            f"watchlist {found['watchlist']:,}; medians over {found['detected_frames']} frames.",
            "",
            "| stage | ms per analysed frame | min to max | share |",
            "|---|---:|---:|---:|",
        ]
        lines += [
            f"| {stage['name']} | {stage['ms']['median']:.2f} | {stage['ms']['min']:.2f} to {stage['ms']['max']:.2f} "
            f"| {stage['share']:.0%} |"
            for stage in found["stages"]
        ]
        lines += ["", f"Letterbox and alignment together: {found['conversion_ms']:.2f} ms.", ""]
    if whole := read("end_to_end"):
        found = whole["results"]
        lines += [
            "## The whole engine",
            "",
            f"{found['cameras']} such videos at once, detection at {found['detect_hz']:.0f} Hz, compared with decoding "
            "alone in the same run:",
            "",
            "| runtime | frames per second | share of decoding alone (range) |",
            "|---|---:|---:|",
            *(
                f"| {each['runtime']} | {each['fps']['median']:.0f} | {each['ratio']['median']:.0%} "
                f"({each['ratio']['min']:.0%} to {each['ratio']['max']:.0%}) |"
                for each in found["engines"]
            ),
            "",
        ]
    if soak := read("soak"):
        found = soak["results"]
        lines += [
            f"Memory grew by {max(0.0, found['growth_mb']):.1f} MB in {found['minutes']:.0f} minutes of "
            f"{found['cameras']} looped camera.",
            "",
        ]
    lines += governance() + sizing() + cpu_tables.timeline(read("timeline"))
    lines += cpu_tables.decoding(read("decoding")) + cpu_tables.search(read("gallery_search"))
    lines += gpu_tables.stages(read("gpu")) + gpu_tables.many_cameras(read("many_cameras")) + peers()
    lines += network_tables.pairs(read("pairs")) + network_tables.passes(read("pass_thresholds"))
    lines += network_tables.detection(read("detection"))
    checked = [found["results"] for path in sorted(RESULTS.glob("verification-*.json")) if (found := read(path.stem))]
    if checked:
        lines += [
            "## Verification",
            "",
            "Pairs drawn from LFW, ten-fold, through pylfr's own detection and alignment: an easy, frontal benchmark, "
            "which checks the pipeline and says nothing about a deployment.",
            "",
            "| detector | embedder | accuracy | mated, non-mated pairs | no face found |",
            "|---|---|---:|---:|---:|",
        ]
        lines += [
            f"| {each['detector']} | {each['embedder']} | {each['accuracy']:.2f} % +-{each['fold_deviation']:.2f} "
            f"| {each['mated_pairs']}, {each['non_mated_pairs']} "
            f"| {each['failures_to_acquire']} of {each['photographs']} |"
            for each in checked
        ]
    return "\n".join(lines).strip() + "\n"


def governance() -> list[str]:
    """What governance costs, if it was measured."""
    record = read("governance_cost")
    if record is None:
        return []
    found = record["results"]
    steps = {each["name"]: each["ms"]["median"] for each in found["steps"]}
    return [
        "## The cost of governance",
        "",
        f"{found['cameras']} cameras of real people at 1080p25, {found['alerts']} alerts in {found['frames']:,} frames "
        f"({found['alerts_a_camera_minute']:g} per camera and minute), {found['detector']} and {found['embedder']}; "
        f"compared with the same engine without governance, in turn, median (range) of "
        f"{found['costs'][0]['cpu']['repeats']} rounds:",
        "",
        "| | processor time per frame | throughput lost |",
        "|---|---:|---:|",
        *(f"| {each['name']} | {_change(each['cpu'])} | {_change(each['throughput'])} |" for each in found["costs"]),
        "",
        f"Timed alone, the steps of governance take {found['timed_share']:.1%} of a run's time. One alert costs "
        + ", ".join(f"{ms:.1f} ms for {name}" for name, ms in steps.items() if ms >= 0.1)
        + ".",
        "",
    ]


def _change(found: dict[str, Any]) -> str:
    return f"{found['median']:+.1%} ({found['min']:+.1%} to {found['max']:+.1%})"


def sizing() -> list[str]:
    """The answer of ``pylfr size``, if there is one."""
    path = RESULTS / "sizing.json"
    if not path.exists():
        return []
    found = json.loads(path.read_text())
    load, asked = found["load"], found["conditions"]
    faces = load["faces"] / max(load["looked_at"], 1)
    shares = ", ".join(f"{stage} {share:.0%}" for stage, share in found["shares"].items())
    latency = load["decided"] if load["decided"]["count"] else load["seen"]
    return [
        "## Cameras on one machine",
        "",
        f"`pylfr size`, {found['machine']['processor']}, {found['machine']['cores']} cores: {found['answer']}",
        "",
        "![p99 latency against the number of cameras](images/sizing.png)",
        "",
        "| asked | found |",
        "|---|---|",
        f"| cameras | {asked['width']}x{asked['height']} {asked['codec']} at 25 frames per second, "
        f"{faces:.1f} faces per frame, watchlist {asked['watchlist']:,} |",
        f"| networks | {asked['detector']} at {asked['detect_hz']:g} Hz, {asked['embedder']}, in {asked['runtime']} |",
        f"| p99 capture to alert | {latency['p99_ms']:.0f} ms at {load['cameras']} cameras |",
        f"| processor time | {shares} |",
        f"| decoding alone would allow | {found['decode_only_cameras']:.0f} cameras |",
        "",
    ]


def peers() -> list[str]:
    """Peers on the same weights, if they were measured."""
    record = read("peers")
    if record is None:
        return []
    found = record["results"]
    busy = ": compare by processor time, as the figure does" if found["others_busy"] > DISTURBED else ""
    lines = [
        "## Compared with others",
        "",
        f"Same weights and footage, {found['cores']} core and thread each, {found['mated_passes']} mated and "
        f"{found['non_mated_passes']} non-mated passes, at the suggested threshold. `every face` embeds every face of "
        "every frame, also of the peers with `faint faces too`: down to the score that pylfr follows. pylfr by itself "
        "analyses 8 frames a second, and every frame while somebody in view is undecided. `As installed` lets pylfr "
        "choose its runtime. "
        f"Measured on {record['machine']['measured_at'][:10]}; other programs used at most {found['others_busy']:.0%} "
        f"of the machine{busy}.",
        "",
        "![Frames per second of processor time beside insightface](images/peers.png)",
        "",
        "| pipeline | networks | runtime | frames per second | per second of processor time | faces embedded | TPIR "
        "| FPIR |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for each in found["contenders"]:
        alerts = each["accuracy"]["suggested"]
        lines.append(
            f"| {each['name']} | {each['detector']}, {each['embedder']} | {each['runtime']} "
            f"| {each['fps']['median']:.0f} | {each['processor_fps']['median']:.0f} | {each['recognised']:,} "
            f"| {rate(alerts['tpir'])} | {rate(alerts['fpir'])} |"
        )
    lines += [
        "",
        "| comparison | speed ratio, median (range) | by processor time | alerts |",
        "|---|---:|---:|---|",
    ]
    lines += [
        f"| {each['name']}: {each['one']} over {each['other']} | {each['ratio']['median']:.2f} "
        f"({each['ratio']['min']:.2f} to {each['ratio']['max']:.2f}) | {each['processor_ratio']['median']:.2f} "
        f"| {_alerts(each)} |"
        for each in found["comparisons"]
    ]
    return [*lines, ""]


def _alerts(found: dict[str, Any]) -> str:
    """What the paired comparison of alerts says, in points."""
    said = "no worse" if found["alerts_no_worse"] else "not shown to be no worse"
    points = [
        f"{name} {found[key]['value'] * 100:+.1f} ({found[key]['low'] * 100:+.1f} to {found[key]['high'] * 100:+.1f})"
        for name, key in (("TPIR", "tpir"), ("FPIR", "fpir"), ("TPIR at equal FPIR", "equal"))
    ]
    return f"{said}: {', '.join(points)}"


def rate(found: dict[str, Any]) -> str:
    """A rate with its interval, from its record."""
    value = "none" if found["value"] is None else f"{found['value']:.0%}"
    return f"{value} ({found['numerator']}/{found['denominator']}; {found['low']:.0%} to {found['high']:.0%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    wanted = page()
    if given.check:
        current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        sys.exit(0 if wanted == current else f"{PAGE.name} is out of date: run python -m benchmarks.tables")
    PAGE.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
