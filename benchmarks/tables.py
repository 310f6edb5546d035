"""Writes docs/benchmarks.md from benchmarks/results; ``--check`` only compares."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import cpu_tables, network_tables
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
    lines += gpu() + many_cameras() + peers()
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


def gpu() -> list[str]:
    """What a GPU did, if one was measured."""
    record = read("gpu")
    if record is None:
        return []
    found, machine = record["results"], record["machine"]
    lines = [
        f"## {found['device']}",
        "",
        f"{machine['processor']}, {machine['cores']} cores, {machine['measured_at'][:10]}; copy "
        f"{found['copy_gigabytes_a_second']:.0f} GB/s, fp16 matrix product {found['fp16_teraflops']:.0f} TFLOP/s. "
        "Medians, on random numbers. [GPU status](gpu.md) says what was tested there.",
        "",
        "| stage | batch | ms | per second | share of copy bandwidth |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {each['what']} | {each['batch']} | {each['ms']['median']:.3f} | {each['a_second']:,.0f} "
            f"| {_share(each['share'])} |"
            for each in found["timings"]
        ),
        "",
    ]
    if ratio := found["fused_over_torch"]:
        lines += [
            f"The letterbox is {ratio['median']:.1f} ({ratio['min']:.1f} to {ratio['max']:.1f}) times as fast as "
            "PyTorch's operators, turn about.",
            "",
        ]
    lines += [
        "| search | references | probes | ms | searches per second |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {each['index']} | {each['references']:,} | {each['probes']} | {each['ms']['median']:.3f} "
            f"| {each['searches_a_second']:,.0f} |"
            for each in found["searches"]
        ),
        "",
        "pylfr's searches are exact and end with 64 candidates in float32; PyTorch's product with `topk` in float16.",
        "",
    ]
    if found["rates"]:
        lines += [
            "| network | input | batch | ms | images per second |",
            "|---|---|---:|---:|---:|",
            *(
                f"| {each['network']}{' (random weights)' if each['random_weights'] else ''} "
                f"| {each['width']}x{each['height']} | {each['batch']} | {each['ms']['median']:.2f} "
                f"| {each['images_a_second']:,.0f} |"
                for each in found["rates"]
            ),
            "",
        ]
    if found["decoding"]:
        lines += [
            "| decoder | codec | streams | processes | pictures per second (range) |",
            "|---|---|---:|---:|---:|",
            *(
                f"| {each['decoder']} | {each['codec']} {each['width']}x{each['height']} | {each['streams']} "
                f"| {each.get('processes', 1)} | {each['pictures_a_second']['median']:,.0f} "
                f"({each['pictures_a_second']['min']:,.0f} to {each['pictures_a_second']['max']:,.0f}) |"
                for each in found["decoding"]
            ),
            "",
        ]
    if live := found.get("live"):
        lines += [
            "Live cameras of 25 pictures a second, H.264 by UDP in MPEG-TS, received, decoded, sampled at 8 Hz, "
            "batched, and taken by the engine's loop with networks that do nothing. A picture waits from when it is "
            "decoded. Held means that 98 % of the pictures were decoded, none of them was dropped, and 99 % of those "
            "analysed waited less than 250 ms.",
            "",
            "| decoder | pictures | cameras | sent per second | decoded per second | p50 ms | p99 ms | cores | held |",
            "|---|---|---:|---:|---:|---:|---:|---:|---|",
            *(
                f"| {each['decoder']} | {each['width']}x{each['height']} | {each['cameras']} | {each['sent_hz']:,.0f} "
                f"| {each['decoded_hz']:,.0f} | {each['p50_ms']:.0f} | {each['p99_ms']:.0f} | {each['cores']:.1f} "
                f"| {'yes' if each['is_held'] else 'no'} |"
                for each in sorted(live, key=lambda load: load["cameras"])
            ),
            "",
        ]
    lines += [
        "Simulated cameras: 1080p25 as NV12 surfaces on the device, every frame analysed, ten faces a frame of which "
        "one in fifteen is embedded, a detector of SCRFD-10G's size and IResNet-50 with random weights, int8 index of "
        "10,000. Held means that 99 % waited less than 250 ms.",
        "",
        "| cameras | frames per second | p50 ms | p99 ms | held | pylfr's launches per batch |",
        "|---:|---:|---:|---:|---|---:|",
        *(
            f"| {each['cameras']} | {each['frames_a_second']:,.0f} | {each['p50_ms']:.0f} | {each['p99_ms']:.0f} "
            f"| {'yes' if each['is_held'] else 'no'} | {each['launches_a_batch']:.0f} |"
            for each in sorted(found["loads"], key=lambda load: load["cameras"])
        ),
        "",
    ]
    return lines


def many_cameras() -> list[str]:
    """What Python costs where a GPU decodes, if it was measured."""
    record = read("many_cameras")
    if record is None:
        return []
    found, machine = record["results"], record["machine"]
    whole_hz = 25 * found["cameras"]
    lines = [
        "## Python's part in many cameras",
        "",
        f"{machine['processor']}, {machine['cores']} cores: {found['cameras']} live streams of 64x64 pictures, "
        "received, decoded, sampled at 8 Hz, batched, and taken by the engine's loop with networks that do nothing. "
        "pylfr's own part is what it takes beyond PyAV alone in the same round, and its loop, at "
        f"{whole_hz:,} pictures per second: the median of the rounds, and their range. Several processes are several "
        "nodes on one machine, all of them counted.",
        "",
        "| processes | pictures come | faces per frame | PyAV alone, us per picture | us per picture | loop, us per "
        "analysed frame | own part, cores |",
        "|---:|---|---:|---:|---:|---:|---:|",
        *(
            f"| {run['processes']} | {run['sent']} | {run['faces_a_frame']} | {run['pyav_us_a_picture']:.0f} "
            f"| {run['us_a_picture']:.0f} | {run['loop_us_a_frame']:.0f} "
            f"| {run['own_cores']:.2f} ({run['own_cores_range'][0]:.2f} to {run['own_cores_range'][1]:.2f}) |"
            for run in found["runs"]
        ),
        "",
    ]
    if any(run["decoded_hz"] < 0.98 * whole_hz for run in found["runs"]):
        lines += ["Fewer pictures than were sent could be taken: the machine was busy with other work.", ""]
    return lines


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


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
