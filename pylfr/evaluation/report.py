"""The report for people who decide: what was measured, on what, how sure it is, and what it does not show."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from pylfr._internal.atomic_file import write_result
from pylfr._internal.printable import markdown, one_line
from pylfr.evaluation.cohorts import CohortReport
from pylfr.evaluation.images.evaluation import Evaluation, as_csv, as_json
from pylfr.evaluation.plots import det_plot, histogram_plot, rank_plot, threshold_plot
from pylfr.evaluation.statistics.rates import Rate, percent

_SKIPPED_SHOWN = 20
# Errors that measure a rate to within a third (the rule of 30).
_ENOUGH = 30

_STYLE = """
body{text-align:left}h1,h2,p,li,th,td,figcaption{unicode-bidi:plaintext}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #d5d9de}
table{border-collapse:collapse;margin:.8rem 0;font-size:.9rem;width:100%}
th,td{padding:.3rem .6rem;border-bottom:1px solid #e3e6ea;text-align:left;vertical-align:top}
th{background:#f4f6f8}figure{margin:1.4rem 0}img{max-width:100%}figcaption{color:#4b535c;font-size:.9rem}
@media print{body{max-width:none}h2{break-after:avoid}figure,table{break-inside:avoid}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with its heads; every cell is text."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture with the words for those who cannot see it."""

    file: str
    about: str


Block = str | Table | Figure


def write_report(evaluation: Evaluation, folder: Path) -> None:
    """Write ``report.html`` (one file, figures inside), ``report.md``, ``rates.csv``, ``evaluation.json``, figures."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = _figures(evaluation)
    for name, png in figures.items():
        write_result(folder / name, png)
    title = f"Accuracy of {evaluation.embedder} behind {evaluation.detector}"
    sections = list(_sections(evaluation, figures))
    names_people = evaluation.names_people
    write_result(folder / "report.md", _markdown(title, sections).encode(), is_private=names_people)
    write_result(folder / "report.html", _html(title, sections, figures).encode(), is_private=names_people)
    write_result(folder / "evaluation.json", as_json(evaluation).encode(), is_private=names_people)
    write_result(folder / "rates.csv", as_csv(evaluation).encode())


def _figures(evaluation: Evaluation) -> dict[str, bytes]:
    if not evaluation.identification:
        return {}
    figures = {
        "det.png": det_plot(evaluation.identification),
        "threshold.png": threshold_plot(evaluation.identification),
        "ranks.png": rank_plot(evaluation.identification),
    }
    for each in evaluation.identification:
        figures[f"scores-{each.watchlist_size}.png"] = histogram_plot(each)
    return figures


def _sections(evaluation: Evaluation, figures: Mapping[str, bytes]) -> Iterator[tuple[str, list[Block]]]:
    yield "In short", _short(evaluation)
    yield "What was measured", _material(evaluation)
    if evaluation.identification:
        yield "Searching a watchlist", _identification(evaluation, figures)
    yield "Comparing two pictures", _verification(evaluation)
    if evaluation.cohorts is not None:
        yield "Groups of people", _cohorts(evaluation.cohorts)
    yield (
        "What this does not show",
        [
            "These are photographs, each searched for once. A deployment sees moving people through its own cameras, "
            "and is judged by subject passes: measure it there too, with consenting people on the watchlist.",
            "An interval says how far chance alone could have moved a rate on people like these. It says nothing of "
            "other people, other cameras, other light. It is taken over people; that of TPIR also carries how unsure "
            "the threshold is.",
            "The score of a comparison is a cosine: no percentage, and no probability that two people are the same.",
        ],
    )


def _short(evaluation: Evaluation) -> list[Block]:
    point = evaluation.headline
    if point is None:
        return ["The material is too small for any operating point; see below for what it would need."]
    size = next(each.watchlist_size for each in evaluation.identification if point in each.points)
    return [
        f"With {size:,} people on the watchlist and a threshold of {point.threshold:.3f}, "
        f"{percent(point.tpir.value or 0)} of the searches for people who are on it found them (TPIR; 95 % interval "
        f"{percent(point.tpir.low)} to {percent(point.tpir.high)}), and {percent(point.fpir.value or 0)} of the "
        f"searches for people who are not on it raised a false alert (FPIR; {percent(point.fpir.low)} to "
        f"{percent(point.fpir.high)}).",
        f"Of 1,000 searches for people who are not on the watchlist, about {_in_a_thousand(point.fpir.value or 0)} "
        f"would raise a false alert ({_in_a_thousand(point.fpir.low)} to {_in_a_thousand(point.fpir.high)}); of 1,000 "
        f"for people who are on it, about {_in_a_thousand(1 - (point.tpir.value or 0))} would find nobody "
        f"({_in_a_thousand(1 - point.tpir.high)} to {_in_a_thousand(1 - point.tpir.low)}).",
    ]


def _in_a_thousand(share: float) -> str:
    return f"{1000 * share:.0f}" if share >= 0.001 or share == 0 else "fewer than 1"


def _material(evaluation: Evaluation) -> list[Block]:
    rows = [
        ("detector", f"{evaluation.detector}, sha256 {evaluation.detector_sha256[:16]}"),
        ("embedder", f"{evaluation.embedder}, sha256 {evaluation.embedder_sha256[:16]}"),
        ("runtime", evaluation.runtime),
        ("material", f"{evaluation.source}: {evaluation.people:,} people, {evaluation.pictures:,} readable pictures"),
        ("failure to acquire (FTA)", f"{evaluation.fta} of the pictures show no face that the detector finds"),
        ("skipped", f"files that could not be read: {len(evaluation.unreadable)}"),
        ("made", f"{evaluation.made_at:%Y-%m-%d %H:%M} UTC, in {evaluation.seconds:.0f} s"),
    ]
    blocks: list[Block] = [Table(heads=("", ""), rows=tuple(rows))]
    if evaluation.unreadable:
        shown = "; ".join(evaluation.unreadable[:_SKIPPED_SHOWN])
        more = len(evaluation.unreadable) - _SKIPPED_SHOWN
        blocks.append(f"Skipped: {shown}" + (f"; and {more} more (see evaluation.json)" if more > 0 else ""))
    return blocks


def _identification(evaluation: Evaluation, figures: Mapping[str, bytes]) -> list[Block]:
    blocks: list[Block] = [
        "A mated search is for somebody on the watchlist; it succeeds (TPIR) if the right entry comes first and "
        "reaches the threshold, and a picture without a face counts as a miss. A non-mated search is for somebody who "
        "is not on it; it fails (FPIR) if any entry reaches the threshold. One threshold serves all splits."
    ]
    for each in evaluation.identification:
        blocks.append(
            f"N = {each.watchlist_size:,}, {each.splits} random splits: {each.mated_searches:,} mated searches of "
            f"{each.mated_people:,} people, {each.non_mated_searches:,} non-mated searches of "
            f"{each.non_mated_people:,} people, counted over all splits."
        )
        blocks.append(
            Table(
                heads=("target FPIR", "threshold (single splits: from, to)", "FPIR", "TPIR", "FNIR"),
                rows=tuple(
                    (
                        f"{100 * point.target_fpir:g} %",
                        f"{point.threshold:.3f} ({point.threshold_low:.3f} to {point.threshold_high:.3f})",
                        str(point.fpir),
                        str(point.tpir),
                        str(point.tpir.complement),
                    )
                    for point in each.points
                ),
            )
        )
        blocks += [
            f"Read FPIR {100 * point.target_fpir:g} % with care: only {point.fpir.numerator} false alerts stand behind "
            f"its threshold, and it takes {_ENOUGH} to measure a rate (rule of 30)."
            for point in each.points
            if point.fpir.numerator < _ENOUGH
        ]
        blocks += [f"Not shown: {reason}." for reason in each.unsupported]
    blocks += [Figure(file=name, about=_about(name)) for name in figures]
    return blocks


def _about(name: str) -> str:
    """What a figure shows, in words."""
    if name.startswith("scores-"):
        return (
            "How high searches score. Blue: people on the watchlist; orange: people who are not on it. What lies right "
            "of a dashed threshold raises an alert: blue rightly, orange falsely. The axis of shares is logarithmic."
        )
    return {
        "det.png": "Whoever accepts fewer false alerts (left) misses more people (up). The shaded bands are 95 % "
        "intervals; where they are wide, the material is too small to tell.",
        "threshold.png": "The threshold that keeps each rate of false alerts, for each size of watchlist. A longer "
        "list needs a higher threshold.",
        "ranks.png": "How often the right person is among the best entries, whatever the score: not how often an "
        "alert is right. The upright axis does not begin at nothing.",
    }[name]


def _verification(evaluation: Evaluation) -> list[Block]:
    result = evaluation.verification
    blocks: list[Block] = (
        [f"Not measured: {evaluation.verification_missing}."]
        if result is None
        else [
            f"Accuracy over folds: {result.accuracy}, deviation between folds {percent(result.fold_deviation)}, mean "
            f"threshold {result.threshold:.3f}; {result.mated_pairs:,} mated and {result.non_mated_pairs:,} "
            "non-mated pairs."
        ]
    )
    if evaluation.roc:
        blocks.append(
            "FMR is the share of pairs of different people that reach the threshold, FNMR the share of pairs of one "
            "person that do not."
        )
        blocks.append(
            Table(
                heads=("threshold", "FMR (all pairs of the folder)", "FNMR"),
                rows=tuple((f"{each.threshold:.3f}", _tiny(each.fmr), str(each.fnmr)) for each in evaluation.roc),
            )
        )
    return blocks


def _cohorts(report: CohortReport) -> list[Block]:
    blocks: list[Block] = [
        f"At threshold {report.threshold:.3f} and N = {report.watchlist_size:,}; each person counts once. Groups are "
        f"the labels that were given; {report.unlabelled} people without one are left out.",
        Table(
            heads=("group", "FPIR", "TPIR", "caution"),
            rows=tuple((each.group, str(each.fpir), str(each.tpir), each.caution) for each in report.groups),
        ),
        Table(
            heads=("measure", "groups", "p (Fisher)", "p (Holm)", "differ at 5 %"),
            rows=tuple(
                (
                    each.measure.upper(),
                    " / ".join(each.groups),
                    f"{each.p:.3g}",
                    f"{each.p_holm:.3g}",
                    "yes" if each.is_significant else "not shown",
                )
                for each in report.tests
            ),
        ),
    ]
    for ratio in report.ratios:
        seen = (
            f"groups of these sizes would show a ratio of {ratio.detectable:.1f} or more"
            if ratio.detectable is not None
            else "groups of these sizes could not show any ratio"
        )
        blocks.append(
            f"{ratio.measure.upper()}: {ratio.greatest} over {ratio.least} is {ratio.value:.2f} ({ratio.low:.2f} to "
            f"{ratio.high:.2f}); with a power of 80 % {seen}. A difference that was not shown is no proof of fairness."
        )
    return blocks


def _tiny(rate: Rate) -> str:
    if rate.value is None:
        return str(rate)
    return f"{rate.value:.2g} ({rate.low:.2g} to {rate.high:.2g}; {rate.numerator:,} of {rate.denominator:,})"


def _markdown(title: str, sections: Sequence[tuple[str, list[Block]]]) -> str:
    lines = [f"# {markdown(title)}", ""]
    for head, blocks in sections:
        lines += [f"## {markdown(head)}", ""]
        for block in blocks:
            if isinstance(block, Table):
                lines.append(f"| {' | '.join(map(markdown, block.heads))} |")
                lines.append("|" + "---|" * len(block.heads))
                lines += [f"| {' | '.join(map(markdown, row))} |" for row in block.rows]
            elif isinstance(block, Figure):
                lines += [f"![{markdown(block.about)}]({block.file})", "", markdown(block.about)]
            else:
                lines.append(markdown(block))
            lines.append("")
    return "\n".join(lines)


def _html(title: str, sections: Sequence[tuple[str, list[Block]]], figures: Mapping[str, bytes]) -> str:
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><h1>{escape(title)}</h1>'
    ]
    for head, blocks in sections:
        parts.append(f"<h2>{escape(head)}</h2>")
        for block in blocks:
            if isinstance(block, Table):
                parts.append(_html_table(block))
            elif isinstance(block, Figure):
                data = base64.b64encode(figures[block.file]).decode()
                words = escape(block.about)
                parts.append(
                    f'<figure><img alt="{words}" src="data:image/png;base64,{data}"><figcaption>{words}</figcaption>'
                    "</figure>"
                )
            else:
                parts.append(f"<p>{_unbroken(block)}</p>")
    return "\n".join([*parts, "</html>"])


def _unbroken(words: str) -> str:
    """Escaped words whose numbers stay on one line with their per cent."""
    return escape(one_line(words)).replace(" %", "&nbsp;%")


def _html_table(table: Table) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head in table.heads) if any(table.heads) else ""
    rows = "".join("<tr>" + "".join(f"<td>{_unbroken(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<table>{f'<tr>{heads}</tr>' if heads else ''}{rows}</table>"
