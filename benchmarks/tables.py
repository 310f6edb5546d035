"""Puts the measured tables into README.md, between its marks, from benchmarks/results; ``--check`` only compares."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

README = Path(__file__).parents[1] / "README.md"
RESULTS = Path(__file__).parent / "results"
BEGIN, END = "<!-- measured: begin (make bench) -->", "<!-- measured: end -->"


def read(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def measured() -> str:
    """The text between the marks."""
    lines: list[str] = []
    if stages := read("stages"):
        found, machine = stages["results"], stages["machine"]
        lines += [
            f"{machine['processor']}, {machine['cores']} cores; one thread a stage; {found['detector']} and "
            f"{found['embedder']}; 1080p25 H.264, {found['faces_a_frame']:.1f} faces a frame, "
            f"watchlist {found['watchlist']:,}; medians over {found['detected_frames']} frames.",
            "",
            "| stage | ms a detected frame | min to max | share |",
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
            f"The whole engine on {found['cameras']} such videos at once, detection at {found['detect_hz']:.0f} Hz, "
            "against decoding alone in the same run:",
            "",
            "| runtime | frames a second | share of decoding alone (range) |",
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
            f"Over {found['minutes']:.0f} minutes of {found['cameras']} looped camera memory grew by "
            f"{max(0.0, found['growth_mb']):.1f} MB.",
            "",
        ]
    lines += governance() + sizing() + peers()
    checked = [found["results"] for path in sorted(RESULTS.glob("verification-*.json")) if (found := read(path.stem))]
    if checked:
        lines += [
            "Verification on pairs drawn from LFW, ten-fold, through pylfr's own detection and alignment (an easy, "
            "frontal benchmark; it proves the path, not a deployment):",
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
    return "\n".join(lines).strip() or "Nothing has been measured yet: run `make bench`."


def governance() -> list[str]:
    """What governance costs, where it was measured."""
    record = read("governance_cost")
    if record is None:
        return []
    found = record["results"]
    steps = {each["name"]: each["ms"]["median"] for each in found["steps"]}
    return [
        f"What governance costs: {found['cameras']} cameras of real people at 1080p25, {found['alerts']} alerts in "
        f"{found['frames']:,} frames ({found['alerts_a_camera_minute']:g} a minute of a camera), {found['detector']} "
        f"and {found['embedder']}; against the same engine without it, in turn, median (range) of "
        f"{found['costs'][0]['cpu']['repeats']} rounds:",
        "",
        "| | processor time a frame | throughput lost |",
        "|---|---:|---:|",
        *(f"| {each['name']} | {_change(each['cpu'])} | {_change(each['throughput'])} |" for each in found["costs"]),
        "",
        f"Timed by themselves, the steps of governance take {found['timed_share']:.1%} of the time of a run: an alert "
        + ", ".join(f"{ms:.1f} ms for {name}" for name, ms in steps.items() if ms >= 0.1)
        + ".",
        "",
    ]


def _change(found: dict[str, Any]) -> str:
    return f"{found['median']:+.1%} ({found['min']:+.1%} to {found['max']:+.1%})"


def sizing() -> list[str]:
    """What ``pylfr size`` answered, where it was kept."""
    path = RESULTS / "sizing.json"
    if not path.exists():
        return []
    found = json.loads(path.read_text())
    load, asked = found["load"], found["conditions"]
    faces = load["faces"] / max(load["looked_at"], 1)
    shares = ", ".join(f"{stage} {share:.0%}" for stage, share in found["shares"].items())
    latency = load["decided"] if load["decided"]["count"] else load["seen"]
    return [
        f"`pylfr size`, {found['machine']['processor']}, {found['machine']['cores']} cores: {found['answer']}",
        "",
        "| asked | found |",
        "|---|---|",
        f"| cameras | {asked['width']}x{asked['height']} {asked['codec']} at 25 frames a second, "
        f"{faces:.1f} faces a frame, watchlist {asked['watchlist']:,} |",
        f"| networks | {asked['detector']} at {asked['detect_hz']:g} Hz, {asked['embedder']}, in {asked['runtime']} |",
        f"| p99 capture to alert | {latency['p99_ms']:.0f} ms at {load['cameras']} cameras |",
        f"| processor time | {shares} |",
        f"| memory a camera | {found['memory_mb_a_camera']:.0f} MB |",
        f"| decoding alone would allow | {found['decode_only_cameras']:.0f} cameras |",
        "",
    ]


def peers() -> list[str]:
    """Peers on the same weights, where they were measured."""
    record = read("peers")
    if record is None:
        return []
    found = record["results"]
    lines = [
        f"Beside others, same weights and footage, {found['cores']} core(s) and thread(s) each, "
        f"{found['mated_passes']} mated and {found['non_mated_passes']} non-mated passes, at the suggested threshold:",
        "",
        "| pipeline | networks | runtime | frames a second | faces embedded | TPIR | FPIR |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for each in found["contenders"]:
        alerts = each["accuracy"]["suggested"]
        lines.append(
            f"| {each['name']} | {each['detector']}, {each['embedder']} | {each['runtime']} "
            f"| {each['fps']['median']:.0f} | {each['recognised']:,} "
            f"| {rate(alerts['tpir'])} | {rate(alerts['fpir'])} |"
        )
    lines += ["", "| comparison | times as fast, median (range) | alerts |", "|---|---:|---|"]
    lines += [
        f"| {each['name']}: {each['one']} over {each['other']} | {each['ratio']['median']:.1f} "
        f"({each['ratio']['min']:.1f} to {each['ratio']['max']:.1f}) "
        f"| {'no worse' if each['alerts_no_worse'] else 'worse: no win'} |"
        for each in found["comparisons"]
    ]
    return [*lines, ""]


def rate(found: dict[str, Any]) -> str:
    """A rate with its interval, from its record."""
    value = "none" if found["value"] is None else f"{found['value']:.0%}"
    return f"{value} ({found['numerator']}/{found['denominator']}; {found['low']:.0%} to {found['high']:.0%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    wanted = f"{before}{BEGIN}\n{measured()}\n{END}{after}"
    if given.check:
        sys.exit(0 if wanted == text else "README.md does not show the newest results: run python -m benchmarks.tables")
    README.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
