"""The page's tables of a GPU, and of what Python costs where one decodes."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]


def stages(record: Record | None) -> list[str]:
    """What a GPU did, if one was measured."""
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
        "Simulated cameras: 1080p25 as NV12 surfaces on the device, every frame analysed, ten faces per frame, one in "
        "fifteen embedded, a detector of SCRFD-10G's size and IResNet-50 with random weights, int8 index of "
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


def many_cameras(record: Record | None) -> list[str]:
    """What Python costs where a GPU decodes, if it was measured."""
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
