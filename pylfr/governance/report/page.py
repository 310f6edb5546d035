"""The public report as people read it: Markdown, and one page of HTML that loads nothing and prints on paper."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from html import escape as html_escape

from pylfr._internal.printable import markdown, one_line
from pylfr.governance.report.report import DeploymentReport, ReportedRate

Rows = list[tuple[str, str]]

_ABOUT = (
    "Made by pylfr from the audit log and the records of the deployment. Nobody is named but the senior accountable "
    "person. A face that is lost and found again counts twice, so that rates a face are lower than rates a person."
)


def markdown_of(report: DeploymentReport) -> str:
    """The report as Markdown."""
    lines = [f"# Live facial recognition: {markdown(report.deployment)}", ""]
    lines += [*(f"- {markdown(sentence)}" for sentence in _in_short(report)), ""]
    for title, rows in _sections(report):
        lines += [f"## {title}", "", *(f"- {markdown(name)}: {markdown(text)}" for name, text in rows), ""]
    lines += ["## Incidents", "", *(f"- {markdown(sentence)}" for sentence in _incidents(report)), ""]
    lines += [
        "## What is retained, and how long",
        "",
        *(f"- {markdown(sentence)}" for sentence in report.retention),
        "",
    ]
    return "\n".join([*lines, _ABOUT, ""])


def escape(text: str) -> str:
    """``text`` of whoever wrote a field, in HTML: one line that shows as it is."""
    return html_escape(one_line(text))


def page_of(report: DeploymentReport) -> str:
    """The report as one page of HTML: the answers first, two figures, then the tables."""
    parts = [
        f"<h1>Live facial recognition: {escape(report.deployment)}</h1>",
        f'<p class="note">Public report of a deployment at {escape(report.place)}, '
        f"{escape(_window(report.starts_at, report.ends_at))}</p>",
        _list(_in_short(report)),
        '<div class="figures">' + _outcomes(report) + _against_ceiling(report) + "</div>",
    ]
    for title, rows in _sections(report):
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
        parts.append(f"<section><h2>{escape(title)}</h2><table>{cells}</table></section>")
    parts.append(f"<section><h2>Incidents</h2>{_list(_incidents(report))}</section>")
    parts.append(f"<section><h2>What is retained, and how long</h2>{_list(report.retention)}</section>")
    parts.append(f'<p class="note">{escape(_ABOUT)}</p>')
    return _PAGE.format(title=escape(report.deployment), style=_STYLE, body="\n".join(parts))


def _in_short(report: DeploymentReport) -> tuple[str, ...]:
    """What an oversight body asks first."""
    rate = report.false_alert_rate
    ceiling = f"the policy's ceiling is {_per_thousand(report.false_alert_ceiling)} in 1,000"
    if rate.value is None:
        verdict = f"No face was counted, so there is no rate of false alerts; {ceiling}."
    elif rate.low > report.false_alert_ceiling:
        verdict = f"The rate of false alerts is above the ceiling, beyond chance: {_rate(rate)}; {ceiling}."
    elif rate.high <= report.false_alert_ceiling:
        verdict = f"The rate of false alerts is below the ceiling: {_rate(rate)}; {ceiling}."
    else:
        verdict = f"Whether the rate of false alerts is below the ceiling cannot be told yet: {_rate(rate)}; {ceiling}."
    return (
        f"{_count(report.faces_seen, 'face')} of people who passed {_were(report.faces_seen)} followed in "
        f"{_duration(report.seconds)} ({_count(report.runs, 'run')}); "
        f"the watchlist held {_count(report.watchlist_size, 'reference image')}.",
        f"There {_were(report.alerts)} {_count(report.alerts, 'possible match', 'possible matches')}: "
        f"{report.true_alerts:,} true, {report.false_alerts:,} false, {report.unresolved:,} unresolved, which "
        f"count as neither. People have decided on {_decided(report):,} of them; "
        f"{_count(report.engagements, 'engagement')} followed.",
        verdict,
        f"{_count(len(report.incidents), 'incident')} {'is' if len(report.incidents) == 1 else 'are'} listed below."
        if report.incidents
        else "There was no incident.",
    )


def _incidents(report: DeploymentReport) -> tuple[str, ...]:
    return report.incidents or ("No run stopped itself, and no camera failed.",)


def _decided(report: DeploymentReport) -> int:
    undecided = ("open", "partly adjudicated")
    return sum(count for state, count in report.alerts_by_state.items() if state not in undecided)


def _sections(report: DeploymentReport) -> Iterator[tuple[str, Rows]]:
    yield (
        "The deployment",
        [
            ("authorisation", f"{report.authorisation}, profile {report.profile}"),
            ("purpose", report.purpose),
            ("legal basis", report.legal_basis),
            ("place", report.place),
            ("window", _window(report.starts_at, report.ends_at)),
            ("senior accountable person", report.senior_accountable_person),
            ("assessments", f"DPIA {report.dpia or 'none'}, EIA {report.eia or 'none'}"),
            ("authorised with the key", report.officers_keys),
            ("calibration", report.calibration),
            ("groups of people compared", report.cohorts),
        ],
    )
    categories = ", ".join(f"{name or '(none)'} {count:,}" for name, count in report.watchlist_categories.items())
    yield (
        "Who was looked for",
        [
            ("reference images on the watchlist", f"{report.watchlist_size:,}"),
            ("people by category", categories or "not known any more: the list was destroyed"),
        ],
    )
    yield (
        "Who was seen",
        [
            ("faces followed", f"{report.faces_seen:,}"),
            ("detections, frame by frame", f"{report.detections:,}"),
            ("comparisons with the watchlist", f"{report.compared:,}"),
            ("frames and faces dropped (failure to acquire)", f"{report.dropped:,}"),
            (
                "how long a template existed",
                f"{report.dwell_p50_ms:.1f} ms (p50), {report.dwell_p99_ms:.1f} ms (p99), at most "
                f"{report.dwell_max_ms:.1f} ms",
            ),
        ],
    )
    states = ", ".join(f"{state} {count:,}" for state, count in report.alerts_by_state.items())
    yield (
        "Alerts",
        [
            ("possible matches", f"{report.alerts:,}"),
            ("true, false, unresolved", f"{report.true_alerts:,}, {report.false_alerts:,}, {report.unresolved:,}"),
            ("by state", states or "none"),
            ("engagements", f"{report.engagements:,}"),
            ("false alerts of faces followed", _rate(report.false_alert_rate)),
            ("threshold", f"{report.threshold} (cosine)"),
        ],
    )
    yield "Controls that ran", [(name, f"{count:,}") for name, count in report.controls.items()]
    yield (
        "The record behind this report",
        [
            ("entries in the audit log", f"{report.log_entries:,}"),
            ("digest of the last one", report.log_digest or "none"),
        ],
    )


def _outcomes(report: DeploymentReport) -> str:
    """A bar for each kind of alert, as SVG."""
    counts = {"true": report.true_alerts, "false": report.false_alerts, "unresolved": report.unresolved}
    most = max([*counts.values(), 1])
    rows = "".join(
        f'<text x="0" y="{26 * place + 18}">{name}</text>'
        f'<rect class="{name}" x="84" y="{26 * place + 4}" width="{round(200 * count / most)}" height="18"/>'
        f'<text x="{92 + round(200 * count / most)}" y="{26 * place + 18}">{count:,}</text>'
        for place, (name, count) in enumerate(counts.items())
    )
    said = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f'<figure><svg viewBox="0 0 340 82" role="img" aria-label="{said}">{rows}</svg>' + (
        "<figcaption>What became of the possible matches</figcaption></figure>"
    )


def _against_ceiling(report: DeploymentReport) -> str:
    """The rate of false alerts with its interval, and the policy's ceiling, on a logarithmic axis, as SVG."""
    rate, ceiling = report.false_alert_rate, report.false_alert_ceiling
    lowest = min(1e-5, ceiling)

    def at(value: float) -> float:
        return round(10 + 320 * (1 - math.log10(max(value, lowest)) / math.log10(lowest)), 1)

    ticks = "".join(
        f'<line class="axis" x1="{at(10.0**power)}" y1="50" x2="{at(10.0**power)}" y2="55"/>'
        f'<text class="tick" x="{at(10.0**power)}" y="68">{_per_thousand(10.0**power)}</text>'
        for power in range(math.ceil(math.log10(lowest)), 1)
    )
    # An interval that begins at zero runs out of the figure on the left.
    measured = "" if rate.value is None else (
        f'<line class="interval" x1="{at(rate.low) if rate.low else 0}" y1="36" x2="{at(rate.high)}" y2="36"/>'
        + (f'<circle class="measured" cx="{at(rate.value)}" cy="36" r="5"/>' if rate.value else "")
    )  # fmt: skip
    return (
        f'<figure><svg viewBox="-12 0 364 82" role="img" aria-label="{escape(_rate(rate))}">'
        f'<line class="axis" x1="0" y1="50" x2="330" y2="50"/>{ticks}'
        f'<line class="ceiling" x1="{at(ceiling)}" y1="16" x2="{at(ceiling)}" y2="50"/>'
        f'<text class="tick" x="{at(ceiling)}" y="12">ceiling</text>{measured}</svg>'
        "<figcaption>False alerts in 1,000 faces: measured, with its 95 % interval (logarithmic)</figcaption></figure>"
    )


