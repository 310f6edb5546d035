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
        fps, ratio = found["engine_fps"]["median"], found["ratio"]
        lines += [
            f"The whole engine on {found['cameras']} such videos at once reads {fps:.0f} frames a second, detection at "
            f"{found['detect_hz']:.0f} Hz: {ratio['median']:.0%} of what decoding alone reaches in the same run "
            f"({ratio['min']:.0%} to {ratio['max']:.0%}).",
            f"Over {found['memory_frames']:,} frames memory grew by {found['memory_growth_mb']:.0f} MB "
            "after the first half.",
            "",
        ]
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
