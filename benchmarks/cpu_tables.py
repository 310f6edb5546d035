"""The page's tables of one CPU: what frames wait for, what decoding costs, and search beside its index."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]
# In the order of a frame's way; whatever else is counted is little.
_KINDS = ("decode", "detection", "recognition", "networks", "Python")


def timeline(record: Record | None) -> list[str]:
    """What frames waited for at several numbers of cameras, if that was traced."""
    if record is None:
        return []
    found, machine = record["results"], record["machine"]
    lines = [
        "### What frames wait for",
        "",
        f"`pylfr size --cameras N --trace FILE` on {machine['processor']}, {found['cores']} cores: from the moment a "
        "frame with a compared face was due until it was decided on, milliseconds of the frames about each quantile; "
        "and how many cores pylfr left idle meanwhile. [The tutorial](tutorials/size.md#read-the-answer) says how to "
        "look at one.",
        "",
        "| cameras | quantile | in all | decode | queue | detect | hand over | recognise | cores idle |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for run in found["timelines"]:
        for waits in run["waits"]:
            parts = " | ".join(f"{each['ms']:.0f}" for each in waits["phases"])
            lines.append(
                f"| {run['cameras']} | p{100 * waits['quantile']:g} | {waits['latency_ms']:.0f} | {parts} "
                f"| {waits['idle_cores']:.2f} |"
            )
    lines += [
        "",
        "Cores in use in the mean, by kind of thread (`networks`: a runtime's own), and how much of the time "
        "the thread that detects and the one that recognises did not wait for work:",
        "",
        f"| cameras | {' | '.join(_KINDS)} | detects | recognises | frames per batch |",
        f"|---:|{'---:|' * len(_KINDS)}---:|---:|---:|",
    ]
    for run in found["timelines"]:
        used = " | ".join(f"{run['cores'][kind]:.2f}" for kind in _KINDS)
        lines.append(
            f"| {run['cameras']} | {used} | {run['busy']['detection']:.0%} | {run['busy']['recognition']:.0%} "
            f"| {run['frames_a_batch']:.1f} |"
        )
    return [*lines, ""]


def decoding(record: Record | None) -> list[str]:
    """Threads, slices and the loop filter, if they were measured."""
    if record is None:
        return []
    found, machine = record["results"], record["machine"]
    lines = [
        "## Decoding",
        "",
        f"{found['width']}x{found['height']} on {machine['processor']}, {machine['cores']} cores, medians of "
        f"{found['costs'][0]['processor_ms']['repeats']}: processor time per picture with FFmpeg alone, by threads "
        "of one decoder and slices of a picture; and how many more pictures it holds back. One thread a camera is "
        "the default: further ones cost processor time and, where they divide pictures, latency, and there are more "
        "cameras than cores.",
        "",
        "| codec, slices | threads | ms of processor time per picture | pictures per second by the clock | held back |",
        "|---|---|---:|---:|---:|",
    ]
    for each in found["costs"]:
        threads = "1" if each["threads"] == 1 else f"{each['threads']}, by {each['divided']}"
        lines.append(
            f"| {each['codec']}, {each['slices']} | {threads} | {each['processor_ms']['median']:.2f} "
            f"| {each['pictures_a_second']['median']:.0f} | {each['delay']} |"
        )
    lines += [
        "",
        "A camera of pylfr's, for each picture that it sends:",
        "",
        "| codec | analysed | loop filter | ms of processor time (range) |",
        "|---|---|---|---:|",
    ]
    for each in found["sampled"]:
        rate = "every picture" if each["detect_hz"] is None else f"{each['detect_hz']:g} a second"
        spread = each["processor_ms"]
        lines.append(
            f"| {each['codec']} | {rate} | {'on' if each['loop_filter'] else 'off'} "
            f"| {spread['median']:.2f} ({spread['min']:.2f} to {spread['max']:.2f}) |"
        )
    return [*lines, ""]


def search(record: Record | None) -> list[str]:
    """The product's search beside its index, if it was measured."""
    if record is None:
        return []
    found, machine = record["results"], record["machine"]
    lines = [
        "## Search",
        "",
        f"The best {found['candidates']} entries among random templates, float32, on {machine['processor']}, one core: "
        "the whole product's search, in turn with the index's own scan for as many references.",
        "",
        "| references | numbers each | entries | probes | scan, ms | whole search, ms | ratio, median (range) |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in found["costs"]:
        ratio = each["ratio"]
        lines.append(
            f"| {each['references']:,} | {each['dimension']} | {each['entries']:,} | {each['probes']} "
            f"| {each['scan_ms']['median']:.2f} "
            f"| {each['product_ms']['median']:.2f} "
            f"| {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}) |"
        )
    return [*lines, ""]