def _rate(rate: ReportedRate) -> str:
    if rate.value is None:
        return "nothing was counted"
    return (
        f"{rate.numerator:,} in {rate.denominator:,} faces ({_per_thousand(rate.value)} in 1,000; 95 % interval "
        f"{_per_thousand(rate.low)} to {_per_thousand(rate.high)})"
    )


def _per_thousand(value: float) -> str:
    scaled = 1000 * value
    return f"{scaled:,.0f}" if scaled >= 10 else f"{scaled:.2g}"


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _window(starts_at: str, ends_at: str) -> str:
    starts, ends = datetime.fromisoformat(starts_at), datetime.fromisoformat(ends_at)
    until = f"{ends:%H:%M}" if starts.date() == ends.date() else f"{ends.day} {ends:%B %Y, %H:%M}"
    return f"{starts.day} {starts:%B %Y, %H:%M} to {until} UTC"


def _list(sentences: tuple[str, ...]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


_STYLE = """
body{text-align:left}h1,h2,p,li,th,td,figcaption{unicode-bidi:plaintext}
body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
h1{font-size:1.6rem;line-height:1.25;margin-bottom:.2rem}h2{font-size:1.15rem;margin:1.8rem 0 .3rem}
ul{padding-left:1.2rem}li{margin:.25rem 0}.note{color:#4b535c;font-size:.9rem}
table{border-collapse:collapse;width:100%;font-size:.92rem}tr{border-top:1px solid #d5d9de}
th,td{padding:.35rem 0;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{width:38%;padding-right:1rem;font-weight:normal;color:#4b535c}
.figures{display:flex;flex-wrap:wrap;gap:1rem 3rem;margin:1.4rem 0}
figure{margin:0;flex:1 1 18rem;display:flex;flex-direction:column}
svg{width:100%;font-size:13px}figcaption{font-size:.85rem;color:#4b535c;margin-top:.3rem}
text{fill:#1b1f24}.tick{font-size:11px;text-anchor:middle;fill:#4b535c}.axis{stroke:#4b535c}
.true,.measured{fill:#0072b2}.false{fill:#d55e00}.unresolved{fill:#8a929b}
.interval{stroke:#0072b2;stroke-width:3}.ceiling{stroke:#d55e00;stroke-width:2;stroke-dasharray:4 3}
@page{size:A4;margin:18mm 18mm 20mm}
@media print{body{max-width:none;margin:0;padding:0;font-size:10.5pt;color:#000;background:#fff;
-webkit-print-color-adjust:exact;print-color-adjust:exact;orphans:3;widows:3}
h2,h2+table tr:first-child{break-after:avoid}figure,.figures,tr,li{break-inside:avoid}.figures{flex-wrap:nowrap}
th,.note,figcaption{color:#000}text,.tick{fill:#000}.axis{stroke:#000}tr{border-color:#888}
.true,.measured{fill:#000}.false{fill:#fff;stroke:#000;stroke-width:1.5}.unresolved{fill:#aaa}
.interval,.ceiling{stroke:#000}}
"""

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Live facial recognition: {title}</title>
<style>{style}</style></head>
<body>
{body}
</body>
</html>
"""
