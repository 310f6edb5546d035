"""The page's tables of networks: pairs on people never learnt from, and detectors on a crowd with a known truth."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]


def pairs(record: Record | None) -> list[str]:
    """Accuracy and time of pairs, if they were measured."""
    if record is None:
        return []
    found = record["results"]
    measured = found["measured"]
    sizes = [each["watchlist"] for each in measured["pairs"][0]["searches"]]
    lines = [
        "## Pairs of networks",
        "",
        f"{measured['material']}, through pylfr's own stages; {found['splits']} random splits, every picture of "
        "whoever is not enrolled is searched. TPIR at FPIR 1 % with 95 % over people, and the threshold. Processor "
        f"time on {measured['machine']}: a picture of 640 x 640, a crop. `pylfr models recommend` carries them.",
        "",
        f"| detector | embedder | {' | '.join(f'{size} enrolled' for size in sizes)} | verification | ms |",
        f"|---|---|{'---:|' * len(sizes)}---:|---:|",
    ]
    for each in measured["pairs"]:
        cells = [
            f"{s['tpir']:.1%} ({s['low']:.1%} to {s['high']:.1%}) at {s['threshold']:.3f}" for s in each["searches"]
        ]
        lines.append(
            f"| {each['detector']} | {each['embedder']} | {' | '.join(cells)} | {each['verification']:.1%} "
            f"| {each['detect_ms']:.1f}, {each['embed_ms']:.1f} |"
        )
    return [*lines, ""]


def passes(record: Record | None) -> list[str]:
    """Thresholds by pass and by the watchlist's length, if they were measured."""
    if record is None:
        return []
    found = record["results"]
    sizes = list(dict.fromkeys(each["watchlist"] for each in found["pairs"][0]["thresholds"]))
    lines = [
        "## Thresholds by pass",
        "",
        f"{found['people']} people whom the shipped networks never learnt from walk once through a crowd with every "
        f"difficulty, followed and compared as the engine does it; {found['mated']} of them have a second photograph "
        "and are looked for with it. The threshold at which so many passes of people who are not on the watchlist give "
        "an alert, over 100 drawn watchlists, with 95 % over who walks; below it TPIR by pass at that threshold. "
        "`pylfr models show` suggests those of FPIR 1 %.",
        "",
        f"| pair | FPIR by pass | {' | '.join(f'{size} enrolled' for size in sizes)} |",
        f"|---|---:|{'---:|' * len(sizes)}",
    ]
    for pair in found["pairs"]:
        for fpir in sorted({each["fpir"] for each in pair["thresholds"]}, reverse=True):
            cells = [
                f"{each['threshold']:.3f} ({each['low']:.3f} to {each['high']:.3f})<br>"
                f"{each['tpir']:.1%} ({each['tpir_low']:.1%} to {each['tpir_high']:.1%})"
                for each in pair["thresholds"]
                if each["fpir"] == fpir
            ]
            lines.append(f"| {pair['detector']} + {pair['embedder']} | {fpir:.0%} | {' | '.join(cells)} |")
    return [*lines, ""]


def detection(record: Record | None) -> list[str]:
    """Detectors at equal precision, if they were measured."""
    if record is None:
        return []
    found = record["results"]
    kinds = list(found["detectors"][0]["by_kind"])
    lines = [
        "## Detectors",
        "",
        f"{found['people']} people whom the shipped networks never learnt from, walking with every difficulty, half of "
        f"them in an eighth of the light: {found['faces']:,} faces of 8 pixels and more in {found['frames']} frames "
        "brought to a long side of 640. Then 14 pictures of scikit-image, one of them of a face.",
        "",
        f"| | {' | '.join(each['detector'] for each in found['detectors'])} |",
        f"|---|{'---:|' * len(found['detectors'])}",
    ]
    rows: dict[str, list[str]] = {
        f"recall at precision {precision}": [f"{each['recall'][precision]:.1%}" for each in found["detectors"]]
        for precision in found["detectors"][0]["recall"]
    }
    rows["average precision"] = [f"{each['average_precision']:.1%}" for each in found["detectors"]]
    for kind in kinds:
        rows[f"at precision 0.95: {kind}"] = ["{} of {}".format(*each["by_kind"][kind]) for each in found["detectors"]]
    rows["suggested score: recall, precision"] = [
        f"{each['suggested']:g}: {each['recall_at_suggested']:.1%}, {each['precision_at_suggested']:.1%}"
        for each in found["detectors"]
    ]
    rows["false faces there, on the astronaut"] = [
        str(each["false_at_suggested"]["astronaut"]) for each in found["detectors"]
    ]
    rows[f"on {found['clothes']} pieces of clothes"] = [
        str(each["false_at_suggested"]["clothes"]) for each in found["detectors"]
    ]
    rows["on the other 13 pictures"] = [
        str(sum(count for name, count in each["false_at_suggested"].items() if name not in ("astronaut", "clothes")))
        for each in found["detectors"]
    ]
    rows["ms at 640 x 640, one thread"] = [f"{each['ms_640']:.1f}" for each in found["detectors"]]
    return [*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()), ""]
